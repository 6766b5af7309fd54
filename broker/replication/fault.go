package replication

// Fault plants mistakes, so that tests can show that they would be found. The zero value has none;
// the binaries never set it.
type Fault struct {
	FirstReturned   bool // the first copy that comes back from a disk is the truth
	AllReturned     bool // and so are those that are behind it
	AckEarly        bool // acknowledge ack=all when the primary has answered
	NoReadHold      bool // answer reads before the writes they saw are safe
	HoldOnce        bool // a read that is sent again keeps the hold and the time of its first sending
	EjectNotDurable bool // shrink the acknowledging set before the view is stored
	IgnoreDataID    bool // take a node that came back empty for the member it was
	AddEarly        bool // put a joiner into the set without waiting until it is level
	JoinerUncounted bool // forget a joiner's acknowledgement when it goes while the view with it is being stored
	TrimEarly       bool // trim the window without regard to who still needs it
	ResumeByIndex   bool // resume by index alone, whatever the era
	OldSessions     bool // take acknowledgements of sessions that are over
	ReadAnywhere    bool // route reads to nodes outside the in-sync set
	Unbounded       bool // order writes although too many are open
	OrderAgain      bool // order a write again when its turn is sent again
	SafeGoesBack    bool // recompute the safe index without keeping its maximum
	NoFloor         bool // let reads pass a keyless write
	ClockBack       bool // stamp entries with the bare clock
	ReadGaps        bool // do not notice that a part of a snapshot that is read was lost
	HedgeHold       bool // hold the second answer of a read no longer than the first
	OwnVersion      bool // write to every node in this broker's own version
	TwoAnswers      bool // leave the other question of a read that was asked twice
	PaceNoFloor     bool // let clients slow a join down without end
	NoLeash         bool // let writers run away from a joiner
	PartsForAll     bool // have a donor send long strings in parts, whatever the joiner knows of
	NearKeeps       bool // keep replies in the near cache although their keys are written
	NearStale       bool // keep an answer there although its key was written since the question
	NearUnsafe      bool // keep one there that shows what is not safe
	NearNoDeadline  bool // answer from there what has expired
	EvictKeepsNear  bool // leave replies in the near cache whose keys are evicted
	AheadEarly      bool // order what is sent ahead without waiting until nodes hold it
	AheadAgain      bool // name it again to a node that does not hold it
	ReplyMixUp      bool // hand a read's reply to the request behind it
}
