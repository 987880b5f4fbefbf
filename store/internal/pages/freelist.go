package pages

import (
	"io"
	"slices"
)

// FreePages returns the pages that the stored freelist names, in ascending order and merged, without a walk over the
// others: its cost goes with their number. So it can't tell that a page is in use after all, or that one is missing in
// the list; the caller has another account of what is free, as bbolt's in memory, and a [Walk] of the same open file
// behind it. size is the size of the file in bytes, and no commit may happen meanwhile. The file must have been committed
// with its freelist, as bbolt does by default. Errors are those of Walk.
func FreePages(r io.ReaderAt, size int64, meta Meta) ([]Run, error) {
	w := walker{r: r, meta: meta, pageSize: int64(meta.PageSize)}
	if !validPageSize(meta.PageSize) {
		w.corrupt(0, "page size %d", meta.PageSize)
		return nil, w.err()
	}
	if !meta.FreelistSynced {
		w.corrupt(0, "its freelist isn't stored")
		return nil, w.err()
	}
	w.checkFileSize(size)
	_, free := w.freelist()
	if w.found() {
		return nil, w.err()
	}
	return free, nil
}

// freelist reads the stored list of free pages. It returns where the list lies
// and what it names, merged into runs.
//
// bbolt writes the ids in ascending order, so an id twice shows as disorder.
func (w *walker) freelist() (at Run, free []Run) {
	id := w.meta.Freelist
	if !w.inBounds(id, 0, "the freelist") {
		return Run{}, nil
	}
	h, ok := w.readHeader(id)
	if !ok {
		return Run{}, nil
	}
	if h.flags != flagFreelist {
		w.corrupt(id, "flags %#x, but it is used as the freelist", h.flags)
		return Run{}, nil
	}
	at, ok = w.claim(id, h)
	if !ok {
		return Run{}, nil
	}
	off, count := int64(headerSize), uint64(h.count)
	if h.count == countInFirst {
		count = order.Uint64(w.buf[headerSize:])
		off += idSize
		if count < countInFirst {
			w.corrupt(id, "freelist of %d pages in the format for more", count)
			return Run{}, nil
		}
	}
	if room := uint64(int64(at.Pages)*w.pageSize-off) / idSize; count > room {
		w.corrupt(id, "freelist of %d pages, with room for %d", count, room)
		return Run{}, nil
	}

	var last PageID
	for count > 0 {
		n := min(count, windowBytes/idSize)
		w.scratch = slices.Grow(w.scratch[:0], int(n*idSize))
		ids := w.scratch[:n*idSize]
		if !w.read(id, ids, off) {
			return Run{}, nil
		}
		for b := range slices.Chunk(ids, idSize) {
			next := PageID(order.Uint64(b))
			if !w.inBounds(next, id, "a free page") {
				continue
			}
			if next <= last {
				w.corrupt(id, "free page %d after %d: out of order or twice", next, last)
				continue
			}
			last = next
			if !w.seen.add(Run{First: next, Pages: 1}) {
				w.corrupt(next, "it is in the freelist and in use")
				continue
			}
			if k := len(free); k > 0 && free[k-1].End() == next {
				free[k-1].Pages++
			} else {
				free = append(free, Run{First: next, Pages: 1})
			}
		}
		count -= n
		off += int64(len(ids))
	}
	return at, free
}
