package broker

import (
	"time"

	"brainer/broker/replication"
	"brainer/internal/eviction"
	"brainer/internal/op"
)

// call is a question for the owner goroutine.
type call struct {
	run  func(*replication.Core)
	done chan struct{}
}

// ask runs f in the owner goroutine.
func (b *Broker) ask(f func(*replication.Core)) bool {
	c := call{run: f, done: make(chan struct{})}
	select {
	case b.calls <- c:
		b.Kick()
		select {
		case <-c.done:
			return true
		case <-b.ended:
			return false
		}
	case <-b.ended:
		return false
	case <-time.After(askMax):
		return false
	}
}

// Status describes the broker and its nodes.
func (b *Broker) Status() op.Status {
	s := op.Status{State: "stopped"}
	b.ask(func(c *replication.Core) { s = c.Status(b.cfg.NowUs()) })
	s.InflightBytes = b.inflight.used.Load()
	return s
}

// RecoverEmpty, RecoverFrom and Forget are an operator's word; the text is empty or an error.
func (b *Broker) RecoverEmpty() string {
	return b.text(func(c *replication.Core) string { return c.RecoverEmpty(b.cfg.NowUs()) })
}

func (b *Broker) RecoverFrom(node string) string {
	return b.text(func(c *replication.Core) string { return c.RecoverFrom(b.cfg.NowUs(), node) })
}

func (b *Broker) Forget(node string) string {
	return b.text(func(c *replication.Core) string { return c.Forget(b.cfg.NowUs(), node) })
}

// Verify begins to compare the copies, and returns the number of the comparison in Status.
func (b *Broker) Verify() (number uint64, text string) {
	text = b.text(func(c *replication.Core) (text string) {
		number, text = c.Verify(b.cfg.NowUs())
		return text
	})
	return number, text
}

// SetAck and SetMinInSync change the server's defaults.
func (b *Broker) SetAck(a op.Ack)    { b.ask(func(c *replication.Core) { c.SetAck(a) }) }
func (b *Broker) SetMinInSync(n int) { b.ask(func(c *replication.Core) { c.SetMinInSync(n) }) }

// SetMemory changes the memory limit and what happens at it; change gets the settings as they are.
func (b *Broker) SetMemory(change func(*eviction.Settings)) {
	b.ask(func(c *replication.Core) { c.SetMemory(b.cfg.NowUs(), change) })
}

// NotServing is what requests are refused with, "" when they are taken.
func (b *Broker) NotServing() string { return *b.notServing.Load() }

// OutOfMemory says whether a write that may take memory would have been refused at the last tick.
func (b *Broker) OutOfMemory() bool { return b.noMemory.Load() }

func (b *Broker) text(f func(*replication.Core) string) string {
	s := "TRYAGAIN the broker is busy"
	b.ask(func(c *replication.Core) { s = f(c) })
	return s
}

func (b *Broker) answerCall(c call) {
	c.run(b.core)
	close(c.done)
	b.perform()
}
