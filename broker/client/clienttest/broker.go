// Package clienttest has a broker made of a map, for tests of what talks to a broker. It speaks
// RESP over any link; order, nodes and acknowledgements are left to the real one.
package clienttest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"brainer/internal/link"
	"brainer/internal/op"
	"brainer/resp"
)

// Broker answers each peer as one connection.
type Broker struct {
	// Password, when set, is what AUTH must bring first.
	Password string
	// Status is what BRAINER STATUS JSON answers.
	Status op.Status

	router link.Router
	stop   chan struct{}
	ended  chan struct{}
	spoken chan struct{} // Silence(false) was called

	mu       sync.Mutex
	data     map[string][]byte
	outcomes map[string][]byte // replies to what came with an id
	fates    []Fate
	peers    map[string]*peer
	commands []string
	silent   bool
	held     []call // taken in silence
}

type call struct {
	id   string
	args []string
}

type peer struct {
	buf    bytes.Buffer
	authed bool
	db     string
}

// Start serves endpoint of t until the test ends, or Stop. setup, when not nil, is called before.
func Start(t testing.TB, transport link.Transport, endpoint string, setup func(*Broker)) *Broker {
	t.Helper()
	router, err := transport.Bind(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	b := Serve(router, setup)
	t.Cleanup(b.Stop)
	return b
}

// Serve answers on router, which it owns and closes, until Stop.
func Serve(router link.Router, setup func(*Broker)) *Broker {
	b := &Broker{
		router: router,
		stop:   make(chan struct{}),
		ended:  make(chan struct{}),
		spoken: make(chan struct{}, 1),
		data:   make(map[string][]byte),

		outcomes: make(map[string][]byte),
		peers:    make(map[string]*peer),
	}
	if setup != nil {
		setup(b)
	}
	go b.run()
	return b
}

// Endpoint is where it is bound.
func (b *Broker) Endpoint() string { return b.router.Endpoint() }

// Stop ends it as a kill would.
func (b *Broker) Stop() {
	select {
	case <-b.ended:
	default:
		close(b.stop)
		<-b.ended
	}
}

// Silence makes it take commands without executing or answering them; when it ends, it does both.
func (b *Broker) Silence(silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = silent
	if !silent {
		select {
		case b.spoken <- struct{}{}:
		default:
		}
	}
}

// Fate is what becomes of a command.
type Fate int

const (
	Answered Fate = iota
	Refused       // it is not executed
	LeftOpen      // it is executed, and answered -UNCERTAIN
	CutOff        // it is executed, and the connection is of no use afterwards
)

// Next decides what becomes of the commands that come next.
func (b *Broker) Next(fates ...Fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates = fates
}

// Commands returns what has arrived, each as one line.
func (b *Broker) Commands() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.commands)
}

func (b *Broker) run() {
	defer close(b.ended)
	defer b.router.Close()
	for {
		id, body, err := b.router.Recv()
		if err == nil {
			b.take(id, body)
			continue
		}
		select {
		case <-b.router.Ready():
		case <-b.spoken:
			b.answerHeld()
		case <-b.stop:
			return
		}
	}
}

func (b *Broker) answerHeld() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.held {
		b.answer(c.id, c.args)
	}
	b.held = nil
}

func (b *Broker) take(id string, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[id]
	if p == nil {
		p = &peer{db: "0"}
		b.peers[id] = p
	}
	p.buf.Write(body)
	for {
		n, err := resp.Slice(p.buf.Bytes())
		if err != nil {
			return
		}
		command, _, err := resp.ParseReply(bytes.Clone(p.buf.Next(n)))
		if err != nil {
			return
		}
		args := make([]string, len(command.Elems))
		for i, e := range command.Elems {
			args[i] = string(e.Str)
		}
		b.commands = append(b.commands, strings.Join(args, " "))
		if b.silent {
			b.held = append(b.held, call{id, args})
			continue
		}
		b.answer(id, args)
	}
}

// answer sends what a real broker may: a probe, then the reply in two pieces.
func (b *Broker) answer(id string, args []string) {
	var w resp.Writer
	fate := Answered
	if len(b.fates) > 0 {
		fate, b.fates = b.fates[0], b.fates[1:]
	}
	if fate != Refused {
		b.execute(b.peers[id], &w, args)
	}
	switch fate {
	case Refused:
		w.Error("NOREPLICAS 1 node is in sync, 2 are needed")
	case LeftOpen:
		w.B = w.B[:0]
		w.Error("UNCERTAIN write may or may not have been applied (epoch 1 seq 2)")
	case CutOff:
		w.B = append(w.B[:0], "this is no RESP\r\n"...)
	}
	half := len(w.B) / 2
	b.router.Send(id, nil)
	b.router.Send(id, w.B[:half])
	b.router.Send(id, w.B[half:])
}

// splitWith takes what stands behind BRAINER WITH apart: the id, "" without one, and the command.
func splitWith(args []string) (id string, command []string) {
	for strings.EqualFold(args[0], "ACK") || strings.EqualFold(args[0], "ID") {
		if strings.EqualFold(args[0], "ID") {
			id, args = args[1]+" "+args[2], args[3:]
			continue
		}
		args = args[2:]
	}
	return id, args
}

func (b *Broker) execute(p *peer, w *resp.Writer, args []string) {
	name := strings.ToUpper(args[0])
	if b.Password != "" && !p.authed && name != "AUTH" && name != "QUIT" {
		w.Error("NOAUTH Authentication required.")
		return
	}
	if name == "BRAINER" && strings.EqualFold(args[1], "WITH") {
		var id string
		id, args = splitWith(args[2:])
		if id != "" {
			if kept, ok := b.outcomes[id]; ok {
				w.Raw(kept)
				return
			}
			from := len(w.B)
			defer func() { b.outcomes[id] = bytes.Clone(w.B[from:]) }()
		}
		name = strings.ToUpper(args[0])
	}
	key := ""
	if len(args) > 1 {
		key = p.db + "/" + args[1]
	}
	switch name {
	case "PING":
		w.Simple("PONG")
	case "QUIT":
		w.OK()
	case "AUTH":
		if p.authed = args[1] == b.Password; p.authed {
			w.OK()
		} else {
			w.Error("WRONGPASS invalid username-password pair or user is disabled.")
		}
	case "SELECT":
		p.db = args[1]
		w.OK()
	case "SET":
		b.data[key] = []byte(args[2])
		w.OK()
	case "GET":
		if value, ok := b.data[key]; ok {
			w.Bulk(value)
		} else {
			w.Null()
		}
	case "DEL":
		_, existed := b.data[key]
		delete(b.data, key)
		w.Int(map[bool]int64{true: 1}[existed])
	case "INCRBY":
		n, _ := strconv.ParseInt(string(b.data[key]), 10, 64)
		by, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			w.Error("ERR value is not an integer or out of range")
			return
		}
		b.data[key] = strconv.AppendInt(nil, n+by, 10)
		w.Int(n + by)
	case "MGET":
		w.Array(len(args) - 1)
		for _, k := range args[1:] {
			if value, ok := b.data[p.db+"/"+k]; ok {
				w.Bulk(value)
			} else {
				w.Null()
			}
		}
	case "SUBSCRIBE":
		for _, m := range [][]string{{"subscribe", args[1]}, {"message", args[1]}} {
			w.Push(3)
			w.BulkString(m[0])
			w.BulkString(m[1])
			w.BulkString("hello")
		}
	case "BRAINER":
		text, _ := json.Marshal(b.Status)
		w.Bulk(text)
	case "UNCERTAIN":
		w.Error("UNCERTAIN write may or may not have been applied (epoch 1 seq 2)")
	case "GARBAGE":
		w.Raw([]byte("this is no RESP\r\n"))
	default:
		w.Error("ERR unknown command '" + args[0] + "'")
	}
}
