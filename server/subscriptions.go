package server

import (
	"maps"
	"slices"

	"brainer/internal/command"
	"brainer/resp"
)

// subscriptions is what the SUBSCRIBE, UNSUBSCRIBE and so on of a transaction have come to. They take
// place when it has: EXEC's reply, with the confirmations in it, is the first that the client sees of
// them. Redis puts one confirmation for each name where the command's reply belongs, so that the array
// has more elements than it says; so do we.
type subscriptions struct {
	channels, patterns map[string]struct{}
	confirmed          []byte // the confirmations alone, which CLIENT REPLY OFF does not hold back
	messages           []byte // published behind them in the same transaction
}

// provisional lets the commands of a transaction see what those before them have subscribed to.
func (e *execution) provisional() (end func()) {
	c := e.client
	channels, patterns := c.channels, c.patterns
	return func() {
		if e.subs != nil {
			e.subs.channels, e.subs.patterns = c.channels, c.patterns
		}
		c.channels, c.patterns = channels, patterns
	}
}

// subscription answers SUBSCRIBE and its like.
func (e *execution) subscription(verb string, names [][]byte, w *resp.Writer) {
	c := e.client
	if e.subs == nil {
		e.subs = &subscriptions{}
		c.channels, c.patterns = maps.Clone(c.channels), maps.Clone(c.patterns)
	}
	own := &c.channels
	if verb == "psubscribe" || verb == "punsubscribe" {
		own = &c.patterns
	}
	if *own == nil {
		*own = map[string]struct{}{}
	}
	list := make([]string, 0, len(names))
	for _, name := range names {
		list = append(list, string(name))
	}
	subscribes := verb == "subscribe" || verb == "psubscribe"
	if len(list) == 0 {
		list = slices.Sorted(maps.Keys(*own))
	}
	from := len(w.B)
	for i := range list {
		if subscribes {
			(*own)[list[i]] = struct{}{}
		} else {
			delete(*own, list[i])
		}
		c.writeConfirmation(w, verb, &list[i])
	}
	if len(list) == 0 {
		c.writeConfirmation(w, verb, nil)
	}
	e.subs.confirmed = append(e.subs.confirmed, w.B[from:]...)
}

// toItself counts in how many ways the client gets a message by what the same transaction subscribes it
// to; they come right behind EXEC's reply.
func (e *execution) toItself(m message) (receivers int) {
	if e.subs == nil {
		return 0
	}
	c := e.client
	hub := c.srv.hub
	hub.mu.RLock()
	defer hub.mu.RUnlock()
	w := resp.Writer{Proto: c.proto}
	if _, ok := c.channels[m.channel]; ok && !hub.has(hub.channels, m.channel, c) {
		m.write(&w)
		receivers++
	}
	for _, pattern := range slices.Sorted(maps.Keys(c.patterns)) {
		if command.Match([]byte(pattern), []byte(m.channel)) && !hub.has(hub.patterns, pattern, c) {
			m.writeMatched(&w, pattern)
			receivers++
		}
	}
	e.subs.messages = append(e.subs.messages, w.B...)
	return receivers
}

func (h *hub) has(all map[string]map[*client]struct{}, name string, c *client) bool {
	_, ok := all[name][c]
	return ok
}

// subscribeAll makes a transaction's subscriptions the client's, and sends EXEC's reply under the hub's
// lock, so that no message comes before it.
func (c *client) subscribeAll(subs *subscriptions, reply []byte, silent bool) {
	c.readyForPush()
	h := c.srv.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.change(h.channels, c, c.channels, subs.channels)
	h.change(h.patterns, c, c.patterns, subs.patterns)
	c.channels, c.patterns = subs.channels, subs.patterns
	if silent {
		reply = subs.confirmed
	}
	if !c.out.push(slices.Concat(reply, subs.messages)) {
		go c.kill()
	}
}

// change replaces what c has subscribed to.
func (h *hub) change(all map[string]map[*client]struct{}, c *client, old, now map[string]struct{}) {
	for name := range old {
		if _, stays := now[name]; !stays {
			h.leave(all, name, c)
		}
	}
	for name := range now {
		h.join(all, name, c)
	}
}
