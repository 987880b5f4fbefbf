package pages

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Structure says what each page of a file is used for. Its runs, the freelist's
// own run and the two meta pages together cover [0, Meta.HighWater) and nothing
// twice: Walk returns no Structure of which that isn't true.
type Structure struct {
	Meta Meta

	// Reachable holds a run for each branch and leaf page with its overflow
	// pages, in ascending order. Neighbours aren't merged.
	Reachable []Run

	// Freelist is where the freelist itself is stored; no pages when
	// Meta.FreelistSynced is false.
	Freelist Run

	// Free holds the pages that the newest commit doesn't use, in ascending
	// order and merged. bbolt stores pages that an open read transaction may
	// still need in the same list.
	Free []Run
}

// Walk visits every page that can be reached from meta's root bucket, nested
// and inline buckets included, and the freelist, and checks what it reads. It
// reads the first page of each run, and a little more where a nested bucket's
// header lies behind a large value; values beyond that, and the keys between
// them, are not read.
//
// size is the size of the file in bytes. The file must not change meanwhile:
// no commit may happen.
//
// The error joins all problems found, each a *CorruptError or, where a page
// can't be read, the read error with the page's number; beyond 100 they are
// only counted. There is no Structure then, so that nobody takes pages for
// free on the word of a damaged file. Pages that nobody owns are reported
// only when nothing else is wrong: a damaged page hides all pages below it.
func Walk(r io.ReaderAt, size int64, meta Meta) (*Structure, error) {
	w := walker{r: r, meta: meta, pageSize: int64(meta.PageSize)}
	if !validPageSize(meta.PageSize) {
		w.corrupt(0, "page size %d", meta.PageSize)
		return nil, w.err()
	}
	w.checkFileSize(size)
	w.checkMetaHeaders(size)

	w.push(visit{id: meta.Root, owner: 0})
	for len(w.stack) > 0 {
		next := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		w.page(next)
	}
	s := &Structure{Meta: meta, Reachable: w.runs}
	if meta.FreelistSynced {
		s.Freelist, s.Free = w.freelist()
	}
	if w.found() {
		return nil, w.err()
	}

	unowned := w.seen.missing()
	if !meta.FreelistSynced {
		s.Free = unowned
	} else {
		for _, r := range unowned {
			w.corrupt(r.First, "%d pages from here on are neither in use nor free", r.Pages)
		}
		if w.found() {
			return nil, w.err()
		}
	}
	slices.SortFunc(s.Reachable, func(a, b Run) int { return cmp.Compare(a.First, b.First) })
	return s, nil
}

// walker is the state of one Walk. Its buffers are used for each page anew.
type walker struct {
	problems
	r        io.ReaderAt
	meta     Meta
	pageSize int64

	// seen has the pages that have an owner, and bounds the walk: a page is
	// followed only by the reference that added it. Its limit is the high-water
	// mark or the end of the file, whichever comes first.
	seen  *pageSet
	stack []visit
	runs  []Run

	window      []byte // pages read at once, for this visit and the next ones
	windowFirst PageID
	buf         []byte // the current page, inside window or long
	long        []byte // for a page of which more than its first is read
	scratch     []byte // for what isn't needed together with the rest of its page
}

// Pages that lie close to each other are read together, since a call costs as
// much as copying some pages: 50,000 leaves side by side took 140 ms one at a
// time.
const (
	windowBytes = 128 << 10
	windowGap   = 3 // pages that may be read for nothing between two others
)

// visit is a reference to a page.
type visit struct {
	id    PageID
	owner PageID // the page that refers to it

	// Keys of the page lie in [lo, hi). nil is no bound.
	lo, hi []byte
}

func (w *walker) push(v visit) { w.stack = append(w.stack, v) }

// checkFileSize sets how far the walk may go.
func (w *walker) checkFileSize(size int64) {
	whole := PageID(max(size, 0) / w.pageSize)
	if whole < w.meta.HighWater {
		w.corrupt(whole, "the file ends here, but its high-water mark is page %d", w.meta.HighWater)
	}
	w.seen = newPageSet(min(whole, w.meta.HighWater))
	for id := range min(2, w.seen.limit) {
		w.seen.add(Run{First: id, Pages: 1})
	}
}

// checkMetaHeaders looks at the page headers before the meta records: no
// checksum covers them, and bbolt reads them too. A meta page that isn't valid
// may hold anything, since bbolt passes over it.
func (w *walker) checkMetaHeaders(size int64) {
	for id := range min(2, w.seen.limit) {
		at := int64(id) * w.pageSize
		if m, _ := readMetaPage(w.r, size, id, at); m.Err != nil {
			continue
		}
		if h, ok := w.readHeader(id); ok && h.flags != flagMeta {
			w.corrupt(id, "flags %#x, but a meta page has %#x", h.flags, flagMeta)
		}
	}
}

// read fills b from an offset inside page id's run.
func (w *walker) read(id PageID, b []byte, off int64) bool {
	if _, err := w.r.ReadAt(b, int64(id)*w.pageSize+off); err != nil {
		w.add(fmt.Errorf("read page %d: %w", id, noEOF(err)))
		return false
	}
	return true
}

// readHeader makes the first page of a run the current one.
func (w *walker) readHeader(id PageID) (header, bool) {
	if !w.load(id) {
		return header{}, false
	}
	h := decodeHeader(w.buf)
	if h.id != id {
		w.corrupt(id, "its header says that it is page %d", h.id)
		return header{}, false
	}
	return h, true
}

// load sets buf to page id, which must lie below the limit.
func (w *walker) load(id PageID) bool {
	have := PageID(int64(len(w.window)) / w.pageSize)
	if id < w.windowFirst || id >= w.windowFirst+have {
		n := w.ahead(id) * w.pageSize
		w.window = slices.Grow(w.window[:0], int(n))[:n]
		w.windowFirst = id
		if _, err := w.r.ReadAt(w.window, int64(id)*w.pageSize); err != nil {
			// The error may be another page's.
			w.window = w.window[:w.pageSize]
			if !w.read(id, w.window, 0) {
				w.window = w.window[:0]
				return false
			}
		}
	}
	off := int64(id-w.windowFirst) * w.pageSize
	w.buf = w.window[off : off+w.pageSize]
	return true
}

// ahead returns how many pages from id on to read for this visit and the next.
func (w *walker) ahead(id PageID) int64 {
	most := PageID(max(windowBytes/w.pageSize, 1))
	last := id
	for i := len(w.stack) - 1; i >= 0; i-- {
		next := w.stack[i].id
		if next <= last || next-last > windowGap+1 || next-id >= most || next >= w.seen.limit {
			break
		}
		last = next
	}
	return int64(last-id) + 1
}

// extend reads on until buf holds the first n bytes of page id's run.
func (w *walker) extend(id PageID, n int64) bool {
	have := len(w.buf)
	if n <= int64(have) {
		return true
	}
	w.long = slices.Grow(w.long[:0], int(n))[:n]
	copy(w.long, w.buf)
	w.buf = w.long
	return w.read(id, w.buf[have:], int64(have))
}

// claim makes page id, whose header is h, the owner of its run.
func (w *walker) claim(id PageID, h header) (Run, bool) {
	run := Run{First: id, Pages: uint64(h.overflow) + 1}
	if run.End() > w.seen.limit {
		w.corrupt(id, "its %d pages end at %d, beyond page %d", run.Pages, run.End(), w.seen.limit)
		return run, false
	}
	if !w.seen.add(run) {
		w.corrupt(id, "its %d pages overlap pages that are in use already", run.Pages)
		return run, false
	}
	return run, true
}

// inBounds tells whether a reference leads to a page that may exist.
func (w *walker) inBounds(id, owner PageID, what string) bool {
	if id < 2 || id >= w.seen.limit {
		w.corrupt(owner, "%s is page %d, outside of [2, %d)", what, id, w.seen.limit)
		return false
	}
	return true
}

// page checks one branch or leaf page and pushes what it refers to.
func (w *walker) page(v visit) {
	if !w.inBounds(v.id, v.owner, "a page it refers to") {
		return
	}
	h, ok := w.readHeader(v.id)
	if !ok {
		return
	}
	if h.flags != flagBranch && h.flags != flagLeaf {
		w.corrupt(v.id, "flags %#x, but it is used as a branch or leaf", h.flags)
		return
	}
	run, ok := w.claim(v.id, h)
	if !ok {
		return
	}
	w.runs = append(w.runs, run)

	length := int64(run.Pages) * w.pageSize
	if h.elementsEnd() > length {
		w.corrupt(v.id, "%d elements don't fit into %d bytes", h.count, length)
		return
	}
	if !w.extend(v.id, h.elementsEnd()) {
		return
	}
	pushed := len(w.stack)
	if h.flags == flagBranch {
		w.branch(v, h, length)
	} else {
		w.leaf(v, h, length)
	}
	// The stack gives back the last one first: reads go forward through the file.
	slices.SortFunc(w.stack[pushed:], func(a, b visit) int { return cmp.Compare(b.id, a.id) })
}
