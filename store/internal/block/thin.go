package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Thin appends a block of some rows of b to dst: those of runs, each [from,to), which ascend and don't overlap. It has the
// values that [Block.Read] and [Encoder.Append] would give it, in less time, since a column mostly keeps its encoding and no
// other one is tried: integers are packed anew as the integers that they are stored as, and a dictionary loses the values
// that no row has any more. No value of a row that is left out is in the result; which encoding it has can be due to one.
//
// codec is that of b. On an error dst is returned as it was; damage to b is an ErrCorrupt.
func (e *Encoder) Thin(dst []byte, codec Codec, b *Block, runs [][2]int) ([]byte, error) {
	rows, last := 0, 0
	for _, r := range runs {
		if r[0] < last || r[1] < r[0] || r[1] > b.rows {
			return dst, fmt.Errorf("block: thin: run [%d,%d) after row %d of %d", r[0], r[1], last, b.rows)
		}
		rows, last = rows+r[1]-r[0], r[1]
	}
	start := len(dst)
	out := beginBlock(dst, len(b.cols))
	for i := range b.cols {
		c := &b.cols[i]
		if err := c.open(b.rows); err != nil {
			return dst, fmt.Errorf("thin column %d: %w", i, err)
		}
		var enc encoding
		var exponent uint8
		var err error
		nulls := c.nulls
		if codec == Packed && !nulls && (c.enc == encInts || c.enc == encDecimal || c.enc == encDict) {
			// With nulls it would not do: in their places the stream has values of other rows.
			enc, exponent = c.enc, c.exponent
			out, err = e.thinInts(out, c, runs)
		} else {
			out, enc, exponent, nulls, err = e.thinValues(out, codec, b, i, runs)
		}
		if err != nil {
			return dst, fmt.Errorf("thin column %d: %w", i, err)
		}
		if len(out)-start > math.MaxInt32 {
			return dst, fmt.Errorf("block: thin column %d: the block exceeds 2 GiB", i)
		}
		describe(out[start:], i, c.kind, enc, nulls, exponent)
	}
	return endBlock(out, start, codec, rows, len(b.cols)), nil
}

// thinValues takes a column's values out and encodes them.
func (e *Encoder) thinValues(dst []byte, codec Codec, b *Block, col int, runs [][2]int) (_ []byte, enc encoding, exponent uint8, nulls bool, err error) {
	c := &e.left
	c.Reset()
	c.Kind = b.cols[col].kind
	for _, r := range runs {
		if err := b.Read(col, r[0], r[1], c); err != nil {
			return dst, 0, 0, false, err
		}
	}
	nulls = len(c.Valid) > 0
	if nulls {
		dst = appendValid(dst, c)
	}
	dst, enc, exponent = e.appendColumn(dst, codec, c, nulls)
	return dst, enc, exponent, nulls, nil
}

// thinInts thins a column without nulls whose rows are a stream of integers: values, decimals or codes.
func (e *Encoder) thinInts(dst []byte, c *column, runs [][2]int) ([]byte, error) {
	e.codes = slices.Grow(e.codes[:0], c.ints.n)[:c.ints.n]
	vals := e.codes
	c.ints.read(vals, 0)
	n := 0
	for _, r := range runs {
		n += copy(vals[n:], vals[r[0]:r[1]])
	}
	vals = vals[:n]
	switch {
	case c.enc != encDict:
		return e.appendInts(dst, vals), nil
	case c.kind == String:
		kept, err := e.renumber(vals, len(c.ends)-1)
		if err != nil {
			return dst, err
		}
		return e.appendDict(dst, vals, func(i int) []byte { return c.heap[c.ends[kept[i]]:c.ends[kept[i]+1]] }, len(kept)), nil
	}
	kept, err := e.renumber(vals, max(len(c.f32), len(c.f64)))
	if err != nil {
		return dst, err
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(kept)))
	for _, code := range kept {
		if c.kind == Float32 {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(c.f32[code]))
		} else {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.f64[code]))
		}
	}
	return e.appendInts(dst, vals), nil
}

// renumber makes codes of n values codes of those that are used, which it returns in their order.
func (e *Encoder) renumber(codes []int64, n int) (used []uint32, err error) {
	e.number = slices.Grow(e.number[:0], n)[:n]
	clear(e.number)
	for _, code := range codes {
		if uint64(code) >= uint64(n) {
			return nil, corrupt("code is not in the dictionary")
		}
		e.number[code] = 1
	}
	e.used = e.used[:0]
	for code, is := range e.number {
		if is > 0 {
			e.number[code] = uint32(len(e.used))
			e.used = append(e.used, uint32(code))
		}
	}
	if len(e.used) == n {
		return e.used, nil
	}
	for i, code := range codes {
		codes[i] = int64(e.number[code])
	}
	return e.used, nil
}
