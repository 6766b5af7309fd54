package keyspace

import "encoding/binary"

// recency is what an entry remembers of its use: in the lower 24 bits the second of the last access, in the upper 8 Redis's
// logarithmic counter of accesses. So LRU and LFU can take each other's place at any time. Copies see different
// reads: it is in no digest.
type recency uint32

const (
	secondBits = 24 // 194 days, as in Redis
	secondMask = 1<<secondBits - 1

	freshFrequency = 5 // of a new key, so that it is not the next to go
)

// LFU says how the counter of accesses grows and falls: Redis's lfu-log-factor and lfu-decay-time.
type LFU struct {
	LogFactor    uint32 // the higher, the more accesses it takes to reach 255
	DecayMinutes uint32 // the counter falls by one in so many without an access; 0: never
}

// DefaultLFU is Redis's.
var DefaultLFU = LFU{LogFactor: 10, DecayMinutes: 1}

// SetLFU changes how accesses are counted from now on.
func (k *Keyspace) SetLFU(l LFU) { k.m.lfu = l }

func fresh(nowMs int64) recency { return recency(nowMs/1000&secondMask) | freshFrequency<<secondBits }

// idleSeconds is how long ago the last access was.
func (r recency) idleSeconds(nowMs int64) uint32 { return uint32(nowMs/1000-int64(r)) & secondMask }

// frequency is the counter as it is by now: it falls with the minutes that begin without an access.
func (r recency) frequency(l LFU, nowMs int64) uint32 {
	count := uint32(r >> secondBits)
	if l.DecayMinutes == 0 {
		return count
	}
	seconds := nowMs / 1000
	minutes := seconds/60 - (seconds-int64(r.idleSeconds(nowMs)))/60
	return count - min(count, uint32(minutes)/l.DecayMinutes)
}

// accessed is the recency after so many accesses, the last of them now.
func (m *memory) accessed(r recency, accesses int64, nowMs int64) recency {
	count := r.frequency(m.lfu, nowMs)
	for accesses > 0 && count < 255 {
		// One access in so many counts.
		each := int64(count-min(count, freshFrequency))*int64(m.lfu.LogFactor) + 1
		if accesses < each && int64(m.chance()>>32)*each>>32 >= accesses {
			break
		}
		count++
		accesses -= each
	}
	return recency(nowMs/1000&secondMask) | recency(count<<secondBits)
}

// chance is the next of the memory's own random numbers (splitmix64). What depends on them is in no digest.
func (m *memory) chance() uint64 {
	m.rnd += 0x9e3779b97f4a7c15
	z := m.rnd
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// recency is of a table of keys only, as is touch.
func (e *entry) recency() recency { return recency(binary.LittleEndian.Uint32(e.b[1:])) }

func (e *entry) touch(m *memory, nowMs int64) {
	binary.LittleEndian.PutUint32(e.b[1:], uint32(m.accessed(e.recency(), 1, nowMs)))
}

// Touch counts accesses to a key that were made elsewhere, in a cache of its value, and tells whether the key exists.
func (k *Keyspace) Touch(db int, key []byte, accesses, nowMs int64) bool {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) {
		return false
	}
	binary.LittleEndian.PutUint32(p.e.b[1:], uint32(k.m.accessed(p.e.recency(), accesses, nowMs)))
	return true
}

// IdleSeconds is how long ago the key was last accessed.
func (k *Keyspace) IdleSeconds(db int, key []byte, nowMs int64) (int64, bool) {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) {
		return 0, false
	}
	return int64(p.e.recency().idleSeconds(nowMs)), true
}

// Frequency is the logarithm of how often the key is accessed, from 0 to 255, as Redis counts it.
func (k *Keyspace) Frequency(db int, key []byte, nowMs int64) (int64, bool) {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) {
		return 0, false
	}
	return int64(p.e.recency().frequency(k.m.lfu, nowMs)), true
}
