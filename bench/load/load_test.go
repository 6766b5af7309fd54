//go:build linux

package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/resp"
)

// server answers GET with a value, or null for what was never set, SET with OK and WAIT with held.
type server struct {
	mu         sync.Mutex
	keys       map[string]int
	gets, sets int
	first      []string // the first command of each connection
	held       string
}

func serve(t *testing.T, held string) (*server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{keys: map[string]int{}, held: held}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.answer(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return s, l.Addr().String()
}

func (s *server) answer(conn net.Conn) {
	defer conn.Close()
	out := bufio.NewWriter(conn)
	in := resp.NewReader(conn)
	for first := true; ; {
		cmd, ok, err := in.Next()
		if err != nil {
			return
		}
		if !ok {
			// Replies leave in two pieces, so that the other end sees halves.
			if out.Flush() != nil || in.Fill() != nil {
				return
			}
			continue
		}
		if first {
			s.mu.Lock()
			s.first = append(s.first, string(cmd.Args[0]))
			s.mu.Unlock()
			first = false
		}
		out.WriteString(s.reply(cmd))
	}
}

func (s *server) reply(cmd resp.Command) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name := strings.ToUpper(string(cmd.Args[0])); name {
	case "GET":
		s.gets++
		n, ok := s.keys[string(cmd.Args[1])]
		if !ok {
			return "$-1\r\n"
		}
		return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("v", n))
	case "SET":
		s.sets++
		s.keys[string(cmd.Args[1])] = len(cmd.Args[2])
		return "+OK\r\n"
	case "WAIT":
		return s.held
	case "HELLO":
		return "+hi\r\n"
	}
	return "-ERR unknown command\r\n"
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func run(t *testing.T, addr string, w Work, fill bool) *Result {
	t.Helper()
	s, err := Dial(addr, w)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var r *Result
	if fill {
		r, err = s.Fill(ctx)
	} else {
		r, err = s.Run(ctx, 50*time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Latency.Total() != uint64(r.Commands) {
		t.Errorf("%d latencies of %d commands", r.Latency.Total(), r.Commands)
	}
	return r
}

func TestFillWritesEveryKeyOnce(t *testing.T) {
	for _, threads := range []int{1, 3} {
		s, addr := serve(t, "")
		r := run(t, addr, Work{Conns: 7, Pipeline: 16, Keys: 1003, ValueBytes: 64, Threads: threads}, true)
		s.mu.Lock()
		if r.Commands != 1003 || s.sets != 1003 || len(s.keys) != 1003 || r.Errors > 0 {
			t.Errorf("%d commands, %d sets, %d keys, %d errors; want 1003, 1003, 1003, 0", r.Commands, s.sets, len(s.keys), r.Errors)
		}
		for _, n := range []int{0, 9, 10, 1002} {
			if size := s.keys[KeyName(n)]; size != 64 {
				t.Errorf("%s has %d bytes, want 64", KeyName(n), size)
			}
		}
		s.mu.Unlock()
	}
}

func TestEveryReplyIsCountedWhateverItsSizeAndPipeline(t *testing.T) {
	for _, w := range []Work{
		{Conns: 5, Pipeline: 1, Keys: 100, ValueBytes: 64},
		{Conns: 5, Pipeline: 16, Keys: 100, ValueBytes: 64, Zipf: 1.1},
		{Conns: 3, Pipeline: 2, Keys: 10, ValueBytes: 1 << 20, Threads: 2},
	} {
		s, addr := serve(t, "")
		run(t, addr, w, true)
		s.mu.Lock()
		s.sets = 0
		s.mu.Unlock()
		w.Reads = 75
		r := run(t, addr, w, false)
		s.mu.Lock()
		if r.Errors+r.Misses > 0 || r.Commands == 0 {
			t.Errorf("%v: %d commands, %d errors, %d misses", w, r.Commands, r.Errors, r.Misses)
		}
		if s.gets+s.sets != r.Commands {
			t.Errorf("%v: %d commands, the server saw %d", w, r.Commands, s.gets+s.sets)
		}
		if reads := float64(s.gets) / float64(r.Commands); r.Commands > 1000 && (reads < 0.73 || reads > 0.77) {
			t.Errorf("%v: %.0f %% were reads", w, 100*reads)
		}
		s.mu.Unlock()
	}
}

func TestABarrierThatHoldsLessIsAnError(t *testing.T) {
	for held, wantErrors := range map[string]bool{":2\r\n": false, ":1\r\n": true} {
		s, addr := serve(t, held)
		w := Work{Conns: 3, Pipeline: 4, Keys: 100, ValueBytes: 8, Barrier: []string{"WAIT", "2", "0"}, BarrierReply: ":2\r\n"}
		r := run(t, addr, w, false)
		s.mu.Lock()
		if (r.Errors > 0) != wantErrors || r.Commands != s.sets || r.Commands == 0 {
			t.Errorf("WAIT answered %q: %d errors in %d commands, the server saw %d", held, r.Errors, r.Commands, s.sets)
		}
		s.mu.Unlock()
	}
}

func TestMissesAreSeen(t *testing.T) {
	_, addr := serve(t, "")
	if r := run(t, addr, Work{Conns: 2, Pipeline: 3, Keys: 100, Reads: 100}, false); r.Misses != r.Commands || r.Commands == 0 {
		t.Errorf("%d misses in %d commands of an empty server", r.Misses, r.Commands)
	}
}

func TestThePreludeComesFirstOnEveryConnection(t *testing.T) {
	s, addr := serve(t, "")
	run(t, addr, Work{Conns: 4, Pipeline: 1, Keys: 10, Prelude: []string{"HELLO"}}, false)
	s.mu.Lock()
	if !slices.Equal(s.first, []string{"HELLO", "HELLO", "HELLO", "HELLO"}) {
		t.Errorf("first commands %q", s.first)
	}
	s.mu.Unlock()
	if _, err := Dial(addr, Work{Conns: 1, Pipeline: 1, Keys: 10, Prelude: []string{"NONSENSE"}}); err == nil {
		t.Error("a refused prelude is accepted")
	}
}

func TestZipfPrefersTheFirstKeys(t *testing.T) {
	seen := map[uint32]int{}
	for _, k := range draws(Work{Keys: 100_000, Zipf: 1.1}) {
		seen[k]++
	}
	if seen[0] < 5*seen[9] || seen[0] == 0 {
		t.Errorf("key 0 is drawn %d times, key 9 %d times", seen[0], seen[9])
	}
}

func TestQuantilesAreWithinAnHundredthOrSo(t *testing.T) {
	var h Histogram
	for i := 1; i <= 100_000; i++ {
		h.Add(time.Duration(i)*time.Microsecond, 1)
	}
	for q, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 0.999: 99900 * time.Microsecond, 1: 100 * time.Millisecond} {
		if got := h.Quantile(q); got < want || float64(got) > 1.02*float64(want) {
			t.Errorf("quantile %v is %v, want %v or up to 2 %% more", q, got, want)
		}
	}
	var one Histogram
	one.Add(0, 1)
	one.Add(1<<62, 1)
	if got := one.Quantile(1); got < 1<<62 {
		t.Errorf("the longest of all is %v", got)
	}
	for v := uint64(1); v < 1<<62; v += v/5 + 1 {
		if i := bucket(v); upper(i) < v || i > 0 && upper(i-1) >= v {
			t.Fatalf("%d is in bucket %d, which ends at %d", v, i, upper(i))
		}
	}
}
