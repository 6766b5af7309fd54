package archtest

// A reach rule: what the packages below `from` depend on, directly or through others, must not
// include what is below `never`. Tests of those packages are free to.
type reachRule struct {
	from  []string
	never []string
	why   string
}

var reachRules = []reachRule{
	{[]string{"server"}, []string{"broker", "node"},
		"the front end declares the Backend it needs; only cmd sees both"},
	{[]string{"broker/replication"}, []string{"internal/command", "internal/keyspace", "resp", "server", "metrics", "internal/link"},
		"the ordering core moves opaque bytes and does not know Redis"},
	{[]string{"broker"}, []string{"node", "server"},
		"broker and node meet only in internal/wire"},
	{[]string{"node"}, []string{"broker", "server"},
		"broker and node meet only in internal/wire"},
	{[]string{"node/storage"}, []string{"node/replica", "internal"},
		"a storage keeps records and does not know what they mean"},
	{[]string{"internal/keyspace"}, []string{"internal/command", "resp", "internal/wire", "internal/link"},
		"the data knows no protocol"},
	{[]string{"internal/command", "internal/wire", "internal/op", "internal/link", "resp"},
		[]string{"server", "broker", "node", "metrics"},
		"contracts do not know who uses them"},
	{[]string{"metrics"}, []string{"server", "broker", "node", "internal/link", "internal/command"},
		"metrics are told what to show"},
}

// Packages from which C may be reached. Everything else builds without libzmq.
var cgoAllowed = []string{"internal/link/zmq", "broker/client", "cmd", "integration", "bench"}

// The deterministic cores: same seed, same trace.
var deterministic = []string{
	"broker/replication", "node/replica",
	"internal/keyspace", "internal/command", "internal/wire", "internal/op", "resp",
}

// What a deterministic core must not import. Package time is needed for durations and dates; its
// clock is not (see clockFuncs).
var worldImports = []string{
	"net", "os", "syscall", "golang.org/x/sys", "runtime", "crypto/rand", "hash/maphash", "log", "io/ioutil",
}

// What a core may import nevertheless.
var worldAllowed = map[string][]string{
	"internal/keyspace": {"runtime", "syscall"}, // values in memory of their own, outside the collector's sight
	"internal/command":  {"runtime/debug"},      // the stack of a command that panicked
	"resp":              {"runtime"},            // pauses in long copies
}

// What the cores may use of package syscall: memory.
var syscallAllowed = []string{"Mmap", "Munmap", "Madvise", "PROT_", "MAP_", "MADV_"}

// The functions of package time that look at a clock or wait for one.
var clockFuncs = map[string]bool{
	"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
	"Tick": true, "NewTimer": true, "NewTicker": true,
}

// What math/rand and math/rand/v2 have that does not draw from the global generator.
var seededRand = map[string]bool{
	"New": true, "NewSource": true, "NewZipf": true, "NewPCG": true, "NewChaCha8": true,
	"Rand": true, "Source": true, "Source64": true, "Zipf": true, "PCG": true, "ChaCha8": true,
}
