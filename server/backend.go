package server

import (
	"brainer/internal/command"
	"brainer/internal/eviction"
	"brainer/internal/op"
)

// Backend does what the keyspace is needed for. The broker is one.
type Backend interface {
	// Submit hands over a batch on which Begin was called. It may block for a moment, for
	// back-pressure. Every Op is answered sooner or later, with an error if need be (-LOADING,
	// -NOREPLICAS, -UNCERTAIN ...). Bodies and keys stay as they are until the batch is done and not
	// longer: what is kept beyond that is copied. An Op with OnSafe stays for ever.
	Submit(*op.Batch)
	// TrySubmit is Submit for who must not wait: it is false, and nothing was done, when Submit would.
	TrySubmit(*op.Batch) bool
	// Status is what the broker knows at this moment. It is called for INFO, ROLE and the like.
	Status() op.Status
	// SetMemory changes the memory limit and what happens at it.
	SetMemory(change func(*eviction.Settings))
	// NotServing is the error that every command gets for which somebody must hold the data: -LOADING or -CLUSTERDOWN without
	// the dash; "" when all is well.
	NotServing() string
	// OutOfMemory says whether a write that may take memory would be refused, as of late.
	OutOfMemory() bool
}

// Operator is what a Backend may offer to an operator. Each returns "" or the text of an error.
type Operator interface {
	RecoverFrom(node string) string // take this node's copy for the truth
	RecoverEmpty() string           // begin empty although copies may exist
	Forget(node string) string      // a node that is not coming back

	Verify() (number uint64, text string) // begin to compare the copies
}

// Observer is told what was executed, for metrics. It is called by many goroutines at once.
type Observer interface {
	// Observe reports commands of one kind that a client sent one behind the other: how many were
	// answered, how many of these with an error, and the seconds from their arrival to their replies.
	// c is nil for unknown commands.
	Observe(c *command.Command, answered, failed int, seconds float64)
}

type noObserver struct{}

func (noObserver) Observe(*command.Command, int, int, float64) {}
