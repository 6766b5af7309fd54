package replica

// Fault plants mistakes, so that tests can show that they would be found.
type Fault struct {
	ApplyTwice    bool   // a repeated entry is applied again
	NoGapCheck    bool   // a turn that does not follow is applied all the same
	IgnoreEpoch   bool   // obey any epoch
	WallClock     bool   // execute at ClockMs instead of the entry's time
	ClockMs       int64  // "
	OwnSeed       uint64 // mixed into the entry's seed
	KeepDataID    bool   // do not draw a new data id with a snapshot
	SkipChunk     bool   // lose the second chunk of a snapshot
	LateSnap      bool   // take the snapshot one entry late
	ForgetIDs     bool   // apply a write again although its id was seen
	SnapNoIDs     bool   // leave the outcomes out of a snapshot
	FlipBit       bool   // change a value once, as no entry does
	StayOld       bool   // do not try the newer version again
	SkipEntry     bool   // do not apply the third entry of what was kept
	TrustUnclean  bool   // keep the data id although what was kept may lack what was acknowledged
	ForgetPromise bool   // do not keep what was promised
	SameName      bool   // keep the data id although the disk does not follow any more
	ForgetTTL     bool   // keep no deadlines in snapshots
	MapOrder      bool   // execute as if the fields of an HSET came out of a map
	IDSkewMs      int64  // added to the entry's time before an outcome's deadline is looked at
	OwnEviction   bool   // evict a key by itself, as no entry says
	EvictIdle     bool   // evict only what is idle here, whatever the entry says
}
