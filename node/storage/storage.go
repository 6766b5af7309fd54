package storage

// Storage keeps records for a node's next life. One goroutine uses it, and it calls Load first, once.
type Storage interface {
	// Load hands over what is kept, in order. An error of take ends it, and is returned.
	Load(take func(Item) error) error
	// Append adds records to the log. They need not be durable before Sync, but keep their order: what is lost in a
	// crash is some last ones.
	Append(records ...[]byte) error
	// Sync makes durable all that was appended.
	Sync() error
	// BeginSnapshot begins to write what replaces the log up to here; AppendSnapshot adds a record to it, and
	// CommitSnapshot makes it durable: from then on Load hands over the snapshot's records, and those appended since BeginSnapshot.
	// Until then, and after AbortSnapshot, it is as if there had been none.
	BeginSnapshot() error
	AppendSnapshot(record []byte) error
	CommitSnapshot() error
	AbortSnapshot() error
	// Usage says how much is kept.
	Usage() Usage
	Close() error
}

// Item is a record that was kept.
type Item struct {
	Record   []byte // the taker's
	Snapshot bool   // it is of the snapshot
	Done     int64  // bytes of all that is kept, with this record
	Total    int64  // bytes of all that is kept
}

// Usage is what a storage holds, in bytes as they are stored.
type Usage struct {
	LogBytes      int64 // since the last snapshot
	SnapshotBytes int64 // of the last snapshot
}

// Memory keeps nothing.
type Memory struct{}

func (Memory) Load(func(Item) error) error { return nil }
func (Memory) Append(...[]byte) error      { return nil }
func (Memory) Sync() error                 { return nil }
func (Memory) BeginSnapshot() error        { return nil }
func (Memory) AppendSnapshot([]byte) error { return nil }
func (Memory) CommitSnapshot() error       { return nil }
func (Memory) AbortSnapshot() error        { return nil }
func (Memory) Usage() Usage                { return Usage{} }
func (Memory) Close() error                { return nil }
