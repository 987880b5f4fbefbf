package ingest

import (
	"math"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// The service's limits, in characters.
const (
	maxIDCharacters      = 256
	maxStringCharacters  = 1000
	maxTextualCharacters = 20000
)

// column collects a batch's values of one field, in buffers that it uses again
// for the next batch.
type column struct {
	field Field
	id    bool

	// One of these holds the values, by the field's type. A null is a zero there.
	ints    []int32
	longs   []int64
	floats  []float32
	doubles []float64
	offsets []int32 // of the strings: one more than there are
	data    []byte
	bits    []byte // of the booleans

	rows  int
	nulls int
	valid []byte // bitmap; it means something only if nulls > 0
}

// newColumn makes room for a number of rows, which is the most if the field is boolean or can be null.
func newColumn(f Field, id bool, rows int) *column {
	c := &column{field: f, id: id}
	switch f.Type {
	case String:
		c.offsets = append(make([]int32, 0, rows+1), 0)
	case Int:
		c.ints = make([]int32, 0, rows)
	case Long:
		c.longs = make([]int64, 0, rows)
	case Float:
		c.floats = make([]float32, 0, rows)
	case Double:
		c.doubles = make([]float64, 0, rows)
	case Boolean:
		c.bits = make([]byte, (rows+7)/8)
	}
	if f.Nullable {
		c.valid = make([]byte, (rows+7)/8)
	}
	return c
}

func (c *column) reset() {
	c.rows, c.nulls = 0, 0
	c.ints, c.longs, c.floats, c.doubles = c.ints[:0], c.longs[:0], c.floats[:0], c.doubles[:0]
	c.data = c.data[:0]
	if c.offsets != nil {
		c.offsets = c.offsets[:1]
	}
	clear(c.bits)
}

// append adds a cell's value, or returns what is wrong with it.
func (c *column) append(cell []byte) (problem string) {
	if len(cell) == 0 {
		return c.appendEmpty()
	}
	ok := false
	switch c.field.Type {
	case String:
		if len(cell) > maxIDCharacters {
			if cell, problem = c.limit(cell); problem != "" {
				return problem
			}
		}
		c.data = append(c.data, cell...)
		c.offsets = append(c.offsets, int32(len(c.data)))
	case Long:
		var v int64
		if v, ok = parseInt(cell); !ok {
			return "not a whole number of 64 bits; write digits, with a sign at most"
		}
		c.longs = append(c.longs, v)
	case Int:
		var v int64
		if v, ok = parseInt(cell); !ok || v < math.MinInt32 || v > math.MaxInt32 {
			return "not a whole number of 32 bits; write digits with a sign at most, or make the field a long"
		}
		c.ints = append(c.ints, int32(v))
	case Float:
		var v float32
		if v, ok = parseFloat32(cell); !ok {
			return "not a number that a float holds; write it as in -12.5 or 1e9, or make the field a double"
		}
		c.floats = append(c.floats, v)
	case Double:
		var v float64
		if v, ok = parseFloat64(cell); !ok {
			return "not a number that a double holds; write it as in -12.5 or 1e9"
		}
		c.doubles = append(c.doubles, v)
	case Boolean:
		var v bool
		if v, ok = parseBool(cell); !ok {
			return "not a boolean; write true or false"
		}
		if v {
			bitutil.SetBit(c.bits, c.rows)
		}
	}
	c.rows++
	return ""
}

// appendCells adds the values of rows in buf, whose fields' spans lie step apart from the one at on. It returns how many it
// added before the first that is wrong, and what is wrong with that.
func (c *column) appendCells(buf []byte, spans []span, at, step, rows int) (row int, problem string) {
	for ; row < rows; row, at = row+1, at+step {
		cell := buf[spans[at].start:spans[at].end]
		switch c.field.Type {
		case String:
			if n := len(cell); n > 0 && n <= shortCell && cap(cell) >= shortCell {
				c.data = slices.Grow(c.data, shortCell)
				end := len(c.data)
				*(*[shortCell]byte)(c.data[end : end+shortCell]) = *(*[shortCell]byte)(cell[:shortCell])
				c.data = c.data[:end+n]
				c.offsets = append(c.offsets, int32(end+n))
				c.rows++
				continue
			}
		case Long:
			if v, ok := parseInt(cell); ok {
				c.longs = append(c.longs, v)
				c.rows++
				continue
			}
		case Float:
			if v, ok := parseFloat32(cell); ok {
				c.floats = append(c.floats, v)
				c.rows++
				continue
			}
		}
		if problem := c.append(cell); problem != "" {
			return row, problem
		}
	}
	return row, ""
}

// shortCell is the length up to which a string is copied by one move of this many bytes.
const shortCell = 16

// appendEmpty adds a null: an empty cell is how CSV spells it, for strings too.
func (c *column) appendEmpty() (problem string) {
	if c.id {
		return "empty ID; every row needs one: fill it in, or remove the row"
	}
	if !c.field.Nullable {
		return "empty value, and the field can't be null; fill it in, or let the schema allow null"
	}
	if c.nulls == 0 {
		memory.Set(c.valid, 0xFF)
	}
	bitutil.ClearBit(c.valid, c.rows)
	c.nulls++
	switch c.field.Type {
	case String:
		c.offsets = append(c.offsets, int32(len(c.data)))
	case Long:
		c.longs = append(c.longs, 0)
	case Int:
		c.ints = append(c.ints, 0)
	case Float:
		c.floats = append(c.floats, 0)
	case Double:
		c.doubles = append(c.doubles, 0)
	}
	c.rows++
	return ""
}

// limit holds a string to the number of characters that its field allows.
// Textual ones are cut, all others are refused.
func (c *column) limit(cell []byte) (_ []byte, problem string) {
	switch {
	case c.id:
		if utf8.RuneCount(cell) > maxIDCharacters {
			return nil, "ID of more than 256 characters; shorten it"
		}
	case c.field.Textual:
		if len(cell) > maxTextualCharacters {
			cell = firstCharacters(cell, maxTextualCharacters)
		}
	case len(cell) > maxStringCharacters && utf8.RuneCount(cell) > maxStringCharacters:
		return nil, "value of more than 1000 characters; shorten it"
	}
	return cell, ""
}

func firstCharacters(b []byte, n int) []byte {
	end := 0
	for ; n > 0 && end < len(b); n-- {
		_, size := utf8.DecodeRune(b[end:])
		end += size
	}
	return b[:end]
}

// array returns the values as an Arrow array over the column's buffers.
func (c *column) array() arrow.Array {
	var valid *memory.Buffer
	if c.nulls > 0 {
		valid = memory.NewBufferBytes(c.valid[:bitutil.BytesForBits(int64(c.rows))])
	}
	buffers := []*memory.Buffer{valid, nil}
	switch c.field.Type {
	case String:
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.offsets))
		buffers = append(buffers, memory.NewBufferBytes(c.data))
	case Long:
		buffers[1] = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(c.longs))
	case Int:
		buffers[1] = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(c.ints))
	case Float:
		buffers[1] = memory.NewBufferBytes(arrow.Float32Traits.CastToBytes(c.floats))
	case Double:
		buffers[1] = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(c.doubles))
	case Boolean:
		buffers[1] = memory.NewBufferBytes(c.bits[:bitutil.BytesForBits(int64(c.rows))])
	}
	data := array.NewData(arrowTypes[c.field.Type], c.rows, buffers, nil, c.nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}
