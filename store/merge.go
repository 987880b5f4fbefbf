package store

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// mergeBuffers is the memory for reading all runs of a merge.
const mergeBuffers = 32 << 20

// leapBuffer is the buffer for a run whose keys don't come in the order of their ordinals.
const leapBuffer = 16 << 10

func mergeBuffer(runs int) int { return min(max(mergeBuffers/max(runs, 1), 16<<10), 256<<10) }

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

// idCursor walks the IDs of a run in the order of (hash, ID).
type idCursor struct {
	run     int
	r       *bufio.Reader
	counted bool // with rows and bytes, which keys have and items don't

	hash        uint64
	id          []byte // reused by next
	place       int    // in the run's list
	rows, bytes uint64
	off         int64 // of its records in the run's rows
}

func (c *idCursor) next() error {
	c.place++
	c.off += int64(c.bytes)
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
	if !c.counted {
		return nil
	}
	if c.rows, err = binary.ReadUvarint(c.r); err != nil {
		return noEOF(err)
	}
	if c.bytes, err = binary.ReadUvarint(c.r); err != nil {
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
	return a.run < b.run
}

// mergeIDs calls fn for each ID of each list of IDs that is sorted by (hash, ID), in that order; first tells whether it is
// another ID than that of the call before. counted lists have rows and bytes with each ID.
func mergeIDs(lists []*bufio.Reader, counted bool, fn func(c *idCursor, first bool) error) error {
	h := &cursorHeap[*idCursor]{less: lessID}
	for i, r := range lists {
		c := &idCursor{run: i, r: r, counted: counted, place: -1}
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

// rowGroup is the rows of one key in one run, once the key's ordinal is known.
type rowGroup struct {
	ordinal uint32
	rows    uint32
	off     int64 // in the run's rows
	bytes   int64
}

const rowGroupSize = 24

func (g rowGroup) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, g.ordinal)
	b = binary.LittleEndian.AppendUint32(b, g.rows)
	b = binary.LittleEndian.AppendUint64(b, uint64(g.off))
	return binary.LittleEndian.AppendUint64(b, uint64(g.bytes))
}

func decodeRowGroup(b []byte) rowGroup {
	return rowGroup{
		ordinal: binary.LittleEndian.Uint32(b), rows: binary.LittleEndian.Uint32(b[4:]),
		off: int64(binary.LittleEndian.Uint64(b[8:])), bytes: int64(binary.LittleEndian.Uint64(b[16:])),
	}
}

// groupWriter writes the groups of one run, in the order of the run's keys, to a section reserved for them.
type groupWriter struct {
	spill  *spillFile
	sec    section
	buf    []byte
	done   int64
	last   uint32
	sorted bool // by ordinal, as it comes out when no key was there before
}

func newGroupWriter(spill *spillFile, r *run) *groupWriter {
	return &groupWriter{spill: spill, sec: spill.reserve(int64(r.nKeys) * rowGroupSize), sorted: true}
}

func (w *groupWriter) add(g rowGroup) error {
	w.sorted = w.sorted && (g.ordinal >= w.last)
	w.last = g.ordinal
	if w.buf = g.append(w.buf); len(w.buf) < 16<<10 {
		return nil
	}
	return w.write()
}

func (w *groupWriter) write() error {
	if _, err := w.spill.f.WriteAt(w.buf, w.sec.off+w.done); err != nil {
		return fmt.Errorf("write sort file: %w", err)
	}
	w.done += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// finish writes what is left and brings the section into the order of ordinals.
func (w *groupWriter) finish() error {
	if err := w.write(); err != nil || w.sorted {
		return err
	}
	b := make([]byte, w.done)
	if _, err := w.spill.f.ReadAt(b, w.sec.off); err != nil {
		return fmt.Errorf("read sort file: %w", err)
	}
	groups := make([]rowGroup, 0, len(b)/rowGroupSize)
	for g := range slices.Chunk(b, rowGroupSize) {
		groups = append(groups, decodeRowGroup(g))
	}
	slices.SortFunc(groups, func(a, c rowGroup) int { return cmp.Compare(a.ordinal, c.ordinal) })
	b = b[:0]
	for _, g := range groups {
		b = g.append(b)
	}
	if _, err := w.spill.f.WriteAt(b, w.sec.off); err != nil {
		return fmt.Errorf("write sort file: %w", err)
	}
	return nil
}

// rowCursor walks the rows of a run in the order of (ordinal, time).
type rowCursor struct {
	run    int
	rows   *io.SectionReader
	r      *bufio.Reader
	at     int64 // what r reads next
	groups *bufio.Reader
	items  []uint32 // ordinals of the run's items, by their place
	layout *rowLayout

	group rowGroup
	left  uint32 // rows of the group after rec
	rec   []byte // reused by next
	time  int64
}

// next moves to the next row, of the same key or of the next one.
func (c *rowCursor) next() error {
	if c.left == 0 {
		var b [rowGroupSize]byte
		if _, err := io.ReadFull(c.groups, b[:]); err != nil {
			return err // io.EOF at the end of the run
		}
		c.group = decodeRowGroup(b[:])
		if err := c.seek(c.group.off); err != nil {
			return err
		}
		c.left = c.group.rows
	}
	n, err := binary.ReadUvarint(c.r)
	if err != nil {
		return noEOF(err)
	}
	c.rec = slices.Grow(c.rec[:0], int(n))[:n]
	if _, err := io.ReadFull(c.r, c.rec); err != nil {
		return noEOF(err)
	}
	c.left--
	c.at += int64(uvarintLen(n)) + int64(n)
	if c.layout.time {
		c.time = recordTime(c.rec)
	}
	if c.layout.items {
		setRecordItem(c.rec, c.items[recordItem(c.rec)])
	}
	return nil
}

// seek moves to an offset in the run's rows, inside of the buffer where it can.
func (c *rowCursor) seek(off int64) error {
	if skip := off - c.at; skip >= 0 && skip <= int64(c.r.Buffered()) {
		c.at = off
		_, err := c.r.Discard(int(skip))
		return err
	}
	if _, err := c.rows.Seek(off, io.SeekStart); err != nil {
		return err
	}
	c.r.Reset(c.rows)
	c.at = off
	return nil
}

func lessRow(a, b *rowCursor) bool {
	if a.group.ordinal != b.group.ordinal {
		return a.group.ordinal < b.group.ordinal
	}
	if a.time != b.time {
		return a.time < b.time
	}
	return a.run < b.run
}

// mergeRows calls fn for each row of all runs, in the order of (ordinal, time, arrival). rec is reused after the call.
func mergeRows(spill *spillFile, layout *rowLayout, runs []*run, groups []*groupWriter, items [][]uint32, fn func(ordinal uint32, rec []byte) error) error {
	h := &cursorHeap[*rowCursor]{less: lessRow}
	size := mergeBuffer(len(runs))
	for i, r := range runs {
		rows := io.NewSectionReader(spill.f, r.rows.off, r.rows.size)
		buffer := size
		if !groups[i].sorted { // it leaps, and each leap fills the buffer
			buffer = min(size, leapBuffer)
		}
		c := &rowCursor{
			run: i, layout: layout, rows: rows, r: bufio.NewReaderSize(rows, buffer),
			groups: spill.reader(groups[i].sec, size/4), items: items[i],
		}
		switch err := c.next(); err {
		case nil:
			h.cursors = append(h.cursors, c)
		case io.EOF:
		default:
			return fmt.Errorf("read sort file: %w", err)
		}
	}
	heap.Init(h)
	for h.Len() > 0 {
		c := h.cursors[0]
		if err := fn(c.group.ordinal, c.rec); err != nil {
			return err
		}
		if err := h.advance((*rowCursor).next); err != nil {
			return fmt.Errorf("read sort file: %w", err)
		}
	}
	return nil
}
