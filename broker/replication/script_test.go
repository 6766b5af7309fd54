package replication

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/datadriven"

	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// TestConversations runs the scripts under testdata: conversations between the core, nodes that are
// played by hand, and clients. Each line of a block is one step; what follows from it stands below
// (go test -rewrite writes it anew: read the difference).
//
//	broker [embedded] [ahead=BYTES fragment=BYTES] [min=N] [ack=all|primary|N] [window=BYTES] [hedge=PERCENTILE] [floor=BYTES] [lag=ENTRIES] [turn=BYTES]   a broker without a record
//	restart [lost] [norecord]   the broker process ends and another one starts; lost: the record on its way did
//	                        not arrive; norecord: nor does it find an earlier one
//	set n1 n2 ...           these nodes start and become live, without a word here
//	n1 starts | restarts | again [inc=N] [version=N] [cluster=N]   a process begins (empty), begins anew (empty), opens another session
//	n1 disk | nodisk        from its next session on its copy is kept, or is not
//	n1 returns [at=N] [stranger cluster=N]   it was killed, and comes back with what is left on its disk: up to index N, under another data id;
//	                        stranger: of a copy that was never here
//	n1 renames              its disk does not follow any more: the same copy, under another data id, in another session
//	n1 keeps                its heartbeats say that the snapshot which was wanted is on its disk
//	n1 holds                from now on what is sent to it waits (it is stopped)
//	n1 works [lost] [one]   it does what waits (one: the first of it); lost: its answers get lost
//	n1 misses [one]         what waits for it is lost (one: the first of it)
//	n1 forgets              it loses what was sent ahead
//	n1 far US               the quickest answer of its session has taken so long
//	n1 goes on              it answers at once again
//	n1 goeson | n1 finishes it says that it goes on with its long reads (of clients long1, long2 ...), or answers them
//	n1 dies                 nobody is connected there any more
//	n1 goodbye
//	n1 drops N              it has memory to give back, which takes so many TICKs
//	n1 busy MS | idle       what its heartbeats say
//	w1 write KEY... [ack=...] [oom] [pipeline=NAME] [ahead=BYTES] | r1 read KEY... | b1 wait w1 copies=N [timeout=MS]   of a client (copies: with the first); KEY * is the keyspace as a whole
//	n1 donates N bytes=B    snapshots that it gives come in so many chunks of that size, as it has credit
//	n1 lags                 it takes in one message in 20 ms
//	load MS us=N [calls=N] [open=N] [node=n1]   writes are sent for so long, some every 20 ms, no more than so many without an answer,
//	                        and answered after so many microseconds, as that node takes its time; then how joins are paced
//	tick MS                 time passes; nodes that do not hold send heartbeats
//	passes US               time passes, and nothing else happens
//	stands MS               the broker stands still for so long
//	store off | on | done   the record is written at once (on), or when it is said
//	snapshot begins | upto N | ends   somebody in the broker reads one, as far as part N; or does not want it any more
//	keep | kept             nodes with a disk are asked to put a snapshot on it | which have not, and which will not
//	recover empty | recover n1 | forget n1 | stop
//	status
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.out = t, strings.Builder{}
			for _, line := range strings.Split(d.Input, "\n") {
				if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
					s.step(strings.Fields(line))
				}
			}
			if s.out.Len() == 0 {
				return "nothing\n"
			}
			return s.out.String()
		})
	})
}

// plant plants a mistake, to see which scripts notice it.
var plant = flag.String("plant", "", "the Fault to plant: AckEarly, NoReadHold ...")

// TestScriptsFindPlantedFaults plants what the simulator does not find by chance, and demands that the
// script which is meant for it fails.
func TestScriptsFindPlantedFaults(t *testing.T) {
	for fault, script := range map[string]string{"OldSessions": "earlier_life", "Unbounded": "last_copy",
		"NoReadHold": "snapshot_read", "PaceNoFloor": "join_paced", "NoLeash": "join_leash", "PartsForAll": "version",
		"AllReturned": "returned", "AheadEarly": "ahead", "AheadAgain": "ahead", "FirstReturned": "returned_never"} {
		t.Run(fault, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(self, "-test.run", "^TestConversations$/^"+script+"$", "-plant", fault).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "FAIL: TestConversations/"+script) {
				t.Errorf("%s does not notice %s: %v\n%s", script, fault, err, out)
			}
		})
	}
}

// script is one conversation.
type script struct {
	t     *testing.T
	out   strings.Builder
	quiet bool

	nowUs   int64
	core    *Core
	cfg     Config
	disk    View
	storing *View
	reading uint64 // the snapshot that is read
	keeping uint64 // the snapshots that are wanted on disk, and of which nodes
	keepers []string
	noStore bool
	drawn   uint64

	nodes []*player
	ops   map[string]*op.Op

	batches map[string]*op.Batch

	chunked bool     // snapshots are of many chunks: they are not told
	loaded  []*op.Op // writes of a load that have no answer
}

func asksForRange(body []byte) bool { return bytes.Contains(body, []byte(wire.RangeCommand)) }

// player is a node that is played.
type player struct {
	id          string
	embedded    bool
	alive       bool
	holds       bool
	lags        bool
	incarnation uint64
	dataID      uint64
	cluster     uint64
	promised    uint64
	brokerRun   uint64 // that it was promised to
	number      uint16
	session     uint64
	turn        uint64 // the last
	pos         wire.Position
	entries     []wire.Entry // from index 1 on
	eras        []uint64
	first       uint64 // oldest kept reply and entry
	snap        wire.Load
	waiting     [][]byte
	busyMs      uint32
	dueMs       int64 // of all keys
	takes       int64 // of memory
	limit       int64 // of it
	drops       int   // TICKs that it takes to free what was dropped
	disk        bool
	was         []uint64 // data ids that its copy had before
	renamed     bool
	keep, kept  uint64
	names       []string
	beatUs      int64
	chunks      int // of a snapshot that it gives
	chunkBytes  int
	gives       uint64      // the snapshot
	given       int         // chunks of it
	later       []wire.Read // long reads that it has begun
	laterAt     uint64
	ahead       map[uint64][]byte // what was sent ahead
	aheadParts  wire.Assembler
	turnParts   wire.Assembler
}

func (p *player) peer() string     { return fmt.Sprintf("%s/%d", p.id, p.session) }
func (p *player) beatPeer() string { return p.peer() + "h" }

func (s *script) printf(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintf(&s.out, format+"\n", args...)
	}
}

// arg returns the value of name=value among words.
func arg(words []string, name string) (string, bool) {
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

func (s *script) number(words []string, name string, otherwise int64) int64 {
	v, ok := arg(words, name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return n
}

func ackArg(words []string) op.Ack {
	switch v, _ := arg(words, "ack"); v {
	case "":
		return op.AckDefault
	case "all":
		return op.AckAll
	case "primary":
		return op.AckPrimary
	default:
		n, _ := strconv.Atoi(v)
		return op.Ack(n)
	}
}

func has(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

func (s *script) step(words []string) {
	switch words[0] {
	case "broker":
		s.cfg = DefaultConfig()
		s.cfg.Embedded = has(words, "embedded")
		s.cfg.MinInSync = int(s.number(words, "min", 1))
		s.cfg.WindowBytesMax = s.number(words, "window", 1<<20)
		s.cfg.JoinPinBytes = 4 * s.cfg.WindowBytesMax
		s.cfg.ChunkBytes = 128
		s.cfg.AheadBytes, s.cfg.FragmentBytes = int(s.number(words, "ahead", 0)), wire.HeaderBytes+int(s.number(words, "fragment", 1<<20))
		s.cfg.WriteTimeoutMs = s.number(words, "timeout", s.cfg.WriteTimeoutMs)
		s.cfg.JoinFloorBytes = s.number(words, "floor", s.cfg.JoinFloorBytes)
		s.cfg.TurnBytesMax = int(s.number(words, "turn", int64(s.cfg.TurnBytesMax)))
		s.cfg.JoinLagEntries = uint64(s.number(words, "lag", int64(s.cfg.JoinLagEntries)))
		s.cfg.NearBytes = s.number(words, "near", 0)
		s.cfg.HotEvery, s.cfg.HotReads = 1, s.number(words, "hot", 0)
		s.cfg.Memory.LimitBytes = s.number(words, "memory", 0)
		s.cfg.Unlink = func(keys [][]byte) []byte { return append([]byte("evict-"), bytes.Join(keys, []byte("-"))...) }
		if policy, ok := arg(words, "policy"); ok {
			s.cfg.Memory.Policy, _ = eviction.ParsePolicy(policy)
		}
		s.cfg.HedgePercentile = float64(s.number(words, "hedge", 0))
		if a := ackArg(words); a != op.AckDefault {
			s.cfg.Ack = a
		}
		s.nowUs, s.disk, s.storing, s.noStore, s.nodes = 1_000_000_000, View{}, nil, false, nil
		s.chunked, s.loaded = false, nil
		s.start()
	case "restart":
		if s.storing != nil && !has(words, "lost") {
			s.disk = *s.storing
		}
		s.storing = nil
		if has(words, "norecord") {
			s.disk = View{}
		}
		s.start()
	case "set":
		s.quiet = true
		for _, id := range words[1:] {
			p := s.node(id)
			s.hello(p, true, nil)
			s.tick(500)
		}
		s.quiet = false
		s.status(false)
	case "tick":
		ms, _ := strconv.ParseInt(words[1], 10, 64)
		s.tick(ms)
	case "passes":
		us, _ := strconv.ParseInt(words[1], 10, 64)
		s.nowUs += us
		s.settle()
	case "load":
		s.load(words)
	case "stands":
		ms, _ := strconv.ParseInt(words[1], 10, 64)
		s.nowUs += ms * 1000
		s.core.Tick(s.nowUs)
		s.settle()
	case "store":
		if words[1] != "done" {
			s.noStore = words[1] == "off"
		}
		if words[1] != "off" && s.storing != nil {
			s.stored()
		}
	case "recover":
		text := ""
		if words[1] == "empty" {
			text = s.core.RecoverEmpty(s.nowUs)
		} else {
			text = s.core.RecoverFrom(s.nowUs, words[1])
		}
		if text != "" {
			s.printf("%s", text)
		}
		s.settle()
	case "forget":
		if text := s.core.Forget(s.nowUs, words[1]); text != "" {
			s.printf("%s", text)
		}
		s.settle()
	case "verify": // the copies are empty
		if _, text := s.core.Verify(s.nowUs); text != "" {
			s.printf("%s", text)
		}
		s.settle()
	case "keep":
		s.keeping, s.keepers = s.core.Keep(s.nowUs)
		s.printf("asked: %s", strings.Join(s.keepers, " "))
		s.settle()
	case "kept":
		waiting, lost := s.core.Keeping(s.nowUs, s.keeping, s.keepers)
		s.printf("waits for: %s; lost: %s", strings.Join(waiting, " "), strings.Join(lost, " "))
	case "snapshot":
		s.snapshotStep(words[1:])
		s.settle()
	case "stop":
		s.core.Stop(s.nowUs)
		s.settle()
	case "hotkeys":
		st := s.core.Status(s.nowUs)
		for _, k := range st.Hot {
			s.printf("%s reads=%d writes=%d spread=%v", k.Key, k.Reads, k.Writes, k.Spread)
		}
	case "status":
		s.status(true)
	default:
		if words[0][0] == 'n' {
			s.nodeStep(s.node(words[0]), words[1:])
		} else {
			s.clientStep(words[0], words[1:])
		}
	}
}

func (s *script) snapshotStep(words []string) {
	switch words[0] {
	case "begins":
		id, refusal := s.core.BeginRead(s.nowUs)
		if refusal != "" {
			s.printf("reader: %s", refusal)
			return
		}
		s.reading = id
	case "upto":
		n, _ := strconv.Atoi(words[1])
		s.core.ReadOn(s.nowUs, s.reading, uint32(n))
	case "ends":
		s.core.EndRead(s.nowUs, s.reading)
	}
}

func (s *script) start() {
	s.ops, s.batches = map[string]*op.Op{}, map[string]*op.Batch{}
	cfg := s.cfg
	if *plant != "" {
		reflect.ValueOf(&cfg.Fault).Elem().FieldByName(*plant).SetBool(true)
	}
	s.drawn += 100
	cfg.BrokerRun = s.drawn
	cfg.Rand = func() uint64 { s.drawn++; return 2 * s.drawn }
	s.core = New(cfg, s.disk, s.nowUs)
	s.settle()
}

func (s *script) node(id string) *player {
	for _, p := range s.nodes {
		if p.id == id {
			return p
		}
	}
	p := &player{id: id, embedded: s.cfg.Embedded && id == "n0"}
	s.nodes = append(s.nodes, p)
	return p
}

func (s *script) hello(p *player, empty bool, words []string) {
	if empty {
		*p = player{id: p.id, embedded: p.embedded, holds: p.holds, lags: p.lags, disk: p.disk, session: p.session, chunks: 1, chunkBytes: len("all")}
		s.drawn++
		p.incarnation, p.dataID, p.first = s.drawn*10, s.drawn*10+1, 1
	}
	p.incarnation = uint64(s.number(words, "inc", int64(p.incarnation)))
	p.alive = true
	p.session += 1 << 20
	p.session += xxhash.Sum64String(p.id) & 0xfffff
	p.waiting = nil
	p.beatUs = s.nowUs
	p.cluster = uint64(s.number(words, "cluster", int64(p.cluster)))
	m := wire.Hello{NodeID: p.id, Incarnation: p.incarnation, DataID: p.dataID, ClusterID: p.cluster, Promised: p.promised, Embedded: p.embedded, Disk: p.disk, Was: p.was, Renamed: p.renamed}
	h := wire.Header{Session: p.session, Version: uint8(s.number(words, "version", wire.Version))}
	s.core.Receive(s.nowUs, p.peer(), m.Append(nil, h))
	s.settle()
}

func (s *script) nodeStep(p *player, words []string) {
	switch words[0] {
	case "starts", "restarts":
		s.hello(p, true, words)
	case "returns":
		s.drawn++
		p.was, p.dataID, p.incarnation, p.renamed = append(p.was, p.dataID), s.drawn*10+1, s.drawn*10, false
		if has(words, "stranger") {
			p.was = nil
		}
		if at := uint64(s.number(words, "at", int64(p.pos.Index))); at < p.pos.Index {
			p.entries, p.eras = p.entries[:at], p.eras[:at]
			p.pos = wire.Position{Era: p.eras[at-1], Index: at}
		}
		s.hello(p, false, words)
	case "renames":
		s.drawn++
		p.was, p.dataID, p.renamed, p.disk = append(p.was, p.dataID), s.drawn*10+1, true, false
		s.hello(p, false, words)
	case "again":
		s.hello(p, false, words)
	case "holds":
		p.holds = true
	case "goes":
		p.holds, p.lags = false, false
		s.beat(p)
		s.work(p, false, false)
	case "works":
		s.work(p, has(words, "lost"), has(words, "one"))
	case "misses":
		if has(words, "one") {
			p.waiting = p.waiting[1:]
		} else {
			p.waiting = nil
		}
	case "forgets":
		p.ahead = nil
	case "far":
		s.core.nodeByID(p.id).rttUs, _ = strconv.ParseInt(words[1], 10, 64)
	case "goeson", "finishes":
		b := wire.BeginDone(nil)
		for _, q := range p.later {
			kind, reply := wire.ReplyLater, ""
			if words[0] == "finishes" {
				kind, reply = wire.ReplyRead, fmt.Sprintf("+%s from %s at %d\r\n", q.Body, p.id, p.laterAt)
			}
			b = wire.BeginReply(b, kind, q.ID)
			start := len(b)
			b = append(b, reply...)
			wire.EndReply(b, start)
		}
		if words[0] == "finishes" {
			p.later = nil
		}
		s.core.Receive(s.nowUs, p.peer(), wire.FinishDone(b, wire.DoneHead{Applied: p.pos, Part: true}, p.header()))
	case "dies":
		p.alive = false
		p.waiting = nil
	case "goodbye":
		s.core.Receive(s.nowUs, p.peer(), wire.Goodbye{}.Append(nil, p.header()))
	case "busy":
		ms, _ := strconv.Atoi(words[1])
		p.busyMs = uint32(ms)
		s.beat(p)
	case "due":
		ms, _ := strconv.ParseInt(words[1], 10, 64)
		p.dueMs = s.nowUs/1000 + ms
	case "takes":
		p.takes, _ = strconv.ParseInt(words[1], 10, 64)
	case "drops":
		p.drops, _ = strconv.Atoi(words[1])
	case "names":
		p.names = words[1:]
	case "limit":
		p.limit, _ = strconv.ParseInt(words[1], 10, 64)
		s.beat(p)
	case "idle":
		p.busyMs = 0
		s.beat(p)
	case "disk", "nodisk":
		p.disk = words[0] == "disk"
	case "keeps":
		p.kept = p.keep
		s.beat(p)
	case "beats":
		s.beat(p)
	case "lags":
		p.holds, p.lags = true, true
	case "donates":
		s.chunked = true
		p.chunks, _ = strconv.Atoi(words[1])
		p.chunkBytes = int(s.number(words, "bytes", 1))
	case "acks": // an acknowledgement as from the session before
		h := p.header()
		h.Session -= 1 << 20
		s.core.Receive(s.nowUs, p.peer(), wire.FinishDone(wire.BeginDone(nil), wire.DoneHead{
			Applied: wire.Position{Era: p.pos.Era, Index: uint64(s.number(words, "to", 0))}}, h))
	default:
		s.t.Fatalf("unknown step %v", words)
	}
	s.settle()
}

func (p *player) header() wire.Header { return wire.Header{Epoch: p.promised, Session: p.session} }

func (s *script) beat(p *player) {
	p.beatUs = s.nowUs
	m := wire.Beat{Applied: p.pos.Index, BusyMs: p.busyMs, MemoryBytes: p.takes, LimitBytes: p.limit, Reclaimable: p.drops > 0, Behind: p.drops > 1, Kept: p.kept}
	s.core.Receive(s.nowUs, p.beatPeer(), m.Append(nil, p.header()))
}

func (s *script) tick(ms int64) {
	for end := s.nowUs + ms*1000; s.nowUs < end; {
		s.nowUs += 20_000
		for _, p := range s.nodes {
			if p.lags {
				s.work(p, false, true)
			}
			if p.alive && (!p.holds || p.lags) && s.nowUs-p.beatUs >= 100_000 {
				s.beat(p)
			}
		}
		s.core.Tick(s.nowUs)
		s.settle()
	}
}

func (s *script) stored() {
	v := *s.storing
	s.disk, s.storing = v, nil
	s.printf("durable view %d", v.No)
	s.core.ViewStored(s.nowUs, v.No)
	s.settle()
}

// settle performs what the core puts out until there is nothing more.
func (s *script) settle() {
	for rounds := 0; ; rounds++ {
		if rounds > 10_000 {
			s.t.Fatal("the core does not come to rest")
		}
		s.core.Flush(s.nowUs)
		out := &s.core.Out
		if len(out.Frames)+len(out.Answered)+len(out.Events)+len(out.Parts) == 0 && out.Store == nil {
			return
		}
		for _, p := range out.Parts {
			if p.Refusal != "" {
				s.printf("reader: %s", p.Refusal)
			} else {
				s.printf("reader: part at=%d bytes=%d last=%v", p.Position.Index, len(p.Records), p.Last)
			}
		}
		frames, answered, events, store := out.Frames, out.Answered, out.Events, out.Store
		*out = Outputs{}
		for _, e := range events {
			if e.Level >= 0 || e.Text == "resend" {
				line := e.Text
				if e.Node != "" {
					line += " " + e.Node
				}
				if e.Why != "" {
					line += " (" + e.Why + ")"
				}
				s.printf("* %s", line)
			}
		}
		for _, f := range frames {
			s.frame(f.Peer, slices.Concat(f.Bytes, f.Body))
		}
		for _, o := range answered {
			s.printf("%s: %s", s.label(o), strings.TrimRight(strings.TrimSpace(string(o.Reply)), "~"))
		}
		if store != nil {
			s.printf("store view %d %s", store.No, members(store))
			s.storing = store
			if !s.noStore {
				s.stored()
			}
		}
	}
}

func members(v *View) string {
	text := fmt.Sprintf("epoch %d {", v.Epoch)
	for i, m := range v.Members {
		if i > 0 {
			text += " "
		}
		text += m.NodeID
	}
	text += "}"
	for _, m := range v.Left {
		text += " left " + m.NodeID
	}
	return text
}

func (s *script) label(o *op.Op) string {
	for k, x := range s.ops {
		if x == o {
			return k
		}
	}
	return "?"
}

func (s *script) frame(peer string, b []byte) {
	for _, p := range s.nodes {
		if p.beatPeer() == peer && p.alive {
			return
		}
		if p.peer() != peer {
			continue
		}
		if !p.alive {
			break
		}
		if h, body, _ := wire.Decode(b); h.Type == wire.TBeat {
			if m, _ := wire.DecodeBeat(body, h.Version); m.Keep != p.keep {
				p.keep = m.Keep
				s.printf("%s <- beat, snapshot wanted: %v", p.id, p.keep != 0)
			}
			return
		}
		h, body, _ := wire.Decode(b)
		if _, fragment := h.Fragment(); fragment && h.Type == wire.TTurn {
			h, body, whole, _ := p.turnParts.Add(h, body)
			if !whole {
				return
			}
			b = wire.Finish(append(wire.Begin(nil), body...), h)
		}
		if !s.chunked || h.Type != wire.TChunk && h.Type != wire.TCredit {
			text := s.describe(b)
			if h.Type == wire.TTurn && p.turn > 0 && h.Seq != p.turn+1 {
				text += " in place of what came before"
			}
			s.printf("%s <- %s", p.id, text)
		}
		switch h.Type {
		case wire.TTurn:
			p.turn = h.Seq
		case wire.TPrepare:
			p.turn = 0
		}
		p.waiting = append(p.waiting, b)
		if !p.holds {
			s.work(p, false, false)
		}
		return
	}
	s.core.Unreachable(s.nowUs, peer)
}

func (s *script) describe(b []byte) string {
	h, body, err := wire.Decode(b)
	if err != nil {
		return err.Error()
	}
	switch h.Type {
	case wire.TAhead:
		if _, fragment := h.Fragment(); !fragment {
			return fmt.Sprintf("ahead %d: forget it", h.Seq)
		}
		return fmt.Sprintf("ahead %d: %d bytes", h.Seq, len(body))
	case wire.TTurn:
		t, _ := wire.DecodeTurn(body)
		text := fmt.Sprintf("turn after %d:", t.Prev.Index)
		index := t.Prev.Index
		var it wire.Item
		for t.Next(&it) {
			switch it.Kind {
			case wire.ItemEntries:
				rest := it.Entries
				for len(rest) > 0 {
					var e wire.Entry
					rest, _ = wire.NextEntry(rest, &e)
					index++
					name := strings.TrimRight(string(e.Body), "~")
					switch e.Kind {
					case wire.EntryNoop:
						name = "noop"
					case wire.EntryTick:
						name = "tick"
					}
					text += fmt.Sprintf(" %d=%s", index, name)
				}
			case wire.ItemAhead:
				index++
				text += fmt.Sprintf(" %d=ahead %d", index, it.ID)
			case wire.ItemRead:
				if asksForRange(it.Read.Body) {
					text += " range?"
					break
				}
				text += " " + string(it.Read.Body)
				if it.Read.Due {
					text += "(due?"
					if n := it.Read.Accesses; n > 0 {
						text += fmt.Sprintf(" asked for %d times more", n)
					}
					text += ")"
				}
			case wire.ItemMemory:
				text += fmt.Sprintf(" memory(want %d of %d)?", it.Memory.WantBytes, len(it.Memory.Salts))
			case wire.ItemQuery:
				text += fmt.Sprintf(" reply(%d)?", it.ID)
			case wire.ItemSnapshot:
				text += " snapshot!"
				if !it.Parts {
					text += " (strings whole)"
				}
			}
		}
		return fmt.Sprintf("%s [confirm %d safe %d]", text, t.Confirm, t.Safe)
	case wire.TPrepare:
		return fmt.Sprintf("prepare epoch %d", h.Epoch)
	case wire.TReject:
		m, _ := wire.DecodeReject(body)
		return fmt.Sprintf("reject retry=%v: %s", m.Retry, m.Reason)
	case wire.TLoad:
		m, _ := wire.DecodeLoad(body)
		if m.SnapID == 0 {
			return "load nothing: the history begins"
		}
		return fmt.Sprintf("load a snapshot of %d", m.Position.Index)
	case wire.TFetch:
		m, _ := wire.DecodeFetch(body)
		return fmt.Sprintf("fetch from %d", m.From)
	}
	return h.Type.String()
}

// work lets a node do what waits for it.
func (s *script) work(p *player, lost, one bool) {
	todo := p.waiting
	p.waiting = nil
	if one && len(todo) > 1 {
		todo, p.waiting = todo[:1], todo[1:]
	}
	for _, b := range todo {
		h, body, err := wire.Decode(b)
		if err != nil || h.Session != p.session {
			continue
		}
		for _, answer := range s.play(p, h, body) {
			if !lost {
				s.core.Receive(s.nowUs, p.peer(), answer)
			}
		}
	}
}

func (s *script) report(p *player, snapID uint64) []byte {
	return wire.PositionReport{Position: p.pos, DataID: p.dataID, ClusterID: p.cluster, RingFirst: p.first, SnapID: snapID}.Append(nil, p.header())
}

// play is what a node does with a message.
func (s *script) play(p *player, h wire.Header, body []byte) (answers [][]byte) {
	switch h.Type {
	case wire.TPrepare:
		m, _ := wire.DecodePrepare(body)
		if h.Epoch < p.promised || h.Epoch == p.promised && m.BrokerRun != p.brokerRun {
			s.printf("%s: fenced, it has promised %d", p.id, p.promised)
			return [][]byte{wire.Fenced{Promised: p.promised}.Append(nil, p.header())}
		}
		p.promised, p.brokerRun, p.number = h.Epoch, m.BrokerRun, m.Number
		return [][]byte{s.report(p, 0)}
	case wire.TReject:
		m, _ := wire.DecodeReject(body)
		if m.Retry {
			p.alive = false
		}
	case wire.TLoad:
		m, _ := wire.DecodeLoad(body)
		p.snap = m
		if m.SnapID == 0 {
			p.cluster = m.ClusterID
			return nil
		}
		s.drawn++
		p.dataID, p.pos, p.entries, p.eras = s.drawn*10+1, wire.Position{}, nil, nil
	case wire.TChunk:
		m, _ := wire.DecodeChunk(body)
		if m.SnapID != p.snap.SnapID {
			return nil
		}
		if !m.Last {
			return [][]byte{wire.Credit{SnapID: m.SnapID, UpTo: m.Number + 1 + 8}.Append(nil, p.header())}
		}
		p.pos, p.cluster = p.snap.Position, p.snap.ClusterID
		p.entries, p.eras = make([]wire.Entry, p.pos.Index), make([]uint64, p.pos.Index)
		p.first = p.pos.Index + 1
		return [][]byte{s.report(p, m.SnapID)}
	case wire.TCredit:
		if m, _ := wire.DecodeCredit(body); m.SnapID != 0 && m.SnapID == p.gives {
			return p.giveChunks(int(m.UpTo))
		}
	case wire.TAbort:
		s.printf("%s: gives up the snapshot", p.id)
		p.snap = wire.Load{}
	case wire.TFetch:
		m, _ := wire.DecodeFetch(body)
		e := wire.Entries{}
		for i := max(m.From, p.first); i <= p.pos.Index; i++ {
			if n := len(e.Runs); n == 0 || e.Runs[n-1].Era != p.eras[i-1] {
				e.Runs = append(e.Runs, wire.Run{Era: p.eras[i-1], First: i})
			}
			r := &e.Runs[len(e.Runs)-1]
			r.Count++
			r.Entries = wire.AppendEntry(r.Entries, &p.entries[i-1])
		}
		return [][]byte{e.Append(nil, p.header())}
	case wire.TAhead:
		part, fragment := h.Fragment()
		if !fragment { // not a part: no bytes
			delete(p.ahead, h.Seq)
			return nil
		}
		reply := p.header()
		reply.Seq = h.Seq
		_, body, whole, _ := p.aheadParts.Add(h, body)
		if whole {
			if p.ahead == nil {
				p.ahead = map[uint64][]byte{}
			}
			p.ahead[h.Seq] = body
		}
		return [][]byte{wire.AheadGot{Fragments: uint32(part + 1), Whole: whole}.Append(nil, reply)}
	case wire.TTurn:
		return s.playTurn(p, h, body)
	case wire.TGoodbye:
		p.alive = false
	}
	return nil
}

func (s *script) playTurn(p *player, h wire.Header, body []byte) (answers [][]byte) {
	t, _ := wire.DecodeTurn(body)
	if t.Prev.Index > p.pos.Index {
		s.printf("%s: nack %d", p.id, p.pos.Index)
		reply := p.header()
		reply.Seq = h.Seq
		return [][]byte{wire.Nack{Position: p.pos}.Append(nil, reply)}
	}
	b := wire.BeginDone(nil)
	put := func(kind wire.ReplyKind, id uint64, reply string) {
		b = wire.BeginReply(b, kind, id)
		start := len(b)
		b = append(b, reply...)
		wire.EndReply(b, start)
	}
	var chunks [][]byte
	index := t.Prev.Index
	var it wire.Item
	for t.Next(&it) {
		if it.Kind == wire.ItemAhead {
			entry := p.ahead[it.ID]
			delete(p.ahead, it.ID)
			if entry == nil && index+1 > p.pos.Index {
				s.printf("%s: nack %d", p.id, p.pos.Index)
				reply := p.header()
				reply.Seq = h.Seq
				return [][]byte{wire.Nack{Position: p.pos}.Append(nil, reply)}
			}
			if it.Kind = wire.ItemEntries; entry == nil {
				it.Entries = wire.HeadAlone(it.Entries)
			} else {
				copy(entry, it.Entries)
				it.Entries = entry
			}
		}
		switch it.Kind {
		case wire.ItemEntries:
			rest := it.Entries
			for len(rest) > 0 {
				var e wire.Entry
				rest, _ = wire.NextEntry(rest, &e)
				if index++; index > p.pos.Index {
					e.Body = append([]byte(nil), e.Body...)
					p.entries, p.eras = append(p.entries, e), append(p.eras, t.Era)
					p.pos = wire.Position{Era: t.Era, Index: index}
					if e.Kind == wire.EntryTick {
						p.drops = max(0, p.drops-1)
					}
					p.takes -= int64(100 * bytes.Count(e.Body, []byte("-")))
				}
				if e.Primary == p.number && e.Primary != 0 && index >= p.first {
					put(wire.ReplyEntry, index, "+OK "+string(e.Body)+"\r\n")
				}
			}
		case wire.ItemRead:
			if strings.HasPrefix(string(it.Read.Body), "long") {
				it.Read.Body = append([]byte(nil), it.Read.Body...)
				p.later, p.laterAt = append(p.later, it.Read), p.pos.Index
				put(wire.ReplyLater, it.Read.ID, "")
				continue
			}
			reply := fmt.Sprintf("+%s from %s at %d\r\n", it.Read.Body, p.id, p.pos.Index)
			if asksForRange(it.Read.Body) {
				empty := wire.RangeAnswer{}.Append(nil)
				reply = fmt.Sprintf("$%d\r\n%s\r\n", len(empty), empty)
			}
			if it.Read.Due {
				put(wire.ReplyDue, it.Read.ID, string(wire.AppendDue(nil, p.dueMs))+reply)
				continue
			}
			put(wire.ReplyRead, it.Read.ID, reply)
		case wire.ItemMemory:
			named := ""
			if it.Memory.WantBytes > 0 {
				for _, k := range p.names {
					named += string(wire.AppendNomination(nil, wire.Nomination{Hash: xxhash.Sum64String(k), Bytes: 100, Key: []byte(k)}))
				}
				p.names = nil
			}
			put(wire.ReplyMemory, uint64(p.takes), named)
		case wire.ItemQuery:
			if it.ID >= p.first && it.ID <= p.pos.Index {
				put(wire.ReplyEntry, it.ID, fmt.Sprintf("+OK %s, kept by %s\r\n", p.entries[it.ID-1].Body, p.id))
			} else {
				put(wire.ReplyGone, it.ID, "")
			}
		case wire.ItemSnapshot:
			p.gives, p.given = it.ID, 0
			chunks = append(chunks, p.giveChunks(2)...)
		}
	}
	head := p.header()
	head.Seq = h.Seq
	return append([][]byte{wire.FinishDone(b, wire.DoneHead{Applied: p.pos}, head)}, chunks...)
}

// giveChunks are those of the snapshot that credit lets go out.
func (p *player) giveChunks(upTo int) (chunks [][]byte) {
	for ; p.given < min(upTo, p.chunks); p.given++ {
		chunks = append(chunks, wire.Chunk{SnapID: p.gives, Number: uint32(p.given), Last: p.given == p.chunks-1,
			Records: make([]byte, p.chunkBytes)}.Append(nil, p.header()))
	}
	return chunks
}

// load lets clients write. What is said and sent meanwhile is told only as far as it is about joins.
func (s *script) load(words []string) {
	ms, _ := strconv.ParseInt(words[1], 10, 64)
	us, calls := s.number(words, "us", 1000), s.number(words, "calls", 40)
	name, ok := arg(words, "node")
	if !ok {
		name = "n1"
	}
	slow := s.node(name)
	open := s.number(words, "open", 1<<30)
	quiet := s.out.Len()
	for end := s.nowUs + ms*1000; s.nowUs < end; {
		held := slow.holds
		slow.holds = true
		s.loaded = slices.DeleteFunc(s.loaded, func(o *op.Op) bool { return o.Hold.Notified })
		for range min(calls, open-int64(len(s.loaded))) {
			s.clientStep("load", []string{"write", "k"})
			s.loaded = append(s.loaded, s.ops["load"])
		}
		s.nowUs += us
		slow.holds = held
		if !held {
			s.work(slow, false, false)
			s.settle()
		}
		s.nowUs -= us
		s.tick(20)
	}
	text := s.out.String()
	s.out.Reset()
	s.out.WriteString(text[:quiet])
	for line := range strings.Lines(text[quiet:]) {
		if strings.HasPrefix(line, "* ") {
			s.out.WriteString(line)
		}
	}
	for _, n := range s.core.Status(s.nowUs).Nodes {
		if j := n.Join; j != nil {
			s.printf("%s %s: %d of %d bytes, %d entries behind, paced to %.1f KB/s, writes wait: %v", n.ID, j.Phase, j.BytesDone, j.BytesTotal,
				j.EntriesBehind, float64(j.PacedTo)/1000, j.WritesPaced)
		}
	}
}

func (s *script) clientStep(label string, words []string) {
	o := &op.Op{Proto: 2, Ack: ackArg(words), Body: []byte(label)}
	if len(words) > 1 && words[1] != "*" {
		o.Key = []byte(words[1])
	}
	switch words[0] {
	case "write":
		o.Kind = op.Write
	case "read":
		o.Kind = op.Read
	case "wait":
		o.Kind = op.Barrier
		o.Index = s.ops[words[1]].Index
		o.Copies, o.TimeoutMs = int(s.number(words, "copies", 1)), s.number(words, "timeout", 0)
	default:
		s.t.Fatalf("unknown step %s %v", label, words)
	}
	if o.Kind != op.Barrier {
		for _, k := range words[1:] {
			switch {
			case k == "*":
				o.Keyless = true
			case !strings.Contains(k, "="):
				o.Keys = append(o.Keys, xxhash.Sum64String(k))
			}
		}
	}
	if body, ok := arg(words, "near"); ok {
		o.Near, o.Body = true, []byte(body)
	}
	if n := s.number(words, "ahead", 0); n > 0 {
		o.Ahead, o.Lasting = true, true
		o.Body = append(o.Body, strings.Repeat("~", max(int(n)-len(o.Body), 0))...)
	}
	o.DenyOOM = has(words, "oom")
	o.Keys = slices.DeleteFunc(o.Keys, func(k uint64) bool { return k == xxhash.Sum64String("oom") })
	if name, ok := arg(words, "pipeline"); ok {
		o = s.inPipeline(name, o)
	}
	s.ops[label] = o
	s.core.Submit(s.nowUs, o)
	s.settle()
}

// inPipeline puts o into the batch of that name.
func (s *script) inPipeline(name string, o *op.Op) *op.Op {
	b := s.batches[name]
	if b == nil {
		b = op.NewBatch()
		b.Ops = make([]op.Op, 0, 8)
		s.batches[name] = b
	}
	b.Ops = append(b.Ops, *o)
	b.Begin()
	return &b.Ops[len(b.Ops)-1]
}

func (s *script) status(all bool) {
	st := s.core.Status(s.nowUs)
	line := fmt.Sprintf("%s epoch=%d index=%d safe=%d open=%d/%d", st.State, st.Epoch, st.Index, st.Safe, st.PendingWrites, st.PendingReads)
	if st.Detail != "" {
		line += " (" + st.Detail + ")"
	}
	s.printf("%s", line)
	if !all {
		ids := ""
		for _, n := range st.Nodes {
			if n.InSync {
				ids += " " + n.ID
			}
		}
		s.printf("in sync:%s", ids)
		return
	}
	for _, n := range st.Nodes {
		line := fmt.Sprintf("%s %s applied=%d in_sync=%v", n.ID, n.State, n.Applied, n.InSync)
		if n.Reason != "" {
			line += " (" + n.Reason + ")"
		}
		s.printf("%s", line)
	}
}
