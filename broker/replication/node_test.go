package replication

import (
	"fmt"
	"strings"
	"testing"

	"brainer/internal/wire"
)

// visitors is a core that nodes come to and go from.
type visitors struct {
	t     *testing.T
	core  *Core
	nowUs int64
	drawn uint64
}

func newVisitors(t *testing.T) *visitors {
	v := &visitors{t: t, nowUs: 1_000_000_000}
	cfg := DefaultConfig()
	cfg.BrokerRun = 1
	cfg.Rand = func() uint64 { v.drawn++; return 2 * v.drawn }
	v.core = New(cfg, View{Members: []Member{{NodeID: "member", DataID: 1}}, ClusterID: 7}, v.nowUs)
	v.core.ViewStored(v.nowUs, v.core.Out.Store.No)
	return v
}

// comeAndGo says why a node was refused, "" if it was not.
func (v *visitors) comeAndGo(id string) (refused string) {
	v.drawn++
	v.nowUs++
	m := wire.Hello{NodeID: id, Incarnation: v.drawn, DataID: v.drawn}
	v.core.Out = Outputs{}
	v.core.Receive(v.nowUs, "peer of "+id, m.Append(nil, wire.Header{Session: v.drawn}))
	for _, f := range v.core.Out.Frames {
		h, body, err := wire.Decode(f.Bytes)
		if err != nil {
			v.t.Fatal(err)
		}
		if h.Type == wire.TReject {
			m, _ := wire.DecodeReject(body)
			refused = m.Reason
		}
	}
	v.core.Unreachable(v.nowUs, "peer of "+id)
	return refused
}

func (v *visitors) numbersAreUnique() {
	v.t.Helper()
	for i, n := range v.core.nodes {
		if n.number == 0 || i > 0 && n.number <= v.core.nodes[i-1].number {
			v.t.Fatalf("numbers %d and %d", v.core.nodes[i-1].number, n.number)
		}
	}
}

func TestForgottenNodesMakeRoomForOthers(t *testing.T) {
	v := newVisitors(t)
	for i := range 70_000 { // more than there are numbers
		id := fmt.Sprint("n", i)
		if why := v.comeAndGo(id); why != "" {
			t.Fatalf("node %d: %s", i, why)
		}
		if text := v.core.Forget(v.nowUs, id); text != "" {
			t.Fatalf("node %d: %s", i, text)
		}
		v.core.window.first++ // the entries that named it go too
		v.core.tail++
	}
	v.numbersAreUnique()
}

func TestANumberThatEntriesNameIsNotGivenAgain(t *testing.T) {
	v := newVisitors(t)
	v.core.window.first, v.core.tail = 1, 10
	v.comeAndGo("a")
	number := v.core.nodeByID("a").number
	v.core.Forget(v.nowUs, "a")
	v.comeAndGo("b")
	if v.core.nodeByID("b").number == number {
		t.Error("the window still holds what it may have been the primary of")
	}
	v.core.window.first = 11
	v.comeAndGo("c")
	if v.core.nodeByID("c").number != number {
		t.Error("the number is not used again")
	}
	v.numbersAreUnique()
}

func TestNodesThatHaveBeenGoneForLongMakeRoom(t *testing.T) {
	v := newVisitors(t)
	v.comeAndGo("member")
	for i := range nodesMax - 1 {
		if why := v.comeAndGo(fmt.Sprint("n", i)); why != "" {
			t.Fatal(why)
		}
	}
	if why := v.comeAndGo("too soon"); !strings.HasPrefix(why, "too many nodes") {
		t.Fatalf("%q", why)
	}
	v.nowUs += strangerUs
	for i := range 10 {
		if why := v.comeAndGo(fmt.Sprint("late", i)); why != "" {
			t.Fatal(why)
		}
	}
	if len(v.core.nodes) != nodesMax || v.core.nodeByID("member") == nil || v.core.nodeByID("n0") != nil || v.core.nodeByID("n10") == nil {
		t.Errorf("%d nodes", len(v.core.nodes))
	}
	v.numbersAreUnique()
}
