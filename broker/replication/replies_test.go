package replication

import (
	"sync/atomic"
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

func TestWhatClientsDoNotReadLeavesRoomForLittle(t *testing.T) {
	var unsent atomic.Int64
	batches := make([]*op.Batch, 10)
	large := make([]byte, 16<<20)
	kept := func(b *op.Batch, i int, reply []byte) bool { return len(keepReply(&b.Ops[i], reply)) == len(reply) }
	for i := range batches {
		b := op.NewBatch()
		b.Unsent = &unsent
		b.Ops = make([]op.Op, 10)
		for j := range b.Ops {
			b.Ops[j].Again = true
		}
		b.Begin()
		batches[i] = b
	}
	for i := range 4 { // of 64 MB each
		for j := range 4 {
			if !kept(batches[i], j, large) {
				t.Fatalf("batch %d, reply %d is not kept", i, j)
			}
		}
	}
	if !kept(batches[5], 0, large) || kept(batches[5], 1, large) || !batches[5].Ops[1].Dropped {
		t.Error("a batch has room for one large reply while much is unsent")
	}
	for j := range 10 {
		if !kept(batches[6], j, large[:1000]) {
			t.Errorf("small reply %d is not kept", j)
		}
	}
	if want := int64(17*len(large) + 10*1000); unsent.Load() != want {
		t.Errorf("%d bytes unsent, want %d", unsent.Load(), want)
	}
	for _, b := range batches[:4] {
		b.Reset()
	}
	if !kept(batches[7], 0, large) || !kept(batches[7], 1, large) {
		t.Error("there is room again, and a reply is not kept")
	}
	for _, b := range batches {
		b.LetGo()
		b.LetGo()
	}
	if unsent.Load() != 0 {
		t.Errorf("%d bytes are left", unsent.Load())
	}
}
