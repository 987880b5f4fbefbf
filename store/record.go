package store

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/expunge-db/expunge/store/internal/block"
)

// recordBuilder makes Arrow records of decoded rows, with IDs in place of ordinals.
type recordBuilder struct {
	v           *datasetView
	schema      *arrow.Schema
	keys, items *idReader
}

func newRecordBuilder(sn *Snapshot, v *datasetView) *recordBuilder {
	r := &recordBuilder{v: v, schema: v.ArrowSchema(), items: newIDReader(sn.s, sn.items.id)}
	if r.keys = r.items; v.layout.dict == dictUsers {
		r.keys = newIDReader(sn.s, sn.users.id)
	}
	return r
}

// record makes a record that takes over the buffers of d.
func (r *recordBuilder) record(ctx context.Context, d *decodedBlock) (arrow.Record, error) {
	cols := make([]arrow.Array, len(r.schema.Fields()))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	var keys, items stringBuffers
	if err := r.keys.each(ctx, d.keys, func(i int, id []byte) {
		for range d.counts[i] {
			keys.append(id)
		}
	}); err != nil {
		return nil, err
	}
	cols[r.v.layout.key] = keys.array(d.n, nil, 0)
	for i, c := range r.v.layout.cols {
		col := &d.cols[i]
		if i == 1 && r.v.layout.items {
			ordinals := make([]uint32, d.n)
			for n, v := range col.Int {
				ordinals[n] = uint32(v)
			}
			if err := r.items.each(ctx, ordinals, func(_ int, id []byte) { items.append(id) }); err != nil {
				return nil, err
			}
			cols[c.field] = items.array(d.n, nil, 0)
			continue
		}
		cols[c.field] = toArray(r.v.layout.fields[c.field].Type, col, d.n)
	}
	return array.NewRecord(r.schema, cols, int64(d.n)), nil
}

// toArray makes an Arrow array over the buffers of a column.
func toArray(t FieldType, col *block.Column, n int) arrow.Array {
	valid, nulls := validity(col, n)
	var values *memory.Buffer
	switch t {
	case TypeString:
		s := stringBuffers{offsets: make([]int32, 1, n+1), data: col.Bytes}
		for _, end := range col.Ends {
			s.offsets = append(s.offsets, int32(end))
		}
		return s.array(n, valid, nulls)
	case TypeInt64:
		values = memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(col.Int))
	case TypeInt32:
		vs := make([]int32, n)
		for i, v := range col.Int {
			vs[i] = int32(v)
		}
		values = memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(vs))
	case TypeBool:
		bits := make([]byte, bitutil.BytesForBits(int64(n)))
		for i, v := range col.Int {
			bitutil.SetBitTo(bits, i, v != 0)
		}
		values = memory.NewBufferBytes(bits)
	case TypeFloat32:
		values = memory.NewBufferBytes(arrow.Float32Traits.CastToBytes(col.F32))
	case TypeFloat64:
		values = memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(col.F64))
	}
	return newArray(arrowTypes[t], n, []*memory.Buffer{valid, values}, nulls)
}

func newArray(t arrow.DataType, n int, buffers []*memory.Buffer, nulls int) arrow.Array {
	data := array.NewData(t, n, buffers, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

func validity(col *block.Column, n int) (*memory.Buffer, int) {
	if len(col.Valid) == 0 {
		return nil, 0
	}
	bits := arrow.Uint64Traits.CastToBytes(col.Valid)
	return memory.NewBufferBytes(bits), n - bitutil.CountSetBits(bits, 0, n)
}

// stringBuffers collects the values of an Arrow string column.
type stringBuffers struct {
	offsets []int32
	data    []byte
}

func (s *stringBuffers) append(v []byte) {
	if s.offsets == nil {
		s.offsets = append(s.offsets, 0)
	}
	s.data = append(s.data, v...)
	s.offsets = append(s.offsets, int32(len(s.data)))
}

func (s *stringBuffers) array(n int, valid *memory.Buffer, nulls int) arrow.Array {
	if s.offsets == nil {
		s.offsets = []int32{0}
	}
	offsets := memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(s.offsets))
	return newArray(arrow.BinaryTypes.String, n, []*memory.Buffer{valid, offsets, memory.NewBufferBytes(s.data)}, nulls)
}

// idCacheBytes bounds what an idReader keeps.
const idCacheBytes = 32 << 20

// idReader turns ordinals into IDs. It keeps the chunks that it read, and forgets all of them when they exceed
// idCacheBytes: a dictionary that is larger is read in the order of ordinals by those who have many to ask for.
type idReader struct {
	s      *Store
	dict   dictID
	chunks map[uint32]reverseChunk // copies
	bytes  int
}

func newIDReader(s *Store, d dictID) *idReader {
	return &idReader{s: s, dict: d, chunks: make(map[uint32]reverseChunk)}
}

// each calls fn for each ordinal with its ID, which is valid during the call. An ordinal without ID is a
// *[CorruptError]: rows hold only ordinals that the dictionary has.
func (r *idReader) each(ctx context.Context, ordinals []uint32, fn func(i int, id []byte)) error {
	if r.bytes > idCacheBytes {
		clear(r.chunks)
		r.bytes = 0
	}
	var missing []uint32
	asked := make(map[uint32]bool)
	for _, o := range ordinals {
		num := o / reverseSlots
		if _, ok := r.chunks[num]; !ok && !asked[num] {
			asked[num] = true
			missing = append(missing, num)
		}
	}
	if len(missing) > 0 {
		err := r.s.View(ctx, func(tx *Tx) error {
			for _, num := range missing {
				c, err := tx.readReverse(r.dict, num)
				if err != nil {
					return err
				}
				c.heap = append([]byte(nil), c.heap...)
				r.chunks[num] = c
				r.bytes += len(c.heap) + 4*len(c.ends)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i, o := range ordinals {
		c := r.chunks[o/reverseSlots]
		id := c.id(int(o % reverseSlots))
		if id == nil {
			return &CorruptError{What: r.dict.String(), Problem: fmt.Sprintf("a row refers to ordinal %d, which has no ID", o)}
		}
		fn(i, id)
	}
	return nil
}
