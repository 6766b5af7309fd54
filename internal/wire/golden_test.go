package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: another protocol version then")

var goldenHeader = Header{Epoch: 0x0102030405060708, Session: 0x1112131415161718, Seq: 0x2122232425262728, TimeMs: 0x3132333435363738}

// sample is a message of every type, whose fields all differ.
type sample struct {
	name   string
	frame  []byte
	decode func(body []byte) (any, error)
	want   any
}

func samples(version uint8) []sample {
	h := goldenHeader
	h.Version = version
	hello := Hello{NodeID: "n1", Endpoint: "ipc:///tmp/n1", Incarnation: 1, DataID: 2, ClusterID: 3, Promised: 4, Embedded: true, Software: "v1", Disk: true, Was: []uint64{5, 8}, Renamed: true, LoadDone: 6, LoadTotal: 7}
	if version == VersionBefore {
		hello.Disk, hello.Was, hello.Renamed, hello.LoadDone, hello.LoadTotal = false, nil, false, 0, 0
	}
	prepare := Prepare{BrokerRun: 1, Number: 2, ClusterID: 3}
	position := PositionReport{Position: Position{Era: 1, Index: 2}, DataID: 3, ClusterID: 4, RingFirst: 5, LastMs: 6, Loading: true, SnapID: 7}
	fenced := Fenced{Promised: 1}
	reject := Reject{Retry: true, Reason: "why"}
	nack := Nack{Position: Position{Era: 1, Index: 2}}
	beat := Beat{Applied: 1, Turn: 2, BusyMs: 3, Reclaimable: true, Keys: 4, UsedBytes: 5, IDs: 8, IDsAnswered: 9, Tail: 6, Safe: 7, InSync: true, State: "live"}
	if version != VersionBefore {
		beat.MemoryBytes, beat.LimitBytes, beat.Counts = 10, 11, Counts{LFU: true, LogFactor: 12, DecayMinutes: 13}
		beat.Kept, beat.Keep = 14, 15
	}
	load := Load{SnapID: 1, ClusterID: 2, Position: Position{Era: 3, Index: 4}}
	chunk := Chunk{SnapID: 1, Number: 2, Last: true, Digest: 3, KeysDone: 4, KeysTotal: 5, BytesTotal: 6, Records: []byte("records")}
	credit := Credit{SnapID: 1, UpTo: 2}
	abort := Abort{SnapID: 1}
	fetch := Fetch{From: 1}
	entries := Entries{Runs: []Run{{Era: 1, First: 2, Count: 3, Entries: []byte("abc")}, {Era: 4, First: 5, Count: 6, Entries: []byte("d")}}}
	got := AheadGot{Fragments: 1, Whole: true}
	list := []sample{
		{"hello", hello.Append(nil, h), func(b []byte) (any, error) { return DecodeHello(b, version) }, hello},
		{"prepare", prepare.Append(nil, h), func(b []byte) (any, error) { return DecodePrepare(b) }, prepare},
		{"position", position.Append(nil, h), func(b []byte) (any, error) { return DecodePositionReport(b) }, position},
		{"fenced", fenced.Append(nil, h), func(b []byte) (any, error) { return DecodeFenced(b) }, fenced},
		{"reject", reject.Append(nil, h), func(b []byte) (any, error) { return DecodeReject(b) }, reject},
		{"turn", goldenTurn(h), func(b []byte) (any, error) { return takeTurn(b) }, goldenTurnItems(version)},
		{"done", goldenDone(h), func(b []byte) (any, error) { return takeDone(b) }, goldenDoneReplies(version)},
		{"nack", nack.Append(nil, h), func(b []byte) (any, error) { return DecodeNack(b) }, nack},
		{"beat", beat.Append(nil, h), func(b []byte) (any, error) { return DecodeBeat(b, version) }, beat},
		{"load", load.Append(nil, h), func(b []byte) (any, error) { return DecodeLoad(b) }, load},
		{"chunk", chunk.Append(nil, h), func(b []byte) (any, error) { return DecodeChunk(b) }, chunk},
		{"credit", credit.Append(nil, h), func(b []byte) (any, error) { return DecodeCredit(b) }, credit},
		{"abort", abort.Append(nil, h), func(b []byte) (any, error) { return DecodeAbort(b) }, abort},
		{"fetch", fetch.Append(nil, h), func(b []byte) (any, error) { return DecodeFetch(b) }, fetch},
		{"entries", entries.Append(nil, h), func(b []byte) (any, error) { return DecodeEntries(b) }, entries},
		{"goodbye", Goodbye{}.Append(nil, h), func(b []byte) (any, error) { return len(b), nil }, 0},
	}
	if version != VersionBefore {
		h.Type = TAhead
		list = append(list, sample{"ahead", Finish(append(Begin(nil), "an entry"...), h), func(b []byte) (any, error) { return string(b), nil }, "an entry"},
			sample{"ahead got", got.Append(nil, h), func(b []byte) (any, error) { return DecodeAheadGot(b) }, got})
	}
	return list
}

func goldenEntries() []Entry {
	return []Entry{
		{Kind: EntryCommand, DB: 1, Proto: 3, NoTouch: true, Primary: 2, Seed: 3, TimeMs: 4, Token: 5, Body: []byte("*1\r\n$4\r\nPING\r\n")},
		{Kind: EntryTxn, DB: 2, Proto: 2, TimeMs: 5, ID: RequestID{Client: []byte("me"), Number: 7, KeepMs: 8}, Body: []byte("*1\r\n$4\r\nPING\r\n")},
		{Kind: EntryNoop, Proto: 2, TimeMs: 6, Body: []byte{}},
	}
}

func goldenTurn(h Header) []byte {
	b := BeginTurn(nil, TurnHead{Prev: Position{Era: 1, Index: 2}, Era: 3, Confirm: 4, Safe: 5, InSync: true})
	var run []byte
	es := goldenEntries()
	for i := range es {
		run = AppendEntry(run, &es[i])
	}
	b = AppendEntriesItem(b, len(es), run)
	b = AppendReadItem(b, &Read{ID: 6, TimeMs: 7, DB: 8, Proto: 3, Txn: true, NoTouch: true, Body: []byte("read")})
	b = AppendQueryItem(b, 9)
	b = AppendSnapshotItem(b, 10, false)
	if h.Version != VersionBefore {
		b = AppendSnapshotItem(b, 11, true)
		b = AppendReadItem(b, &Read{ID: 12, TimeMs: 13, Due: true, Accesses: 18, Body: []byte("due")})
		b = AppendMemoryItem(b, goldenAsk())
		b = AppendAheadItem(b, 19, AppendEntryHead(nil, &es[1]))
	}
	return FinishTurn(b, h)
}

func goldenTurnItems(version uint8) []any {
	es := goldenEntries()
	items := []any{TurnHead{Prev: Position{Era: 1, Index: 2}, Era: 3, Confirm: 4, Safe: 5, InSync: true},
		es[0], es[1], es[2], Read{ID: 6, TimeMs: 7, DB: 8, Proto: 3, Txn: true, NoTouch: true, Body: []byte("read")},
		ItemQuery, uint64(9), ItemSnapshot, uint64(10), false}
	if version != VersionBefore {
		items = append(items, ItemSnapshot, uint64(11), true, Read{ID: 12, TimeMs: 13, Due: true, Accesses: 18, Body: []byte("due")}, *goldenAsk(),
			ItemAhead, uint64(19), string(AppendEntryHead(nil, &es[1])))
	}
	return items
}

func goldenAsk() *AskMemory {
	return &AskMemory{TimeMs: 14, Policy: 1, Samples: 5, WantBytes: 15, Salts: []uint64{16, 17}, Own: 1}
}

func takeTurn(body []byte) ([]any, error) {
	t, err := DecodeTurn(body)
	if err != nil {
		return nil, err
	}
	if err := t.Check(16); err != nil {
		return nil, err
	}
	got := []any{t.TurnHead}
	var it Item
	for t.Next(&it) {
		switch it.Kind {
		case ItemEntries:
			for rest := it.Entries; len(rest) > 0; {
				var e Entry
				if rest, err = NextEntry(rest, &e); err != nil {
					return nil, err
				}
				got = append(got, e)
			}
		case ItemRead:
			got = append(got, it.Read)
		case ItemMemory:
			got = append(got, it.Memory)
		case ItemSnapshot:
			got = append(got, it.Kind, it.ID, it.Parts)
		case ItemAhead:
			got = append(got, it.Kind, it.ID, string(it.Entries))
		default:
			got = append(got, it.Kind, it.ID)
		}
	}
	return got, t.Err()
}

func goldenDone(h Header) []byte {
	b := BeginDone(nil)
	for _, r := range goldenDoneReplies(h.Version)[1:] {
		r := r.(reply)
		b = BeginReply(b, r.Kind, r.ID)
		start := len(b)
		b = append(b, r.Bytes...)
		EndReply(b, start)
	}
	return FinishDone(b, goldenDoneReplies(h.Version)[0].(DoneHead), h)
}

// reply is one of a Done's.
type reply struct {
	Kind  ReplyKind
	ID    uint64
	Bytes string
}

func goldenDoneReplies(version uint8) []any {
	replies := []any{DoneHead{Applied: Position{Era: 1, Index: 2}, DigestIndex: 3, Digest: 4, Part: true},
		reply{ReplyEntry, 5, "+OK\r\n"}, reply{ReplyRead, 6, "$-1\r\n"}, reply{ReplyGone, 7, ""}}
	if version != VersionBefore {
		b := AppendNomination(nil, Nomination{DB: 1, Hash: 5, Bytes: 2, Key: []byte("k")})
		replies = append(replies, reply{ReplyMemory, 8, string(AppendNomination(b, Nomination{DB: 3, Bytes: 4, Key: []byte("key")}))},
			reply{ReplyCounts, 0, string(Tally{Hits: 1, Misses: 2, EntryHits: 3, EntryMisses: 4, Expired: 5}.Append(nil))})
	}
	return replies
}

func takeDone(body []byte) ([]any, error) {
	d, err := DecodeDone(body)
	if err != nil {
		return nil, err
	}
	got := []any{d.DoneHead}
	for {
		kind, id, b, ok := d.Next()
		if !ok {
			return got, d.Err()
		}
		got = append(got, reply{kind, id, string(b)})
	}
}

// The bytes on the wire are a promise to the other version: a change of golden.txt is a change of Version,
// and before.txt, which the version before has written, never changes.
func TestBytesOnTheWire(t *testing.T) {
	t.Run("golden", func(t *testing.T) { bytesOnTheWire(t, Version, "testdata/golden.txt", *update) })
	t.Run("before", func(t *testing.T) { bytesOnTheWire(t, VersionBefore, "testdata/before.txt", false) })
}

func bytesOnTheWire(t *testing.T, version uint8, path string, update bool) {
	var file strings.Builder
	seen := map[Type]bool{}
	for _, s := range samples(version) {
		fmt.Fprintf(&file, "%s\n%s", s.name, hex.Dump(s.frame))
		h, body, err := Decode(s.frame)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		want := goldenHeader
		want.Type, want.Version = h.Type, version
		if h != want {
			t.Errorf("%s: header %+v, want %+v", s.name, h, want)
		}
		if h.Type.String() != s.name {
			t.Errorf("%s is called %s", s.name, h.Type)
		}
		seen[h.Type] = true
		got, err := s.decode(body)
		if err != nil || !reflect.DeepEqual(got, s.want) {
			t.Errorf("%s: decoded %+v (%v), want %+v", s.name, got, err, s.want)
		}
		if s.name == "goodbye" || s.name == "ahead" { // any bytes are one
			continue
		}
		for n := range body { // cut off anywhere, it is no message, unless it ends between two items
			if cut, err := s.decode(body[:n]); err == nil && (s.name != "turn" && s.name != "done" || reflect.DeepEqual(cut, got)) {
				t.Errorf("%s: its first %d bytes are taken for a message", s.name, n)
			}
		}
		if _, err := s.decode(append(bytes.Clone(body), 0)); err == nil {
			t.Errorf("%s: one byte too many is not noticed", s.name)
		}
	}
	for typ := THello; typ < typeEnd; typ++ {
		if !seen[typ] && (typ < TAhead || version != VersionBefore) {
			t.Errorf("no sample of %s", typ)
		}
	}
	if update {
		if err := os.WriteFile(path, []byte(file.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if file.String() != string(golden) {
		t.Errorf("the bytes on the wire have changed; if that is meant, raise Version and run this with -update.\ngot\n%s", file.String())
	}
}
