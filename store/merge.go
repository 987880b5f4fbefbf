package store

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// mergeBuffers is the memory for reading all lists of a merge.
const mergeBuffers = 32 << 20

func mergeBuffer(lists int) int { return min(max(mergeBuffers/max(lists, 1), 16<<10), 256<<10) }

// cursorHeap is a heap of cursors that each stand on their least element.
type cursorHeap[C any] struct {
	cursors []C
	less    func(a, b C) bool
}

func (h *cursorHeap[C]) Len() int           { return len(h.cursors) }
func (h *cursorHeap[C]) Less(i, j int) bool { return h.less(h.cursors[i], h.cursors[j]) }
func (h *cursorHeap[C]) Swap(i, j int)      { h.cursors[i], h.cursors[j] = h.cursors[j], h.cursors[i] }
func (h *cursorHeap[C]) Push(c any)         { h.cursors = append(h.cursors, c.(C)) }
func (h *cursorHeap[C]) Pop() any {
	c := h.cursors[len(h.cursors)-1]
	h.cursors = h.cursors[:len(h.cursors)-1]
	return c
}

// advance moves the least cursor on with next, which is io.EOF at the cursor's end.
func (h *cursorHeap[C]) advance(next func(C) error) error {
	err := next(h.cursors[0])
	if err == io.EOF {
		heap.Pop(h)
		return nil
	}
	if err == nil {
		heap.Fix(h, 0)
	}
	return err
}

// idCursor walks a list of IDs in the order of (hash, ID).
type idCursor struct {
	list int
	r    *bufio.Reader

	hash  uint64
	id    []byte // reused by next
	place int    // in the list
}

func (c *idCursor) next() error {
	c.place++
	var h [hashBytes]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return err // io.EOF at the end of the section
	}
	c.hash = hashAt(h[:])
	n, err := binary.ReadUvarint(c.r)
	if err != nil {
		return noEOF(err)
	}
	c.id = slices.Grow(c.id[:0], int(n))[:n]
	if _, err := io.ReadFull(c.r, c.id); err != nil {
		return noEOF(err)
	}
	return nil
}

// noEOF is for places where the end of the file is an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func lessID(a, b *idCursor) bool {
	if a.hash != b.hash {
		return a.hash < b.hash
	}
	if c := bytes.Compare(a.id, b.id); c != 0 {
		return c < 0
	}
	return a.list < b.list
}

// mergeIDs calls fn for each ID of each list of IDs that is sorted by (hash, ID), in that order; first tells whether it is
// another ID than that of the call before.
func mergeIDs(lists []*bufio.Reader, fn func(c *idCursor, first bool) error) error {
	h := &cursorHeap[*idCursor]{less: lessID}
	for i, r := range lists {
		c := &idCursor{list: i, r: r, place: -1}
		switch err := c.next(); err {
		case nil:
			h.cursors = append(h.cursors, c)
		case io.EOF:
		default:
			return fmt.Errorf("read sorted IDs: %w", err)
		}
	}
	heap.Init(h)
	var last []byte
	started := false
	for h.Len() > 0 {
		c := h.cursors[0]
		first := !started || !bytes.Equal(last, c.id)
		if first {
			last, started = append(last[:0], c.id...), true
		}
		if err := fn(c, first); err != nil {
			return err
		}
		if err := h.advance((*idCursor).next); err != nil {
			return fmt.Errorf("read sorted IDs: %w", err)
		}
	}
	return nil
}
