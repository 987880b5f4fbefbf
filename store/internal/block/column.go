package block

import (
	"math"
	"slices"
)

// Kind is the type of a column's values. Its numbers are stored.
type Kind uint8

const (
	// Int is int64; narrower integers, booleans as 0 and 1, and ordinals are stored as Int too.
	Int Kind = iota + 1
	// Float32 is kept bit for bit.
	Float32
	// Float64 is kept bit for bit.
	Float64
	// String is a run of bytes; the package doesn't ask that it be UTF-8.
	String
)

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case Int:
		return "int"
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case String:
		return "string"
	}
	return "unknown"
}

// Column holds one column's values in memory. Only the slices of its Kind are
// used. The zero value with a Kind is an empty column, ready for use.
//
// The slices belong to the column's owner, who may fill them directly as long
// as they agree with each other. A Column must not be used by two goroutines
// at once while one of them appends.
type Column struct {
	Kind Kind
	Int  []int64   // values of an Int column
	F32  []float32 // values of a Float32 column
	F64  []float64 // values of a Float64 column

	// Ends and Bytes are the values of a String column: value i is
	// Bytes[Ends[i-1]:Ends[i]], with 0 for Ends[-1].
	Ends  []uint32
	Bytes []byte

	// Valid has bit i%64 of word i/64 set if value i is there, and clear if it
	// is null. Empty means that there are no nulls. Bits past the last value
	// are zero. The value of a null is 0 or the empty string.
	Valid []uint64
}

// Reset empties the column; its kind and its memory stay.
func (c *Column) Reset() {
	c.Int, c.F32, c.F64 = c.Int[:0], c.F32[:0], c.F64[:0]
	c.Ends, c.Bytes, c.Valid = c.Ends[:0], c.Bytes[:0], c.Valid[:0]
}

// Len returns the number of values, nulls included.
func (c *Column) Len() int {
	switch c.Kind {
	case Int:
		return len(c.Int)
	case Float32:
		return len(c.F32)
	case Float64:
		return len(c.F64)
	case String:
		return len(c.Ends)
	}
	return 0
}

// IsNull reports whether value i is null.
func (c *Column) IsNull(i int) bool {
	return len(c.Valid) > 0 && !bit(c.Valid, i)
}

// Value returns value i of a String column. The bytes alias the column and
// hold until it is appended to or reset.
func (c *Column) Value(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	end := c.Ends[i]
	return c.Bytes[start:end:end]
}

// AppendInt appends v to an Int column.
func (c *Column) AppendInt(v int64) {
	c.markValid(len(c.Int))
	c.Int = append(c.Int, v)
}

// AppendFloat32 appends v to a Float32 column.
func (c *Column) AppendFloat32(v float32) {
	c.markValid(len(c.F32))
	c.F32 = append(c.F32, v)
}

// AppendFloat64 appends v to a Float64 column.
func (c *Column) AppendFloat64(v float64) {
	c.markValid(len(c.F64))
	c.F64 = append(c.F64, v)
}

// AppendString appends a copy of v to a String column. A block takes at most
// MaxBytes of them in one column; a column itself holds up to 4 GiB, and
// appending beyond that panics.
func (c *Column) AppendString(v []byte) {
	if len(v) > math.MaxUint32-len(c.Bytes) {
		panic("block: a string column holds at most 4 GiB")
	}
	c.markValid(len(c.Ends))
	c.Bytes = append(c.Bytes, v...)
	c.Ends = append(c.Ends, uint32(len(c.Bytes)))
}

// AppendNull appends a null to a column of any kind.
func (c *Column) AppendNull() {
	n := c.Len()
	if len(c.Valid) == 0 {
		c.Valid = appendOnes(c.Valid, 0, n)
	}
	c.Valid = growBits(c.Valid, n+1)
	switch c.Kind {
	case Int:
		c.Int = append(c.Int, 0)
	case Float32:
		c.F32 = append(c.F32, 0)
	case Float64:
		c.F64 = append(c.F64, 0)
	case String:
		c.Ends = append(c.Ends, uint32(len(c.Bytes)))
	}
}

// Size returns the bytes that the values [from,to) take in memory.
func (c *Column) Size(from, to int) int {
	switch n := to - from; {
	case n <= 0:
		return 0
	case c.Kind == Float32:
		return 4 * n
	case c.Kind == String:
		start := uint32(0)
		if from > 0 {
			start = c.Ends[from-1]
		}
		return 4*n + int(c.Ends[to-1]-start)
	default:
		return 8 * n
	}
}

// AppendRange appends copies of the values [from,to) of src, which must be of
// the same kind and not c itself.
func (c *Column) AppendRange(src *Column, from, to int) {
	n := c.Len()
	switch c.Kind {
	case Int:
		c.Int = append(c.Int, src.Int[from:to]...)
	case Float32:
		c.F32 = append(c.F32, src.F32[from:to]...)
	case Float64:
		c.F64 = append(c.F64, src.F64[from:to]...)
	case String:
		if from == to {
			return
		}
		start := uint32(0)
		if from > 0 {
			start = src.Ends[from-1]
		}
		run := src.Bytes[start:src.Ends[to-1]]
		if len(run) > math.MaxUint32-len(c.Bytes) {
			panic("block: a string column holds at most 4 GiB")
		}
		shift := uint32(len(c.Bytes)) - start // wraps, and back again below
		c.Ends = slices.Grow(c.Ends, to-from)
		for _, end := range src.Ends[from:to] {
			c.Ends = append(c.Ends, end+shift)
		}
		c.Bytes = append(c.Bytes, run...)
	}
	c.appendValid(n, src.Valid, from, to)
}

// markValid records that value i, which is about to be appended, is there.
func (c *Column) markValid(i int) {
	if len(c.Valid) > 0 {
		c.Valid = appendOnes(c.Valid, i, 1)
	}
}

// appendValid records which of the values appended after the first n are
// there: bits [from,to) of valid, or all of them if valid is empty.
func (c *Column) appendValid(n int, valid []uint64, from, to int) {
	switch {
	case len(valid) > 0 && !allSet(valid, from, to):
		if len(c.Valid) == 0 {
			c.Valid = appendOnes(c.Valid, 0, n)
		}
		c.Valid = appendBits(c.Valid, n, valid, from, to)
	case len(c.Valid) > 0:
		c.Valid = appendOnes(c.Valid, n, to-from)
	}
}
