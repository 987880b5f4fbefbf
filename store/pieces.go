package store

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// pieces are the rows of a partition that doesn't fit in memory (many rows, or one user with very many): parts of it that
// were sorted one by one, and are merged as they are read.
type pieces struct {
	src  *unitSource
	heap *cursorHeap[*pieceCursor]
	last pieceCursor // the row given out last; its slices are its own
	any  bool        // a row was given out
}

// divide sorts the rows of a range in pieces.
func (s *unitSource) divide(ctx context.Context, part int) (*pieces, error) {
	var sorted []section
	var u unit
	spill := s.rows[0].spill
	in := &cursorHeap[*pieceCursor]{less: func(a, b *pieceCursor) bool { return a.chunk < b.chunk }}
	for _, rows := range s.rows {
		c := &pieceCursor{r: rows.reader(&rows.parts[part])}
		switch err := c.next(s.layout); err {
		case nil:
			in.cursors = append(in.cursors, c)
		case io.EOF:
		default:
			return nil, fmt.Errorf("read sort file: %w", err)
		}
	}
	heap.Init(in)
	for in.Len() > 0 {
		u.data = u.data[:0]
		for in.Len() > 0 && len(u.data) < s.limits.pieceBytes {
			u.data = in.cursors[0].appendTo(u.data)
			if err := in.advance(func(c *pieceCursor) error { return c.next(s.layout) }); err != nil {
				return nil, fmt.Errorf("read sort file: %w", err)
			}
		}
		if err := u.load(s, nil); err != nil {
			return nil, err
		}
		sec, err := u.spill(spill)
		if err != nil {
			return nil, err
		}
		sorted = append(sorted, sec)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	p := &pieces{src: s, heap: &cursorHeap[*pieceCursor]{less: lessPiece}}
	for i, sec := range sorted {
		c := &pieceCursor{piece: i, r: spill.reader(mergeBuffer(len(sorted)), sec)}
		if err := c.next(s.layout); err != nil {
			return nil, fmt.Errorf("read sort file: %w", noEOF(err))
		}
		p.heap.cursors = append(p.heap.cursors, c)
	}
	heap.Init(p.heap)
	return p, nil
}

// spill writes the rows of a unit in their order.
func (u *unit) spill(spill *spillFile) (section, error) {
	out := make([]byte, 0, len(u.data))
	for i := range u.keys {
		hash, id := u.key(i)
		for _, row := range u.rowsOf(i) {
			c := pieceCursor{key: hash, id: id, rec: u.record(row)}
			out = c.appendTo(out)
		}
	}
	return spill.append(out)
}

func (p *pieces) done() bool { return p.heap.Len() == 0 }

// maxTogether is the most bytes of rows of one key and time in which repeats are looked for.
const maxTogether = 1 << 30

// fill gives a unit the next rows.
func (p *pieces) fill(u *unit) error {
	for p.heap.Len() > 0 {
		c := p.heap.cursors[0]
		same := p.any && c.key == p.last.key && bytes.Equal(c.id, p.last.id)
		together := p.src.lastOnly || p.src.together && c.time == p.last.time
		if len(u.data) >= p.src.limits.unitBytes && !(same && together) {
			break
		}
		if len(u.data) > maxTogether {
			return fmt.Errorf("one user has more than 1 GiB of rows of one %s: import the dataset with mode %s, which doesn't look for repeats", ColumnTimestamp, ImportFull)
		}
		if p.src.lastOnly && same {
			u.data = u.data[:len(u.data)-p.last.size()]
			p.src.dropped++
		}
		p.last.set(c)
		p.any = true
		u.data = c.appendTo(u.data)
		if err := p.heap.advance(func(c *pieceCursor) error { return c.next(p.src.layout) }); err != nil {
			return fmt.Errorf("read sort file: %w", err)
		}
	}
	return nil
}

// pieceCursor walks rows in the spill file.
type pieceCursor struct {
	piece int
	chunk int64 // of the row, in a partition
	r     *bufio.Reader

	key     uint64
	id, rec []byte // reused by next
	time    int64
}

func (c *pieceCursor) next(layout *rowLayout) error {
	idLen, err := binary.ReadUvarint(c.r)
	for err == nil && idLen == 0 {
		var chunk uint64
		if chunk, err = binary.ReadUvarint(c.r); err == nil {
			c.chunk = int64(chunk)
			idLen, err = binary.ReadUvarint(c.r)
		}
		err = noEOF(err) // rows follow
	}
	if err != nil {
		return err // io.EOF at the end
	}
	idLen--
	recLen, err := binary.ReadUvarint(c.r)
	if err != nil {
		return noEOF(err)
	}
	var h [hashBytes]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return noEOF(err)
	}
	c.key = hashAt(h[:])
	c.id = slices.Grow(c.id[:0], int(idLen))[:idLen]
	c.rec = slices.Grow(c.rec[:0], int(recLen))[:recLen]
	if _, err := io.ReadFull(c.r, c.id); err != nil {
		return noEOF(err)
	}
	if _, err := io.ReadFull(c.r, c.rec); err != nil {
		return noEOF(err)
	}
	if layout.time {
		c.time = recordTime(c.rec)
	}
	return nil
}

// appendTo appends the row as partitions hold it.
func (c *pieceCursor) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(len(c.id)+1)), uint64(len(c.rec)))
	return append(append(appendHash(b, c.key), c.id...), c.rec...)
}

func (c *pieceCursor) size() int {
	return hashBytes + uvarintLen(uint64(len(c.id)+1)) + uvarintLen(uint64(len(c.rec))) + len(c.id) + len(c.rec)
}

// set copies the row that o stands on.
func (c *pieceCursor) set(o *pieceCursor) {
	c.key, c.time = o.key, o.time
	c.id, c.rec = append(c.id[:0], o.id...), append(c.rec[:0], o.rec...)
}

func lessPiece(a, b *pieceCursor) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	if c := bytes.Compare(a.id, b.id); c != 0 {
		return c < 0
	}
	if a.time != b.time {
		return a.time < b.time
	}
	return a.piece < b.piece
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
