package saver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"brainer/internal/dirlock"
	"brainer/internal/newfile"
	"brainer/internal/op"
	"brainer/internal/snapfile"
)

// Config is what a Saver is made of.
type Config struct {
	Dir   string        // of files; empty: there are none
	Every time.Duration // 0: only when asked
	Keep  int           // files at most
	Read  func() (op.SnapshotReader, error)
	// Nodes has the nodes with a disk replace their logs by snapshots, of the state at index or later; await waits for that and is nil when
	// there is none of them. May be nil.
	Nodes    func() (index uint64, await func(context.Context) error, err error)
	Software string
	Log      *slog.Logger
}

const (
	againMax = time.Minute      // after a failure the next attempt is made so soon, if not sooner
	lateMax  = 30 * time.Second // without a part a snapshot is given up

	prefix, suffix = "brainer-", ".snap"
)

// Saver saves snapshots. Run does the work; the other methods may be called by any goroutine.
type Saver struct {
	cfg       Config
	startedAt time.Time
	asked     chan struct{}
	ended     chan struct{} // closed when Run has returned
	lock      *os.File      // of the directory, which Run lets go; nil without one

	mu      sync.Mutex
	status  op.Saving
	running *saving // under way, or asked for; nil: none
}

// saving is one snapshot.
type saving struct {
	done chan struct{}
	err  error // once done is closed

	index uint64                      // the nodes', see Config.Nodes
	nodes func(context.Context) error // waits for them; nil: none was asked
}

// ErrRunning: one snapshot at a time. The text is Redis's.
var ErrRunning = errors.New("ERR Background save already in progress")

// ErrNowhere: there is nothing that would keep a snapshot.
var ErrNowhere = errors.New("ERR nothing keeps snapshots: start run_broker with --snapshot-dir, or nodes with --storage disk")

var errEnds = errors.New("ERR the server is going down")

// New looks at the directory, makes it when it is not there, keeps other processes out of it, and removes what an earlier life has left unfinished.
func New(cfg Config) (*Saver, error) {
	s := &Saver{cfg: cfg, startedAt: time.Now(), asked: make(chan struct{}, 1), ended: make(chan struct{})}
	s.status = op.Saving{Configured: cfg.Dir != "", EverySeconds: cfg.Every.Seconds(), OK: true}
	if cfg.Dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := dirlock.Take(cfg.Dir)
	switch {
	case errors.Is(err, dirlock.ErrTaken):
		return nil, fmt.Errorf("%s is in use by another broker; end it or choose another directory", cfg.Dir)
	case err != nil:
		return nil, err
	}
	s.lock = lock
	unfinished, err := s.files(suffix + newfile.Suffix)
	if err != nil {
		return nil, err
	}
	for _, name := range unfinished {
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	if files, err := s.files(suffix); err == nil && len(files) > 0 {
		if head, err := readHead(files[len(files)-1]); err == nil {
			s.status.LastMs, s.status.LastIndex, s.status.LastEpoch = head.TimeMs, head.Index, head.Epoch
		} else {
			cfg.Log.Warn("the newest snapshot cannot be read", "err", err)
		}
	}
	return s, nil
}

// files are those of ours in the directory that end so, the oldest first: their names begin with the time.
func (s *Saver) files(end string) (names []string, err error) {
	entries, err := os.ReadDir(s.cfg.Dir) // in order
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), end) {
			names = append(names, filepath.Join(s.cfg.Dir, e.Name()))
		}
	}
	return names, err
}

func readHead(name string) (snapfile.Head, error) {
	f, err := os.Open(name)
	if err != nil {
		return snapfile.Head{}, err
	}
	defer f.Close()
	r, err := snapfile.NewReader(f)
	if err != nil {
		return snapfile.Head{}, fmt.Errorf("%s: %w", name, err)
	}
	r.Close()
	return r.Head, nil
}

// Status is how far it is and what came of the last one.
func (s *Saver) Status() op.Saving {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Save begins a snapshot. Await waits for its end.
func (s *Saver) Save() (await func(context.Context) error, err error) {
	if s.Status().Running { // the nodes need not be asked
		return nil, ErrRunning
	}
	var index uint64
	var nodes func(context.Context) error
	if s.cfg.Nodes != nil {
		if index, nodes, err = s.cfg.Nodes(); err != nil {
			return nil, err
		}
	}
	if nodes == nil && s.cfg.Dir == "" {
		return nil, ErrNowhere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return nil, ErrRunning
	}
	select {
	case <-s.ended:
		return nil, errEnds
	default:
	}
	s.begin()
	s.running.index, s.running.nodes = index, nodes
	s.asked <- struct{}{}
	mine := s.running
	return func(ctx context.Context) error {
		select {
		case <-mine.done:
			return mine.err
		case <-s.ended:
			return errEnds
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}

// begin is called under mu.
func (s *Saver) begin() {
	s.running = &saving{done: make(chan struct{})}
	s.status.Running, s.status.BeganMs = true, time.Now().UnixMilli()
	s.status.KeysDone, s.status.KeysTotal = 0, 0
}

// Run saves until ctx ends.
func (s *Saver) Run(ctx context.Context) error {
	defer close(s.ended)
	if s.lock != nil {
		defer s.lock.Close()
	}
	for {
		var due <-chan time.Time
		if s.cfg.Every > 0 {
			due = time.After(time.Until(s.due()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.asked:
			s.end(s.saveAsked(ctx))
		case <-due:
			s.mu.Lock()
			if s.running != nil { // it has been asked for at the same time
				s.mu.Unlock()
				continue
			}
			s.begin()
			s.mu.Unlock()
			s.end(s.save(ctx, true))
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// due is when the next one is.
func (s *Saver) due() time.Time {
	st := s.Status()
	switch {
	case !st.OK:
		return time.UnixMilli(st.EndedMs).Add(min(s.cfg.Every, againMax))
	case st.LastMs == 0:
		return s.startedAt.Add(s.cfg.Every)
	}
	return time.UnixMilli(st.LastMs).Add(s.cfg.Every)
}

// end tells what came of it.
func (s *Saver) end(head snapfile.Head, keys, bytes int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.status
	st.Running, st.EndedMs, st.OK = false, time.Now().UnixMilli(), err == nil
	st.TookMs = st.EndedMs - st.BeganMs
	if err != nil {
		st.Failures++
		s.cfg.Log.Error("a snapshot could not be saved", "dir", s.cfg.Dir, "err", err)
	} else {
		st.Saved++
		st.LastMs, st.LastIndex, st.LastEpoch, st.LastBytes, st.LastKeys = head.TimeMs, head.Index, head.Epoch, bytes, keys
	}
	s.running.err = err
	close(s.running.done)
	s.running = nil
}

// saveAsked is what a client asks for: a file, and what the nodes keep.
func (s *Saver) saveAsked(ctx context.Context) (head snapfile.Head, keys, bytes int64, err error) {
	s.mu.Lock()
	index, await := s.running.index, s.running.nodes
	head.TimeMs, head.Index = s.status.BeganMs, index
	s.mu.Unlock()
	if s.cfg.Dir != "" {
		head, keys, bytes, err = s.save(ctx, false)
	}
	if await == nil {
		return head, keys, bytes, err
	}
	if e := await(ctx); err == nil && e != nil {
		if err = e; ctx.Err() != nil {
			err = errEnds
		}
	}
	return head, keys, bytes, err
}

// save writes one file, and removes the oldest when that is safe.
func (s *Saver) save(ctx context.Context, patient bool) (head snapfile.Head, keys, bytes int64, err error) {
	r, err := s.open(ctx, patient)
	if err != nil {
		return head, 0, 0, err
	}
	defer r.Close()
	var file *snapfile.File
	var path string
	defer func() {
		if file != nil {
			_ = file.Abandon() // the error that made it so is what matters
		}
	}()
	for {
		p, err := next(ctx, r)
		if err != nil && ctx.Err() != nil {
			err = errEnds
		}
		if err != nil {
			return head, 0, 0, err
		}
		if file == nil {
			head = snapfile.Head{Software: s.cfg.Software, Cluster: fmt.Sprintf("%016x", p.Cluster), Epoch: p.Epoch, Index: p.Index, TimeMs: p.TimeMs}
			path = filepath.Join(s.cfg.Dir, fmt.Sprintf(prefix+"%s-%d"+suffix, time.UnixMilli(p.TimeMs).UTC().Format("20060102T150405.000Z"), p.Index))
			if file, err = snapfile.Create(path, head); err != nil {
				return head, 0, 0, err
			}
		}
		s.progress(&p)
		if err := file.Write(p.Commands, p.Count); err != nil {
			return head, 0, 0, err
		}
		if p.Last {
			bytes, err := file.Commit(p.KeysDone)
			if file = nil; err == nil {
				s.cfg.Log.Info("snapshot saved", "file", path, "index", p.Index, "keys", p.KeysDone, "bytes", bytes)
			}
			if err == nil && p.KeysDone > 0 { // all is lost, perhaps, but for the old ones
				s.removeOld()
			}
			return head, p.KeysDone, bytes, err
		}
	}
}

// open begins to read. Who is patient, as nobody waits for it, lets a broker that has just started find its nodes.
func (s *Saver) open(ctx context.Context, patient bool) (op.SnapshotReader, error) {
	for until := time.Now().Add(againMax); ; {
		r, err := s.cfg.Read()
		if err == nil || !patient || time.Now().After(until) || !mayPass(err.Error()) {
			return r, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func mayPass(text string) bool {
	code, _, _ := strings.Cut(text, " ")
	return code == "LOADING" || code == "CLUSTERDOWN" || code == "TRYAGAIN"
}

// next waits for a part, for some time.
func next(ctx context.Context, r op.SnapshotReader) (op.SnapshotPart, error) {
	ctx, cancel := context.WithTimeout(ctx, lateMax)
	defer cancel()
	return r.Next(ctx)
}

func (s *Saver) progress(p *op.SnapshotPart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.KeysDone, s.status.KeysTotal = p.KeysDone, p.KeysTotal
}

// removeOld leaves the newest. What cannot be removed is not worth failing for: the new one is there.
func (s *Saver) removeOld() {
	files, err := s.files(suffix)
	for _, name := range files[:max(0, len(files)-s.cfg.Keep)] {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		s.cfg.Log.Warn("an old snapshot cannot be removed", "err", err)
	}
}
