package block

import (
	"encoding/binary"
	"slices"
)

// open checks the column's section and finds its parts, once.
func (c *column) open(rows int) error {
	if c.opened {
		return nil
	}
	body := c.section
	if c.nulls {
		words := bitmapWords(rows)
		if len(body) < 8*words {
			return corrupt("validity bitmap is cut off")
		}
		c.valid = slices.Grow(c.valid[:0], words)[:words]
		for i := range c.valid {
			c.valid[i] = binary.LittleEndian.Uint64(body[8*i:])
		}
		if rows%64 != 0 && c.valid[rows/64]>>(rows%64) != 0 {
			return corrupt("validity bitmap goes on past the rows")
		}
		body = body[8*words:]
	}
	if err := c.openBody(body, rows); err != nil {
		return err
	}
	c.opened = true
	return nil
}

// openBody finds the parts of what follows the validity bitmap. The capacity of
// body goes on for slack bytes past its length.
func (c *column) openBody(body []byte, rows int) (err error) {
	switch {
	case c.enc == encPlain:
		return c.openPlain(body, rows)
	case c.kind == Int && c.enc == encInts,
		(c.kind == Float32 || c.kind == Float64) && c.enc == encDecimal:
		c.ints, err = parseInts(body, rows)
		return err
	case c.kind == String && c.enc == encHeap:
		return c.openStrings(body, rows)
	case c.kind == String && c.enc == encDict:
		return c.openStringDict(body, rows)
	case c.enc == encDict && c.kind != Int:
		return c.openFloatDict(body, rows)
	}
	return corrupt("column has an unknown encoding")
}

func (c *column) openPlain(body []byte, rows int) error {
	size := 8
	if c.kind == Float32 || c.kind == String {
		size = 4
	}
	if len(body) < size*rows || c.kind != String && len(body) > size*rows {
		return corrupt("plain values have the wrong length")
	}
	switch c.kind {
	case Int:
		c.ints = intStream{n: rows, width: 64, data: body}
	case Float32, Float64:
		c.stored = body
	case String:
		c.ints = intStream{n: rows, width: 32, data: body[:4*rows+slack]}
		return c.setHeap(body[4*rows:], uint32(len(body)-4*rows))
	}
	return nil
}

func (c *column) openFloatDict(body []byte, rows int) (err error) {
	size := 8
	if c.kind == Float32 {
		size = 4
	}
	if len(body) < 4 {
		return corrupt("dictionary is cut off")
	}
	n := binary.LittleEndian.Uint32(body)
	body = body[4:]
	if n > maxFloatDict || len(body) < size*int(n) {
		return corrupt("dictionary has an impossible size")
	}
	values := body[:size*int(n)]
	if c.kind == Float32 {
		c.f32 = loadFloat32(c.f32[:0], values)
	} else {
		c.f64 = loadFloat64(c.f64[:0], values)
	}
	c.ints, err = parseInts(body[len(values):], rows)
	return err
}

func (c *column) openStrings(body []byte, rows int) (err error) {
	if len(body) < 8 {
		return corrupt("strings are cut off")
	}
	ends, raw := binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint32(body[4:])
	body = body[8:]
	if uint64(ends) > uint64(len(body)) {
		return corrupt("strings are cut off")
	}
	if c.ints, err = parseInts(body[:ends], rows); err != nil {
		return err
	}
	return c.setHeap(body[ends:], raw)
}

func (c *column) openStringDict(body []byte, rows int) (err error) {
	if len(body) < 16 {
		return corrupt("dictionary is cut off")
	}
	n := binary.LittleEndian.Uint32(body)
	ends, codes := binary.LittleEndian.Uint32(body[4:]), binary.LittleEndian.Uint32(body[8:])
	raw := binary.LittleEndian.Uint32(body[12:])
	body = body[16:]
	if n > MaxRows || uint64(ends)+uint64(codes) > uint64(len(body)) {
		return corrupt("dictionary has an impossible size")
	}
	stream, err := parseInts(body[:ends], int(n))
	if err != nil {
		return err
	}
	if c.ints, err = parseInts(body[ends:ends+codes], rows); err != nil {
		return err
	}
	if err := c.setHeap(body[ends+codes:], raw); err != nil {
		return err
	}
	var buf [frameLen]int64
	c.ends = append(c.ends[:0], 0)
	last, longest := int64(0), int64(0)
	for from := 0; from < int(n); from = chunk(from, int(n)) {
		part := buf[:chunk(from, int(n))-from]
		stream.read(part, from)
		for _, end := range part {
			if end < last || end > int64(raw) {
				return corrupt("dictionary ends are not in order")
			}
			longest = max(longest, end-last)
			last = end
			c.ends = append(c.ends, uint32(end))
		}
	}
	c.short = longest <= shortValue
	if err := c.openHeap(); err != nil || !c.short {
		return err
	}
	c.texts = slices.Grow(c.texts[:0], int(n))[:n]
	for i := range c.texts {
		v := c.heap[c.ends[i]:c.ends[i+1]]
		c.texts[i] = shortText{size: uint32(len(v))}
		copy(c.texts[i].bytes[:], v)
	}
	return nil
}

func (c *column) setHeap(stored []byte, raw uint32) error {
	c.stored, c.raw = stored, int(raw)
	return checkHeap(stored, raw)
}

// openHeap makes the heap's raw bytes available in c.heap.
func (c *column) openHeap() (err error) {
	if c.heap != nil {
		return nil
	}
	if len(c.stored) == c.raw {
		c.heap = c.stored
		return nil
	}
	c.heap, err = appendRaw(make([]byte, 0, c.raw), c.stored, c.raw)
	return err
}
