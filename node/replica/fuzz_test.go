package replica

import (
	"bytes"
	"encoding/binary"
	"testing"

	"brainer/internal/wire"
)

// FuzzLoadRecords loads any bytes as the records of a chunk: an error or a keyspace that can be
// read, snapshotted and compared, never a panic.
func FuzzLoadRecords(f *testing.F) {
	donor := begun(f, func(c *Config) { c.PartBytes = 5 })
	donor.send(do("SET", "long", "in more than two parts", "PX", "7000"), do("SET", "k", "v"), do("SET", "n", "12"), do("SET", "t", "x", "PX", "100000"), do("APPEND", "k", "w"),
		do("HSET", "h", "a", "1", "b", "2"), do("PEXPIRE", "h", "5000"), entry(7, "WATCH", "k", "none"), do("SET", "k", "z"))
	donor.send(snapshot(5))
	donor.r.Pump()
	_, body, _ := wire.Decode(donor.r.Out[0].Bytes)
	m, err := wire.DecodeChunk(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Records)
	for rest := m.Records; len(rest) > wire.RecordHead; {
		n := wire.RecordHead + int(binary.LittleEndian.Uint32(rest[8:]))
		f.Add(rest[:n])
		f.Add(rest[:n-1])
		rest = rest[n:]
	}
	f.Fuzz(func(t *testing.T, records []byte) {
		h := newHand(t, nil)
		at := wire.Position{Era: 1, Index: 9}
		h.r.Receive(wire.Load{SnapID: 5, ClusterID: cluster, Position: at}.Append(nil, h.head()))
		h.r.Receive(wire.Chunk{SnapID: 5, Last: true, Records: records}.Append(nil, h.head()))
		_, _, p, _ := h.r.Copy()
		if p.Index == 0 {
			if s := h.r.Status(); s.Keys != 0 {
				t.Errorf("refused, and %d keys are left", s.Keys)
			}
			return
		}
		h.pos = at
		h.send(read("DBSIZE"), read("KEYS", "*"), read("RANDOMKEY"), entry(7, "EXEC", "PING"), do("FLUSHALL"))
		if s := h.r.Status(); s.Faults > 0 {
			t.Errorf("%d commands panicked", s.Faults)
		}
		// What was loaded can be given on, and is then the same.
		a, b := newHand(t, nil), newHand(t, nil)
		a.r.Receive(wire.Load{SnapID: 5, ClusterID: cluster, Position: at}.Append(nil, a.head()))
		a.r.Receive(wire.Chunk{SnapID: 5, Last: true, Records: records}.Append(nil, a.head()))
		a.pos = at
		x := begin(t, a, b, 6)
		for x.step() {
		}
		if a.r.StateDigest(0) != b.r.StateDigest(0) {
			t.Errorf("given on, it is another state")
		}
	})
}

// FuzzReceive gives a replica frames with right checksums around fuzzed bodies, of all types, in the
// right and in wrong sessions and epochs: no panic, and nothing moves it but its own session and epoch.
func FuzzReceive(f *testing.F) {
	h := begun(f, nil)
	add := func(how byte, frame []byte) {
		_, body, _ := wire.Decode(frame)
		f.Add(append([]byte{frame[3], how, byte(len(body)), byte(len(body) >> 8)}, body...))
	}
	add(0, h.frame(do("SET", "k", "v"), read("GET", "k"), query(1), snapshot(5)))
	add(0, h.frame(entry(1, "WATCH", "k"), entry(1, "EXEC", "GET k", "SET k w"), do("SWAPDB", "0", "1")))
	add(0, wire.Load{SnapID: 4, ClusterID: cluster, Position: wire.Position{Era: 1, Index: 3}}.Append(nil, h.head()))
	add(0, wire.Chunk{SnapID: 4, Last: true}.Append(nil, h.head()))
	add(0, wire.Fetch{From: 1}.Append(nil, h.head()))
	add(1, wire.Prepare{BrokerRun: 4, Number: 3}.Append(nil, h.head()))
	add(2, wire.Reject{Retry: true, Reason: "x"}.Append(nil, h.head()))
	add(4, wire.Abort{SnapID: 4}.Append(nil, h.head()))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := begun(t, nil)
		h.send(do("SET", "k", "v"), do("HSET", "h", "f", "1"))
		h.r.Receive(bytes.Clone(b))
		for frames := 0; len(b) >= 4 && frames < 50; frames++ {
			typ, how, n := b[0], b[1], min(int(binary.LittleEndian.Uint16(b[2:])), len(b)-4)
			body := bytes.Clone(b[4 : 4+n])
			b = b[4+n:]
			session, promised := h.r.Session()
			head := wire.Header{Type: wire.Type(typ), Epoch: promised, Session: session, Seq: uint64(frames)}
			if how&1 != 0 {
				head.Epoch++
			}
			if how&2 != 0 {
				head.Epoch--
			}
			if how&4 != 0 {
				head.Session++
			}
			_, _, before, digest := h.r.Copy()
			own := head.Session == session && head.Epoch == promised
			v, _ := h.r.Receive(wire.Finish(append(wire.Begin(nil), body...), head))
			for steps := 0; h.r.Busy() && steps < 1000; steps++ {
				h.r.Step()
			}
			_, _, p, d := h.r.Copy()
			if !own && (p != before || d != digest) {
				t.Fatalf("a %s of session %d epoch %d moved it from %v to %v", head.Type, head.Session, head.Epoch, before, p)
			}
			for h.r.Pump() {
			}
			if v == Reopen || v == Refused {
				h.r.Open(session + 2)
			}
		}
		if s := h.r.Status(); s.Faults > 0 {
			t.Errorf("%d commands panicked", s.Faults)
		}
	})
}
