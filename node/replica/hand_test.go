package replica

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"brainer/internal/command"
	"brainer/internal/wire"
	"brainer/resp"
)

var table = command.NewTable()

const cluster = 77

// hand plays the broker for one replica: it builds turns and reads what the replica puts out.
type hand struct {
	t       testing.TB
	r       *Replica
	epoch   uint64
	session uint64
	turn    uint64
	era     uint64
	pos     wire.Position // what it has sent
	confirm uint64
	safe    uint64
	nowMs   int64
	rid     uint64
	drawn   uint64
}

const ownNumber = 3

// plant plants a mistake, to see which tests notice it.
var plant = flag.String("plant", "", "the Fault to plant: NoGapCheck, IgnoreEpoch ...")

// TestPlantedFaultsAreNoticed plants what the simulator does not find by chance, and demands that the
// test which is meant for it fails.
func TestPlantedFaultsAreNoticed(t *testing.T) {
	for fault, test := range map[string]string{"NoGapCheck": "TestGapIsNackedAndChangesNothing", "IgnoreEpoch": "TestOlderEpochIsFencedAndChangesNothing",
		"StayOld": "TestTheVersionBeforeIsTriedWhenTheNewerIsRefused"} {
		t.Run(fault, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(self, "-test.run", "^"+test+"$", "-plant", fault).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+test) {
				t.Errorf("%s does not notice %s: %v\n%s", test, fault, err, out)
			}
		})
	}
}

func newHand(t testing.TB, change func(*Config)) *hand {
	h := &hand{t: t, epoch: 1, session: 1, era: 1, nowMs: 1_700_000_000_000}
	cfg := DefaultConfig()
	cfg.NodeID, cfg.Incarnation, cfg.Table = "n", 1, table
	cfg.Rand = func() uint64 { h.drawn++; return h.drawn * 1000 }
	if change != nil {
		change(&cfg)
	}
	if *plant != "" {
		reflect.ValueOf(&cfg.Fault).Elem().FieldByName(*plant).SetBool(true)
	}
	h.r = New(cfg)
	h.r.Open(h.session)
	h.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, h.head()))
	return h
}

// begun is a hand whose replica holds an empty history.
func begun(t testing.TB, change func(*Config)) *hand {
	h := newHand(t, change)
	h.r.Receive(wire.Load{ClusterID: cluster}.Append(nil, h.head()))
	return h
}

func (h *hand) head() wire.Header {
	return wire.Header{Epoch: h.epoch, Session: h.session, Seq: h.turn}
}

// item is something to put into a turn.
type item func(h *hand, b []byte) []byte

func encode(args ...string) []byte {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	return resp.AppendCommand(nil, raw...)
}

// entry is an ordered command; its kind is told by its name: WATCH, UNWATCH, EXEC (followed by
// commands in strings, parted by spaces), NOOP, TICK or any command. token is the connection's.
func entry(token uint64, args ...string) item {
	return func(h *hand, b []byte) []byte {
		h.pos.Index++
		h.pos.Era = h.era
		e := wire.Entry{Kind: wire.EntryCommand, Proto: 2, Primary: ownNumber, Seed: h.pos.Index * 31, TimeMs: h.nowMs, Token: token}
		switch args[0] {
		case "WATCH":
			e.Kind = wire.EntryWatch
		case "UNWATCH":
			e.Kind = wire.EntryUnwatch
		case "EXEC":
			e.Kind = wire.EntryTxn
		case "NOOP":
			e.Kind = wire.EntryNoop
		case "TICK":
			e.Kind = wire.EntryTick
		}
		switch e.Kind {
		case wire.EntryTxn:
			for _, c := range args[1:] {
				e.Body = append(e.Body, encode(strings.Fields(c)...)...)
			}
		case wire.EntryNoop, wire.EntryTick:
		default:
			e.Body = encode(args...)
		}
		return wire.AppendEntriesItem(b, 1, wire.AppendEntry(nil, &e))
	}
}

func do(args ...string) item { return entry(0, args...) }

func read(args ...string) item {
	return func(h *hand, b []byte) []byte {
		h.rid++
		return wire.AppendReadItem(b, &wire.Read{ID: h.rid, TimeMs: h.nowMs, Proto: 2, Body: encode(args...)})
	}
}

func query(index uint64) item {
	return func(_ *hand, b []byte) []byte { return wire.AppendQueryItem(b, index) }
}

func snapshot(id uint64) item {
	return func(_ *hand, b []byte) []byte { return wire.AppendSnapshotItem(b, id, true) }
}

// frame builds the turn that follows what was sent so far.
func (h *hand) frame(items ...item) []byte {
	h.turn++
	b := wire.BeginTurn(nil, wire.TurnHead{Prev: h.pos, Era: h.era, Confirm: h.confirm, Safe: h.safe, InSync: true})
	for _, it := range items {
		b = it(h, b)
	}
	return wire.FinishTurn(b, h.head())
}

// send sends a turn and returns the replies, "index: reply" or "read: reply".
func (h *hand) send(items ...item) []string { return h.give(h.frame(items...)) }

// give gives the replica a frame and returns what comes of it.
func (h *hand) give(frame []byte) (said []string) {
	h.t.Helper()
	verdict, why := h.r.Receive(frame)
	if verdict != Continue {
		said = append(said, why)
	}
	said = append(said, h.said()...)
	for h.r.Busy() {
		h.r.Step()
		said = append(said, h.said()...)
	}
	return said
}

func (h *hand) said() (said []string) {
	for _, f := range h.r.Out {
		head, body, err := wire.Decode(f.Joined())
		if err != nil {
			h.t.Fatal(err)
		}
		switch head.Type {
		case wire.TDone:
			d, err := wire.DecodeDone(body)
			if err != nil {
				h.t.Fatal(err)
			}
			for {
				kind, id, reply, ok := d.Next()
				if !ok {
					break
				}
				text := strings.ReplaceAll(strings.TrimSuffix(string(reply), "\r\n"), "\r\n", " ")
				switch kind {
				case wire.ReplyEntry:
					said = append(said, fmt.Sprintf("%d: %s", id, text))
				case wire.ReplyRead:
					said = append(said, "read: "+text)
				case wire.ReplyLater:
					said = append(said, "read: later")
				case wire.ReplyGone:
					said = append(said, fmt.Sprintf("%d: gone", id))
				}
			}
		case wire.TNack:
			m, _ := wire.DecodeNack(body)
			said = append(said, fmt.Sprintf("nack %d/%d", m.Position.Era, m.Position.Index))
		case wire.TFenced:
			m, _ := wire.DecodeFenced(body)
			said = append(said, fmt.Sprintf("fenced %d", m.Promised))
		default:
			said = append(said, head.Type.String())
		}
	}
	return said
}

func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}
