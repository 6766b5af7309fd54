package integration

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"brainer/resp"
)

// A history is what clients did to one family of keys, and what they saw; families follow one another.
type familyInput struct {
	family int
	call   string
	key    int // 0 or 1: of which text
	text   string
	number int64 // of the write's id; 0: it has none
}

// familyState is two texts and a counter; "" and 0 are keys that are not there.
type familyState struct {
	a, b string
	n    int64
}

func (s familyState) of(key int) string { return [2]string{s.a, s.b}[key] }

func (s familyState) with(key int, text string) familyState {
	if key == 0 {
		s.a = text
	} else {
		s.b = text
	}
	return s
}

const absent = "nil"

func show(text string) string {
	if text == "" {
		return absent
	}
	return text
}

func (s familyState) count() string {
	if s.n == 0 {
		return absent
	}
	return strconv.FormatInt(s.n, 10)
}

func (s familyState) all() string { return show(s.a) + "|" + show(s.b) + "|" + s.count() }

// familyCalls are the calls that a client chooses from; the first few change nothing.
var familyCalls = []string{"get", "mget", "set", "setnx", "del", "append", "incr", "incr", "mset", "exec"}

const familyReads = 2

// familyModel says what a server that does one thing after the other would answer. A nil output is that
// of a write whose outcome is unknown: it happened at some time, or at the end of days. A write with an
// id is one write, however often it was sent.
var familyModel = porcupine.Model{
	Init: func() any { return familyState{} },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byFamily := map[int][]porcupine.Operation{}
		for _, o := range history {
			p := o.Input.(familyInput).family
			byFamily[p] = append(byFamily[p], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range byFamily {
			parts = append(parts, part)
		}
		return parts
	},
	Step: func(state, input, output any) (bool, any) {
		s, want := input.(familyInput).step(state.(familyState))
		return output == nil || output.(string) == want, s
	},
	DescribeOperation: func(input, output any) string {
		in := input.(familyInput)
		text := strings.Join(in.args(), " ")
		if in.call == "exec" {
			text = "MULTI SET " + in.keys()[in.key] + " " + in.text + " INCR MGET EXEC"
		}
		if in.number != 0 {
			text = fmt.Sprintf("ID %d %s", in.number, text)
		}
		if output == nil {
			return text + " -> ?"
		}
		return text + " -> " + output.(string)
	},
}

// step is what the call makes of the state, and what it is answered.
func (in familyInput) step(s familyState) (familyState, string) {
	switch in.call {
	case "get":
		return s, show(s.of(in.key))
	case "mget":
		return s, s.all()
	case "count":
		return s, s.count()
	case "set":
		return s.with(in.key, in.text), "OK"
	case "setnx":
		if s.of(in.key) != "" {
			return s, absent
		}
		return s.with(in.key, in.text), "OK"
	case "del":
		if s.of(in.key) == "" {
			return s, "0"
		}
		return s.with(in.key, ""), "1"
	case "append":
		s = s.with(in.key, s.of(in.key)+in.text)
		return s, strconv.Itoa(len(s.of(in.key)))
	case "incr":
		s.n++
		return s, strconv.FormatInt(s.n, 10)
	case "mset":
		s.a, s.b = in.text, in.text
		return s, "OK"
	}
	s = s.with(in.key, in.text)
	s.n++
	return s, fmt.Sprintf("OK|%d|%s", s.n, s.all())
}

func (in familyInput) keys() [3]string {
	return [3]string{fmt.Sprintf("family:%d:a", in.family), fmt.Sprintf("family:%d:b", in.family), fmt.Sprintf("family:%d:n", in.family)}
}

// args is the command; a transaction has more than one.
func (in familyInput) args() []string {
	keys := in.keys()
	switch in.call {
	case "get":
		return []string{"GET", keys[in.key]}
	case "mget":
		return append([]string{"MGET"}, keys[:]...)
	case "count":
		return []string{"GET", keys[2]}
	case "set":
		return []string{"SET", keys[in.key], in.text}
	case "setnx":
		return []string{"SET", keys[in.key], in.text, "NX"}
	case "del":
		return []string{"DEL", keys[in.key]}
	case "append":
		return []string{"APPEND", keys[in.key], in.text}
	case "incr":
		return []string{"INCR", keys[2]}
	case "mset":
		return []string{"MSET", keys[0], in.text, keys[1], in.text}
	}
	return []string{"EXEC"}
}

// commands is all that the call sends; the last one's reply is its outcome. name is the client's, for the
// id.
func (in familyInput) commands(name string) (commands [][]any) {
	add := func(args ...string) {
		c := make([]any, len(args))
		for i, a := range args {
			c[i] = a
		}
		commands = append(commands, c)
	}
	if in.call == "exec" {
		keys := in.keys()
		add("MULTI")
		add("SET", keys[in.key], in.text)
		add("INCR", keys[2])
		add(append([]string{"MGET"}, keys[:]...)...)
	}
	last := in.args()
	if in.number != 0 {
		last = append([]string{"BRAINER", "WITH", "ID", name, strconv.FormatInt(in.number, 10)}, last...)
	}
	add(last...)
	return commands
}

// do sends the call and returns the output as the model writes it.
func (in familyInput) do(ctx context.Context, r *redis.Client, name string) (string, error) {
	commands := in.commands(name)
	if len(commands) == 1 {
		v, err := r.Do(ctx, commands[0]...).Result()
		return written(v, err)
	}
	p := r.Pipeline()
	var last *redis.Cmd
	for _, c := range commands {
		last = p.Do(ctx, c...)
	}
	_, _ = p.Exec(ctx) // last has the error, if there is one
	v, err := last.Result()
	return written(v, err)
}

// written is a reply as the model writes it.
func written(v any, err error) (string, error) {
	if err == redis.Nil {
		return absent, nil
	}
	if err != nil {
		return "", err
	}
	return flat(v), nil
}

func flat(v any) string {
	switch v := v.(type) {
	case nil:
		return absent
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = flat(v[i])
		}
		return strings.Join(parts, "|")
	}
	return fmt.Sprint(v)
}

// historian is clients that write down what they do.
type historian struct {
	t        testing.TB
	c        *cluster
	stop     func()
	began    time.Time
	ops      atomic.Int64 // that have an outcome
	rolls    atomic.Int64
	retried  atomic.Int64 // writes with an id that were sent more than once
	families int          // in use at once
	mu       sync.Mutex
	all      []porcupine.Operation
	closed   int // families below this have been looked at once more
	bursts   int // families of bursts
}

const opsPerFamily = 250 // more make the check slow

// startHistorian runs so many clients until check. Of five that share keys one only reads, so that it sees
// at once what the others do.
func startHistorian(t testing.TB, c *cluster, number int) *historian {
	ctx, cancel := context.WithCancel(context.Background())
	hard, giveUp := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	h := &historian{t: t, c: c, began: time.Now(), families: max(1, number/5)}
	h.stop = func() {
		cancel() // what is under way is waited for, but not for ever
		late := time.AfterFunc(patience, giveUp)
		defer late.Stop()
		clients.Wait()
	}
	for i := range number {
		clients.Add(1)
		go func() {
			defer clients.Done()
			h.run(ctx, hard, c.newClient(onlyOne, dialsUntilThere), i)
		}()
	}
	t.Cleanup(func() { h.stop(); giveUp() })
	return h
}

// dialsUntilThere has a client come back at once when the broker does: go-redis itself waits for a second
// before it dials anew.
func dialsUntilThere(o *redis.Options) {
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		for {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			if err == nil || ctx.Err() != nil {
				return conn, err
			}
			pause(ctx)
		}
	}
}

// family is the one that a client uses now: some clients share one, or the check takes for ever.
func (h *historian) family(client int) int {
	round := h.ops.Load()/int64(opsPerFamily*h.families) + h.rolls.Load()
	return int(round)*h.families + client%h.families
}

// roll has the clients begin with the next family.
func (h *historian) roll() { h.rolls.Add(1) }

func (h *historian) awaitProgress(n int64) {
	h.t.Helper()
	from := h.ops.Load()
	await(h.t, fmt.Sprintf("%d more calls", n), func() (bool, string) {
		now := h.ops.Load()
		return now > from+n, fmt.Sprint(now - from)
	})
}

// look reads, once more, all families that have been used since the last look: what was acknowledged in
// those that nobody uses any more would not be missed otherwise.
func (h *historian) look() {
	h.t.Helper()
	last := h.family(0) + h.families - 1 // of the round in use
	for from := max(0, h.closed-2*h.families); from <= last; from++ {
		in := familyInput{family: from, call: "mget"}
		call := time.Since(h.began).Nanoseconds()
		output, err := in.do(ctxOf(h.t), h.c.control, "")
		if err != nil {
			h.t.Fatalf("%v: %v", in.args(), err)
		}
		h.note(porcupine.Operation{ClientId: lookerID, Input: in, Call: call, Output: output, Return: time.Since(h.began).Nanoseconds()})
	}
	h.closed = last + 1
	for i := range h.bursts {
		h.once(familyInput{family: burstFamily + i, call: "count"}, lookerID)
	}
}

const burstFamily = 1_000_000

// burst counts in so many families of their own, all at once and each with a read right behind the write. It
// returns what waits for their ends.
func (h *historian) burst(n int) (wait func()) {
	var all sync.WaitGroup
	for i := range n {
		family := burstFamily + h.bursts + i
		all.Go(func() { h.once(familyInput{family: family, call: "incr"}, burstFamily+2*i) })
		all.Go(func() {
			<-time.After(time.Duration(i%8) * time.Millisecond)
			h.once(familyInput{family: family, call: "count"}, burstFamily+2*i+1)
		})
	}
	h.bursts += n
	return all.Wait
}

// once sends the call on a connection of its own.
func (h *historian) once(in familyInput, client int) {
	o := porcupine.Operation{ClientId: client, Input: in, Call: time.Since(h.began).Nanoseconds(), Return: math.MaxInt64}
	reply, err := exchange(h.c.addr, strings.Join(in.args(), " ")+"\r\n")
	if err == nil && strings.HasPrefix(reply, "-") {
		err = refusal(reply[1:])
	}
	switch {
	case err == nil:
		reply = reply[:len(reply)-2]
		o.Output, o.Return = reply[strings.LastIndexAny(reply, ":\n")+1:], time.Since(h.began).Nanoseconds()
		if reply == "$-1" {
			o.Output = absent
		}
	case in.call == "count" || notExecuted(err):
		return
	}
	h.note(o)
}

const lookerID = 1000

func (h *historian) note(o porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, o)
}

// check ends the clients and wants their history to be one of a server that does one thing after the
// other.
func (h *historian) check() {
	h.t.Helper()
	h.stop()
	h.closed = 0
	h.look()
	unknown := 0
	for _, o := range h.all {
		if o.Output == nil {
			unknown++
		}
	}
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(familyModel, h.all, 5*time.Minute)
	h.t.Logf("%d calls, %d of unknown outcome, %d retried with an id; checked in %s", len(h.all), unknown, h.retried.Load(), time.Since(began).Round(time.Millisecond))
	if result != porcupine.Ok {
		h.t.Errorf("the histories are not linearizable: %s", result)
		h.pictures()
	}
}

// pictures keeps the histories that are wrong, to be looked at in a browser.
func (h *historian) pictures() {
	kept := 0
	for _, part := range familyModel.Partition(h.all) {
		result, info := porcupine.CheckOperationsVerbose(familyModel, part, 20*time.Second)
		if result == porcupine.Ok {
			continue
		}
		family := part[0].Input.(familyInput).family
		path := filepath.Join(os.TempDir(), fmt.Sprintf("brainer-history-%d-%d.html", time.Now().Unix(), family))
		if err := porcupine.VisualizePath(familyModel, info, path); err != nil {
			h.t.Log(err)
			return
		}
		h.t.Logf("family %d: %s; the history: %s", family, result, path)
		if kept++; kept == 3 {
			return
		}
	}
}

// run is one client, until ctx ends.
func (h *historian) run(ctx, hard context.Context, r *redis.Client, client int) {
	rnd := rand.New(rand.NewPCG(uint64(client), uint64(h.began.UnixNano())))
	name := fmt.Sprintf("historian-%d", client)
	calls := familyCalls
	if client/h.families%5 == 4 {
		calls = calls[:familyReads]
	}
	number := int64(0)
	for i := 0; ctx.Err() == nil; i++ {
		in := familyInput{family: h.family(client), key: rnd.IntN(2), text: fmt.Sprintf("%d.%d;", client, i), call: calls[rnd.IntN(len(calls))]}
		read := slices.Contains(familyCalls[:familyReads], in.call)
		if !read && rnd.IntN(4) == 0 {
			number++
			in.number = number
		}
		o := porcupine.Operation{ClientId: client, Input: in, Call: time.Since(h.began).Nanoseconds(), Return: math.MaxInt64}
		output, err := h.answer(hard, r, in, name, rnd)
		if err == nil {
			o.Output, o.Return = output, time.Since(h.began).Nanoseconds()
		} else {
			pause(ctx)
			if read || notExecuted(err) {
				continue
			}
		}
		h.ops.Add(1)
		h.note(o)
	}
}

// answer sends the call. One with an id is sent until it has an answer, sometimes first by a connection that
// does not wait for one, and sometimes once more, late.
func (h *historian) answer(ctx context.Context, r *redis.Client, in familyInput, name string, rnd *rand.Rand) (string, error) {
	if in.number == 0 {
		return in.do(ctx, r, name)
	}
	attempts := 0
	if rnd.IntN(4) == 0 {
		sendAndLeave(h.c.addr, in.commands(name))
		attempts++
	}
	for {
		output, err := in.do(ctx, r, name)
		attempts++
		if err != nil && ctx.Err() == nil && !isAnswer(err) {
			pause(ctx)
			continue
		}
		if err == nil && rnd.IntN(8) == 0 {
			if again, err := in.do(ctx, r, name); err == nil && again != output {
				h.t.Errorf("%s %d %v was answered %q, and %q when it was sent again", name, in.number, in.args(), output, again)
			}
			attempts++
		}
		if attempts > 1 {
			h.retried.Add(1)
		}
		return output, err
	}
}

// sendAndLeave is a connection that breaks before the answer.
func sendAndLeave(addr string, commands [][]any) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	var b []byte
	for _, c := range commands {
		args := make([][]byte, len(c))
		for i := range c {
			args[i] = fmt.Append(nil, c[i])
		}
		b = resp.AppendCommand(b, args...)
	}
	_, _ = conn.Write(b)
}
