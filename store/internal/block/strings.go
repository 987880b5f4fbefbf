package block

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
)

// shortValue is the length up to which the values of a dictionary are copied
// without a look at their length, by a move of this many bytes.
const shortValue = 16

// seed differs between processes, which the stored bytes don't show: a
// dictionary is in the order of first use.
var seed = maphash.MakeSeed()

// appendStrings appends a String column as a dictionary or as a heap.
func (e *Encoder) appendStrings(dst []byte, c *Column) ([]byte, encoding) {
	codes, ok := e.texts.build(e.codes[:0], c)
	e.codes = codes
	if ok {
		n := len(e.texts.entries)
		width := bitWidth(uint64(max(n-1, 0)))
		// An end takes about one byte in a stream, and two among values that differ.
		if e.texts.bytes+2*n+packedLen(len(codes), width) < len(c.Bytes)+len(c.Ends) {
			return e.appendDict(dst, codes, func(i int) []byte { return c.Value(int(e.texts.entries[i].row)) }, n), encDict
		}
	}
	e.vals = e.vals[:0]
	for _, end := range c.Ends {
		e.vals = append(e.vals, int64(end))
	}
	at := len(dst)
	dst = append(dst, make([]byte, 8)...)
	dst = e.appendInts(dst, e.vals)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-8))
	binary.LittleEndian.PutUint32(dst[at+4:], uint32(len(c.Bytes)))
	return appendHeap(dst, c.Bytes), encHeap
}

// appendDict appends a dictionary of n values and codes in it.
func (e *Encoder) appendDict(dst []byte, codes []int64, value func(int) []byte, n int) []byte {
	e.vals, e.heap = e.vals[:0], e.heap[:0]
	for i := range n {
		e.heap = append(e.heap, value(i)...)
		e.vals = append(e.vals, int64(len(e.heap)))
	}
	const head = 16
	at := len(dst)
	dst = append(dst, make([]byte, head)...)
	dst = e.appendInts(dst, e.vals)
	ends := len(dst) - at - head
	dst = e.appendInts(dst, codes)
	h := dst[at:]
	binary.LittleEndian.PutUint32(h, uint32(n))
	binary.LittleEndian.PutUint32(h[4:], uint32(ends))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(h)-head-ends))
	binary.LittleEndian.PutUint32(h[12:], uint32(len(e.heap)))
	return appendHeap(dst, e.heap)
}

// stringDict finds the distinct values of a String column.
type stringDict struct {
	entries []stringEntry // in the order of first use
	bytes   int           // of all entries
	slots   []uint32      // code+1, or 0
}

// stringEntry is a distinct value. One of up to 8 bytes is told by its length
// and its key, longer ones by the value in its row.
type stringEntry struct {
	key  uint64 // up to 8 bytes: those bytes; longer: a hash
	size uint32
	row  uint32 // that uses it first
}

// build appends the code of each value of c to codes. It gives up, and returns
// false, once more than half as many values as there are rows turn out distinct.
func (d *stringDict) build(codes []int64, c *Column) ([]int64, bool) {
	limit := max(len(c.Ends)/2, 1)
	sizeBits := bits.Len(uint(2*limit - 1))
	d.slots = slices.Grow(d.slots[:0], 1<<sizeBits)[:1<<sizeBits]
	clear(d.slots)
	d.entries, d.bytes = d.entries[:0], 0
	mask := uint64(len(d.slots) - 1)
	start := uint32(0)
	for row, end := range c.Ends {
		v := c.Bytes[start:end]
		entry := stringEntry{size: end - start, row: uint32(row)}
		if len(v) <= 8 {
			entry.key = firstBytes(c.Bytes[start:], len(v))
		} else {
			entry.key = maphash.Bytes(seed, v)
		}
		start = end
		for i := entry.key * 0x9E3779B97F4A7C15 >> (64 - sizeBits); ; i = (i + 1) & mask {
			code := d.slots[i]
			if code == 0 {
				if len(d.entries) == limit {
					return codes, false
				}
				d.entries = append(d.entries, entry)
				d.bytes += len(v)
				code = uint32(len(d.entries))
				d.slots[i] = code
				codes = append(codes, int64(code-1))
				break
			}
			have := &d.entries[code-1]
			if have.key == entry.key && have.size == entry.size &&
				(len(v) <= 8 || bytes.Equal(c.Value(int(have.row)), v)) {
				codes = append(codes, int64(code-1))
				break
			}
		}
	}
	return codes, true
}

// firstBytes returns the first n bytes of b, up to 8, as a number.
func firstBytes(b []byte, n int) (key uint64) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b) & (1<<(8*n) - 1)
	}
	for i, v := range b[:n] {
		key |= uint64(v) << (8 * i)
	}
	return key
}

// readHeap appends the values [from,to), of which there is at least one, of a
// column whose values lie one after the other.
func (c *column) readHeap(dst *Column, from, to int) error {
	start := int64(0)
	if from > 0 {
		var before [1]int64
		c.ints.read(before[:], from-1)
		start = before[0]
	}
	var buf [frameLen]int64
	last, base := start, int64(len(dst.Bytes))-start
	out := slices.Grow(dst.Ends, to-from)
	for at := from; at < to; {
		next := chunk(at, to)
		part := buf[:next-at]
		c.ints.read(part, at)
		for _, end := range part {
			if end < last {
				return corrupt("string ends are not in order")
			}
			last = end
			out = append(out, uint32(base+end))
		}
		at = next
	}
	dst.Ends = out
	if start < 0 || last > int64(c.raw) {
		return corrupt("string ends are outside the heap")
	}
	if base+last > maxColumnBytes {
		return errGather
	}
	if c.heap == nil && start == 0 && last == int64(c.raw) {
		// All of it, as a scan reads it: no copy stays with the block.
		var err error
		dst.Bytes, err = appendRaw(dst.Bytes, c.stored, c.raw)
		return err
	}
	if err := c.openHeap(); err != nil {
		return err
	}
	dst.Bytes = append(dst.Bytes, c.heap[start:last]...)
	return nil
}

// readStringDict appends the values [from,to) of a column of codes.
func (c *column) readStringDict(dst *Column, from, to int) error {
	var buf [frameLen]int64
	ends := slices.Grow(dst.Ends, to-from)
	out, base := dst.Bytes, len(dst.Bytes)
	for from < to {
		next := chunk(from, to)
		part := buf[:next-from]
		c.ints.read(part, from)
		size, ok := shortValue*len(part), true
		if !c.short {
			size, ok = c.sizeOf(part)
		}
		if !ok {
			return corrupt("code is not in the dictionary")
		}
		if len(out)-base+size > MaxBytes {
			return corrupt("values exceed what a block holds")
		}
		if len(out)+size > maxColumnBytes {
			return errGather
		}
		at, n := len(out), len(ends)
		ends = ends[:n+len(part)]
		if c.short {
			out = slices.Grow(out, len(window{}))
			written, ok := copyShort((*window)(out[at:at+len(window{})]), ends[n:], part, c.texts, uint32(at))
			if !ok {
				return corrupt("code is not in the dictionary")
			}
			out = out[:at+int(written)]
		} else {
			out = slices.Grow(out, size)
			for i, code := range part {
				out = append(out, c.heap[c.ends[code]:c.ends[code+1]]...)
				ends[n+i] = uint32(len(out))
			}
		}
		from = next
	}
	dst.Ends, dst.Bytes = ends, out
	return nil
}

// sizeOf returns the length of all values that codes stand for. It is false if there is one that stands for none.
func (c *column) sizeOf(codes []int64) (size int, ok bool) {
	for _, code := range codes {
		if uint64(code) >= uint64(len(c.ends)-1) {
			return 0, false
		}
		size += int(c.ends[code+1] - c.ends[code])
	}
	return size, true
}

// shortText is a string of up to shortValue bytes.
type shortText struct {
	bytes [shortValue]byte
	size  uint32
}

// window is room for the short values of a frame: each is copied in full, and the next one over its end.
type window [frameLen*shortValue + shortValue]byte

// copyShort writes the values that codes stand for one after the other, and where each ends, counted from base.
func copyShort(w *window, ends []uint32, codes []int64, values []shortText, base uint32) (n uint32, ok bool) {
	ends = ends[:len(codes)]
	for i, code := range codes {
		if uint64(code) >= uint64(len(values)) {
			return n, false
		}
		v := &values[code]
		*(*[shortValue]byte)(w[n%(frameLen*shortValue):]) = v.bytes // n is at most 127 values
		n += v.size
		ends[i] = base + n
	}
	return n, true
}
