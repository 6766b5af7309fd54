package server

import (
	"slices"
	"strconv"
	"sync"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

func pubsubHandlers() map[string]handler {
	return map[string]handler{
		"publish":         {run: publish, inMulti: ordered},
		"subscribe":       {run: subscribe, settled: true, inMulti: atExec},
		"unsubscribe":     {run: unsubscribe, settled: true, inMulti: atExec},
		"psubscribe":      {run: psubscribe, settled: true, inMulti: atExec},
		"punsubscribe":    {run: punsubscribe, settled: true, inMulti: atExec},
		"pubsub|channels": {run: pubsubChannels},
		"pubsub|numsub":   {run: pubsubNumSub},
		"pubsub|numpat":   {run: pubsubNumPat},
		"pubsub|help":     {run: help(pubsubHelp)},
	}
}

// hub knows who has subscribed to what, and gives messages out.
type hub struct {
	mu       sync.RWMutex
	channels map[string]map[*client]struct{}
	patterns map[string]map[*client]struct{}
}

// message is its own memory: it is delivered when its index is safe, maybe after its batch is done.
type message struct{ channel, text string }

func newMessage(channel, text []byte) message { return message{string(channel), string(text)} }

func (m message) write(w *resp.Writer) {
	w.Push(3)
	w.BulkString("message")
	w.BulkString(m.channel)
	w.BulkString(m.text)
}

func (m message) writeMatched(w *resp.Writer, pattern string) {
	w.Push(4)
	w.BulkString("pmessage")
	w.BulkString(pattern)
	w.BulkString(m.channel)
	w.BulkString(m.text)
}

func newHub() *hub {
	return &hub{channels: map[string]map[*client]struct{}{}, patterns: map[string]map[*client]struct{}{}}
}

func (h *hub) size() (channels, patterns int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.channels), len(h.patterns)
}

// receivers counts who gets a message of channel now: a client for each way that it has subscribed.
func (h *hub) receivers(channel []byte) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := len(h.channels[string(channel)])
	for pattern, clients := range h.patterns {
		if command.Match([]byte(pattern), channel) {
			n += len(clients)
		}
	}
	return n
}

// deliver queues m for everyone who has subscribed. It never waits for a client.
func (h *hub) deliver(m message) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if clients := h.channels[m.channel]; len(clients) > 0 {
		pushAll(clients, m.write)
	}
	for pattern, clients := range h.patterns {
		if command.Match([]byte(pattern), []byte(m.channel)) {
			pushAll(clients, func(w *resp.Writer) { m.writeMatched(w, pattern) })
		}
	}
}

// pushAll writes once per RESP version and queues that for all.
func pushAll(clients map[*client]struct{}, write func(*resp.Writer)) {
	var encoded [4][]byte
	for c := range clients {
		proto := int(c.pushProto.Load())
		if encoded[proto] == nil {
			w := resp.Writer{Proto: proto}
			write(&w)
			encoded[proto] = w.B
		}
		if !c.out.push(encoded[proto]) {
			c.srv.log.Warn("a subscriber does not read, closing", "client", c.id, "addr", c.addr())
			// The caller is the broker's own goroutine, and a Close may take its time.
			go c.kill()
		}
	}
}

// dropClient ends all of c's subscriptions.
func (h *hub) dropClient(c *client) {
	if !c.subscribed() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range c.channels {
		h.leave(h.channels, name, c)
	}
	for name := range c.patterns {
		h.leave(h.patterns, name, c)
	}
	c.channels, c.patterns = nil, nil
}

// join makes c hear of name, under mu.
func (h *hub) join(all map[string]map[*client]struct{}, name string, c *client) {
	if all[name] == nil {
		all[name] = map[*client]struct{}{}
	}
	all[name][c] = struct{}{}
}

func (h *hub) leave(all map[string]map[*client]struct{}, name string, c *client) {
	delete(all[name], c)
	if len(all[name]) == 0 {
		delete(all, name)
	}
}

func subscribe(c *client, args [][]byte, _ *resp.Writer) {
	c.subscribeTo("subscribe", &c.channels, c.srv.hub.channels, args[1:])
}

func psubscribe(c *client, args [][]byte, _ *resp.Writer) {
	c.subscribeTo("psubscribe", &c.patterns, c.srv.hub.patterns, args[1:])
}

func unsubscribe(c *client, args [][]byte, _ *resp.Writer) {
	c.unsubscribeFrom("unsubscribe", c.channels, c.srv.hub.channels, args[1:])
}

func punsubscribe(c *client, args [][]byte, _ *resp.Writer) {
	c.unsubscribeFrom("punsubscribe", c.patterns, c.srv.hub.patterns, args[1:])
}

// readyForPush has everything go through the queue that messages take, behind what was answered before.
func (c *client) readyForPush() {
	c.out.share()
	_ = c.out.flush()
	c.pushProto.Store(int32(c.proto))
}

// subscribeTo confirms one name after the other. A confirmation is queued under the hub's lock, so
// that no message of its channel comes before it.
func (c *client) subscribeTo(verb string, own *map[string]struct{}, all map[string]map[*client]struct{}, names [][]byte) {
	c.readyForPush()
	h := c.srv.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if *own == nil {
		*own = map[string]struct{}{}
	}
	for _, b := range names {
		name := string(b)
		(*own)[name] = struct{}{}
		h.join(all, name, c)
		c.confirm(verb, &name)
	}
	c.turn.noReply(c.row)
}

func (c *client) unsubscribeFrom(verb string, own map[string]struct{}, all map[string]map[*client]struct{}, names [][]byte) {
	c.readyForPush()
	h := c.srv.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]string, 0, max(len(names), len(own)))
	for _, b := range names {
		list = append(list, string(b))
	}
	if len(names) == 0 {
		for name := range own {
			list = append(list, name)
		}
		slices.Sort(list)
	}
	for i := range list {
		if _, ok := own[list[i]]; ok {
			delete(own, list[i])
			h.leave(all, list[i], c)
		}
		c.confirm(verb, &list[i])
	}
	if len(list) == 0 {
		c.confirm(verb, nil)
	}
	c.turn.noReply(c.row)
}

// confirm queues one confirmation; CLIENT REPLY OFF does not hold it back, as in Redis.
func (c *client) confirm(verb string, name *string) {
	w := resp.Writer{Proto: c.proto}
	c.writeConfirmation(&w, verb, name)
	if !c.out.push(w.B) {
		go c.kill()
	}
}

func (c *client) writeConfirmation(w *resp.Writer, verb string, name *string) {
	w.Push(3)
	w.BulkString(verb)
	if name == nil {
		w.Null()
	} else {
		w.BulkString(*name)
	}
	w.Int(int64(len(c.channels) + len(c.patterns)))
}

// publish takes a place in the order; the message goes out when that place is safe.
func publish(c *client, args [][]byte, _ *resp.Writer) {
	m := newMessage(args[1], args[2])
	hub := c.srv.hub
	o := c.publishOp(m)
	o.OnSafe = func(o *op.Op) {
		if len(o.Reply) > 0 && o.Reply[0] == ':' {
			hub.deliver(m)
		}
	}
	c.turn.addOp(c.row, o, c.silent())
	c.turn.keep = true
}

// publishOp is a write without a key; the channel's hash spreads such entries over the nodes.
func (c *client) publishOp(m message) op.Op {
	o := c.newOp(op.Write, nil)
	from := len(c.turn.scratch)
	c.turn.scratch = appendPublish(c.turn.scratch, m, c.srv.hub.receivers([]byte(m.channel)))
	o.Body = c.turn.scratch[from:len(c.turn.scratch):len(c.turn.scratch)]
	o.Ack = c.ackRule()
	first := len(c.turn.keys)
	c.turn.keys = append(c.turn.keys, command.KeyHash(c.db, []byte(m.channel)))
	o.Keys = c.turn.keys[first : first+1 : first+1]
	return o
}

// appendPublish appends the entry: PUBLISH channel message receivers.
func appendPublish(b []byte, m message, receivers int) []byte {
	return resp.AppendCommand(b, []byte("PUBLISH"), []byte(m.channel), []byte(m.text),
		strconv.AppendInt(nil, int64(receivers), 10))
}

func pubsubChannels(c *client, args [][]byte, w *resp.Writer) {
	if len(args) > 3 {
		w.Error(errSubcommandArity("CHANNELS", "PUBSUB"))
		return
	}
	h := c.srv.hub
	h.mu.RLock()
	defer h.mu.RUnlock()
	var names []string
	for name := range h.channels {
		if len(args) == 2 || command.Match(args[2], []byte(name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	w.Array(len(names))
	for _, name := range names {
		w.BulkString(name)
	}
}

func pubsubNumSub(c *client, args [][]byte, w *resp.Writer) {
	h := c.srv.hub
	h.mu.RLock()
	defer h.mu.RUnlock()
	w.Array(2 * (len(args) - 2))
	for _, name := range args[2:] {
		w.Bulk(name)
		w.Int(int64(len(h.channels[string(name)])))
	}
}

func pubsubNumPat(c *client, _ [][]byte, w *resp.Writer) {
	_, patterns := c.srv.hub.size()
	w.Int(int64(patterns))
}
