package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/expunge-db/expunge/store/internal/block"
)

// rowLayout says how the rows of a dataset are stored: the key column becomes the index of a block, and the others its
// columns, TIMESTAMP first and ITEM_ID, as an ordinal, second where a dataset has them.
type rowLayout struct {
	fields []Field
	key    int // the field that is the key
	dict   dictKind
	time   bool // cols[0] is TIMESTAMP, by which a key's rows are sorted
	items  bool // cols[1] is ITEM_ID
	cols   []storedColumn
}

type storedColumn struct {
	field int
	kind  block.Kind
}

// newRowLayout returns the layout of a dataset type with given columns, or what is wrong with them. stored are the names
// of the columns in the order in which they are stored, the key's among them; nil stands for that of fields.
func newRowLayout(t DatasetType, fields []Field, stored []string) (*rowLayout, error) {
	l := &rowLayout{fields: fields, key: -1, dict: dictUsers}
	at := make(map[string]int, len(fields))
	var errs []error
	for i, f := range fields {
		if _, ok := at[f.Name]; ok {
			errs = append(errs, fmt.Errorf("column %s is there twice", f.Name))
		}
		at[f.Name] = i
		if arrowTypes[f.Type] == nil {
			errs = append(errs, fmt.Errorf("column %s has the unknown type %q", f.Name, f.Type))
		}
	}
	require := func(name string, t FieldType) int {
		i, ok := at[name]
		if !ok || fields[i].Type != t || fields[i].Nullable {
			errs = append(errs, fmt.Errorf("column %s of type %s, not null, is required", name, t))
		}
		return i
	}
	var first []int
	switch t {
	case Users:
		l.key = require(ColumnUserID, TypeString)
	case Items:
		l.key, l.dict = require(ColumnItemID, TypeString), dictItems
	case Interactions:
		l.key = require(ColumnUserID, TypeString)
		first = []int{require(ColumnTimestamp, TypeInt64), require(ColumnItemID, TypeString)}
		l.time, l.items = true, true
	default:
		errs = append(errs, fmt.Errorf("dataset type %q is unknown: use %s, %s or %s", t, Users, Items, Interactions))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%s dataset: %w", t, err)
	}
	for _, i := range first {
		l.cols = append(l.cols, storedColumn{field: i, kind: block.Int}) // ITEM_ID as its ordinal
	}
	order := make([]int, 0, len(fields))
	for i := range fields {
		order = append(order, i)
	}
	if stored != nil {
		order = order[:0]
		for _, name := range stored {
			i, ok := at[name]
			if !ok {
				return nil, fmt.Errorf("%s dataset: column %s is stored and not in the schema", t, name)
			}
			order = append(order, i)
		}
	}
	for _, i := range order {
		if i == l.key || l.time && (i == first[0] || i == first[1]) {
			continue
		}
		l.cols = append(l.cols, storedColumn{field: i, kind: storedKind(fields[i].Type)})
	}
	return l, nil
}

func storedKind(t FieldType) block.Kind {
	switch t {
	case TypeFloat32:
		return block.Float32
	case TypeFloat64:
		return block.Float64
	case TypeString:
		return block.String
	default:
		return block.Int
	}
}

// newColumns returns empty columns for the rows of one block.
func (l *rowLayout) newColumns() []block.Column {
	cols := make([]block.Column, len(l.cols))
	for i, c := range l.cols {
		cols[i].Kind = c.kind
	}
	return cols
}

// A row that waits to be sorted is a record: its values one after the other in the order of the stored columns. An Int
// takes 8 bytes, ITEM_ID 4 bytes (a code, later the ordinal), a float 4 or 8, a string its length as a varint and its
// bytes; a value that can be null has a byte 0 or 1 before it. Two rows of one key are equal if their records are.

// itemAt is where ITEM_ID lies in a record of a layout with items: after TIMESTAMP, which can't be null.
const itemAt = 8

// recordTime returns the TIMESTAMP of a record of a layout with time.
func recordTime(rec []byte) int64 { return int64(binary.LittleEndian.Uint64(rec)) }

func recordItem(rec []byte) uint32 { return binary.LittleEndian.Uint32(rec[itemAt:]) }

func setRecordItem(rec []byte, v uint32) { binary.LittleEndian.PutUint32(rec[itemAt:], v) }

// appendRecords appends records to the columns of a block, column by column; their ITEM_IDs are ordinals. It spoils recs.
func (l *rowLayout) appendRecords(cols []block.Column, recs [][]byte) {
	for n := range cols {
		col := &cols[n]
		if n == 1 && l.items {
			for i, rec := range recs {
				col.AppendInt(int64(binary.LittleEndian.Uint32(rec)))
				recs[i] = rec[4:]
			}
			continue
		}
		if !l.fields[l.cols[n].field].Nullable {
			appendValues(col, recs)
			continue
		}
		for from := 0; from < len(recs); {
			to := from
			for ; to < len(recs) && recs[to][0] != 0; to++ {
				recs[to] = recs[to][1:]
			}
			appendValues(col, recs[from:to])
			if from = to; from < len(recs) {
				col.AppendNull()
				recs[from] = recs[from][1:]
				from++
			}
		}
	}
}

// appendValues appends the values that records begin with to a column, and takes them off the records.
func appendValues(col *block.Column, recs [][]byte) {
	switch col.Kind {
	case block.Int:
		for i, rec := range recs {
			col.AppendInt(int64(binary.LittleEndian.Uint64(rec)))
			recs[i] = rec[8:]
		}
	case block.Float32:
		for i, rec := range recs {
			col.AppendFloat32(math.Float32frombits(binary.LittleEndian.Uint32(rec)))
			recs[i] = rec[4:]
		}
	case block.Float64:
		for i, rec := range recs {
			col.AppendFloat64(math.Float64frombits(binary.LittleEndian.Uint64(rec)))
			recs[i] = rec[8:]
		}
	case block.String:
		for i, rec := range recs {
			size, used := binary.Uvarint(rec)
			end := used + int(size)
			col.AppendString(rec[used:end])
			recs[i] = rec[end:]
		}
	}
}

// isRecord reports whether rec is a record of the first columns, as many as cols says. Those that came later allow null.
func (l *rowLayout) isRecord(rec []byte, cols int) bool {
	r := byteReader{b: rec}
	for n, col := range l.cols {
		nullable := l.fields[col.field].Nullable
		switch {
		case n >= cols && nullable:
			continue
		case n >= cols:
			return false
		case n == 1 && l.items:
			r.take(4)
			continue
		case nullable:
			if there := r.take(1); r.bad || there[0] == 0 {
				continue
			}
		}
		switch col.kind {
		case block.Int, block.Float64:
			r.take(8)
		case block.Float32:
			r.take(4)
		case block.String:
			r.bytes()
		}
	}
	return cols <= len(l.cols) && !r.bad && len(r.b) == 0
}

// recordOf appends the record of row i of a block's columns: the inverse of appendRecords.
func (l *rowLayout) recordOf(dst []byte, cols []block.Column, i int) []byte {
	for n := range cols {
		col := &cols[n]
		if n == 1 && l.items {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(col.Int[i]))
			continue
		}
		if l.fields[l.cols[n].field].Nullable {
			if col.IsNull(i) {
				dst = append(dst, 0)
				continue
			}
			dst = append(dst, 1)
		}
		switch col.Kind {
		case block.Int:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(col.Int[i]))
		case block.Float32:
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(col.F32[i]))
		case block.Float64:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(col.F64[i]))
		case block.String:
			v := col.Value(i)
			dst = binary.AppendUvarint(dst, uint64(len(v)))
			dst = append(dst, v...)
		}
	}
	return dst
}
