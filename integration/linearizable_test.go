package integration

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"brainer/internal/op"
)

// A history is what clients did to one pair of keys, and what they saw; pairs follow one another.
type pairInput struct {
	pair int
	call string // get, set, append: of one key; mget, mset and exec (set one, get both): of both
	key  int    // 0 or 1
	text string
}

type pairState struct{ a, b string }

func (s pairState) of(key int) string { return [2]string{s.a, s.b}[key] }

func (s pairState) with(key int, text string) pairState {
	if key == 0 {
		return pairState{text, s.b}
	}
	return pairState{s.a, text}
}

// pairModel says what a server that does one thing after the other would answer. A nil output is that
// of a write whose outcome is unknown: it happened at some time, or at the end of days.
var pairModel = porcupine.Model{
	Init: func() any { return pairState{} },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byPair := map[int][]porcupine.Operation{}
		for _, o := range history {
			p := o.Input.(pairInput).pair
			byPair[p] = append(byPair[p], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byPair {
			parts = append(parts, part)
		}
		return parts
	},
	Step: func(state, input, output any) (bool, any) {
		s, in := state.(pairState), input.(pairInput)
		is := func(want string) bool { return output == nil || output.(string) == want }
		switch in.call {
		case "get":
			return is(s.of(in.key)), s
		case "mget":
			return is(s.a + "|" + s.b), s
		case "set":
			return true, s.with(in.key, in.text)
		case "append":
			s = s.with(in.key, s.of(in.key)+in.text)
			return is(fmt.Sprint(len(s.of(in.key)))), s
		case "mset":
			return true, pairState{in.text, in.text}
		}
		s = s.with(in.key, in.text)
		return is(s.a + "|" + s.b), s
	},
}

// historian is clients that write down what they do.
type historian struct {
	t     testing.TB
	stop  func()
	began time.Time
	ops   atomic.Int64 // that have an outcome
	rolls atomic.Int64
	pairs int // in use at once
	mu    sync.Mutex
	all   []porcupine.Operation
}

const opsPerPair = 250 // more make the check slow

// startHistorian runs so many clients until check.
func startHistorian(t testing.TB, c *cluster, number int) *historian {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	h := &historian{t: t, stop: func() { cancel(); clients.Wait() }, began: time.Now(), pairs: max(1, number/5)}
	for i := range number {
		clients.Add(1)
		go func() {
			defer clients.Done()
			h.run(ctx, c.newClient(onlyOne), i)
		}()
	}
	t.Cleanup(h.stop)
	return h
}

// pair is the one that a client uses now: some clients share one, or the check takes for ever.
func (h *historian) pair(client int) int {
	round := h.ops.Load()/int64(opsPerPair*h.pairs) + h.rolls.Load()
	return int(round)*h.pairs + client%h.pairs
}

// roll has the clients begin with the next pair.
func (h *historian) roll() { h.rolls.Add(1) }

func (h *historian) awaitProgress(n int64) {
	h.t.Helper()
	from := h.ops.Load()
	await(h.t, fmt.Sprintf("%d more calls", n), func() (bool, string) {
		now := h.ops.Load()
		return now > from+n, fmt.Sprint(now - from)
	})
}

// check ends the clients and wants their history to be one of a server that does one thing after the
// other.
func (h *historian) check() {
	h.t.Helper()
	h.stop()
	unknown := 0
	for _, o := range h.all {
		if o.Output == nil {
			unknown++
		}
	}
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(pairModel, h.all, 60*time.Second)
	h.t.Logf("%d calls, %d of unknown outcome; checked in %s", len(h.all), unknown, time.Since(began).Round(time.Millisecond))
	if result != porcupine.Ok {
		h.t.Errorf("the histories are not linearizable: %s", result)
		h.picture()
	}
}

// picture keeps the history, to be looked at in a browser.
func (h *historian) picture() {
	_, info := porcupine.CheckOperationsVerbose(pairModel, h.all, 60*time.Second)
	path := filepath.Join(os.TempDir(), fmt.Sprintf("brainer-history-%d.html", time.Now().Unix()))
	if err := porcupine.VisualizePath(pairModel, info, path); err != nil {
		h.t.Log(err)
		return
	}
	h.t.Logf("the history: %s", path)
}

func (h *historian) run(ctx context.Context, r *redis.Client, number int) {
	rnd := rand.New(rand.NewPCG(uint64(number), uint64(h.began.UnixNano())))
	background := context.WithoutCancel(ctx)
	for i := 0; ctx.Err() == nil; i++ {
		in := pairInput{pair: h.pair(number), key: rnd.IntN(2), text: fmt.Sprintf("%d.%d;", number, i),
			call: []string{"get", "get", "mget", "set", "append", "append", "mset", "exec"}[rnd.IntN(8)]}
		call := time.Since(h.began).Nanoseconds()
		output, err := in.do(background, r)
		done := time.Since(h.began).Nanoseconds()
		read := in.call == "get" || in.call == "mget"
		if err != nil {
			pause(ctx)
			if read || notExecuted(err) {
				continue
			}
			done = math.MaxInt64
		}
		h.ops.Add(1)
		h.mu.Lock()
		if err != nil {
			h.all = append(h.all, porcupine.Operation{ClientId: number, Input: in, Call: call, Return: done})
		} else {
			h.all = append(h.all, porcupine.Operation{ClientId: number, Input: in, Call: call, Return: done, Output: output})
		}
		h.mu.Unlock()
	}
}

// do sends the call and returns the output as the model writes it.
func (in pairInput) do(ctx context.Context, r *redis.Client) (string, error) {
	keys := [2]string{fmt.Sprintf("pair:%d:a", in.pair), fmt.Sprintf("pair:%d:b", in.pair)}
	text := func(v any) string {
		if v == nil {
			return ""
		}
		return v.(string)
	}
	switch in.call {
	case "get":
		v, err := r.Get(ctx, keys[in.key]).Result()
		if err == redis.Nil {
			err = nil
		}
		return v, err
	case "mget":
		v, err := r.MGet(ctx, keys[0], keys[1]).Result()
		if err != nil {
			return "", err
		}
		return text(v[0]) + "|" + text(v[1]), nil
	case "set":
		return "OK", r.Set(ctx, keys[in.key], in.text, 0).Err()
	case "append":
		n, err := r.Append(ctx, keys[in.key], in.text).Result()
		return fmt.Sprint(n), err
	case "mset":
		return "OK", r.MSet(ctx, keys[0], in.text, keys[1], in.text).Err()
	}
	var got *redis.SliceCmd
	_, err := r.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, keys[in.key], in.text, 0)
		got = p.MGet(ctx, keys[0], keys[1])
		return nil
	})
	if err != nil {
		return "", err
	}
	return text(got.Val()[0]) + "|" + text(got.Val()[1]), nil
}

// TestHistoriesAreLinearizable kills and stops nodes and the broker under clients whose histories
// porcupine then looks through.
func TestHistoriesAreLinearizable(t *testing.T) {
	c := startCluster(t, 3)
	h := startHistorian(t, c, 6)
	progress := func() {
		t.Helper()
		h.awaitProgress(400)
	}
	progress()
	c.nodes["n1"].kill()
	progress()
	c.startNode("n1")
	c.awaitInSync(3)
	c.nodes["n2"].pause()
	c.awaitStatus("n2 is suspect", func(s op.Status) bool { return nodeOf(s, "n2").State == "suspect" })
	c.nodes["n2"].resume() // it answers late what has been asked elsewhere
	progress()
	c.awaitInSync(3)
	c.nodes["n3"].pause()
	c.awaitNodes("n1", "n2")
	progress()
	c.nodes["n3"].resume()
	c.broker.kill()
	c.startBroker()
	progress()
	c.awaitInSync(3)
	c.nodes["n2"].terminate()
	progress()
	c.broker.kill()
	c.nodes["n1"].pause() // the recovery has to do without it
	c.startBroker()
	progress()
	c.nodes["n1"].resume()
	c.awaitInSync(2)
	progress()
	h.check()
}

// TestTheNodeThatStoodStillIsTheOnlyOneLeft stops one node, and a moment later kills all the others and
// the broker: whatever a client was told, or was shown, must be on the one that stood still.
func TestTheNodeThatStoodStillIsTheOnlyOneLeft(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	c := startCluster(t, 3, "--dead-after", "10s", "--ack-timeout", "20s")
	h := startHistorian(t, c, 6)
	for range rounds {
		h.awaitProgress(400)
		c.nodes["n2"].pause()
		c.awaitStatus("n2 is suspect", func(s op.Status) bool { return nodeOf(s, "n2").State == "suspect" })
		c.broker.kill()
		c.nodes["n1"].kill()
		c.nodes["n3"].kill()
		c.nodes["n2"].resume()
		c.startBroker()
		c.awaitNodes("n2")
		h.awaitProgress(400)
		c.startNode("n1")
		c.startNode("n3")
		c.awaitNodes("n1", "n2", "n3")
	}
	h.check()
}
