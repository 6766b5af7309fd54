package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/broker/client"
	"brainer/internal/op"
)

// once is what a program does with go-redis: it repeats a write with an id until it has an answer that
// says what became of it.
func once(ctx context.Context, r *redis.Client, name string, number int64, args ...any) (any, error) {
	args = append([]any{"BRAINER", "WITH", "ID", name, number}, args...)
	for {
		v, err := r.Do(ctx, args...).Result()
		if err == nil || ctx.Err() != nil || isAnswer(err) {
			return v, err
		}
		pause(ctx)
	}
}

// isAnswer: not a connection that broke, nor what may be over when the write is sent again. README.md has
// the same.
func isAnswer(err error) bool {
	var reply redis.Error
	code, _, _ := strings.Cut(err.Error(), " ")
	return errors.As(err, &reply) &&
		!slices.Contains([]string{"UNCERTAIN", "LOADING", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN", "EXECABORT"}, code) // EXECABORT: what was queued met one of these
}

// Every write is repeated until it is answered, through kills of nodes and of the broker, by go-redis
// (its own retries are on), by this test on top, and late: each counts once.
func TestRetriesWithIDsCountOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "--window-bytes", "1048576")
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	var stop atomic.Bool
	var done sync.WaitGroup
	var total, late atomic.Int64
	const clients = 6
	counts := make([]int64, clients)
	for i := range clients {
		r := c.newClient(onlyOne, func(o *redis.Options) {
			o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff, o.Protocol = 3, time.Millisecond, 5*time.Millisecond, 2+i%2
		})
		name, own := fmt.Sprintf("client-%d", i), fmt.Sprintf("own:%d", i)
		done.Go(func() {
			for number := int64(1); !stop.Load(); number++ {
				v, err := once(ctx, r, name, number, "INCR", own)
				if err != nil || v != number {
					t.Errorf("%s: number %d was answered %v %v", name, number, v, err)
					return
				}
				counts[i] = number
				total.Add(1)
				if number%7 == 0 { // the answer was lost, as far as the program knows
					if v, err = once(ctx, r, name, number, "INCR", own); err != nil || v != number {
						t.Errorf("%s: number %d again was answered %v %v", name, number, v, err)
						return
					}
					late.Add(1)
				}
				if number%11 == 0 {
					if v, err = once(ctx, r, name, number-1, "INCR", own); err == nil || !strings.HasPrefix(err.Error(), "ERR stale request") {
						t.Errorf("%s: number %d after %d was answered %v %v", name, number-1, number, v, err)
						return
					}
				}
			}
		})
	}
	progress := func(n int64) {
		t.Helper()
		from := total.Load()
		await(t, fmt.Sprintf("%d more writes", n), func() (bool, string) {
			return total.Load() >= from+n || t.Failed(), fmt.Sprint(total.Load() - from)
		})
	}
	idle := func() {
		t.Helper()
		if v, err := once(ctx, c.control, "idle", 1, "INCR", "idle"); err != nil || v != int64(1) {
			t.Errorf("the idle client's write was answered %v %v", v, err)
		}
	}
	idle()
	for range 30 { // three times the window: who starts anew needs a snapshot
		c.do("SET", "large", strings.Repeat("x", 100<<10))
	}
	c.do("DEL", "large")
	progress(300)
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	for round := range rounds {
		victim := nodeName(round + 1)
		c.nodes[victim].kill()
		c.awaitInSync(2)
		progress(100)
		c.startNode(victim) // its memory is empty: the outcomes come with the snapshot
		if s := c.awaitInSync(3); s.SnapshotsTotal == 0 {
			t.Error("no snapshot was needed")
		}
		progress(100)
		c.broker.kill()
		c.startBroker()
		c.awaitInSync(3)
		progress(100)
	}
	stop.Store(true)
	done.Wait()
	c.awaitLevel()
	idle() // after all that: two nodes know of it by a snapshot only
	want := map[string]string{"idle": "1"}
	for i, n := range counts {
		want[fmt.Sprintf("own:%d", i)] = strconv.FormatInt(n, 10)
	}
	c.sameOnAll(want, "n1", "n2", "n3")
	for _, id := range []string{"n1", "n2", "n3"} {
		if s := nodeOf(c.nodeStatus(id), id); s.IDs != clients+1 {
			t.Errorf("%s keeps %d outcomes", id, s.IDs)
		}
	}
	t.Logf("%d writes, %d of them again after their answer", total.Load(), late.Load())
}

// A transaction is one write: EXEC carries the id.
func TestTransactionsAreRetriedWithIDs(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	ctx := ctxOf(t)
	r := c.newClient(onlyOne)
	transfer := func(number int) (any, error) {
		p := r.Pipeline()
		p.Do(ctx, "MULTI")
		p.Do(ctx, "DECRBY", "from", 5) // is answered QUEUED, which p.DecrBy would not expect
		p.Do(ctx, "INCRBY", "to", 5)
		exec := p.Do(ctx, "BRAINER", "WITH", "ACK", "all", "ID", "teller", number, "EXEC")
		_, _ = p.Exec(ctx) // sends it all; exec has the error, if there is one
		return exec.Result()
	}
	for number := 1; number <= 3; number++ {
		want := fmt.Sprintf("[%d %d]", -5*number, 5*number)
		for range 3 {
			if v, err := transfer(number); err != nil || fmt.Sprint(v) != want {
				t.Fatalf("%v %v, want %s", v, err, want)
			}
		}
		if number == 2 {
			c.nodes["n1"].kill()
		}
	}
	if v := c.do("MGET", "from", "to"); fmt.Sprint(v) != "[-15 15]" {
		t.Errorf("%v", v)
	}
}

// Over ZeroMQ, with the Go package, through a kill of the broker; and with the command line.
func TestDoOnceThroughABrokerThatDies(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	cl, err := client.Connect(c.brokerEndpoint(), client.WithTimeout(patience))
	must(t, err)
	defer cl.Close()
	var stop atomic.Bool
	var counted atomic.Int64
	var done sync.WaitGroup
	done.Go(func() {
		for !stop.Load() {
			reply, err := cl.DoOnce("INCR", "n")
			if err != nil || reply.Int != counted.Load()+1 {
				t.Errorf("%v %v after %d", reply, err, counted.Load())
				return
			}
			counted.Add(1)
		}
	})
	for range 2 {
		from := counted.Load()
		await(t, "progress", func() (bool, string) { return counted.Load() >= from+50 || t.Failed(), "" })
		c.broker.kill()
		c.startBroker()
		c.awaitInSync(2)
	}
	stop.Store(true)
	done.Wait()
	for range 2 {
		out, code := run(t, binary("brainer-cli"), c.brokerEndpoint(), "BRAINER", "WITH", "ID", "shell", "1", "INCR", "n")
		if want := strconv.FormatInt(counted.Load()+1, 10); code != 0 || !strings.Contains(out, want) {
			t.Errorf("brainer-cli: %d %q, want %s", code, out, want)
		}
	}
	if v := c.do("GET", "n"); v != strconv.FormatInt(counted.Load()+1, 10) {
		t.Errorf("%v, and %d were counted", v, counted.Load())
	}
}

// What is kept is kept for --id-keep, and no flush ends it.
func TestOutcomesAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	c := startAlone(t, "--id-keep", "4s", "--ack-timeout", "2s")
	if v := c.do("BRAINER", "WITH", "ID", "me", 1, "INCR", "n"); v != int64(1) {
		t.Errorf("%v", v)
	}
	c.do("FLUSHALL")
	if v := c.do("BRAINER", "WITH", "ID", "me", 1, "INCR", "n"); v != int64(1) {
		t.Errorf("%v", v)
	}
	if v := c.do("EXISTS", "n"); v != int64(0) {
		t.Errorf("the retry has run: %v", v)
	}
	c.awaitStatus("the outcome is forgotten", func(s op.Status) bool { return len(s.Nodes) == 1 && s.Nodes[0].IDsAnswered == 1 && s.Nodes[0].IDs == 0 })
	if v := c.do("BRAINER", "WITH", "ID", "me", 1, "INCR", "n"); v != int64(1) || c.do("EXISTS", "n") != int64(1) {
		t.Errorf("%v", v)
	}
}
