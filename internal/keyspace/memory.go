package keyspace

import (
	"runtime"

	"github.com/dchest/siphash"
)

const (
	pageBytes     = 4096
	chunkBytesMin = 256 << 10
	chunkBytesMax = 8 << 20
	sweepPieces   = 8 // of dropped tables, freed with each page that is asked for
)

type page [pageBytes]byte

// memory hands out fixed pages that lie outside Go's heap: its collector neither marks them nor waits
// for the heap to double because of them, and a page that is free for long goes back to the system.
// Fixed pages never fragment. What is handed out is not zeroed.
type memory struct {
	bump      []byte  // the rest of the newest chunk
	chunkNext int     // bytes of the next chunk
	dirty     []*page // free and still resident
	clean     []*page // free, given back to the system
	used      int     // pages in use
	mapped    int     // bytes of all chunks

	key0, key1 uint64 // of hashOf
	mask       uint64 // of its bits; tests take some away so that keys collide

	lfu LFU
	rnd uint64 // of chance

	blobs   blobs
	offered *Region  // that a string may take
	graves  []*table // dropped, their pages not yet freed
	buried  int64    // about what they take; each page that is asked for frees more of it first
	digs    bool     // sweep is under way

	snaps [SnapshotsMax]*Snapshot
	views [ViewsMax]*View
}

func newMemory() *memory {
	m := &memory{chunkNext: chunkBytesMin, mask: ^uint64(0), lfu: DefaultLFU}
	m.blobs = newBlobs(m)
	return m
}

// hashOf places keys and fields. It is keyed, so that nobody can make keys that collide; xxhash with a
// seed would not do, as some of its collisions hold for every seed.
func (m *memory) hashOf(key []byte) uint64 { return siphash.Hash(m.key0, m.key1, key) & m.mask }

// mapChunk returns zeroed memory that lives as long as m.
func (m *memory) mapChunk(bytes int) []byte {
	m.mapped += bytes
	chunk, ours := mapBytes(bytes)
	if ours {
		runtime.AddCleanup(m, unmapBytes, chunk)
	}
	return chunk
}

func (m *memory) get() *page {
	if len(m.dirty) == 0 && len(m.graves) > 0 {
		m.sweep(sweepPieces)
	}
	m.used++
	if n := len(m.dirty); n > 0 {
		p := m.dirty[n-1]
		m.dirty = m.dirty[:n-1]
		return p
	}
	if n := len(m.clean); n > 0 {
		p := m.clean[n-1]
		m.clean = m.clean[:n-1]
		return p
	}
	if len(m.bump) == 0 {
		m.bump = m.mapChunk(m.chunkNext)
		m.chunkNext = min(2*m.chunkNext, chunkBytesMax)
	}
	p := (*page)(m.bump)
	m.bump = m.bump[pageBytes:]
	return p
}

func (m *memory) put(p *page) {
	m.used--
	if len(m.dirty) < 256+m.used/32 {
		m.dirty = append(m.dirty, p)
		return
	}
	giveBack(p[:])
	m.clean = append(m.clean, p)
}

// bytes is what is in use, what lies in graves included.
func (m *memory) bytes() int64 {
	pages := int64(m.used - len(m.blobs.heads.pages))
	return pages*(pageBytes+pageOverhead) + m.blobs.bytes + int64(m.blobs.live)*(headBytes+blobOverhead)
}

// inGraves is about what of that was dropped.
func (m *memory) inGraves() int64 { return min(m.buried, m.bytes()) }

// bury leaves a dropped table to sweep.
func (m *memory) bury(t *table) {
	m.graves = append(m.graves, t)
	if !m.digs { // else it is part of a table that lies there
		m.buried += t.memory()
	}
}

// sweep frees some pieces of tables that were dropped.
func (m *memory) sweep(pieces int) {
	if m.digs || len(m.graves) == 0 {
		m.dig(pieces)
		return
	}
	m.digs = true
	before := m.bytes()
	m.dig(pieces)
	m.buried = max(0, m.buried-(before-m.bytes()))
	if len(m.graves) == 0 {
		m.buried = 0
	}
	m.digs = false
}

func (m *memory) dig(pieces int) {
	for ; pieces > 0 && len(m.graves) > 0; pieces-- {
		last := len(m.graves) - 1
		t := m.graves[last]
		switch {
		case t.due.maybeFreeLeaf():
		case len(t.dir) > 0:
			head := t.dir[len(t.dir)-1]
			t.dir = t.dir[:len(t.dir)-t.span(head)]
			for s := head; s != nil; s = s.next {
				t.freeSegment(s) // may drop tables inside t: they come to lie above it
			}
		default:
			m.graves = m.graves[:last]
		}
	}
	m.blobs.heads.maybeTrim(m, pieces)
}
