package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// workload is clients that write what shows a loss and a repetition alike (INCR and APPEND, each to a
// key of its own) and clients that read keys which nobody writes. It knows what was acknowledged.
type workload struct {
	t      testing.TB
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	want   map[string]string   // what the keys must hold: all their writes had an answer
	either map[string][]string // the last write to these had none: one of these
	failed []error
	wrong  []string // replies that cannot be: a write lost, or applied twice

	writes, reads calls
}

// calls are the latencies of one kind of call.
type calls struct {
	n  atomic.Int64
	mu sync.Mutex
	ms []float64
}

func (c *calls) add(d time.Duration) {
	c.n.Add(1)
	c.mu.Lock()
	c.ms = append(c.ms, float64(d.Microseconds())/1000)
	c.mu.Unlock()
}

// max is the longest call since the n-th.
func (c *calls) max() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ms) == 0 {
		return 0
	}
	return time.Duration(slices.Max(c.ms) * float64(time.Millisecond))
}

func (c *calls) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ms) == 0 {
		return "none"
	}
	s := slices.Clone(c.ms)
	slices.Sort(s)
	at := func(q float64) float64 { return s[min(len(s)-1, int(q*float64(len(s))))] }
	return fmt.Sprintf("%d calls, p50 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, longest %.1f ms", len(s), at(0.5), at(0.99), at(0.999), s[len(s)-1])
}

const readKeys = 200

// startWorkload runs so many writers and readers until stop.
func startWorkload(t testing.TB, c *cluster, writers, readers int) *workload {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &workload{t: t, cancel: cancel, want: map[string]string{}, either: map[string][]string{}}
	for i := range readKeys {
		k := "read:" + strconv.Itoa(i)
		if readers > 0 {
			c.do("SET", k, k)
			w.want[k] = k
		}
	}
	for i := range writers {
		w.done.Add(1)
		go func() {
			defer w.done.Done()
			w.write(ctx, c.newClient(onlyOne), i)
		}()
	}
	for i := range readers {
		w.done.Add(1)
		go func() {
			defer w.done.Done()
			w.read(ctx, c.newClient(onlyOne), i)
		}()
	}
	t.Cleanup(func() { cancel(); w.done.Wait() })
	return w
}

func onlyOne(o *redis.Options) { o.PoolSize = 1 }

// write appends to one key and counts in another, in turn, and goes on with fresh keys after a write
// whose outcome is unknown.
func (w *workload) write(ctx context.Context, r *redis.Client, number int) {
	background := context.WithoutCancel(ctx) // what is under way at the end is waited for
	for generation := 0; ctx.Err() == nil; generation++ {
		counter, text := fmt.Sprintf("counter:%d:%d", number, generation), fmt.Sprintf("text:%d:%d", number, generation)
		count, appended := 0, ""
		for ctx.Err() == nil {
			key, now, next := counter, strconv.Itoa(count), strconv.Itoa(count+1)
			began := time.Now()
			var reply int64
			var err error
			expected := int64(count + 1)
			if count <= strings.Count(appended, ";") {
				reply, err = r.Incr(background, counter).Result()
			} else {
				key, now, next = text, appended, appended+strconv.Itoa(count)+";"
				expected = int64(len(next))
				reply, err = r.Append(background, text, strconv.Itoa(count)+";").Result()
			}
			if err == nil {
				w.writes.add(time.Since(began))
				if reply != expected {
					w.note(func() { w.wrong = append(w.wrong, fmt.Sprintf("%s: reply %d, want %d", key, reply, expected)) })
				}
				if key == counter {
					count++
				} else {
					appended = next
				}
				w.note(func() { w.want[key] = next })
				continue
			}
			w.note(func() { w.failed = append(w.failed, err) })
			pause(ctx)
			if notExecuted(err) {
				continue
			}
			w.note(func() {
				w.either[key] = []string{now, next}
				delete(w.want, key)
			})
			break
		}
	}
}

func (w *workload) read(ctx context.Context, r *redis.Client, number int) {
	background := context.WithoutCancel(ctx)
	for i := number; ctx.Err() == nil; i++ {
		k := "read:" + strconv.Itoa(i%readKeys)
		began := time.Now()
		v, err := r.Get(background, k).Result()
		switch {
		case err != nil:
			w.note(func() { w.failed = append(w.failed, err) })
			pause(ctx)
		case v != k:
			w.note(func() { w.wrong = append(w.wrong, fmt.Sprintf("GET %s: %q", k, v)) })
		default:
			w.reads.add(time.Since(began))
		}
	}
}

func (w *workload) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// pause keeps a client from spinning while there is nobody to talk to.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
}

// notExecuted says whether the error means for sure that the command was not executed.
func notExecuted(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	for _, prefix := range []string{"LOADING", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN", "EXECABORT"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// awaitProgress waits until so many more writes are acknowledged.
func (w *workload) awaitProgress(n int64) {
	w.t.Helper()
	from := w.writes.n.Load()
	await(w.t, fmt.Sprintf("%d more writes acknowledged", n), func() (bool, string) {
		return w.writes.n.Load() >= from+n, fmt.Sprintf("%d, errors %v", w.writes.n.Load()-from, w.errors())
	})
}

// errors are the texts of what failed, each with how often.
func (w *workload) errors() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, err := range w.failed {
		n[err.Error()]++
	}
	return n
}

// stop ends the clients, wants no impossible reply and tells how it went.
func (w *workload) stop() {
	w.t.Helper()
	w.cancel()
	w.done.Wait()
	if len(w.wrong) > 0 {
		w.t.Errorf("%d replies that cannot be, for example %s", len(w.wrong), w.wrong[0])
	}
	w.t.Logf("writes: %s", &w.writes)
	w.t.Logf("reads:  %s", &w.reads)
}

// noErrors wants that no call has failed. Call it after stop.
func (w *workload) noErrors() {
	w.t.Helper()
	if len(w.failed) > 0 {
		w.t.Errorf("%d calls failed: %v", len(w.failed), w.errors())
	}
}

// verify reads the copies named and wants nothing acknowledged to be missing, and nothing applied
// twice. Call it after stop.
func (w *workload) verify(c *cluster, ids ...string) {
	w.t.Helper()
	var first map[string]string
	for _, id := range ids {
		got := c.contents(id)
		if first == nil {
			first = got
		} else if difference := differ(first, got); difference != "" {
			w.t.Errorf("copies of %s and %s differ: %s", ids[0], id, difference)
		}
		want := map[string]string{}
		for k, v := range w.want {
			want[k] = v
		}
		for k, allowed := range w.either {
			v, found := got[k]
			switch {
			case slices.Contains(allowed, v):
				want[k] = v
			case !found && (allowed[0] == "0" || allowed[0] == ""):
			default:
				w.t.Errorf("copy of %s: %s is %.80q, want one of %.80q", id, k, v, allowed)
				want[k] = v
			}
		}
		if difference := differ(want, got); difference != "" {
			w.t.Errorf("copy of %s: %s", id, difference)
		}
	}
}
