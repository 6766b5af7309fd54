package sim

import (
	"bytes"
	"fmt"

	"brainer/internal/command"
	"brainer/internal/wire"
	"brainer/node/replica"
	"brainer/resp"
)

// oracle is a replica that executes the order once more.
type oracle struct {
	w      *world
	r      *replica.Replica
	turn   uint64
	id     uint64
	timeMs int64 // of the last entry
	keys   []string
	db     uint8 // of reads
}

func newOracle(w *world) *oracle {
	cfg := w.plan.Node
	cfg.NodeID, cfg.Incarnation, cfg.Table, cfg.Rand = "oracle", 1, w.opt.Table, func() uint64 { return 1 }
	cfg.RingBytesMax, cfg.StepBytes, cfg.SliceElements = 1<<20, 1<<20, 0
	if !w.opt.Node.WallClock && w.opt.Node.OwnSeed == 0 {
		cfg.Fault = replica.Fault{ForgetIDs: w.opt.Node.ForgetIDs} // invariant 11 must find it without its help
	}
	o := &oracle{w: w, r: replica.New(cfg)}
	o.r.Open(oracleSession)
	return o
}

func (o *oracle) head() wire.Header {
	return wire.Header{Epoch: 1, Session: oracleSession, Seq: o.turn}
}

func (o *oracle) begin(cluster uint64) {
	o.r.Receive(wire.Prepare{BrokerRun: 1, Number: 65535}.Append(nil, o.head()))
	o.r.Receive(wire.Load{ClusterID: cluster}.Append(nil, o.head()))
}

func (o *oracle) digest() uint64 {
	_, _, _, d := o.r.Copy()
	return d
}

// run executes one turn and returns its last reply.
func (o *oracle) run(era uint64, item func([]byte) []byte) []byte {
	_, _, p, _ := o.r.Copy()
	o.turn++
	b := wire.BeginTurn(nil, wire.TurnHead{Prev: p, Era: era, InSync: true})
	o.r.Receive(wire.FinishTurn(item(b), o.head()))
	var last []byte
	for o.r.Busy() {
		o.r.Step()
		for _, f := range o.r.Out {
			_, body, _ := wire.Decode(f.Joined())
			d, err := wire.DecodeDone(body)
			if err != nil {
				panic("sim: the oracle does not answer")
			}
			for {
				kind, _, reply, ok := d.Next()
				if !ok {
					break
				}
				if kind != wire.ReplyCounts {
					last = bytes.Clone(reply)
				}
			}
		}
	}
	return last
}

func (o *oracle) apply(at wire.Position, encoded []byte) []byte {
	var e wire.Entry
	if _, err := wire.NextEntry(encoded, &e); err != nil {
		panic("sim: a recorded entry cannot be decoded")
	}
	if e.TimeMs < o.timeMs {
		o.w.failf("1: the entry at %v is of %d, the one before it of %d: time goes back", at, e.TimeMs, o.timeMs)
	}
	o.timeMs = e.TimeMs
	return o.run(at.Era, func(b []byte) []byte {
		b = wire.AppendEntriesItem(b, 1, encoded)
		return wire.AppendQueryItem(b, at.Index)
	})
}

func (o *oracle) read(timeMs int64, proto uint8, txn bool, body []byte) []byte {
	o.id++
	return o.run(1, func(b []byte) []byte {
		return wire.AppendReadItem(b, &wire.Read{ID: o.id, TimeMs: timeMs, DB: o.db, Proto: proto, Txn: txn, Body: body})
	})
}

// answers reports whether x's answer is right in the present state, at a time between its question
// and its answer.
func (o *oracle) answers(x *operation) bool {
	from := max(x.invokedMs, o.timeMs)
	if o.answersAt(x, from) {
		return true
	}
	for ms := o.nextDeadline(from); ms > 0 && ms <= x.respondedMs; ms = o.nextDeadline(ms) {
		if o.answersAt(x, ms) {
			return true
		}
	}
	return false
}

// nextDeadline is the next time after ms at which a key expires, 0 when there is none. The keys are
// asked for as they are at ms.
func (o *oracle) nextDeadline(ms int64) int64 {
	next := int64(0)
	for _, key := range o.allKeys() {
		reply := o.read(ms, 2, false, encode([]string{"PEXPIRETIME", key}))
		var at int64
		if _, err := fmt.Sscanf(string(reply), ":%d", &at); err == nil && at > ms && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

func (o *oracle) allKeys() []string {
	if o.keys == nil {
		for i := 0; i < o.w.plan.Keys; i++ {
			o.keys = append(o.keys, fmt.Sprintf("s%d", i), fmt.Sprintf("h%d", i))
		}
		o.keys = append(o.keys, "n0", "n1")
	}
	return o.keys
}

func (o *oracle) answersAt(x *operation, ms int64) bool {
	args, rest, err := command.SplitCommand(x.o.Body, nil)
	if err == nil && len(rest) == 0 {
		// What was drawn by chance cannot be drawn again, but it must be there.
		switch name := string(args[0]); name {
		case "RANDOMKEY", "HRANDFIELD":
			return o.drawn(x, name, args, ms)
		}
	}
	return bytes.Equal(o.read(ms, x.o.Proto, x.o.Txn, x.o.Body), x.reply)
}

func (o *oracle) drawn(x *operation, name string, args [][]byte, ms int64) bool {
	if len(x.reply) > 1 && x.reply[0] == '-' {
		return bytes.Equal(o.read(ms, x.o.Proto, false, x.o.Body), x.reply)
	}
	value, isNull := bulk(x.reply)
	if name == "RANDOMKEY" {
		if isNull {
			return string(o.read(ms, 2, false, encode([]string{"DBSIZE"}))) == ":0\r\n"
		}
		return string(o.read(ms, 2, false, resp.AppendCommand(nil, []byte("EXISTS"), value))) == ":1\r\n"
	}
	if isNull {
		return string(o.read(ms, 2, false, resp.AppendCommand(nil, []byte("HLEN"), args[1]))) == ":0\r\n"
	}
	return string(o.read(ms, 2, false, resp.AppendCommand(nil, []byte("HEXISTS"), args[1], value))) == ":1\r\n"
}

func bulk(reply []byte) (value []byte, isNull bool) {
	if reply[0] == '_' || bytes.HasPrefix(reply, []byte("$-1")) {
		return nil, true
	}
	_, rest, _ := bytes.Cut(reply, []byte("\r\n"))
	return bytes.TrimSuffix(rest, []byte("\r\n")), false
}
