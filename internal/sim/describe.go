package sim

import (
	"fmt"
	"strings"

	"brainer/internal/wire"
)

const typeHello = wire.THello

func frameType(b []byte) wire.Type {
	if len(b) < 4 {
		return 0
	}
	return wire.Type(b[3])
}

// describe prints a message for a person.
func describe(b []byte) string {
	h, body, err := wire.Decode(b)
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%s epoch=%d session=%x", h.Type, h.Epoch, h.Session)
	switch h.Type {
	case wire.TTurn:
		t, err := wire.DecodeTurn(body)
		if err != nil {
			return s
		}
		s += fmt.Sprintf(" turn=%d prev=%d/%d era=%d confirm=%d safe=%d", h.Seq, t.Prev.Era, t.Prev.Index, t.Era, t.Confirm, t.Safe)
		var it wire.Item
		for t.Next(&it) {
			switch it.Kind {
			case wire.ItemEntries:
				s += fmt.Sprintf(" entries(%d)", it.Count)
				for b := it.Entries; len(b) > 0; {
					var e wire.Entry
					rest, err := wire.NextEntry(b, &e)
					if err != nil {
						break
					}
					s += fmt.Sprintf("[%d p%d t%d %s]", e.Kind, e.Primary, e.TimeMs%100000, strings.ReplaceAll(string(e.Body), "\r\n", " "))
					b = rest
				}
			case wire.ItemRead:
				s += fmt.Sprintf(" read(%d t%d %s)", it.Read.ID, it.Read.TimeMs%100000, strings.ReplaceAll(string(it.Read.Body), "\r\n", " "))
			case wire.ItemAhead:
				s += fmt.Sprintf(" ahead(%d)", it.ID)
			case wire.ItemQuery:
				s += fmt.Sprintf(" query(%d)", it.ID)
			case wire.ItemSnapshot:
				s += fmt.Sprintf(" snapshot(%x)", it.ID)
			}
		}
	case wire.TDone:
		d, err := wire.DecodeDone(body)
		if err != nil {
			return s
		}
		s += fmt.Sprintf(" turn=%d applied=%d/%d part=%v", h.Seq, d.Applied.Era, d.Applied.Index, d.Part)
		for {
			kind, id, reply, ok := d.Next()
			if !ok {
				break
			}
			s += fmt.Sprintf(" reply(%d %d %q)", kind, id, reply)
		}
	case wire.TAhead:
		s += fmt.Sprintf(" number=%d bytes=%d", h.Seq, len(body))
	case wire.TAheadGot:
		m, _ := wire.DecodeAheadGot(body)
		s += fmt.Sprintf(" number=%d %+v", h.Seq, m)
	case wire.TPosition:
		m, _ := wire.DecodePositionReport(body)
		s += fmt.Sprintf(" %+v", m)
	case wire.TNack:
		m, _ := wire.DecodeNack(body)
		s += fmt.Sprintf(" %+v", m)
	case wire.TReject:
		m, _ := wire.DecodeReject(body)
		s += fmt.Sprintf(" %+v", m)
	case wire.THello:
		m, _ := wire.DecodeHello(body, h.Version)
		s += fmt.Sprintf(" %+v", m)
	case wire.TChunk:
		m, _ := wire.DecodeChunk(body)
		s += fmt.Sprintf(" snap=%x number=%d last=%v bytes=%d", m.SnapID, m.Number, m.Last, len(m.Records))
	case wire.TLoad:
		m, _ := wire.DecodeLoad(body)
		s += fmt.Sprintf(" %+v", m)
	}
	return s
}
