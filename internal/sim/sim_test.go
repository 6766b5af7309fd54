package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brainer/internal/command"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone; with -v its trace is printed")
	seedsFlag = flag.Uint64("seeds", seedsDefault, "how many seeds to run")
	plantFlag = flag.String("plant", "", "run with this fault planted, see planted_test.go")
	planFlag  = flag.String("plan", "", "run with the plan of this planted fault, without the fault")
	fromFlag  = flag.Uint64("from", 1, "the first of them")
)

var table = command.NewTable()

// runSeeds runs seeds from on until count are done or stop says so, in order of neither.
func runSeeds(from, count uint64, opt func(seed uint64) Options, done func(Result) (goOn bool)) {
	var next atomic.Uint64
	next.Store(from)
	var mu sync.Mutex
	var wg sync.WaitGroup
	stopped := false
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				seed := next.Add(1) - 1
				if seed >= from+count {
					return
				}
				r := Run(opt(seed))
				mu.Lock()
				if !stopped && !done(r) {
					stopped = true
					next.Store(from + count)
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
}

// again is the line that repeats a failure.
func again(seed uint64) string {
	return fmt.Sprintf("go test ./internal/sim -run TestSeeds -seed %d -v", seed)
}

// options are those of a seed, under the flags.
func options(seed uint64) Options {
	opt := Options{Seed: seed, Table: table}
	for _, f := range plantedFaults() {
		if f.name == *plantFlag || f.name == *planFlag {
			opt.Change = f.change
		}
		if f.name == *plantFlag {
			opt.Broker, opt.Node, opt.SyncLate = f.broker, f.node, f.late
		}
	}
	return opt
}

func TestSeeds(t *testing.T) {
	if *seedFlag != 0 {
		opt := options(*seedFlag)
		if testing.Verbose() {
			opt.Trace = os.Stdout
		}
		r := Run(opt)
		t.Logf("seed %d trace %016x %+v", r.Seed, r.Trace, r.Stats)
		if r.Err != nil {
			t.Fatalf("seed %d: %v", r.Seed, r.Err)
		}
		return
	}
	var sum Stats
	ran, failed := 0, 0
	began := time.Now()
	runSeeds(*fromFlag, *seedsFlag, options, func(r Result) bool {
		ran++
		sum.Add(r.Stats)
		if r.Err != nil {
			failed++
			t.Errorf("seed %d: %v\n\trepeat: %s", r.Seed, r.Err, again(r.Seed))
		}
		return failed < 10
	})
	seconds := time.Since(began).Seconds()
	t.Logf("seeds %d-%d: %d runs, %d steps (%.0f/s), %d frames, %d operations (%d answered, %d refused, %d of unknown outcome), %d entries",
		*fromFlag, *fromFlag+*seedsFlag-1, ran, sum.Steps, float64(sum.Steps)/seconds, sum.Frames, sum.Ops, sum.OK, sum.Refused, sum.Unknown, sum.Entries)
	t.Logf("%d faults %s; %d views, %d eras, %d snapshots, %d resumes, %d snapshots read in the broker, %d entries sent again, %d reads asked elsewhere, %d asked twice (%d answered by the second), %d answered by the near cache, %d writes sent ahead, %d keys evicted by %d entries, %d writes refused for memory, %d ranges compared; %d writes came again with their ids; last copy lost in %d runs, %d writes lost that were acknowledged by fewer than all; %d times went on with what was left on disks, %d answers lost by that",
		sum.FaultsTotal(), faultCounts(sum), sum.Views, sum.Eras, sum.Snapshots, sum.Resumes, sum.Read, sum.Resends, sum.Rerouted, sum.Hedged, sum.HedgesWon, sum.NearHits, sum.SentAhead, sum.Evicted, sum.Evictions, sum.OutOfMemory, sum.Compared, sum.Retries, sum.CopiesLost, sum.LostUnsafe, sum.FromDisks, sum.LostOnDisk)
}

func faultCounts(s Stats) string {
	text := ""
	for k, n := range s.Faults {
		text += fmt.Sprintf(" %s=%d", faultNames[k], n)
	}
	return text
}

func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a := Run(Options{Seed: seed, Table: table})
		b := Run(Options{Seed: seed, Table: table})
		if a.Trace != b.Trace {
			t.Fatalf("seed %d: two traces", seed)
		}
	}
}
