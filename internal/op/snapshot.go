package op

import (
	"context"
	"errors"
)

// SnapshotReader gives a snapshot's parts to one goroutine, which closes it in the end. Errors are texts for clients.
type SnapshotReader interface {
	Next(context.Context) (SnapshotPart, error)
	Close()
}

// ErrSnapshotLate: the next part of a snapshot has not come in time; it may be asked for again.
var ErrSnapshotLate = errors.New("TRYAGAIN the next part of the snapshot has not come yet")

// SnapshotPart is a piece of a snapshot that is read: of the data as it was at one index.
type SnapshotPart struct {
	Commands []byte // in RESP; with SELECTs, so that any Redis understands them
	Count    int    // of commands

	Epoch, Index uint64 // of the state
	TimeMs       int64  // when it was so, as Unix time
	Cluster      uint64

	KeysDone   int64 // with this part
	KeysTotal  int64
	BytesDone  int64 // of what nodes send; with this part
	BytesTotal int64 // an estimate
	Last       bool
}
