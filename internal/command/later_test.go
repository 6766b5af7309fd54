package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestLongReadsAnswerAsShortOnes: the reply of a read that is executed piece by piece is, byte for
// byte, that of one that is not.
func TestLongReadsAnswerAsShortOnes(t *testing.T) {
	for _, proto := range []int{2, 3} {
		n := newTestNode(proto)
		nowMs := int64(1000)
		n.now = func() int64 { return nowMs }
		for i := range 3000 {
			n.do("SET", fmt.Sprint("key:", i), "v", "PX", fmt.Sprint(1+i%2*5000))
			n.do("HSET", "hash", fmt.Sprint("field:", i), strings.Repeat("v", i%100))
		}
		nowMs += 100
		for _, line := range []string{
			"KEYS *", "KEYS key:1*", "KEYS nothing", "KEYS h[a]sh",
			"SCAN 0 COUNT 100000", "SCAN 0 COUNT 700", "SCAN 140737488355328 COUNT 700 MATCH *7*", "SCAN 0 COUNT 5000 TYPE hash",
			"SCAN 281474976710655 COUNT 900", "SCAN 281474976710656 COUNT 900",
			"HGETALL hash", "HKEYS hash", "HVALS hash",
			"HSCAN hash 0 COUNT 100000", "HSCAN hash 0 COUNT 300", "HSCAN hash 140737488355328 COUNT 300 MATCH *7*",
		} {
			args := strings.Fields(line)
			n.ctx.LaterFrom = 0
			want := string(n.do(args...))
			n.ctx.LaterFrom = 10
			if got := string(n.do(args...)); got == want && !strings.Contains(line, "281474976710656") {
				t.Errorf("%s was not executed piece by piece", line)
			}
			for _, step := range []struct{ elements, bytes int }{{1, 1 << 20}, {7, 100}, {1 << 20, 1 << 20}} {
				n.do(args...)
				l := n.ctx.Later
				if l == nil {
					continue
				}
				n.ctx.Later = nil
				for !l.Step(step.elements, step.bytes) {
				}
				l.Close()
				if got := string(l.Reply()); got != want {
					t.Fatalf("RESP%d %s in steps of %v:\n%.200q, want\n%.200q", proto, line, step, got, want)
				}
			}
			if l := n.ctx.Later; l != nil {
				l.Close()
				n.ctx.Later = nil
			}
		}
		if n := len(n.ctx.Faults); n > 0 {
			t.Fatalf("%d panics", n)
		}
	}
}

func TestALongReadThatAnswersTooMuchEndsWithAnError(t *testing.T) {
	n := newTestNode(2)
	n.now = func() int64 { return 1000 }
	for i := range 1000 {
		n.do("SET", fmt.Sprint("key:", i), "v")
	}
	n.ctx.LaterFrom, n.ctx.replyMax = 10, 2000
	n.do("KEYS", "*")
	l := n.ctx.Later
	for !l.Step(10, 1<<20) {
	}
	l.Close()
	if got := string(l.Reply()); got != "-"+ErrReplyTooLarge+"\r\n" {
		t.Fatalf("%.100q", got)
	}
}

func TestWithoutRoomForAViewAReadIsExecutedAtOnce(t *testing.T) {
	n := newTestNode(2)
	n.now = func() int64 { return 1000 }
	for i := range 100 {
		n.do("SET", fmt.Sprint("key:", i), "v")
	}
	want := string(n.do("KEYS", "*"))
	n.ctx.LaterFrom = 10
	var open []*Later
	for n.do("KEYS", "*"); n.ctx.Later != nil; n.do("KEYS", "*") {
		open = append(open, n.ctx.Later)
		n.ctx.Later = nil
	}
	if got := string(n.ctx.W.B); got != want || len(open) == 0 {
		t.Fatalf("with %d views open: %.100q", len(open), got)
	}
	for _, l := range open {
		l.Close()
	}
}
