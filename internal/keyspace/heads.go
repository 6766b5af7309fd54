package keyspace

import "unsafe"

// heads hands out the blobs whose blocks are of spans, outside Go's heap: nothing but the keyspace keeps what they point to.
type heads struct {
	pages []*page
	fresh int    // so many at the end are not in use and not in free
	free  uint32 // number of one that was given back, and each names the next in its span; 0: none
	live  int
}

const headsPerPage = pageBytes / int(unsafe.Sizeof(blob{}))

// at is the blob with a number, from 1 on.
func (h *heads) at(number uint32) *blob {
	i := int(number - 1)
	return (*blob)(unsafe.Pointer(&h.pages[i/headsPerPage][i%headsPerPage*int(unsafe.Sizeof(blob{}))]))
}

func (h *heads) take(m *memory) *blob {
	if h.free == 0 && h.fresh == 0 {
		p := m.get() // may give some back
		clear(p[:])  // before there are pointers in it: what is overwritten is looked at while the collector runs
		h.pages = append(h.pages, p)
		h.fresh += headsPerPage
	}
	h.live++
	if h.free != 0 {
		o := h.at(h.free)
		h.free, o.span = o.span, 0
		return o
	}
	h.fresh--
	number := uint32(len(h.pages)*headsPerPage - h.fresh)
	o := h.at(number)
	o.head = number
	return o
}

func (h *heads) give(o *blob) {
	*o = blob{span: h.free, head: o.head}
	h.free = o.head
	h.live--
}

// idle says whether no blob is in use and maybeTrim has pages to free.
func (h *heads) idle() bool { return h.live == 0 && len(h.pages) > 0 }

// maybeTrim frees some pages when no blob is in use: there is no telling which page one that is will be in.
func (h *heads) maybeTrim(m *memory, pages int) {
	if !h.idle() {
		return
	}
	for ; pages > 0 && len(h.pages) > 0; pages-- {
		last := len(h.pages) - 1
		p := h.pages[last]
		h.pages = h.pages[:last]
		m.put(p)
	}
	h.free, h.fresh = 0, len(h.pages)*headsPerPage
}
