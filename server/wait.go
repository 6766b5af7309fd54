package server

import (
	"strconv"
	"syscall"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// waitSliceMs is how often WAIT looks whether its client is still there.
const waitSliceMs = 1000

const waitPause = 10 * time.Millisecond

// wait is a barrier: it returns how many copies besides the first hold all that this connection
// wrote, once there are enough of them or time is up.
func wait(c *client, args [][]byte, w *resp.Writer) {
	copies, err := strconv.ParseInt(string(args[1]), 10, 64)
	if err != nil {
		w.Error(command.ErrNotInteger)
		return
	}
	timeoutMs, err := strconv.ParseInt(string(args[2]), 10, 64)
	switch {
	case err != nil:
		w.Error(errTimeoutInteger)
		return
	case timeoutMs < 0:
		w.Error(errTimeoutNegative)
		return
	}
	if c.inExec || copies <= 0 {
		w.Int(c.copiesNow())
		return
	}
	const copiesMax = 1 << 20
	o := c.newOp(op.Barrier, nil)
	o.Index = c.lastIndex
	o.Copies = int(min(copies, copiesMax)) + 1
	deadline := time.Now().Add(time.Duration(min(timeoutMs, 1<<40)) * time.Millisecond)
	for {
		o.TimeoutMs = waitSliceMs
		left := time.Until(deadline).Milliseconds()
		if timeoutMs > 0 {
			o.TimeoutMs = max(1, min(left, waitSliceMs))
		}
		asked := time.Now()
		reply := c.ask(o)
		reached, isCount := parseCount(reply)
		last := timeoutMs > 0 && left <= waitSliceMs
		if !isCount || reached >= copies || last || c.srv.draining.Load() || c.gone() {
			w.Raw(reply)
			return
		}
		if time.Since(asked) < waitPause {
			time.Sleep(waitPause) // a backend that does not wait is not asked in a loop
		}
	}
}

// copiesNow is WAIT's answer where it must not wait.
func (c *client) copiesNow() int64 {
	holding := int64(0)
	for _, n := range c.srv.backend.Status().Nodes {
		if n.InSync && n.Applied >= c.lastIndex {
			holding++
		}
	}
	return max(0, holding-1)
}

func parseCount(reply []byte) (int64, bool) {
	if len(reply) < 4 || reply[0] != ':' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(reply[1:len(reply)-2]), 10, 64)
	return n, err == nil
}

// gone says whether the client has closed its end, as far as can be seen without reading.
func (c *client) gone() bool {
	if c.killed.Load() {
		return true
	}
	raw, ok := c.conn.(syscall.Conn)
	if !ok {
		return false
	}
	sys, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = sys.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil
		return true
	})
	return gone || err != nil && !isTimeout(err)
}
