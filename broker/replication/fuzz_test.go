package replication

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// FuzzReceive gives the core frames with right checksums around fuzzed bodies, as from a node that is
// in sync, from one that joins and from nobody: no panic, the safe index never goes back, and a
// write under ack all is never answered before both nodes have said that they have it.
func FuzzReceive(f *testing.F) {
	add := func(how byte, frame []byte) {
		_, body, _ := wire.Decode(frame)
		f.Add(append([]byte{frame[3], how, byte(len(body)), byte(len(body) >> 8)}, body...))
	}
	h := wire.Header{}
	add(0, wire.FinishDone(wire.BeginDone(nil), wire.DoneHead{Applied: wire.Position{Era: 1, Index: 2}}, h))
	add(0, wire.Nack{Position: wire.Position{Era: 1, Index: 1}}.Append(nil, h))
	add(1, wire.PositionReport{Position: wire.Position{Era: 1, Index: 1}, DataID: 9}.Append(nil, h))
	add(1, wire.Hello{NodeID: "n1", Incarnation: 5}.Append(nil, h))
	add(2, wire.Hello{NodeID: "n9", Incarnation: 5}.Append(nil, h))
	add(1, wire.Chunk{SnapID: 1, Last: true}.Append(nil, h))
	add(1, wire.Credit{SnapID: 1}.Append(nil, h))
	add(0, wire.Abort{SnapID: 1}.Append(nil, h))
	add(0, wire.Entries{Runs: []wire.Run{{Era: 1, First: 1, Count: 1, Entries: wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryNoop})}}}.Append(nil, h))
	add(0, wire.Goodbye{}.Append(nil, h))
	add(0, wire.Fenced{Promised: 9}.Append(nil, h))
	add(4, wire.Beat{BusyMs: 9}.Append(nil, h))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &script{t: t, quiet: true}
		s.step([]string{"broker", "window=300"})
		s.step([]string{"set", "n1", "n2"})
		s.quiet = true
		s.step([]string{"n3", "holds"})
		s.step([]string{"n3", "starts"})
		s.step([]string{"n2", "holds"})
		write := &op.Op{Kind: op.Write, Proto: 2, Body: []byte("w"), Keys: []uint64{xxhash.Sum64String("k")}}
		read := &op.Op{Kind: op.Read, Proto: 2, Body: []byte("r"), Keys: []uint64{xxhash.Sum64String("k")}}
		s.core.Submit(s.nowUs, write)
		s.core.Submit(s.nowUs, read)
		s.settle()
		_, _, last, _ := s.core.Indexes()
		own := map[byte]string{0: "n1", 1: "n3", 2: "nobody", 3: "n1", 4: "n1"}
		for frames := 0; len(b) >= 4 && frames < 50; frames++ {
			typ, how, n := b[0], b[1], min(int(binary.LittleEndian.Uint16(b[2:])), len(b)-4)
			body := bytes.Clone(b[4 : 4+n])
			b = b[4+n:]
			p := s.node("n1")
			if own[how%5] == "n3" {
				p = s.node("n3")
			}
			head := p.header()
			head.Type, head.Epoch, head.Seq = wire.Type(typ), s.core.epoch, uint64(how>>4)
			peer := p.peer()
			switch how % 5 {
			case 2:
				peer = "nobody"
			case 3:
				head.Session++
			case 4:
				peer = p.beatPeer()
			}
			s.core.Receive(s.nowUs, peer, wire.Finish(append(wire.Begin(nil), body...), head))
			s.settle()
			if how&8 != 0 {
				s.tick(60)
			}
			_, _, safe, serving := s.core.Indexes()
			if serving && safe < last {
				t.Fatalf("the safe index went from %d to %d", last, safe)
			}
			last = safe
			if s.core.view.has("n2", s.node("n2").dataID) && write.Hold.Notified && bytes.HasPrefix(write.Reply, []byte("+")) && s.node("n2").pos.Index < 2 {
				t.Fatal("acknowledged without n2")
			}
		}
		s.core.Stop(s.nowUs)
	})
}
