package replica

import (
	"strings"
	"testing"
)

// Each line is an entry of one order: "TOKEN COMMAND ...", "+MS" lets time pass. The last one is an
// EXEC, and want says whether it takes place.
func TestWatchedKeysThatChangeStopExec(t *testing.T) {
	const yes, no = true, false
	for _, c := range []struct {
		name, entries string
		want          bool
	}{
		{"nothing watched", "1 EXEC", yes},
		{"nothing changed", "1 WATCH k; 2 GET k; 1 EXEC", yes},
		{"set by another", "1 WATCH k; 2 SET k v; 1 EXEC", no},
		{"set by itself", "1 WATCH k; 1 SET k v; 1 EXEC", no},
		{"another key", "1 WATCH k; 2 SET j v; 1 EXEC", yes},
		{"changed before", "2 SET k v; 1 WATCH k; 1 EXEC", yes},
		{"one of two", "1 WATCH j k; 2 SET k v; 1 EXEC", no},
		{"watched twice", "1 WATCH k; 1 WATCH k; 2 SET k v; 1 EXEC", no},
		{"deleted", "2 SET k v; 1 WATCH k; 2 DEL k; 1 EXEC", no},
		{"deleted what is not there", "1 WATCH k; 2 DEL k; 1 EXEC", yes},
		{"created and deleted", "1 WATCH k; 2 SET k v; 2 DEL k; 1 EXEC", no},
		{"a refused write", "2 SET k v; 1 WATCH k; 2 SETNX k w; 2 LPUSH k x; 1 EXEC", yes},
		{"a hash field", "2 HSET h f 1; 1 WATCH h; 2 HSET h g 1; 1 EXEC", no},
		{"a field that is not there", "2 HSET h f 1; 1 WATCH h; 2 HDEL h g; 1 EXEC", yes},
		{"renamed away", "2 SET k v; 1 WATCH k; 2 RENAME k j; 1 EXEC", no},
		{"renamed to", "2 SET j v; 1 WATCH k; 2 RENAME j k; 1 EXEC", no},
		{"a deadline", "2 SET k v; 1 WATCH k; 2 EXPIRE k 100; 1 EXEC", no},
		{"expired", "2 SET k v PX 10; 1 WATCH k; +10; 1 EXEC", no},
		{"expired before", "2 SET k v PX 10; +10; 1 WATCH k; 1 EXEC", yes},
		{"expired and memory taken back", "2 SET k v PX 10; 1 WATCH k; +10; 2 TICK; 1 EXEC", no},
		{"expired before, memory taken back after", "2 SET k v PX 10; +10; 1 WATCH k; 2 TICK; 1 EXEC", yes},
		{"flushed", "2 SET k v; 1 WATCH k; 2 FLUSHALL; 1 EXEC", no},
		{"flushed when not there", "1 WATCH k; 2 FLUSHALL; 1 EXEC", yes},
		{"flushdb", "2 SET k v; 1 WATCH k; 2 FLUSHDB; 1 EXEC", no},
		{"swapped", "2 SET k v; 1 WATCH k; 2 SWAPDB 0 1; 1 EXEC", no},
		{"swapped in", "2 SET k v; 2 SWAPDB 0 1; 1 WATCH k; 2 SWAPDB 0 1; 1 EXEC", no},
		{"swapped when not there", "1 WATCH k; 2 SWAPDB 0 1; 1 EXEC", yes},
		{"swapped elsewhere", "2 SET k v; 1 WATCH k; 2 SWAPDB 2 3; 1 EXEC", yes},
		{"unwatched", "1 WATCH k; 2 SET k v; 1 UNWATCH; 1 EXEC", yes},
		{"another's unwatch", "1 WATCH k; 2 SET k v; 2 UNWATCH; 1 EXEC", no},
		{"the next exec", "1 WATCH k; 2 SET k v; 1 EXEC; 1 EXEC", yes},
		{"in another's transaction", "1 WATCH k; 2 EXEC SET k v; 1 EXEC", no},
		{"a broker's connections are gone with it", "1 WATCH k; 2 SET k v; 0 NOOP; 1 EXEC", yes},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := begun(t, nil)
			var last []string
			for _, line := range strings.Split(c.entries, ";") {
				line = strings.TrimSpace(line)
				if line[0] == '+' {
					h.nowMs += 10
					continue
				}
				words := strings.Fields(line)
				token := uint64(words[0][0] - '0')
				switch {
				case words[1] == "EXEC" && len(words) == 2:
					last = h.send(entry(token, "EXEC", "PING"))
				case words[1] == "EXEC":
					h.send(entry(token, "EXEC", strings.Join(words[2:], " ")))
				default:
					h.send(entry(token, words[1:]...))
				}
			}
			if ran := !strings.HasSuffix(last[0], "*-1"); ran != c.want {
				t.Errorf("EXEC took place: %v (%q)", ran, last)
			}
		})
	}
}
