package wire

// The small messages, each with its encoder (appending a whole frame to b) and its decoder.

// Position is a place in the order: the epoch that ordered the entry, and its index.
type Position struct {
	Era   uint64
	Index uint64
}

// Less orders positions: a later era is ahead, whatever the index.
func (p Position) Less(q Position) bool {
	return p.Era < q.Era || p.Era == q.Era && p.Index < q.Index
}

// Hello opens a session, in whose version everything else of it is written, on both sides.
type Hello struct {
	NodeID      string
	Endpoint    string // the node's own
	Incarnation uint64
	DataID      uint64
	ClusterID   uint64 // of the data it holds, 0 when it holds none
	Promised    uint64
	Embedded    bool
	Software    string // what is running, for people

	// From version 5 on: a copy that is kept.
	Disk bool // it survives the process
	// Was are the data ids that the copy had before, the last one at the end: it is what is left of each. With Renamed it is all of the last
	// one, and only its name is new, as its disk does not follow any more. At most WasMax.
	Was     []uint64
	Renamed bool
	// It is being loaded, these bytes of those: no session begins yet. LoadTotal 0: it is not.
	LoadDone, LoadTotal uint64
}

// WasMax bounds Hello.Was.
const WasMax = 8

func (m Hello) Append(b []byte, h Header) []byte {
	h.Type = THello
	b = Begin(b)
	b = putString(b, m.NodeID)
	b = putString(b, m.Endpoint)
	b = putU64(b, m.Incarnation)
	b = putU64(b, m.DataID)
	b = putU64(b, m.ClusterID)
	b = putU64(b, m.Promised)
	b = putBool(b, m.Embedded)
	b = putString(b, m.Software)
	if h.Version != VersionBefore {
		b = putBool(b, m.Disk)
		b = putU8(b, uint8(len(m.Was)))
		for _, id := range m.Was {
			b = putU64(b, id)
		}
		b = putBool(b, m.Renamed)
		b = putU64(b, m.LoadDone)
		b = putU64(b, m.LoadTotal)
	}
	return Finish(b, h)
}

func DecodeHello(body []byte, version uint8) (m Hello, err error) {
	r := reader{b: body}
	m = Hello{NodeID: r.string(), Endpoint: r.string(), Incarnation: r.u64(), DataID: r.u64(),
		ClusterID: r.u64(), Promised: r.u64(), Embedded: r.bool(), Software: r.string()}
	if version != VersionBefore {
		m.Disk = r.bool()
		for n := r.u8(); n > 0 && !r.bad; n-- {
			m.Was = append(m.Was, r.u64())
		}
		m.Renamed = r.bool()
		m.LoadDone, m.LoadTotal = r.u64(), r.u64()
	}
	return m, r.done()
}

// Prepare asks a node to promise the frame's epoch to this run of the broker.
type Prepare struct {
	BrokerRun uint64 // incarnation of the broker
	Number    uint16 // the node's number in this run: the Primary of an Entry
	ClusterID uint64
}

func (m Prepare) Append(b []byte, h Header) []byte {
	h.Type = TPrepare
	b = Begin(b)
	b = putU64(b, m.BrokerRun)
	b = putU16(b, m.Number)
	b = putU64(b, m.ClusterID)
	return Finish(b, h)
}

func DecodePrepare(body []byte) (m Prepare, err error) {
	r := reader{b: body}
	m = Prepare{BrokerRun: r.u64(), Number: r.u16(), ClusterID: r.u64()}
	return m, r.done()
}

// PositionReport follows a promise; only it, never Hello, says what the node holds.
type PositionReport struct {
	Position  Position
	DataID    uint64
	ClusterID uint64
	RingFirst uint64 // oldest entry it keeps; RingFirst > Index means none
	LastMs    int64  // highest entry or read time it has seen
	Loading   bool   // it is empty because a snapshot was begun and not finished
	SnapID    uint64 // the snapshot it has just loaded, 0 otherwise
}

func (m PositionReport) Append(b []byte, h Header) []byte {
	h.Type = TPosition
	b = Begin(b)
	b = putU64(b, m.Position.Era)
	b = putU64(b, m.Position.Index)
	b = putU64(b, m.DataID)
	b = putU64(b, m.ClusterID)
	b = putU64(b, m.RingFirst)
	b = putU64(b, uint64(m.LastMs))
	b = putBool(b, m.Loading)
	b = putU64(b, m.SnapID)
	return Finish(b, h)
}

func DecodePositionReport(body []byte) (m PositionReport, err error) {
	r := reader{b: body}
	m = PositionReport{Position: Position{Era: r.u64(), Index: r.u64()}, DataID: r.u64(), ClusterID: r.u64(),
		RingFirst: r.u64(), LastMs: r.i64(), Loading: r.bool(), SnapID: r.u64()}
	return m, r.done()
}

// Fenced refuses an epoch that is not the highest the node has promised.
type Fenced struct{ Promised uint64 }

func (m Fenced) Append(b []byte, h Header) []byte {
	h.Type = TFenced
	return Finish(putU64(Begin(b), m.Promised), h)
}

func DecodeFenced(body []byte) (m Fenced, err error) {
	r := reader{b: body}
	m = Fenced{Promised: r.u64()}
	return m, r.done()
}

// Reject ends a session. Retry says whether a new one may be tried at once.
type Reject struct {
	Retry  bool
	Reason string
}

func (m Reject) Append(b []byte, h Header) []byte {
	h.Type = TReject
	b = putBool(Begin(b), m.Retry)
	return Finish(putString(b, m.Reason), h)
}

func DecodeReject(body []byte) (m Reject, err error) {
	r := reader{b: body}
	m = Reject{Retry: r.bool(), Reason: r.string()}
	return m, r.done()
}

// Nack tells where a node stands when a turn does not follow.
type Nack struct{ Position Position }

func (m Nack) Append(b []byte, h Header) []byte {
	h.Type = TNack
	b = putU64(Begin(b), m.Position.Era)
	return Finish(putU64(b, m.Position.Index), h)
}

func DecodeNack(body []byte) (m Nack, err error) {
	r := reader{b: body}
	m = Nack{Position: Position{Era: r.u64(), Index: r.u64()}}
	return m, r.done()
}

// Beat is the heartbeat. A node fills in the first part, a broker the second.
type Beat struct {
	Applied     uint64
	Turn        uint64 // the last turn it has finished
	BusyMs      uint32 // how long the entry or read that it executes has been running
	Reclaimable bool   // there is memory that entries would free: keys past their deadline, or what was dropped
	Behind      bool   // by the time of the last entry there is, too: an entry more was not enough
	Keys        int64
	UsedBytes   int64
	IDs         int64  // outcomes that are kept for retries
	IDsAnswered uint64 // writes that were answered with one, in this life of the node
	MemoryBytes int64  // from version 5 on: of the process, for the data; what a limit is compared with
	LimitBytes  int64  // from version 5 on: the node's own limit, 0: none
	Kept        uint64 // from version 5 on: the Keep that is done

	Tail   uint64
	Safe   uint64
	InSync bool
	State  string // the broker's word for the receiver's state
	Counts Counts // from version 5 on
	Keep   uint64 // from version 5 on: replace the log on disk by a snapshot; a number for each time, 0: not now
}

// Counts says how a node counts accesses to keys, and whether it tells of that or of idle time.
type Counts struct {
	LFU          bool
	LogFactor    uint32
	DecayMinutes uint32
}

func (m Beat) Append(b []byte, h Header) []byte {
	h.Type = TBeat
	b = Begin(b)
	b = putU64(b, m.Applied)
	b = putU64(b, m.Turn)
	b = putU32(b, m.BusyMs)
	b = append(b, m.reclaimBits())
	b = putU64(b, uint64(m.Keys))
	b = putU64(b, uint64(m.UsedBytes))
	b = putU64(b, uint64(m.IDs))
	b = putU64(b, m.IDsAnswered)
	b = putU64(b, m.Tail)
	b = putU64(b, m.Safe)
	b = putBool(b, m.InSync)
	b = putString(b, m.State)
	if h.Version != VersionBefore {
		b = putU64(b, uint64(m.MemoryBytes))
		b = putU64(b, uint64(m.LimitBytes))
		b = putBool(b, m.Counts.LFU)
		b = putU32(b, m.Counts.LogFactor)
		b = putU32(b, m.Counts.DecayMinutes)
		b = putU64(b, m.Kept)
		b = putU64(b, m.Keep)
	}
	return Finish(b, h)
}

// reclaimBits: the version before has the first alone, and reads both as that.
func (m *Beat) reclaimBits() (bits byte) {
	if m.Reclaimable || m.Behind {
		bits = 1
	}
	if m.Behind {
		bits |= 2
	}
	return bits
}

// DecodeBeat takes the body of a frame of that version.
func DecodeBeat(body []byte, version uint8) (m Beat, err error) {
	r := reader{b: body}
	m = Beat{Applied: r.u64(), Turn: r.u64(), BusyMs: r.u32()}
	bits := r.u8()
	m.Reclaimable, m.Behind = bits != 0, bits&2 != 0
	m.Keys = r.i64()
	m.UsedBytes, m.IDs, m.IDsAnswered = r.i64(), r.i64(), r.u64()
	m.Tail, m.Safe, m.InSync, m.State = r.u64(), r.u64(), r.bool(), r.string()
	if version != VersionBefore {
		m.MemoryBytes, m.LimitBytes = r.i64(), r.i64()
		m.Counts = Counts{LFU: r.bool(), LogFactor: r.u32(), DecayMinutes: r.u32()}
		m.Kept, m.Keep = r.u64(), r.u64()
	}
	return m, r.done()
}

// Load tells a joiner to drop what it holds and to take snapshot SnapID of the state at Position.
type Load struct {
	SnapID    uint64
	ClusterID uint64
	Position  Position
}

func (m Load) Append(b []byte, h Header) []byte {
	h.Type = TLoad
	b = putU64(Begin(b), m.SnapID)
	b = putU64(b, m.ClusterID)
	b = putU64(b, m.Position.Era)
	b = putU64(b, m.Position.Index)
	return Finish(b, h)
}

func DecodeLoad(body []byte) (m Load, err error) {
	r := reader{b: body}
	m = Load{SnapID: r.u64(), ClusterID: r.u64(), Position: Position{Era: r.u64(), Index: r.u64()}}
	return m, r.done()
}

// Chunk is a part of a snapshot. Chunks are numbered from 0; the last one says so.
type Chunk struct {
	SnapID     uint64
	Number     uint32
	Last       bool
	Digest     uint64 // rolling digest at the snapshot's index; in the last chunk
	KeysDone   uint64 // including this chunk
	KeysTotal  uint64
	BytesTotal uint64 // an estimate
	Records    []byte
}

func (m Chunk) Append(b []byte, h Header) []byte {
	h.Type = TChunk
	return Finish(append(m.AppendHead(Begin(b), len(m.Records)), m.Records...), h)
}

// AppendHead appends a chunk's body up to its records, so many bytes that follow.
func (m Chunk) AppendHead(b []byte, records int) []byte {
	b = putU64(b, m.SnapID)
	b = putU32(b, m.Number)
	b = putBool(b, m.Last)
	b = putU64(b, m.Digest)
	b = putU64(b, m.KeysDone)
	b = putU64(b, m.KeysTotal)
	b = putU64(b, m.BytesTotal)
	return putU32(b, uint32(records))
}

func DecodeChunk(body []byte) (m Chunk, err error) {
	r := reader{b: body}
	m = Chunk{SnapID: r.u64(), Number: r.u32(), Last: r.bool(), Digest: r.u64(), KeysDone: r.u64(),
		KeysTotal: r.u64(), BytesTotal: r.u64(), Records: r.bytes()}
	return m, r.done()
}

// Credit lets the donor send up to (not including) chunk number UpTo.
type Credit struct {
	SnapID uint64
	UpTo   uint32
}

func (m Credit) Append(b []byte, h Header) []byte {
	h.Type = TCredit
	return Finish(putU32(putU64(Begin(b), m.SnapID), m.UpTo), h)
}

func DecodeCredit(body []byte) (m Credit, err error) {
	r := reader{b: body}
	m = Credit{SnapID: r.u64(), UpTo: r.u32()}
	return m, r.done()
}

// AheadGot says how many fragments of what is sent ahead under the frame's number have arrived, and whether that is all.
type AheadGot struct {
	Fragments uint32
	Whole     bool
}

func (m AheadGot) Append(b []byte, h Header) []byte {
	h.Type = TAheadGot
	return Finish(putBool(putU32(Begin(b), m.Fragments), m.Whole), h)
}

func DecodeAheadGot(body []byte) (m AheadGot, err error) {
	r := reader{b: body}
	m = AheadGot{Fragments: r.u32(), Whole: r.bool()}
	return m, r.done()
}

// Abort ends a snapshot on either side.
type Abort struct{ SnapID uint64 }

func (m Abort) Append(b []byte, h Header) []byte {
	h.Type = TAbort
	return Finish(putU64(Begin(b), m.SnapID), h)
}

func DecodeAbort(body []byte) (m Abort, err error) {
	r := reader{b: body}
	m = Abort{SnapID: r.u64()}
	return m, r.done()
}

// Fetch asks for the entries a node keeps, from index From on.
type Fetch struct{ From uint64 }

func (m Fetch) Append(b []byte, h Header) []byte {
	h.Type = TFetch
	return Finish(putU64(Begin(b), m.From), h)
}

func DecodeFetch(body []byte) (m Fetch, err error) {
	r := reader{b: body}
	m = Fetch{From: r.u64()}
	return m, r.done()
}

// Run is consecutive entries of one era.
type Run struct {
	Era     uint64
	First   uint64
	Count   uint32
	Entries []byte
}

// Entries answers Fetch.
type Entries struct{ Runs []Run }

func (m Entries) Append(b []byte, h Header) []byte {
	h.Type = TEntries
	b = putU32(Begin(b), uint32(len(m.Runs)))
	for _, r := range m.Runs {
		b = putU64(b, r.Era)
		b = putU64(b, r.First)
		b = putU32(b, r.Count)
		b = putBytes(b, r.Entries)
	}
	return Finish(b, h)
}

func DecodeEntries(body []byte) (m Entries, err error) {
	r := reader{b: body}
	for n := r.u32(); n > 0 && !r.bad; n-- {
		m.Runs = append(m.Runs, Run{Era: r.u64(), First: r.u64(), Count: r.u32(), Entries: r.bytes()})
	}
	return m, r.done()
}

// Goodbye from a node: put me out of the set, I leave. From the broker: you are out.
type Goodbye struct{}

func (Goodbye) Append(b []byte, h Header) []byte {
	h.Type = TGoodbye
	return Finish(Begin(b), h)
}
