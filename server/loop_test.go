package server

import (
	"flag"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brainer/internal/bell"

	"go.uber.org/goleak"
)

// withLoop says whether startServer's clients are served by the loop: TestMain runs all tests both ways.
var withLoop bool

func TestMain(m *testing.M) {
	flag.Parse()
	for _, withLoop = range []bool{false, true} {
		if code := m.Run(); code != 0 {
			println("with a loop:", withLoop)
			os.Exit(code)
		}
	}
	if err := goleak.Find(); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

// runLoop gives the server a loop with an owner.
func (s *testServer) runLoop(t testing.TB) (end func()) {
	var b bell.Bell
	l, err := s.NewLoop(b.Ring)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Open(false, l.Descriptor()); err != nil {
		t.Fatal(err)
	}
	var ending atomic.Bool
	var wg sync.WaitGroup
	ticker := time.NewTicker(50 * time.Millisecond)
	ended := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-ticker.C:
				b.Ring()
			case <-ended:
				return
			}
		}
	})
	wg.Go(func() {
		err := b.Serve(func() bell.Wait { return bell.Wait{} }, func() bool {
			for l.Work() || l.Pending() {
			}
			return ending.Load()
		})
		if err != nil {
			t.Error(err)
		}
	})
	return func() {
		ending.Store(true)
		ticker.Stop()
		close(ended)
		b.Ring()
		wg.Wait()
		_ = b.Close()
		_ = l.Close()
	}
}
