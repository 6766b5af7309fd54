package replication

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// Rolling digests tell whether the copies have executed the same. Whether they still hold the same
// is found out by asking all of them, at the same place in the order, for the digest of one range of
// keys after the other.
const (
	rangeSizing    = 62        // bits of a range that is nearly empty: only the table's size is wanted
	rangeRetryUs   = 100_000   // after a question that not all could answer
	rangeRetries   = 50        // then the range is left out
	rangeSlowestUs = 5_000_000 // between two questions of an unhurried comparison
	differingMax   = 10        // keys that are named
)

// verify is the comparison of the copies.
type verify struct {
	running bool
	hurry   bool // somebody waits for it
	nextUs  int64
	askedUs int64

	todo  []compared // tables left to compare; the last is under way
	asks  []rangeAsk // to all in-sync nodes, open
	votes []vote     // that differed, while it is being asked what differs

	last, sum op.Verify // of this comparison, or the last one; sum over all of them
}

// compared is a database or a large hash.
type compared struct {
	question wire.RangeQuestion // the next
	sized    bool               // its Bits follow from the table's size
	retries  int                // of the question
}

// rangeAsk is the question that one node has.
type rangeAsk struct {
	node   *node
	op     *op.Op
	id     uint64
	done   bool
	known  bool // it knows the question
	answer wire.RangeAnswer
}

// Verify begins to compare the copies now, without pauses; the text is the number of the comparison, or why not.
func (c *Core) Verify(nowUs int64) (number uint64, refusal string) {
	c.setNow(nowUs)
	if c.state != active || c.inSyncCount() < 2 {
		return 0, errNothingToCompare
	}
	if v := &c.verify; !v.running || !v.hurry { // who asks while one is under way awaits that
		c.voidRange()
		c.beginVerify(true)
	}
	return c.verify.last.Number, ""
}

func (c *Core) beginVerify(hurry bool) {
	v := &c.verify
	if v.running {
		v.sum.Ranges += v.last.Ranges
	}
	v.running, v.hurry, v.nextUs, v.votes = true, hurry, c.nowUs, nil
	v.last = op.Verify{Number: v.last.Number + 1, Running: true, BeganMs: c.nowUs / 1000}
	v.todo = v.todo[:0]
	for db := wire.Databases - 1; db >= 0; db-- {
		v.todo = append(v.todo, compared{question: wire.RangeQuestion{DB: uint8(db), Bits: rangeSizing}})
	}
}

// comparable are the copies that can be asked now.
func (c *Core) comparable() (nodes []*node) {
	for _, n := range c.usable {
		if n.leave == "" {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// maybeVerify asks the next question when it is time.
func (c *Core) maybeVerify() {
	v := &c.verify
	if !v.running && c.cfg.VerifyEveryMs > 0 && c.state == active && c.nowUs/1000 >= max(v.last.BeganMs, c.startUs/1000)+c.cfg.VerifyEveryMs {
		c.beginVerify(false)
	}
	if !v.running || len(v.asks) > 0 || c.nowUs < v.nextUs {
		return
	}
	nodes, t := c.comparable(), &v.todo[len(v.todo)-1]
	switch {
	case c.state != active || c.inSyncCount() < 2:
		c.endVerify("only one copy is in sync")
		return
	case t.retries > rangeRetries:
		c.skipRange()
		return
	case len(nodes) < c.inSyncCount(): // who has been silent for a moment answers again, or leaves the set
		t.retries++
		v.nextUs = c.nowUs + rangeRetryUs
		return
	}
	q := t.question
	v.askedUs = c.nowUs
	body, ms := q.Body(), c.stampMs()
	for _, n := range nodes {
		c.rid++
		o := &op.Op{Kind: op.Read, DB: q.DB, Proto: 2, Keyless: true, NoTouch: true, Body: body}
		v.asks = append(v.asks, rangeAsk{node: n, op: o, id: c.rid})
		n.reads.push(readItem{op: o, id: c.rid, after: c.tail, timeMs: ms, compares: true, askedUs: c.nowUs})
	}
}

// rangeReplied takes a node's answer.
func (c *Core) rangeReplied(id uint64, reply []byte) {
	v := &c.verify
	open := 0
	for i := range v.asks {
		a := &v.asks[i]
		if a.id == id {
			answer, err := wire.DecodeRangeReply(reply)
			a.done, a.known, a.answer = true, err == nil, answer
		}
		if !a.done {
			open++
		}
	}
	if len(v.asks) > 0 && open == 0 {
		c.compareRange()
		c.maybeVerify()
	}
}

// voidRange takes the open question back: not all can answer it for the same state any more.
func (c *Core) voidRange() {
	v := &c.verify
	for i := range v.asks {
		if a := &v.asks[i]; !a.done {
			a.node.reads.withdraw(a.op)
		}
	}
	if len(v.asks) > 0 {
		v.todo[len(v.todo)-1].retries++
	}
	v.asks = nil
	v.nextUs = max(v.nextUs, c.nowUs+rangeRetryUs)
}

// compareRange looks at the answers of all.
func (c *Core) compareRange() {
	v := &c.verify
	asks := slices.DeleteFunc(v.asks, func(a rangeAsk) bool { return !a.known || !a.node.inSync() })
	v.asks = nil
	v.nextUs = c.nowUs + c.rangePauseUs()
	t := &v.todo[len(v.todo)-1]
	if len(asks) < 2 {
		c.skipRange()
		return
	}
	first := &asks[0].answer
	agree := true
	for i := range asks[1:] {
		agree = agree && first.Equal(&asks[i+1].answer)
	}
	switch {
	case agree && v.votes == nil:
		v.last.Ranges++
		v.last.Keys += int64(first.Count)
		c.nextRange(first)
		return
	case !agree:
		v.votes = v.votes[:0]
		for i := range asks {
			a := &asks[i].answer
			v.votes = append(v.votes, vote{asks[i].node, a.Digest ^ a.Count<<32 ^ uint64(len(a.Hashes))<<56})
		}
	}
	if !t.question.Each {
		t.question.Each, v.nextUs = true, c.nowUs // at once, before the keys are written again
		return
	}
	c.rangeDiffers(asks)
	v.votes, t.question.Each = nil, false
	c.nextRange(first)
}

// skipRange goes on without an answer.
func (c *Core) skipRange() {
	v := &c.verify
	v.last.Skipped++
	v.votes, v.todo[len(v.todo)-1].question.Each = nil, false
	c.nextRange(nil)
}

// rangeDiffers names what differs, and puts out the copy that does.
func (c *Core) rangeDiffers(asks []rangeAsk) {
	v := &c.verify
	t := v.todo[len(v.todo)-1].question
	var names []string
	for i := range asks[1:] {
		for _, name := range asks[0].answer.Differing(&asks[i+1].answer, differingMax) {
			if s := fmt.Sprintf("%.200q", name); len(names) < differingMax && !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
	}
	what := fmt.Sprintf("database %d, keys %s", t.DB, strings.Join(names, " "))
	switch {
	case len(names) == 0:
		what = fmt.Sprintf("database %d, keys that have been written again since", t.DB)
	case t.OfHash:
		what = fmt.Sprintf("database %d, hash %.200q, fields %s", t.DB, t.Key, strings.Join(names, " "))
	}
	v.last.Differed++
	v.sum.Differed++
	for _, id := range c.putOutMinority(v.votes, what) {
		v.last.Found = append(v.last.Found, "node "+id+": "+what)
	}
	v.last.Found = v.last.Found[max(len(v.last.Found)-differingMax, 0):]
}

// nextRange goes on behind the range that was compared; answer is nil when it could not be.
func (c *Core) nextRange(answer *wire.RangeAnswer) {
	v := &c.verify
	t := &v.todo[len(v.todo)-1]
	t.retries = 0
	q := &t.question
	switch {
	case answer == nil && !t.sized:
		v.todo = v.todo[:len(v.todo)-1]
	case !t.sized:
		t.sized = true
		q.Bits = uint8(bits.Len64(answer.Total / uint64(c.cfg.VerifyRangeKeys)))
		if answer.Total == 0 {
			v.todo = v.todo[:len(v.todo)-1]
		}
	default:
		if q.Part++; q.Part>>q.Bits != 0 {
			v.todo = v.todo[:len(v.todo)-1]
		}
		if answer != nil && !q.OfHash {
			for _, key := range answer.Hashes {
				v.todo = append(v.todo, compared{question: wire.RangeQuestion{DB: q.DB, OfHash: true, Key: key, Bits: rangeSizing}})
			}
		}
	}
	if len(v.todo) == 0 {
		c.endVerify("")
	}
}

// rangePauseUs spreads an unhurried comparison over the time that it has.
func (c *Core) rangePauseUs() int64 {
	if c.verify.hurry {
		return 0
	}
	keys := int64(0)
	for _, n := range c.nodes {
		keys = max(keys, n.keys)
	}
	ranges := 2*wire.Databases + 2*keys/int64(c.cfg.VerifyRangeKeys)
	return min(c.cfg.VerifyEveryMs*1000/2/ranges, rangeSlowestUs)
}

func (c *Core) endVerify(gaveUp string) {
	v := &c.verify
	c.voidRange()
	v.running = false
	v.last.Running, v.last.EndedMs, v.last.GaveUp = false, c.nowUs/1000, gaveUp
	text, level := "copies compared", 0
	switch {
	case gaveUp != "":
		text = "comparison of the copies given up"
	case v.last.Differed == 0 && v.last.Skipped == 0:
		v.sum.Passes++
		v.sum.EndedMs = v.last.EndedMs
		if !v.hurry {
			level = -1
		}
	}
	c.event(level, text, nil, "keys=%d ranges=%d differed=%d skipped=%d ms=%d %s", v.last.Keys, v.last.Ranges, v.last.Differed,
		v.last.Skipped, v.last.EndedMs-v.last.BeganMs, gaveUp)
	v.sum.Ranges += v.last.Ranges
}

// verifyStatus is how far the comparison is, or what the last one found.
func (c *Core) verifyStatus() op.Verify {
	v := c.verify.last
	v.Passes, v.TotalDiffered, v.EqualMs = c.verify.sum.Passes, c.verify.sum.Differed, c.verify.sum.EndedMs
	v.TotalRanges = c.verify.sum.Ranges
	if v.Running {
		v.TotalRanges += v.Ranges
	}
	v.Found = slices.Clone(v.Found)
	for _, n := range c.nodes {
		v.KeysTotal = max(v.KeysTotal, n.keys)
	}
	return v
}
