package eviction

// Settings are what an operator says about memory.
type Settings struct {
	LimitBytes   int64 // of each node; 0: none
	Policy       Policy
	Samples      int // how closely candidates are looked for; Redis's maxmemory-samples
	LogFactor    int // lfu-log-factor
	DecayMinutes int // lfu-decay-time
}

// Default is Redis's.
var Default = Settings{Policy: NoEviction, Samples: 5, LogFactor: 10, DecayMinutes: 1}

// Weight is rendezvous hashing: of several nodes the one whose salt gives a key the highest weight has it.
func Weight(key, salt uint64) uint64 {
	z := key ^ salt
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Mine says whether the node with salts[own] has the key.
func Mine(key uint64, salts []uint64, own int) bool {
	w := Weight(key, salts[own])
	for i, salt := range salts {
		if x := Weight(key, salt); x > w || x == w && i < own {
			return false
		}
	}
	return true
}
