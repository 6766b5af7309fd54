package keyspace

import (
	"sort"
	"unsafe"
)

// due is a deadline of the key with that hash.
type due struct {
	ms   int64
	hash uint64
}

func (a due) less(b due) bool { return a.ms < b.ms || a.ms == b.ms && a.hash < b.hash }

const leafDues = pageBytes / 16

// deadlines is the deadlines of one database in order: a row of pages, each full of sorted dues.
type deadlines struct {
	m      *memory
	leaves []leaf
	n      int
}

type leaf struct {
	first due
	n     int
	dues  *[leafDues]due
}

func duesOf(p *page) *[leafDues]due { return (*[leafDues]due)(unsafe.Pointer(p)) }

func (d *deadlines) freeLeaf(l *leaf) { d.m.put((*page)(unsafe.Pointer(l.dues))) }

func (d *deadlines) maybeFreeLeaf() bool {
	last := len(d.leaves) - 1
	if last < 0 {
		return false
	}
	d.freeLeaf(&d.leaves[last])
	d.leaves = d.leaves[:last]
	return true
}

// leafFor is the last leaf that begins at or before x, or the first.
func (d *deadlines) leafFor(x due) int {
	return max(0, sort.Search(len(d.leaves), func(i int) bool { return x.less(d.leaves[i].first) })-1)
}

func (l *leaf) search(x due) int {
	return sort.Search(l.n, func(i int) bool { return !l.dues[i].less(x) })
}

func (d *deadlines) add(ms int64, hash uint64) {
	x := due{ms, hash}
	d.n++
	if len(d.leaves) == 0 {
		d.insertLeaf(0)
	}
	li := d.leafFor(x)
	l := &d.leaves[li]
	at := l.search(x)
	if l.n == leafDues {
		d.insertLeaf(li + 1)
		l = &d.leaves[li]
		right := &d.leaves[li+1]
		from := leafDues / 2
		if li+2 == len(d.leaves) && at == leafDues {
			from = leafDues // deadlines mostly grow: leave the last leaf full
		}
		right.n = copy(right.dues[:], l.dues[from:])
		l.n = from
		if right.n > 0 {
			right.first = right.dues[0]
		}
		if at > from || from == leafDues {
			l, at = right, at-from
		}
	}
	copy(l.dues[at+1:l.n+1], l.dues[at:l.n])
	l.dues[at] = x
	l.n++
	l.first = l.dues[0]
}

func (d *deadlines) insertLeaf(i int) {
	d.leaves = append(d.leaves, leaf{})
	copy(d.leaves[i+1:], d.leaves[i:])
	d.leaves[i] = leaf{dues: duesOf(d.m.get())}
}

// remove takes away one due, which must be there.
func (d *deadlines) remove(ms int64, hash uint64) {
	x := due{ms, hash}
	li := d.leafFor(x)
	l := &d.leaves[li]
	at := l.search(x)
	if at == l.n || l.dues[at] != x {
		panic("keyspace: a deadline of a key is not among the deadlines")
	}
	copy(l.dues[at:l.n], l.dues[at+1:l.n])
	l.n--
	d.n--
	if l.n == 0 {
		d.freeLeaf(l)
		d.leaves = append(d.leaves[:li], d.leaves[li+1:]...)
		return
	}
	l.first = l.dues[0]
	if l.n < leafDues/4 {
		d.maybeJoin(li)
	}
}

// maybeJoin moves a leaf's dues into the leaf before it, if they fit with room to spare.
func (d *deadlines) maybeJoin(li int) {
	if li == 0 {
		return
	}
	to, l := &d.leaves[li-1], &d.leaves[li]
	if to.n+l.n > leafDues*3/4 {
		return
	}
	to.n += copy(to.dues[to.n:], l.dues[:l.n])
	d.freeLeaf(l)
	d.leaves = append(d.leaves[:li], d.leaves[li+1:]...)
}

func (d *deadlines) min() (due, bool) {
	if d.n == 0 {
		return due{}, false
	}
	return d.leaves[0].first, true
}

// at is one of the dues, which there must be, by two random numbers: leaves are about equally full.
func (d *deadlines) at(rnd1, rnd2 uint64) due {
	l := &d.leaves[rnd1%uint64(len(d.leaves))]
	return l.dues[rnd2%uint64(l.n)]
}

// nth is the due with so many before it.
func (d *deadlines) nth(n int) (due, bool) {
	for i := range d.leaves {
		if l := &d.leaves[i]; n < l.n {
			return l.dues[n], true
		} else {
			n -= l.n
		}
	}
	return due{}, false
}

// each visits the dues in order until visit returns false.
func (d *deadlines) each(visit func(due) bool) {
	for i := range d.leaves {
		for _, x := range d.leaves[i].dues[:d.leaves[i].n] {
			if !visit(x) {
				return
			}
		}
	}
}

// until counts the dues at or before ms.
func (d *deadlines) until(ms int64) int {
	n := 0
	for i := range d.leaves {
		l := &d.leaves[i]
		if l.first.ms > ms {
			break
		}
		if i+1 < len(d.leaves) && d.leaves[i+1].first.ms <= ms {
			n += l.n
			continue
		}
		n += sort.Search(l.n, func(j int) bool { return l.dues[j].ms > ms })
	}
	return n
}

// averageAfter is the mean time from ms to the dues after it; with many it counts whole leaves by where they begin.
func (d *deadlines) averageAfter(ms int64) int64 {
	const exactLeaves = 64
	var sum float64
	n := 0
	for i := range d.leaves {
		l := &d.leaves[i]
		if len(d.leaves) > exactLeaves {
			if l.first.ms > ms {
				sum += float64(l.first.ms-ms) * float64(l.n)
				n += l.n
			}
			continue
		}
		for _, x := range l.dues[:l.n] {
			if x.ms > ms {
				sum += float64(x.ms - ms)
				n++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return int64(sum / float64(n))
}
