package broker

import "brainer/internal/op"

var errTryAgain = []byte("-TRYAGAIN Write queue is full, try again\r\n")
var errStopping = []byte("-LOADING Redis is loading the dataset in memory\r\n")

// Submit takes a batch; its Done is signalled when every operation is answered. While too many
// bytes are under way it waits, which stops the client's socket from being read, and gives up with
// -TRYAGAIN.
func (b *Broker) Submit(batch *op.Batch) {
	if !b.inflight.acquire(int64(batch.Bytes), b.cfg.Waiting) {
		refuseAll(batch, errTryAgain)
		return
	}
	b.submit(batch)
}

// TrySubmit is Submit for who must not wait.
func (b *Broker) TrySubmit(batch *op.Batch) bool {
	if !b.inflight.try(int64(batch.Bytes)) {
		return false
	}
	b.submit(batch)
	return true
}

func (b *Broker) submit(batch *op.Batch) {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		b.inflight.release(int64(batch.Bytes))
		refuseAll(batch, errStopping)
		return
	}
	b.submitted = append(b.submitted, batch)
	wake := b.asleep
	b.asleep = false
	b.mu.Unlock()
	if wake {
		b.router.Kick()
	}
}

func refuseAll(batch *op.Batch, reply []byte) {
	for i := range batch.Ops {
		batch.Ops[i].Answer(reply)
	}
}

func (b *Broker) takeSubmitted(to []*op.Batch) []*op.Batch {
	b.mu.Lock()
	to = append(to, b.submitted...)
	clear(b.submitted)
	b.submitted = b.submitted[:0]
	b.mu.Unlock()
	return to
}

func (b *Broker) fallAsleep() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.submitted)+len(b.stored)+len(b.calls) > 0 || b.clients.waiting() || b.beside != nil && b.beside.Pending() {
		return false
	}
	b.asleep = true
	return true
}

// Kick has the owner goroutine look for work: it wakes it if it sleeps. Any goroutine may.
func (b *Broker) Kick() {
	b.mu.Lock()
	asleep := b.asleep
	b.asleep = false
	b.mu.Unlock()
	if asleep {
		b.router.Kick()
	}
}
