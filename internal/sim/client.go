package sim

import (
	"fmt"
	"strconv"
	"strings"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// client is one connection of an application: a pipeline of a few operations, then it thinks.
type client struct {
	w        *world
	index    int
	token    uint64
	inFlight int
	stopped  bool
	thinking bool
	serial   int
	last     uint64 // index of its last write
	queue    [][]string
	ordered  []*operation // its last ones
	ids      retrier
}

func newClient(w *world, i int) *client { return &client{w: w, index: i, token: uint64(i+1) << 32} }

func (c *client) begin() { c.think() }

// think submits the next pipeline after a while.
func (c *client) think() {
	if c.thinking {
		return
	}
	c.thinking = true
	w := c.w
	us := w.between(w.plan.ThinkUs/10, 2*w.plan.ThinkUs)
	w.after(us, func() {
		c.thinking = false
		if c.stopped || c.inFlight > 0 {
			return
		}
		if !w.broker.alive {
			c.think()
			return
		}
		n := 1
		if w.chance(0.15) {
			n = 2 + w.rng.IntN(6)
		}
		for i := 0; i < n; i++ {
			c.submit(i == n-1)
		}
	})
}

// brokerDied: what was in flight has no answer; a new connection follows.
func (c *client) brokerDied() {
	c.token++
	c.queue, c.ordered = nil, nil
	c.inFlight = 0
	c.last = 0
	c.think()
}

// checkPipeline: the writes of a connection are ordered as they were submitted.
func (c *client) checkPipeline(x *operation) {
	for _, y := range c.ordered {
		if y.epoch == x.epoch && (y.invoked < x.invoked) != (y.o.Index < x.o.Index) {
			c.w.failf("6: ordered as %d and %d, and submitted the other way: %s, %s", x.o.Index, y.o.Index, text(x.o), text(y.o))
		}
	}
	if c.ordered = append(c.ordered, x); len(c.ordered) > 20 {
		c.ordered = c.ordered[1:]
	}
}

func (c *client) answered() {
	c.inFlight--
	if c.inFlight == 0 {
		c.think()
	}
}

func (c *client) submit(last bool) {
	o := c.next()
	o.Ahead = last && o.Kind == op.Write
	c.inFlight++
	c.w.history.submit(c, o)
	c.w.broker.submit(o)
}

// next makes the next operation of the connection.
func (c *client) next() *op.Op {
	w := c.w
	if len(c.queue) == 0 && !w.plan.SingleKeysOnly && w.plan.commands == nil && w.chance(0.06) && c.last > 0 {
		return &op.Op{Kind: op.Barrier, Proto: 2, Index: c.last, Copies: w.rng.IntN(w.plan.Nodes), TimeoutMs: w.between(1, 300)}
	}
	if len(c.queue) == 0 {
		c.draw()
	}
	args := c.queue[0]
	c.queue = c.queue[1:]
	return c.op(args)
}

// draw decides what the connection does next: one command, or a watched transaction.
func (c *client) draw() {
	w := c.w
	if w.plan.commands != nil {
		c.queue = append(c.queue, w.plan.commands(c))
		return
	}
	if w.plan.SingleKeysOnly {
		c.queue = append(c.queue, c.single())
		return
	}
	if w.plan.IDs && w.chance(0.25) {
		c.queue = append(c.queue, c.ids.draw(w))
		return
	}
	switch w.rng.IntN(20) {
	case 0: // optimistic locking
		k := c.stringKey()
		c.queue = append(c.queue, []string{"WATCH", k, c.hashKey()}, []string{"GET", k})
		if w.chance(0.1) {
			c.queue = append(c.queue, []string{"UNWATCH"})
		}
		c.queue = append(c.queue, []string{"EXEC", "INCR\x00n1", "SET\x00" + k + "\x00" + c.value()})
	case 1:
		c.queue = append(c.queue, []string{"EXEC", strings.Join(c.command(), "\x00"), strings.Join(c.command(), "\x00"),
			"HRANDFIELD\x00" + c.hashKey()})
	case 2:
		c.queue = append(c.queue, []string{"EXEC", "GET\x00" + c.stringKey(), "HGETALL\x00" + c.hashKey(), "GET\x00" + c.stringKey()})
	default:
		c.queue = append(c.queue, c.command())
	}
}

func (c *client) stringKey() string { return "s" + strconv.Itoa(c.w.rng.IntN(c.w.plan.Keys)) }
func (c *client) hashKey() string   { return "h" + strconv.Itoa(c.w.rng.IntN(min(2, c.w.plan.Keys))) }

func (c *client) value() string {
	c.serial++
	v := fmt.Sprintf("%d.%d", c.index, c.serial)
	if n := c.w.rng.IntN(c.w.plan.ValueBytesMax); n > len(v) {
		v += strings.Repeat("x", n-len(v))
	}
	return v
}

// single draws a command on one register, for porcupine.
func (c *client) single() []string {
	k := c.stringKey()
	switch c.w.rng.IntN(8) {
	case 0, 1, 2:
		return []string{"GET", k}
	case 3, 4:
		return []string{"SET", k, c.value()}
	case 5:
		return []string{"APPEND", k, "+" + strconv.Itoa(c.index)}
	case 6:
		return []string{"SET", k, c.value(), "GET"}
	default:
		return []string{"DEL", k}
	}
}

func (c *client) command() []string {
	r := c.w.rng
	switch r.IntN(32) {
	case 0, 1, 2, 3, 4, 5:
		return []string{"GET", c.stringKey()}
	case 6, 7, 8:
		return []string{"SET", c.stringKey(), c.value()}
	case 9, 10:
		return []string{"SET", c.stringKey(), c.value(), "PX", strconv.Itoa(1 + r.IntN(400))}
	case 11:
		return []string{"SETNX", c.stringKey(), c.value()}
	case 12, 13, 14:
		return []string{"INCR", "n" + strconv.Itoa(r.IntN(2))}
	case 15:
		return []string{"APPEND", c.stringKey(), "+" + strconv.Itoa(c.index)}
	case 16:
		return []string{"MSET", c.stringKey(), c.value(), c.stringKey(), c.value()}
	case 17, 18:
		return []string{"MGET", c.stringKey(), c.stringKey(), "n0", c.stringKey()}
	case 19:
		return []string{"DEL", c.stringKey(), c.stringKey()}
	case 20:
		return []string{"HSET", c.hashKey(), "f" + strconv.Itoa(r.IntN(5)), c.value(), "f" + strconv.Itoa(r.IntN(5)), c.value()}
	case 21:
		return []string{"HSET", c.hashKey(), "f" + strconv.Itoa(r.IntN(5)), c.value()}
	case 22:
		return []string{"HDEL", c.hashKey(), "f" + strconv.Itoa(r.IntN(5))}
	case 23:
		return []string{"HGETALL", c.hashKey()}
	case 24:
		return []string{"DBSIZE"}
	case 25:
		return []string{"RANDOMKEY"}
	case 26:
		return []string{"HRANDFIELD", c.hashKey()}
	case 27:
		return []string{"PEXPIRE", pick(r, c.stringKey(), c.hashKey()), strconv.Itoa(1 + r.IntN(300))}
	case 28:
		return []string{"RENAME", c.stringKey(), c.stringKey()}
	case 29:
		switch r.IntN(6) {
		case 0:
			return []string{"FLUSHALL"}
		case 1:
			return []string{"SWAPDB", "0", "1"}
		}
		return []string{"KEYS", "*"}
	case 30:
		return []string{"INCR", "n0"}
	default:
		return []string{"GET", "n" + strconv.Itoa(r.IntN(2))}
	}
}

// op makes an operation of a command as the front end would.
func (c *client) op(args []string) *op.Op {
	w := c.w
	o := &op.Op{Kind: op.Write, Proto: uint8(2 + w.rng.IntN(2)), Token: 0}
	switch args[0] {
	case "ID":
		o = c.op(args[2:])
		o.Kind, o.Token, o.Txn = op.Write, 0, false
		if args[2] == "EXEC" {
			o.Kind = op.Txn
		}
		o.Client = []byte("client" + strconv.Itoa(c.index))
		o.Number, _ = strconv.ParseUint(args[1], 10, 64)
		return o
	case "WATCH":
		o.Kind, o.Token = op.Watch, c.token
		for _, k := range args[1:] {
			o.Keys = append(o.Keys, command.KeyHash(0, []byte(k)))
		}
		o.Body = encode(args)
		return o
	case "UNWATCH":
		o.Kind, o.Token, o.Body = op.Unwatch, c.token, encode(args)
		return o
	case "EXEC":
		o.Kind, o.Token = op.Txn, c.token
		ordered := false // it has to be an entry
		for _, q := range args[1:] {
			cmd := strings.Split(q, "\x00")
			ordered = c.describe(o, cmd) || ordered || cmd[0] == "RANDOMKEY" || cmd[0] == "HRANDFIELD"
			o.Body = append(o.Body, encode(cmd)...)
		}
		if !ordered && w.chance(0.5) {
			o.Kind, o.Txn, o.Token = op.Read, true, 0
		}
	default:
		if !c.describe(o, args) {
			o.Kind = op.Read
			o.Near = w.opt.Table.Lookup([]byte(args[0])).Flags&command.Steady != 0 && len(o.Keys) == 1
		}
		o.Body = encode(args)
	}
	o.Lasting = len(o.Body)%4 == 0
	if o.Kind != op.Read && w.chance(w.plan.OtherAcks) {
		o.Ack = pick(w.rng, op.AckPrimary, 1, 2, op.AckAll)
	}
	return o
}

// describe adds a command's keys to o and says whether it writes.
func (c *client) describe(o *op.Op, cmd []string) bool {
	raw := make([][]byte, len(cmd))
	for i, a := range cmd {
		raw[i] = []byte(a)
	}
	row := c.w.opt.Table.Find(raw)
	o.Keys = row.AppendKeyHashes(o.Keys, 0, raw)
	o.Keyless = o.Keyless || row.Flags&command.Keyless != 0
	o.DenyOOM = o.DenyOOM || row.Flags&command.DenyOOM != 0
	return row.Flags&command.Write != 0
}

func encode(args []string) []byte {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	return resp.AppendCommand(nil, raw...)
}
