package op

// Saving is what there is to know of the snapshots that the broker keeps in a directory. Times are Unix times.
type Saving struct {
	Configured   bool
	EverySeconds float64 // 0: only when asked

	Running             bool
	BeganMs, EndedMs    int64 // of the last attempt, 0: there was none
	TookMs              int64 // the last attempt that has ended
	OK                  bool  // the last attempt was a success; true when there was none
	KeysDone, KeysTotal int64 // of the one that is running

	LastMs               int64 // of the state of the last one that was saved, by an earlier life, too; 0: there is none
	LastEpoch, LastIndex uint64
	LastBytes, LastKeys  int64

	Saved, Failures uint64
}
