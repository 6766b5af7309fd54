// Package simfs is a directory in memory whose disk can fail: it loses what was not synced, in pieces and out of order,
// fills up, becomes read-only, and flips bits. It implements storage.FS.
package simfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"

	"brainer/node/storage"
)

// Disk is the directory as a machine finds it again after a crash. Not safe for concurrent use.
type Disk struct {
	Rand     *rand.Rand
	FullAt   int64 // bytes of all files; 0: no limit
	ReadOnly bool
	SyncErr  error // what the next syncs return; what they were to sync is not synced
	DiesIn   int   // so many changes from now on the process dies; 0: it does not

	names   map[string]*file // as a process sees it
	durable map[string]*file // as a crash leaves it, but for what is pending
	pending []func(names map[string]*file)
	locked  bool
	mounts  int
	Syncs   int // of files
}

// sector is the piece that a disk writes whole or not at all.
const sector = 512

type file struct {
	now    []byte // as a process sees it
	synced []byte
	writes []write // since the last sync
}

type write struct {
	at   int
	data []byte
}

// New returns an empty disk.
func New(r *rand.Rand) *Disk {
	return &Disk{Rand: r, names: map[string]*file{}, durable: map[string]*file{}}
}

// Mount is the directory for one life of a process.
func (d *Disk) Mount() storage.FS {
	d.mounts++
	return &mount{d: d, life: d.mounts}
}

// Crash loses power: of what was not synced a part survives, in pieces.
func (d *Disk) Crash() {
	if n := len(d.pending); n > 0 { // names change in order
		for _, change := range d.pending[:d.Rand.IntN(n+1)] {
			change(d.durable)
		}
	}
	d.pending = nil
	d.mounts++ // who had it mounted is dead
	d.locked = false
	d.names = map[string]*file{}
	for _, name := range sorted(d.durable) {
		f := d.durable[name]
		f.lose(d.Rand)
		d.names[name] = f
	}
}

// Kill ends the process alone: what it has written is in the system's hands, and is there.
func (d *Disk) Kill() {
	d.mounts++
	d.locked = false
}

func sorted(names map[string]*file) []string {
	var all []string
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// lose leaves some sectors of what was not synced; those before them that are lost read as zeros.
func (f *file) lose(r *rand.Rand) {
	b := slices.Clone(f.synced)
	keep := r.Float64()
	if r.IntN(4) == 0 {
		keep = 0
	}
	for _, w := range f.writes {
		for at := 0; at < len(w.data); {
			n := min(sector-(w.at+at)%sector, len(w.data)-at)
			if r.Float64() < keep {
				b = put(b, w.at+at, w.data[at:at+n])
			}
			at += n
		}
	}
	f.now, f.synced, f.writes = b, slices.Clone(b), nil
}

func put(b []byte, at int, data []byte) []byte {
	if n := at + len(data); n > len(b) {
		b = append(b, make([]byte, n-len(b))...)
	}
	copy(b[at:], data)
	return b
}

// FlipBit changes one bit of a file, as the disk has it.
func (d *Disk) FlipBit(name string, bit int) {
	f := d.names[name]
	for _, b := range [][]byte{f.now, f.synced} {
		if bit/8 < len(b) {
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// Files lists the names with their sizes.
func (d *Disk) Files() map[string]int {
	sizes := map[string]int{}
	for name, f := range d.names {
		sizes[name] = len(f.now)
	}
	return sizes
}

// Put writes a file from outside, durably.
func (d *Disk) Put(name string, content []byte) {
	f := &file{now: slices.Clone(content), synced: slices.Clone(content)}
	d.names[name], d.durable[name] = f, f
}

// Get reads a file from outside.
func (d *Disk) Get(name string) []byte { return slices.Clone(d.names[name].now) }

func (d *Disk) used() (n int64) {
	for _, f := range d.names {
		n += int64(len(f.now))
	}
	return n
}

func (d *Disk) change(f func(names map[string]*file)) {
	f(d.names)
	d.pending = append(d.pending, f)
}

type mount struct {
	d    *Disk
	life int
}

// ErrDead is what a process finds that is dead and does not know.
var ErrDead = errors.New("simfs: a dead process uses the disk")

func (m *mount) may(changing bool) error {
	if changing && m.life == m.d.mounts && m.d.DiesIn > 0 {
		if m.d.DiesIn--; m.d.DiesIn == 0 {
			m.d.mounts++
		}
	}
	switch {
	case m.life != m.d.mounts:
		return ErrDead
	case changing && m.d.ReadOnly:
		return syscall.EROFS
	}
	return nil
}

func (m *mount) Name() string { return "simfs" }

func (m *mount) Names() ([]string, error) { return sorted(m.d.names), m.may(false) }

func (m *mount) Open(name string) (io.ReadCloser, int64, error) {
	f := m.d.names[name]
	if f == nil {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(slices.Clone(f.now))), int64(len(f.now)), m.may(false)
}

func (m *mount) Create(name string) (storage.File, error) {
	if err := m.may(true); err != nil {
		return nil, err
	}
	f := &file{}
	m.d.change(func(names map[string]*file) { names[name] = f })
	return &handle{m, f}, nil
}

func (m *mount) Rename(from, to string) error {
	if err := m.may(true); err != nil {
		return err
	}
	if m.d.names[from] == nil {
		return fs.ErrNotExist
	}
	m.d.change(func(names map[string]*file) {
		if f := names[from]; f != nil {
			names[to] = f
			delete(names, from)
		}
	})
	return nil
}

func (m *mount) Remove(name string) error {
	if err := m.may(true); err != nil {
		return err
	}
	if m.d.names[name] == nil {
		return fs.ErrNotExist
	}
	m.d.change(func(names map[string]*file) { delete(names, name) })
	return nil
}

func (m *mount) Truncate(name string, size int64) error {
	if err := m.may(true); err != nil {
		return err
	}
	f := m.d.names[name]
	f.now = f.now[:size]
	f.synced, f.writes = slices.Clone(f.now), nil
	return nil
}

func (m *mount) SyncDir() error {
	if err := m.may(true); err != nil {
		return err
	}
	for _, change := range m.d.pending {
		change(m.d.durable)
	}
	m.d.pending = nil
	return nil
}

func (m *mount) Lock() error {
	if err := m.may(true); err != nil {
		return err
	}
	if m.d.locked {
		return errors.New("simfs is in use by another node")
	}
	m.d.locked = true
	return nil
}

func (m *mount) Close() error {
	if m.may(false) == nil {
		m.d.locked = false
	}
	return nil
}

type handle struct {
	m *mount
	f *file
}

func (h *handle) Write(b []byte) (int, error) {
	if err := h.m.may(true); err != nil {
		return 0, err
	}
	n := len(b)
	if limit := h.m.d.FullAt; limit > 0 {
		n = int(min(int64(n), max(0, limit-h.m.d.used())))
	}
	data := slices.Clone(b[:n])
	h.f.writes = append(h.f.writes, write{len(h.f.now), data})
	h.f.now = append(h.f.now, data...)
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (h *handle) Sync() error {
	if err := h.m.may(true); err != nil {
		return err
	}
	if err := h.m.d.SyncErr; err != nil {
		return err
	}
	h.m.d.Syncs++
	h.f.synced, h.f.writes = slices.Clone(h.f.now), nil
	return nil
}

func (h *handle) Close() error { return h.m.may(false) }
