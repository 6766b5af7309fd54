package bell

import "time"

// Owner is the goroutine that owns a descriptor, as far as it waits for it: in Serve, or for Signals. It makes
// all calls but Kick and Signal.
type Owner struct {
	fd      int
	most    time.Duration // how long it may linger
	next    Wait          // NextWait
	alarm   *time.Timer   // kicks, where there is no lingering
	bell    Bell
	signals chan struct{}
	watched chan struct{} // closed when the watcher has ended; nil before the first Watch
}

// NewOwner makes one. In Serve it stays up to linger in a system call of its own before it parks in Go's
// poller: waking it then costs no work of Go's scheduler. It keeps a processor of GOMAXPROCS
// meanwhile, though no time of it: give it one more than the others need. 0: it parks at once.
func NewOwner(linger time.Duration) *Owner {
	return &Owner{most: linger, signals: make(chan struct{}, 1)}
}

// WaitsFor tells which descriptor it is.
func (o *Owner) WaitsFor(fd int) { o.fd = fd }

// Serve is link.Waiter's.
func (o *Owner) Serve(step func() bool, beside ...int) error {
	if err := o.bell.Open(o.most > 0, append(beside, o.fd)...); err != nil {
		return err
	}
	defer func() {
		if o.alarm != nil {
			o.alarm.Stop()
		}
	}()
	return o.bell.Serve(o.linger, step)
}

// NextWait is link.Waiter's.
func (o *Owner) NextWait(d time.Duration, alone bool) {
	o.next = Wait{For: d, Again: d > 0, Alone: alone}
}

// linger is how the next wait begins.
func (o *Owner) linger() Wait {
	w := o.next
	o.next = Wait{}
	if o.alarm != nil {
		o.alarm.Stop() // it was for the wait before
	}
	switch {
	case w.For < 0:
		return Wait{}
	case w.For == 0:
		return Wait{For: o.most}
	case w.For <= o.most:
		return w
	case o.alarm == nil:
		o.alarm = time.AfterFunc(w.For, o.Kick)
	default:
		o.alarm.Reset(w.For)
	}
	return Wait{}
}

// Kick ends the wait in Serve.
func (o *Owner) Kick() { o.bell.Ring() }

// Signals gets one (capacity 1) for each Signal, and after Watch when there is news on the descriptor.
func (o *Owner) Signals() <-chan struct{} { return o.signals }

// Signal has who waits for Signals look.
func (o *Owner) Signal() {
	select {
	case o.signals <- struct{}{}:
	default:
	}
}

// Watch signals at once, if it is called the first time, and from then on; until Close. It costs a parked goroutine, no thread.
func (o *Owner) Watch() {
	if o.watched != nil {
		return
	}
	o.watched = make(chan struct{})
	if o.bell.Open(false, o.fd) != nil {
		close(o.watched) // out of descriptors; the owner's looks find what there is
		return
	}
	go func() {
		defer close(o.watched)
		o.bell.Watch(o.Signal)
	}()
}

// Close ends Serve and the watcher. The descriptor stays open.
func (o *Owner) Close() error {
	err := o.bell.Close()
	if o.watched != nil {
		<-o.watched
	}
	return err
}
