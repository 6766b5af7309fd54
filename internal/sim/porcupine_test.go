package sim

import (
	"bytes"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"brainer/internal/command"
	"brainer/internal/op"
)

// registerCall is what is asked of a string key, registerAnswer what it answers.
type registerCall struct{ args []string }

type registerAnswer struct {
	reply   string
	unknown bool
}

// registerModel knows GET, SET, SET GET, APPEND and DEL of one key. The state is the value, or "" for none.
var registerModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(string), input.(registerCall).args, output.(registerAnswer)
		bulk := func(v string) string {
			if v == "" {
				return "nil"
			}
			return v
		}
		want, next := "", s
		switch {
		case in[0] == "GET":
			want = bulk(s)
		case in[0] == "SET" && len(in) == 4:
			want, next = bulk(s), in[2]
		case in[0] == "SET":
			want, next = "OK", in[2]
		case in[0] == "APPEND":
			next = s + in[2]
			want = strconv.Itoa(len(next))
		case in[0] == "DEL":
			want, next = strconv.Itoa(min(len(s), 1)), ""
		}
		return out.unknown || out.reply == want, next
	},
}

// plain takes the RESP off a reply of these commands.
func plain(reply []byte) string {
	if v, isNull := nullOrBulk(reply); isNull {
		return "nil"
	} else if v != nil {
		return string(v)
	}
	return string(bytes.TrimSuffix(reply[1:], []byte("\r\n")))
}

func nullOrBulk(reply []byte) (value []byte, isNull bool) {
	switch {
	case reply[0] == '_' || bytes.HasPrefix(reply, []byte("$-1")):
		return nil, true
	case reply[0] == '$':
		return bulk(reply)
	}
	return nil, false
}

// TestPorcupineAgrees looks at some histories with a checker that is not ours.
func TestPorcupineAgrees(t *testing.T) {
	const seeds = 25
	checked, undecided, longest := 0, 0, 0
	for seed := uint64(1); seed <= seeds; seed++ {
		byKey := map[string][]porcupine.Operation{}
		r := Run(Options{Seed: seed, Table: table,
			Change:  func(p *Plan) { p.SingleKeysOnly, p.OtherAcks, p.Broker.Memory.LimitBytes = true, 0, 0 },
			inspect: func(w *world) { byKey = registers(w) }})
		if r.Err != nil {
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
		if r.Stats.CopiesLost > 0 || r.Stats.Histories > 1 {
			continue // an operator began anew
		}
		for key, ops := range byKey {
			switch got := porcupine.CheckOperationsTimeout(registerModel, ops, 30*time.Second); got {
			case porcupine.Ok:
				checked += len(ops)
				longest = max(longest, len(ops))
			case porcupine.Unknown:
				undecided += len(ops)
			default:
				t.Errorf("seed %d: the history of %s (%d operations) is %s", seed, key, len(ops), got)
			}
		}
	}
	t.Logf("%d operations, at most %d on a key; %d in histories that it has no time for", checked, longest, undecided)
	if checked < 3*undecided {
		t.Error("it had time for too few")
	}
}

// TestPorcupineFindsAFault shows that it would not agree with everything.
func TestPorcupineFindsAFault(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		var byKey map[string][]porcupine.Operation
		opt := Options{Seed: seed, Table: table,
			Change: func(p *Plan) {
				p.SingleKeysOnly, p.OtherAcks, p.Nodes, p.FirstNodes, p.Broker.Memory.LimitBytes = true, 0, 3, 3, 0
			},
			inspect: func(w *world) { byKey = registers(w) }}
		opt.Broker.ReplyMixUp = true
		Run(opt)
		for _, ops := range byKey {
			if porcupine.CheckOperationsTimeout(registerModel, ops, 30*time.Second) == porcupine.Illegal {
				return
			}
		}
	}
	t.Error("20 seeds whose replies are mixed up are linearizable")
}

// registers returns what the clients saw, by key.
func registers(w *world) map[string][]porcupine.Operation {
	byKey := map[string][]porcupine.Operation{}
	for _, x := range w.history.all {
		raw, _, err := command.SplitCommand(x.o.Body, nil)
		if err != nil || x.outcome == refused || x.outcome != ok && x.o.Kind == op.Read {
			continue
		}
		in := registerCall{}
		for _, a := range raw {
			in.args = append(in.args, string(a))
		}
		o := porcupine.Operation{ClientId: x.client.index, Input: in, Call: int64(x.invoked), Return: math.MaxInt64, Output: registerAnswer{unknown: true}}
		if x.outcome == ok {
			o.Return, o.Output = int64(x.responded), registerAnswer{reply: plain(x.reply)}
		}
		byKey[in.args[1]] = append(byKey[in.args[1]], o)
	}
	return byKey
}
