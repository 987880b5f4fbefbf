package block

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

const (
	// MaxRows is the most rows that a block holds.
	MaxRows = 1<<16 - 1
	// MaxColumns is the most columns that a block holds.
	MaxColumns = 1<<16 - 1
	// MaxBytes is the most string bytes that a block holds in one column.
	// Whoever fills blocks has to end one before it gets there.
	MaxBytes = 64 << 20
)

// Codec says how a block's columns are stored. Its numbers are stored.
type Codec uint8

const (
	// Packed picks the smallest of a few fast encodings per column.
	Packed Codec = iota
	// None stores values as they are, fixed-width little-endian numbers and
	// string bytes, so that a search for a value's bytes finds them.
	None
)

const (
	version        = 1
	headerSize     = 16
	descriptorSize = 8
)

// encoding is how one column's section is laid out. Its numbers are stored.
type encoding uint8

const (
	encPlain encoding = iota
	encInts
	encDecimal
	encDict
	encHeap
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encoder encodes blocks. The zero value is ready for use; it keeps scratch
// space from one block to the next, so use one for many. It is for one
// goroutine at a time.
type Encoder struct {
	ints   intPacker
	floats floatDict
	texts  stringDict
	vals   []int64 // the column under way as integers: values, decimals, codes or ends
	codes  []int64
	bits   []uint64
	heap   []byte

	// Of [Encoder.Thin].
	left   Column
	number []uint32 // by code
	used   []uint32 // codes
}

// Append encodes a block of the given columns, each of rows values, and
// appends it to dst. It keeps no reference to cols and doesn't change them. The
// same columns and codec give the same bytes.
//
// On an error, which means that the columns don't agree with each other, that a
// null has a value, or that a limit is exceeded, dst is returned as it was.
func (e *Encoder) Append(dst []byte, codec Codec, rows int, cols []Column) ([]byte, error) {
	if codec != Packed && codec != None {
		return dst, fmt.Errorf("block: encode: unknown codec %d", codec)
	}
	if rows < 0 || rows > MaxRows || len(cols) > MaxColumns {
		return dst, fmt.Errorf("block: encode %d rows and %d columns: a block takes at most %d and %d",
			rows, len(cols), MaxRows, MaxColumns)
	}
	start := len(dst)
	out := beginBlock(dst, len(cols))
	for i := range cols {
		c := &cols[i]
		if err := checkColumn(c, rows); err != nil {
			return dst, fmt.Errorf("block: encode column %d: %w", i, err)
		}
		nulls := len(c.Valid) > 0 && !allSet(c.Valid, 0, rows)
		if nulls {
			out = appendValid(out, c)
		}
		var enc encoding
		var exponent uint8
		out, enc, exponent = e.appendColumn(out, codec, c, nulls)
		if len(out)-start > math.MaxInt32 {
			return dst, fmt.Errorf("block: encode column %d: the block exceeds 2 GiB: put fewer rows in it", i)
		}
		describe(out[start:], i, c.Kind, enc, nulls, exponent)
	}
	return endBlock(out, start, codec, rows, len(cols)), nil
}

// beginBlock appends room for the header of a block and for the descriptors of its columns.
func beginBlock(dst []byte, cols int) []byte {
	start, head := len(dst), headerSize+descriptorSize*cols
	dst = slices.Grow(dst, head)[:start+head]
	clear(dst[start:])
	return dst
}

func appendValid(dst []byte, c *Column) []byte {
	for _, w := range c.Valid {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// describe fills in the descriptor of column i, whose section has just been appended to block b.
func describe(b []byte, i int, kind Kind, enc encoding, nulls bool, exponent uint8) {
	d := b[headerSize+i*descriptorSize:]
	d[0], d[1], d[3] = byte(kind), byte(enc), exponent
	if nulls {
		d[2] = 1
	}
	binary.LittleEndian.PutUint32(d[4:], uint32(len(b)))
}

// endBlock appends what follows the last column, and fills in the header of the block that begins at start.
func endBlock(out []byte, start int, codec Codec, rows, cols int) []byte {
	out = append(out, make([]byte, slack)...)
	b := out[start:]
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	b[8], b[9] = version, byte(codec)
	binary.LittleEndian.PutUint16(b[10:], uint16(rows))
	binary.LittleEndian.PutUint16(b[12:], uint16(cols))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return out
}

// checkColumn makes sure of what the encodings rely on.
func checkColumn(c *Column, rows int) error {
	if c.Kind < Int || c.Kind > String {
		return fmt.Errorf("unknown kind %d", c.Kind)
	}
	if n := c.Len(); n != rows {
		return fmt.Errorf("has %d values for %d rows", n, rows)
	}
	if c.Kind == String {
		if len(c.Bytes) > MaxBytes {
			return fmt.Errorf("has %d bytes and a block takes %d: put fewer rows in it", len(c.Bytes), MaxBytes)
		}
		last := uint32(0)
		for _, end := range c.Ends {
			if end < last {
				return fmt.Errorf("string ends are not in order")
			}
			last = end
		}
		if int(last) != len(c.Bytes) {
			return fmt.Errorf("string ends do not cover the bytes")
		}
	}
	if len(c.Valid) == 0 {
		return nil
	}
	if len(c.Valid) != bitmapWords(rows) || rows%64 != 0 && c.Valid[rows/64]>>(rows%64) != 0 {
		return fmt.Errorf("validity bitmap is not of %d rows", rows)
	}
	for i := range rows {
		if !bit(c.Valid, i) && !isZero(c, i) {
			return fmt.Errorf("the null in row %d has a value", i)
		}
	}
	return nil
}

func isZero(c *Column, i int) bool {
	switch c.Kind {
	case Int:
		return c.Int[i] == 0
	case Float32:
		return math.Float32bits(c.F32[i]) == 0
	case Float64:
		return math.Float64bits(c.F64[i]) == 0
	}
	return len(c.Value(i)) == 0
}

func (e *Encoder) appendColumn(dst []byte, codec Codec, c *Column, nulls bool) ([]byte, encoding, uint8) {
	if codec == None {
		return appendPlain(dst, c), encPlain, 0
	}
	switch c.Kind {
	case Int:
		vals := c.Int
		if nulls {
			e.vals = fillNulls(e.vals[:0], c)
			vals = e.vals
		}
		return e.appendInts(dst, vals), encInts, 0
	case Float32:
		return appendFloats(e, dst, c, c.F32)
	case Float64:
		return appendFloats(e, dst, c, c.F64)
	}
	dst, enc := e.appendStrings(dst, c)
	return dst, enc, 0
}

func (e *Encoder) appendInts(dst []byte, vals []int64) []byte {
	return e.ints.append(dst, vals, e.ints.plan(vals))
}

// fillNulls appends c's values to dst, with each null replaced by the value
// before it (or the first one after it), so that zeros among timestamps don't
// widen their frames.
func fillNulls(dst []int64, c *Column) []int64 {
	last := int64(0)
	for i, v := range c.Int {
		if bit(c.Valid, i) {
			last = v
			break
		}
	}
	for i, v := range c.Int {
		if bit(c.Valid, i) {
			last = v
		}
		dst = append(dst, last)
	}
	return dst
}

// appendPlain appends the values of a column of any kind as they are.
func appendPlain(dst []byte, c *Column) []byte {
	switch c.Kind {
	case Int:
		dst = slices.Grow(dst, 8*len(c.Int))
		for _, v := range c.Int {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
	case Float32:
		dst = slices.Grow(dst, 4*len(c.F32))
		for _, v := range c.F32 {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
		}
	case Float64:
		dst = slices.Grow(dst, 8*len(c.F64))
		for _, v := range c.F64 {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
		}
	case String:
		dst = slices.Grow(dst, 4*len(c.Ends)+len(c.Bytes))
		for _, v := range c.Ends {
			dst = binary.LittleEndian.AppendUint32(dst, v)
		}
		dst = append(dst, c.Bytes...)
	}
	return dst
}
