package pages

import (
	"bytes"
	"slices"
)

// placer checks that keys and values follow each other without a gap, as
// bbolt writes them.
type placer struct {
	next  int64 // where the next key must begin, from the beginning of the page
	limit int64 // length of the run, or of an inline bucket's page
}

// place returns where element i's key begins, or what is wrong with it.
func (p *placer) place(i int, e element) (key int64, problem string) {
	key = headerSize + int64(i)*elementSize + int64(e.pos)
	switch {
	case key != p.next:
		return 0, "isn't where the one before it ends"
	case e.ksize == 0:
		return 0, "has no key"
	case e.ksize > maxKeySize:
		return 0, "has a key longer than bbolt allows"
	}
	p.next = key + int64(e.ksize) + int64(e.vsize)
	if p.next > p.limit {
		return 0, "reaches beyond its page"
	}
	return key, ""
}

// keyOrder checks that keys ascend and lie in [lo, hi).
type keyOrder struct {
	lo, hi []byte
	prev   []byte
}

// next returns what is wrong with key, which must stay unchanged until the
// next call.
func (o *keyOrder) next(key []byte) (problem string) {
	switch {
	case o.prev == nil && o.lo != nil && bytes.Compare(key, o.lo) < 0:
		problem = "has a key below those of its branch"
	case o.prev != nil && bytes.Compare(key, o.prev) <= 0:
		problem = "has a key that isn't greater than the one before it"
	case o.hi != nil && bytes.Compare(key, o.hi) >= 0:
		problem = "has a key above those of its branch"
	}
	o.prev = key
	return problem
}

// branch checks a branch page whose elements are in buf.
func (w *walker) branch(v visit, h header, length int64) {
	if h.count == 0 {
		w.corrupt(v.id, "branch page without elements")
		return
	}
	if length > max(w.pageSize, maxBranchRun) {
		w.corrupt(v.id, "branch page of %d bytes", length)
		return
	}
	if !w.extend(v.id, length) {
		return
	}
	at := placer{next: h.elementsEnd(), limit: length}
	// Children need their bounds after buf has gone on to another page.
	keys := bytes.Clone(w.buf[h.elementsEnd():])
	ascending := keyOrder{lo: v.lo, hi: v.hi}
	first := len(w.stack)
	ordered := true
	for i := range int(h.count) {
		e := decodeBranchElement(w.buf[headerSize+i*elementSize:])
		key, problem := at.place(i, e)
		if problem != "" {
			w.corrupt(v.id, "element %d of %d %s", i, h.count, problem)
			w.stack = w.stack[:first]
			return
		}
		k := keys[key-h.elementsEnd():][:e.ksize:e.ksize]
		if problem := ascending.next(k); problem != "" && ordered {
			w.corrupt(v.id, "element %d of %d %s", i, h.count, problem)
			ordered = false
		}
		if i > 0 {
			w.stack[len(w.stack)-1].hi = k
		}
		w.push(visit{id: e.child, owner: v.id, lo: k, hi: v.hi})
	}
	if !ordered {
		// Each page below would only repeat this.
		for i := range w.stack[first:] {
			w.stack[first+i].lo, w.stack[first+i].hi = nil, nil
		}
	}
	w.checkSlack(v.id, at.next)
}

// leaf checks a leaf page whose elements are in buf, and the buckets in it.
func (w *walker) leaf(v visit, h header, length int64) {
	at := placer{next: h.elementsEnd(), limit: length}
	ascending := keyOrder{lo: v.lo, hi: v.hi}
	for i := range int(h.count) {
		e := decodeLeafElement(w.buf[headerSize+i*elementSize:])
		key, problem := at.place(i, e)
		if problem == "" && e.flags&^elementIsBucket != 0 {
			problem = "has unknown flags"
		}
		value := key + int64(e.ksize)
		if problem == "" && value <= int64(len(w.buf)) {
			problem = ascending.next(w.buf[key:value])
		}
		if problem == "" && e.flags == elementIsBucket {
			problem = w.bucket(v.id, value, int64(e.vsize))
		}
		if problem != "" {
			w.corrupt(v.id, "element %d of %d %s", i, h.count, problem)
			return
		}
	}
	w.checkSlack(v.id, at.next)
}

// checkSlack looks at what was read beyond the last element. bbolt leaves
// zeros there; anything else is an element that the header or the last
// element's size lost, or what an earlier use of the page left behind.
func (w *walker) checkSlack(id PageID, used int64) {
	if used < int64(len(w.buf)) && !isZero(w.buf[used:]) {
		w.corrupt(id, "the unused bytes from %d on aren't zeros", used)
	}
}

// bucket checks the size bytes of a bucket's header, which lie at offset off
// of page id, and pushes its root page. A small bucket has none: its one leaf
// page follows the header.
func (w *walker) bucket(id PageID, off, size int64) (problem string) {
	if size < bucketHeaderSize {
		return "is a bucket without a header"
	}
	if size > bucketHeaderSize+w.pageSize {
		return "is a bucket too large to be inline"
	}
	var b []byte
	if off+size <= int64(len(w.buf)) {
		b = w.buf[off : off+size]
	} else {
		w.scratch = slices.Grow(w.scratch[:0], int(size))[:size]
		if !w.read(id, w.scratch, off) {
			return ""
		}
		b = w.scratch
	}
	root := PageID(order.Uint64(b))
	page := b[bucketHeaderSize:]
	if root == 0 {
		return inlineBucket(page)
	}
	if len(page) != 0 {
		return "is a bucket with a root page and an inline page"
	}
	w.push(visit{id: root, owner: id})
	return ""
}

// inlineBucket checks the page inside a bucket's value. It is a leaf without
// buckets of its own, and it fills the value.
func inlineBucket(page []byte) (problem string) {
	if len(page) < headerSize {
		return "is an inline bucket without a page"
	}
	h := decodeHeader(page)
	at := placer{next: h.elementsEnd(), limit: int64(len(page))}
	switch {
	case h.id != 0 || h.flags != flagLeaf || h.overflow != 0:
		return "is an inline bucket whose page has a wrong header"
	case at.next > at.limit:
		return "is an inline bucket whose elements don't fit into it"
	}
	var ascending keyOrder
	for i := range int(h.count) {
		e := decodeLeafElement(page[headerSize+i*elementSize:])
		key, problem := at.place(i, e)
		if problem == "" && e.flags != 0 {
			problem = "has flags"
		}
		if problem == "" {
			problem = ascending.next(page[key : key+int64(e.ksize)])
		}
		if problem != "" {
			return "is an inline bucket, of which an element " + problem
		}
	}
	if at.next != at.limit {
		return "is an inline bucket with bytes after its last element"
	}
	return ""
}
