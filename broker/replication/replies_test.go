package replication

import (
	"testing"

	"brainer/internal/op"
)

func TestRepliesThatAreTooLargeTogetherAreNotKept(t *testing.T) {
	batch := op.NewBatch()
	batch.Ops = make([]op.Op, 100)
	for i := range batch.Ops {
		batch.Ops[i].Again = i >= 50
	}
	batch.Begin()
	large := make([]byte, 30<<20)
	kept := func(i int, reply []byte) bool { return len(keepReply(&batch.Ops[i], reply)) == len(reply) }
	for i := range 35 { // a write follows them
		if !kept(i, large) {
			t.Fatalf("reply %d is not kept", i)
		}
	}
	if got := string(keepReply(&batch.Ops[36], large)); got != "-"+errRepliesTooLarge+"\r\n" {
		t.Errorf("%.100q", got)
	}
	batch.Begin()
	for i := 50; i < 53; i++ {
		if !kept(i, large) {
			t.Fatalf("reply %d is not kept", i)
		}
	}
	for i := 53; i < 60; i++ {
		if kept(i, large) || !batch.Ops[i].Dropped {
			t.Fatalf("reply %d is kept", i)
		}
	}
}
