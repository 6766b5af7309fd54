package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"brainer/internal/keyspace"
	"brainer/internal/wire"
)

// transfer moves frames of a snapshot from a donor to a joiner, as the broker relays them.
type transfer struct {
	t             testing.TB
	donor, joiner *hand
	id            uint64
	lose          func(m wire.Chunk) bool
	loaded        bool
	aborted       bool
}

func begin(t testing.TB, donor, joiner *hand, id uint64) *transfer {
	joiner.r.Receive(wire.Load{SnapID: id, ClusterID: cluster, Position: donor.pos}.Append(nil, joiner.head()))
	donor.send(snapshot(id))
	return &transfer{t: t, donor: donor, joiner: joiner, id: id}
}

// step moves one chunk, if there is one.
func (x *transfer) step() bool {
	if !x.donor.r.Pump() {
		return false
	}
	for _, f := range x.donor.r.Out {
		_, body, err := wire.Decode(f.Joined())
		if err != nil {
			x.t.Fatal(err)
		}
		m, err := wire.DecodeChunk(body)
		if err != nil {
			x.t.Fatal(err)
		}
		if x.lose != nil && x.lose(m) {
			continue
		}
		x.joiner.r.Receive(m.Append(nil, x.joiner.head()))
		for _, answer := range slices.Clone(x.joiner.r.Out) {
			h, body, _ := wire.Decode(answer.Joined())
			switch h.Type {
			case wire.TCredit:
				c, _ := wire.DecodeCredit(body)
				x.donor.r.Receive(c.Append(nil, x.donor.head()))
			case wire.TAbort:
				x.aborted = true
				x.donor.r.Receive(wire.Abort{SnapID: x.id}.Append(nil, x.donor.head()))
			case wire.TPosition:
				p, _ := wire.DecodePositionReport(body)
				x.loaded = p.SnapID == x.id
			}
		}
	}
	return true
}

// randomEntry is some write on a few keys.
func randomEntry(r *rand.Rand) item {
	k := func() string { return "k" + strconv.Itoa(r.IntN(40)) }
	hash := func() string { return "h" + strconv.Itoa(r.IntN(4)) }
	n := strconv.Itoa(r.IntN(1000))
	token := uint64(1 + r.IntN(3))
	if r.IntN(6) == 0 {
		return with("c"+strconv.Itoa(r.IntN(5)), uint64(r.IntN(30)), uint8(2+r.IntN(2)), do("GETSET", k(), n))
	}
	switch r.IntN(16) {
	case 0, 1, 2:
		return do("SET", k(), "v"+n)
	case 3:
		return do("SET", k(), n, "PX", strconv.Itoa(1+r.IntN(300)))
	case 4:
		return do("INCR", "n"+strconv.Itoa(r.IntN(5)))
	case 5:
		return do("APPEND", k(), n)
	case 6, 7, 8:
		return do("HSET", hash(), "f"+strconv.Itoa(r.IntN(200)), n)
	case 9:
		return do("HDEL", hash(), "f"+strconv.Itoa(r.IntN(200)))
	case 10:
		return do("DEL", k(), k())
	case 11:
		return do("RENAME", k(), k())
	case 12:
		return do("PEXPIRE", hash(), strconv.Itoa(1+r.IntN(2000)))
	case 13:
		return entry(token, "WATCH", k(), hash())
	case 14:
		return entry(token, "EXEC", "GET "+k(), "HRANDFIELD "+hash(), "SET "+k()+" "+n)
	default:
		if r.IntN(10) == 0 {
			return do("FLUSHALL")
		}
		return do("GETDEL", k())
	}
}

// A joiner that loads a snapshot while writes go on at its donor, and replays what was ordered since,
// is equal to it: in its state, in its rolling digest and in what connections watch.
func TestSnapshotIsTheStateAtItsMark(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		r := rand.New(rand.NewPCG(seed, 1))
		reclaim := r.IntN(3)
		small := func(c *Config) {
			c.ChunkBytes, c.ChunkCredit = []int{1, 100, 5000}[r.IntN(3)], uint32(1+r.IntN(3))
			c.ReclaimPerEntry, c.PartBytes = reclaim, []int{3, 7, 1000}[r.IntN(3)]
		}
		donor, joiner := begun(t, small), newHand(t, small)
		step := func() { donor.nowMs += int64(r.IntN(5)) }
		for range r.IntN(400) {
			step()
			donor.send(randomEntry(r))
		}
		at := donor.pos
		x := begin(t, donor, joiner, 500)
		var since []item
		for moved := true; moved || !x.loaded; {
			for range r.IntN(3) {
				step()
				one := record(randomEntry(r), &since)
				donor.send(one)
			}
			moved = x.step()
			if !moved && !x.loaded {
				t.Fatalf("seed %d: the snapshot stands still", seed)
			}
		}
		if _, c, p, _ := joiner.r.Copy(); p != at || c != cluster {
			t.Fatalf("seed %d: loaded %v of history %d, want %v", seed, p, c, at)
		}
		joiner.pos, joiner.nowMs = at, donor.nowMs
		for _, it := range since {
			joiner.send(it)
		}
		for range 20 { // and some more on both
			var again []item
			donor.send(record(randomEntry(r), &again))
			joiner.send(again[0])
		}
		_, _, pd, dd := donor.r.Copy()
		_, _, pj, dj := joiner.r.Copy()
		if pd != pj || dd != dj || donor.r.StateDigest(donor.nowMs) != joiner.r.StateDigest(donor.nowMs) {
			t.Fatalf("seed %d: the copies differ: %v %x, %v %x", seed, pd, dd, pj, dj)
		}
	}
}

// record notes an item as it was encoded, to be sent to another replica.
func record(it item, to *[]item) item {
	return func(h *hand, b []byte) []byte {
		before := len(b)
		b = it(h, b)
		encoded := append([]byte(nil), b[before:]...)
		at := h.pos
		*to = append(*to, func(other *hand, b []byte) []byte {
			other.pos = at
			return append(b, encoded...)
		})
		return b
	}
}

func TestWatchesTravelWithTheSnapshot(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []item
		want   string
	}{
		{"clean", []item{entry(1, "WATCH", "k")}, "*1 +PONG"},
		{"dirty", []item{entry(1, "WATCH", "k"), do("SET", "k", "v")}, "*-1"},
		{"lived, and expires after", []item{do("SET", "k", "v", "PX", "100"), entry(1, "WATCH", "k")}, "*-1"},
		{"expired before it was watched", []item{do("SET", "k", "v", "PX", "1"), entry(2, "WATCH", "x"), entry(1, "WATCH", "j")}, "*1 +PONG"},
	} {
		donor, joiner := begun(t, nil), newHand(t, nil)
		donor.send(c.before...)
		for x := begin(t, donor, joiner, 5); x.step(); {
		}
		joiner.pos, joiner.nowMs = donor.pos, donor.nowMs
		for _, h := range []*hand{donor, joiner} {
			h.nowMs += 200
			index := h.pos.Index + 1
			expect(t, h.send(entry(1, "EXEC", "PING")), fmt.Sprintf("%d: %s", index, c.want))
		}
	}
}

func TestLostChunkAbortsTheSnapshot(t *testing.T) {
	donor, joiner := begun(t, nil), newHand(t, func(c *Config) { c.ChunkBytes = 20 })
	donor.r.cfg.ChunkBytes = 20
	for i := range 20 {
		donor.send(do("SET", "key"+strconv.Itoa(i), "value"))
	}
	x := begin(t, donor, joiner, 5)
	x.lose = func(m wire.Chunk) bool { return m.Number == 2 }
	for x.step() {
	}
	if !x.aborted || x.loaded {
		t.Errorf("aborted %v loaded %v", x.aborted, x.loaded)
	}
	if s := joiner.r.Status(); s.Keys != 0 || s.Loading || s.Position.Index != 0 {
		t.Errorf("it keeps a part of a state: %+v", s)
	}
}

func TestDamagedChunkAbortsTheSnapshot(t *testing.T) {
	joiner := newHand(t, nil)
	joiner.r.Receive(wire.Load{SnapID: 5, ClusterID: cluster, Position: wire.Position{Era: 1, Index: 9}}.Append(nil, joiner.head()))
	expect(t, joiner.give(wire.Chunk{SnapID: 5, Last: true, Records: []byte("nonsense")}.Append(nil, joiner.head())), "abort")
	if _, c, p, _ := joiner.r.Copy(); p.Index != 0 || c != 0 {
		t.Errorf("it stands at %v of %d", p, c)
	}
}

// A string in parts is taken whole or not at all, and nothing comes between its parts.
func TestPartsThatDoNotFitAbortTheSnapshot(t *testing.T) {
	part := func(offset, whole int, key, value string) []byte {
		return appendPart(nil, &keyspace.Record{Type: keyspace.TypeString, Key: []byte(key), Value: []byte(value), Offset: offset, Whole: whole})
	}
	first := part(0, 9, "k", "abc")
	for _, c := range []struct {
		name    string
		records [][]byte
		version uint8
		loads   bool
	}{
		{"all of them", [][]byte{first, part(3, 9, "k", "def"), part(6, 9, "k", "ghi")}, 0, true},
		{"the last is missing", [][]byte{first, part(3, 9, "k", "def")}, 0, false},
		{"more than was said", [][]byte{first, part(3, 9, "k", "defghijk")}, 0, false},
		{"one of another key", [][]byte{first, part(3, 9, "l", "defghi")}, 0, false},
		{"an empty one", [][]byte{first, part(3, 9, "k", ""), part(3, 9, "k", "defghi")}, 0, false},
		{"something in between", [][]byte{first, appendTime(5), part(3, 9, "k", "defghi")}, 0, false},
		{"the first is missing", [][]byte{part(3, 9, "k", "defghi")}, 0, false},
		{"the first is all of it", [][]byte{part(0, 3, "k", "abc")}, 0, false},
		{"a session in which there are none", [][]byte{first, part(3, 9, "k", "defghi")}, wire.VersionBefore, false},
	} {
		joiner := newHand(t, nil)
		if c.version > 0 {
			joiner.r.version = c.version
		}
		head := joiner.head()
		head.Version = c.version
		joiner.r.Receive(wire.Load{SnapID: 5, ClusterID: cluster, Position: wire.Position{Era: 1, Index: 9}}.Append(nil, head))
		for i, r := range c.records {
			m := wire.Chunk{SnapID: 5, Number: uint32(i), Last: i == len(c.records)-1, Records: r}
			joiner.r.Receive(m.Append(nil, head))
		}
		if _, _, p, _ := joiner.r.Copy(); (p.Index == 9) != c.loads {
			t.Errorf("%s: it stands at %v", c.name, p)
		}
	}
}

// A broker that recovers from a joiner must not give times before those that its history has had.
func TestTimeTravelsWithTheSnapshot(t *testing.T) {
	donor, joiner := begun(t, nil), newHand(t, nil)
	donor.send(do("SET", "k", "v"))
	for x := begin(t, donor, joiner, 5); x.step(); {
	}
	joiner.r.Receive(wire.Prepare{BrokerRun: 9, Number: 1}.Append(nil, joiner.head()))
	_, body, _ := wire.Decode(joiner.r.Out[0].Bytes)
	m, err := wire.DecodePositionReport(body)
	if err != nil || m.LastMs != donor.nowMs {
		t.Errorf("it reports time %d, the entry had %d (%v)", m.LastMs, donor.nowMs, err)
	}
}

// A copy that is dropped for a snapshot is another one from then on.
func TestLoadingDrawsANewDataID(t *testing.T) {
	h := begun(t, nil)
	h.send(do("SET", "k", "v"))
	before, _, _, _ := h.r.Copy()
	h.r.Receive(wire.Load{SnapID: 5, ClusterID: cluster, Position: wire.Position{Era: 1, Index: 9}}.Append(nil, h.head()))
	if after, _, _, _ := h.r.Copy(); after == before {
		t.Error("the same data id")
	}
}
