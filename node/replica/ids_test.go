package replica

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/wire"
)

const keepMs = 1000

// with gives an entry an id, and the RESP version of its reply.
func with(client string, number uint64, proto uint8, it item) item {
	return func(h *hand, b []byte) []byte {
		encoded := it(h, nil)
		var e wire.Entry
		if _, err := wire.NextEntry(encoded[9:], &e); err != nil {
			h.t.Fatal(err)
		}
		e.ID = wire.RequestID{Client: []byte(client), Number: number, KeepMs: keepMs}
		e.Proto = proto
		return wire.AppendEntriesItem(b, 1, wire.AppendEntry(nil, &e))
	}
}

func id(client string, number uint64, args ...string) item {
	return with(client, number, 2, do(args...))
}

// one sends one entry and returns its reply.
func (h *hand) one(it item) string {
	h.t.Helper()
	said := h.send(it)
	if len(said) != 1 {
		h.t.Fatalf("it said %q", said)
	}
	_, reply, _ := strings.Cut(said[0], ": ")
	return reply
}

func (h *hand) says(it item, want string) {
	h.t.Helper()
	if got := h.one(it); got != want {
		h.t.Errorf("got %q, want %q", got, want)
	}
}

func TestRetryReturnsTheFirstOutcome(t *testing.T) {
	h := begun(t, nil)
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.says(id("b", 1, "INCR", "n"), ":2") // another client's number
	h.says(id("a", 5, "INCR", "n"), ":3")
	h.says(id("a", 5, "INCR", "n"), ":3")
	h.says(id("a", 4, "INCR", "n"), "-ERR stale request: nothing was executed, this client's number 4 is older than 5")
	h.says(id("a", 1, "INCR", "n"), "-ERR stale request: nothing was executed, this client's number 1 is older than 5")
	h.says(id("a", 6, "HSET", "n", "f", "v"), "-WRONGTYPE Operation against a key holding the wrong kind of value")
	h.send(do("DEL", "n"))
	h.says(id("a", 6, "HSET", "n", "f", "v"), "-WRONGTYPE Operation against a key holding the wrong kind of value")
	h.says(do("INCR", "n"), ":1")
	h.says(do("INCR", "n"), ":2")
	if s := h.r.Status(); s.IDs != 2 || s.IDsAnswered != 3 {
		t.Errorf("%+v", s)
	}
}

func TestOutcomesOutliveFlushAllAndANewReign(t *testing.T) {
	h := begun(t, nil)
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.says(id("b", 1, "FLUSHALL"), "+OK")
	h.says(id("a", 1, "INCR", "n"), ":1")
	expect(t, h.send(read("EXISTS", "n")), "read: :0")
	h.send(do("SET", "k", "v"))
	h.says(id("b", 1, "FLUSHALL"), "+OK")
	expect(t, h.send(read("GET", "k")), "read: $1 v")
	h.epoch, h.era = 2, 2
	h.r.Receive(wire.Prepare{BrokerRun: 10, Number: ownNumber}.Append(nil, h.head()))
	h.send(do("NOOP"))
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.r.Receive(wire.Load{ClusterID: cluster + 1}.Append(nil, h.head())) // another history
	if s := h.r.Status(); s.IDs != 0 {
		t.Errorf("outcomes of a history that was dropped: %+v", s)
	}
}

func TestTransactionIsRetriedWhole(t *testing.T) {
	h := begun(t, nil)
	exec := func(token, number uint64) item { return with("a", number, 2, entry(token, "EXEC", "INCR n", "INCR m")) }
	h.says(exec(0, 1), "*2 :1 :1")
	h.says(exec(0, 1), "*2 :1 :1")
	h.send(entry(7, "WATCH", "n"), do("INCR", "n"))
	h.says(exec(7, 2), "*-1")
	h.says(exec(8, 2), "*-1") // that it did not take place is an outcome
	h.send(entry(7, "WATCH", "m"))
	h.says(exec(7, 2), "*-1")
	h.send(do("INCR", "m"))
	h.says(exec(7, 3), "*2 :3 :3") // the retry has let go of what was watched for it
}

func TestOutcomeIsKeptForAsLongAsItWasAskedFor(t *testing.T) {
	h := begun(t, nil)
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.says(id("b", 3, "INCR", "n"), ":2")
	h.nowMs += keepMs - 1
	h.says(id("a", 1, "INCR", "n"), ":1") // and from here on again
	h.nowMs++
	if h.r.NextDeadlineMs() != h.nowMs {
		t.Error("it does not ask for a tick")
	}
	h.send(do("TICK"))
	if s := h.r.Status(); s.IDs != 1 {
		t.Errorf("%+v", s)
	}
	h.says(id("b", 2, "INCR", "n"), ":3")
	h.nowMs += keepMs - 1
	h.says(id("a", 1, "INCR", "n"), ":4")
}

// A limit in entries that are reclaimed changes what is held, not what is decided.
func TestOutcomeThatIsOverIsNoneEvenIfItIsStillHeld(t *testing.T) {
	h := begun(t, func(c *Config) { c.ReclaimPerEntry = 0 })
	for i := range 5 {
		h.says(id("c"+strconv.Itoa(i), 2, "INCR", "n"), ":"+strconv.Itoa(i+1))
	}
	h.nowMs += keepMs
	h.says(id("c4", 1, "INCR", "n"), ":6")
}

func TestTooManyClientsAreRefused(t *testing.T) {
	h := begun(t, func(c *Config) { c.IDsMax = 2 })
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.says(id("b", 1, "INCR", "n"), ":2")
	h.says(id("c", 1, "INCR", "n"), "-"+errIDsFull)
	h.says(id("a", 1, "INCR", "n"), ":1")
	h.says(id("a", 2, "INCR", "n"), ":3")
	h.nowMs += keepMs
	h.says(id("c", 1, "INCR", "n"), ":4")
}

func TestLargeReplyIsNotKept(t *testing.T) {
	h := begun(t, nil)
	big := strings.Repeat("x", 3*idReplyMax)
	h.send(do("SET", "k", big))
	if got := h.one(id("a", 1, "GETSET", "k", "v")); !strings.HasSuffix(got, big) {
		t.Errorf("%.40q", got)
	}
	h.says(id("a", 1, "GETSET", "k", "w"), fmt.Sprintf("-ERR number 1 was applied before; its reply of %d bytes was too large to be kept", len(big)+9))
	expect(t, h.send(read("GET", "k")), "read: $1 v")
	if n := h.r.ids.bytes; n > idWeight+1+idReplyMax {
		t.Errorf("%d bytes", n)
	}
}

func TestKeptReplySuitsTheConnection(t *testing.T) {
	h := begun(t, nil)
	h.says(with("a", 1, 3, do("GETDEL", "k")), "_")
	h.says(with("a", 1, 2, do("GETDEL", "k")), "$-1")
	h.send(do("HSET", "h", "f", "v"))
	h.says(with("a", 2, 3, entry(0, "EXEC", "HGETALL h", "GET k")), "*2 %1 $1 f $1 v _")
	h.says(with("a", 2, 2, entry(0, "EXEC", "HGETALL h", "GET k")), "*2 *2 $1 f $1 v $-1")
	h.send(entry(5, "WATCH", "k"), do("SET", "k", "v"))
	h.says(with("a", 3, 3, entry(5, "EXEC", "GET k")), "_")
	h.says(with("a", 3, 2, entry(6, "EXEC", "GET k")), "*-1")
	h.says(with("b", 1, 2, do("GETDEL", "x")), "$-1")
	h.says(with("b", 1, 3, do("GETDEL", "x")), "$-1")
}

func TestOutcomesTravelWithTheSnapshot(t *testing.T) {
	donor, joiner := begun(t, func(c *Config) { c.ChunkBytes = 500 }), newHand(t, nil)
	big := strings.Repeat("x", 2*idReplyMax)
	donor.send(do("SET", "k", big), id("big", 3, "GETDEL", "k"), id("e", 1, "HSET", "n", "f"))
	for i := range 50 {
		donor.send(with("c"+strconv.Itoa(i), uint64(i), uint8(2+i%2), do("INCR", "n")))
		donor.nowMs += 3
	}
	donor.send(id("c9", 9, "INCR", "n")) // asked for again: it is the last to go
	chunks := 0
	for x := begin(t, donor, joiner, 5); x.step(); chunks++ {
		donor.send(id("c0", 77, "SET", "n", "0")) // does not belong to it
	}
	if chunks < 5 {
		t.Errorf("all in %d chunks", chunks)
	}
	mark := wire.Position{Era: 1, Index: 54}
	if _, _, p, _ := joiner.r.Copy(); p != mark {
		t.Fatalf("it stands at %v", p)
	}
	joiner.pos, joiner.nowMs = mark, donor.nowMs
	joiner.says(id("c49", 49, "INCR", "n"), ":50")
	joiner.says(id("c48", 47, "INCR", "n"), "-ERR stale request: nothing was executed, this client's number 47 is older than 48")
	joiner.says(id("big", 3, "GETDEL", "k"), fmt.Sprintf("-ERR number 3 was applied before; its reply of %d bytes was too large to be kept", len(big)+9))
	joiner.nowMs += keepMs - 5
	joiner.says(id("c9", 9, "INCR", "n"), ":10")
	joiner.says(id("c8", 8, "INCR", "n"), ":51")
}

// Copies differ at once when their outcomes do.
func TestDigestCoversOutcomes(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"forgotten":      func(c *Config) { c.Fault.ForgetIDs = true },
		"other deadline": func(c *Config) { c.Fault.IDSkewMs = keepMs },
	} {
		a, b := begun(t, nil), begun(t, change)
		for _, h := range []*hand{a, b} {
			h.send(id("a", 1, "SET", "k", "v"))
			h.send(id("a", 1, "SET", "k", "v"))
		}
		if a.r.digest == b.r.digest {
			t.Errorf("%s: the same digest", name)
		}
	}
}
