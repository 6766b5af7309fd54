package server

import (
	"bytes"
	"sync"
	"sync/atomic"

	"brainer/internal/command"
	"brainer/internal/op"
)

// stats counts what INFO shows. CONFIG RESETSTAT sets it back.
type stats struct {
	connections, rejectedConnections atomic.Uint64
	commands                         atomic.Uint64
	inputBytes, outputBytes          atomic.Uint64
	closedForOutput, panics          atomic.Uint64
	errors                           atomic.Uint64
	authFailures, authLimited        atomic.Uint64
	tlsFailures                      atomic.Uint64

	base atomic.Pointer[counts] // the backend's at the last CONFIG RESETSTAT

	mu       sync.RWMutex
	perCmd   map[*command.Command]*commandStat
	perError map[string]*atomic.Uint64 // by code, at most errorCodesMax
}

type commandStat struct{ calls, usec, rejected, failed atomic.Uint64 }

// errorCodesMax bounds perError: a reply's first word is not always one of a known few.
const errorCodesMax = 128

// counts is what the backend counts, and CONFIG RESETSTAT sets to 0. Its metrics go on.
type counts struct{ snapshots, resumes, expired, evicted, hits, misses uint64 }

func countsOf(s *op.Status) counts {
	return counts{s.SnapshotsTotal, s.ResumesTotal, s.Expired, s.Memory.Evicted, s.KeyHits, s.KeyMisses}
}

func (c counts) since(base *counts) counts {
	if base == nil {
		return c
	}
	return counts{c.snapshots - base.snapshots, c.resumes - base.resumes, c.expired - base.expired, c.evicted - base.evicted,
		c.hits - base.hits, c.misses - base.misses}
}

func (s *stats) init() {
	s.perCmd = map[*command.Command]*commandStat{}
	s.perError = map[string]*atomic.Uint64{}
}

func (s *stats) reset(base counts) {
	s.base.Store(&base)
	for _, n := range []*atomic.Uint64{
		&s.connections, &s.rejectedConnections, &s.commands, &s.inputBytes, &s.outputBytes,
		&s.closedForOutput, &s.errors,
	} {
		n.Store(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
}

func (s *stats) command(c *command.Command) *commandStat {
	s.mu.RLock()
	stat := s.perCmd[c]
	s.mu.RUnlock()
	if stat != nil {
		return stat
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if stat = s.perCmd[c]; stat == nil {
		stat = &commandStat{}
		s.perCmd[c] = stat
	}
	return stat
}

// countError counts an error reply by its code ("-WRONGTYPE ...").
func (s *stats) countError(reply []byte) {
	s.errors.Add(1)
	code := reply[1:]
	if i := bytes.IndexAny(code, " \r"); i >= 0 {
		code = code[:i]
	}
	s.mu.RLock()
	n := s.perError[string(code)]
	s.mu.RUnlock()
	if n == nil {
		s.mu.Lock()
		if n = s.perError[string(code)]; n == nil {
			n = &atomic.Uint64{}
			if len(s.perError) < errorCodesMax {
				s.perError[string(code)] = n
			}
		}
		s.mu.Unlock()
	}
	n.Add(1)
}
