package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// batch gives access to the columns of an Arrow record in the order of a layout.
type batch struct {
	key  stringValues
	item stringValues // of a layout with items
	cols []batchColumn
	room int // for a record of short strings, and for what copyShort writes behind it
}

// batchColumn is the values of one column, in the slice of its type.
type batchColumn struct {
	form     columnForm
	nullable bool
	nulls    bool // there are some
	array    arrow.Array

	longs   []int64
	ints    []int32
	floats  []float32
	doubles []float64
	strings stringValues
}

// columnForm is how the values of a column become part of a record.
type columnForm uint8

const (
	formItem columnForm = iota
	formLong
	formInt
	formBool
	formFloat
	formDouble
	formString
)

// stringValues are the values of a column of strings.
type stringValues struct {
	offsets []int32
	data    []byte // from the first offset on
}

func newStringValues(a *array.String) stringValues {
	if a.Len() == 0 { // it may lack even the first offset
		return stringValues{}
	}
	return stringValues{offsets: a.ValueOffsets(), data: a.ValueBytes()}
}

// at returns a value without a copy.
func (s *stringValues) at(i int) []byte {
	base := s.offsets[0]
	return s.data[s.offsets[i]-base : s.offsets[i+1]-base]
}

// shortCopy is the length up to which a string is copied by one move of this many bytes.
const shortCopy = 16

// copyShort copies src, and maybe garbage behind it: dst has to go on for shortCopy bytes. It returns the length of src.
func copyShort(dst, src []byte) int {
	if len(src) <= shortCopy && cap(src) >= shortCopy {
		*(*[shortCopy]byte)(dst) = *(*[shortCopy]byte)(src[:shortCopy])
		return len(src)
	}
	return copy(dst, src)
}

// grow makes room for n bytes more.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = slices.Grow(b, n)
	}
	return b
}

// newBatch checks that rec has the columns of the layout and holds no null where the schema forbids it.
func newBatch(l *rowLayout, rec arrow.Record) (*batch, error) {
	if int(rec.NumCols()) != len(l.fields) {
		return nil, fmt.Errorf("record has %d columns and the dataset %d", rec.NumCols(), len(l.fields))
	}
	for i, f := range l.fields {
		if rec.ColumnName(i) != f.Name || !arrow.TypeEqual(rec.Column(i).DataType(), arrowTypes[f.Type]) {
			return nil, fmt.Errorf("column %d of the record is not %s of type %s", i+1, f.Name, f.Type)
		}
		if !f.Nullable && rec.Column(i).NullN() > 0 {
			return nil, fmt.Errorf("column %s of the record holds nulls, which its schema forbids", f.Name)
		}
	}
	b := &batch{key: newStringValues(rec.Column(l.key).(*array.String)), cols: make([]batchColumn, len(l.cols)), room: shortCopy}
	for n, c := range l.cols {
		b.room += 1 + binary.MaxVarintLen64
		col := &b.cols[n]
		*col = batchColumn{nullable: l.fields[c.field].Nullable, array: rec.Column(c.field)}
		col.nulls = col.array.NullN() > 0
		switch a := col.array.(type) {
		case *array.Int64:
			col.form, col.longs = formLong, a.Int64Values()
		case *array.Int32:
			col.form, col.ints = formInt, a.Int32Values()
		case *array.Boolean:
			col.form = formBool
		case *array.Float32:
			col.form, col.floats = formFloat, a.Float32Values()
		case *array.Float64:
			col.form, col.doubles = formDouble, a.Float64Values()
		case *array.String:
			col.form, col.strings = formString, newStringValues(a)
			b.room += shortCopy
		}
	}
	if l.items {
		b.item, b.cols[1].form = b.cols[1].strings, formItem
	}
	return b, nil
}

// appendRow appends the record of row i, with item as the code of its ITEM_ID.
func (b *batch) appendRow(dst []byte, i int, item uint32) []byte {
	dst = grow(dst, b.room)
	at := len(dst)
	dst = dst[:cap(dst)]
	for n := range b.cols {
		col := &b.cols[n]
		if col.nullable {
			if col.nulls && col.array.IsNull(i) {
				dst[at] = 0
				at++
				continue
			}
			dst[at] = 1
			at++
		}
		switch col.form {
		case formItem:
			binary.LittleEndian.PutUint32(dst[at:], item)
			at += 4
		case formLong:
			binary.LittleEndian.PutUint64(dst[at:], uint64(col.longs[i]))
			at += 8
		case formInt:
			binary.LittleEndian.PutUint64(dst[at:], uint64(int64(col.ints[i])))
			at += 8
		case formBool:
			v := uint64(0)
			if col.array.(*array.Boolean).Value(i) {
				v = 1
			}
			binary.LittleEndian.PutUint64(dst[at:], v)
			at += 8
		case formFloat:
			binary.LittleEndian.PutUint32(dst[at:], math.Float32bits(col.floats[i]))
			at += 4
		case formDouble:
			binary.LittleEndian.PutUint64(dst[at:], math.Float64bits(col.doubles[i]))
			at += 8
		case formString:
			s := col.strings.at(i)
			at += binary.PutUvarint(dst[at:], uint64(len(s)))
			if len(s) > shortCopy {
				dst = grow(dst[:at], len(s)+b.room)
				dst = dst[:cap(dst)]
			}
			at += copyShort(dst[at:], s)
		}
	}
	return dst[:at]
}
