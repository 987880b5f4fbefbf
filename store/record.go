package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/expunge-db/expunge/store/internal/block"
)

// recordBuilder makes Arrow records of decoded rows, with IDs in place of ordinals. It may be used by several
// goroutines.
type recordBuilder struct {
	v           *datasetView
	schema      *arrow.Schema
	keys, items *idReader
}

// newRecordBuilder returns a builder for a dataset. IDs are read with read, which is called from the goroutines that use
// the builder.
func newRecordBuilder(v *datasetView, users, items *dictView, read readChunk) *recordBuilder {
	r := &recordBuilder{v: v, schema: v.schema, items: newIDReader(items, read)}
	if r.keys = r.items; v.layout.dict == dictUsers {
		r.keys = newIDReader(users, read)
	}
	return r
}

func (sn *Snapshot) recordBuilder(v *datasetView) *recordBuilder {
	return newRecordBuilder(v, &sn.users, &sn.items, func(ctx context.Context, d dictID, num uint32) (c reverseChunk, err error) {
		err = sn.s.View(ctx, func(tx *Tx) error {
			c, err = tx.readReverse(d, num)
			c.heap = append(make([]byte, 0, len(c.heap)+shortID), c.heap...)
			return err
		})
		return c, err
	})
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
	var err error
	if cols[r.v.layout.key], err = r.keyArray(ctx, d); err != nil {
		return nil, err
	}
	for i, c := range r.v.layout.cols {
		col := &d.cols[i]
		if i == 1 && r.v.layout.items {
			if cols[c.field], err = r.itemArray(ctx, col.Int); err != nil {
				return nil, err
			}
			buffers.put(arrow.Int64Traits.CastToBytes(col.Int))
			continue
		}
		cols[c.field] = toArray(r.v.layout.fields[c.field].Type, col, d.n)
	}
	return array.NewRecord(r.schema, cols, int64(d.n)), nil
}

// keyArray returns the column of keys: each ID as often as it has rows.
func (r *recordBuilder) keyArray(ctx context.Context, d *decodedBlock) (arrow.Array, error) {
	ids := make([][]byte, len(d.keys))
	size := 0
	for i, k := range d.keys {
		id, err := r.keys.id(ctx, k)
		if err != nil {
			return nil, err
		}
		ids[i] = id
		size += len(id) * int(d.counts[i])
	}
	s := newStringBuffers(d.n, size)
	at, row := 0, 1
	for i, id := range ids {
		n := int(d.counts[i])
		repeat(s.data[at:at+n*len(id)], id)
		for j := range s.offsets[row : row+n] {
			at += len(id)
			s.offsets[row+j] = int32(at)
		}
		row += n
	}
	return s.array(nil, 0), nil
}

// repeat fills dst with as many copies of b as fit, twice as many with each step.
func repeat(dst, b []byte) {
	for n := copy(dst, b); n < len(dst); {
		n += copy(dst[n:], dst[:n])
	}
}

// shortID is the length up to which an ID is copied without a look at its length, by a move of this many bytes.
const shortID = 16

// itemArray returns the column of items.
func (r *recordBuilder) itemArray(ctx context.Context, ordinals []int64) (arrow.Array, error) {
	s := newStringBuffers(len(ordinals), 0)
	offsets := s.offsets[1:][:len(ordinals)]
	out, at := s.data[:cap(s.data)], 0
	for i, o := range ordinals {
		c := r.items.loaded(uint32(o))
		if c == nil {
			var err error
			if c, err = r.items.chunk(ctx, uint32(o)); err != nil {
				return nil, err
			}
		}
		from, to := c.span(int(uint32(o) % reverseSlots))
		n := int(to - from)
		if at+shortID <= len(out) && int(from)+shortID <= cap(c.heap) && uint(n-1) < shortID {
			*(*[shortID]byte)(out[at:]) = *(*[shortID]byte)(c.heap[from : from+shortID])
		} else if n == 0 {
			return nil, r.items.missing(uint32(o))
		} else {
			out = append(out[:at], c.heap[from:to]...)
			out = out[:cap(out)]
		}
		at += n
		offsets[i] = int32(at)
	}
	s.data = out[:at]
	return s.array(nil, 0), nil
}

// toArray makes an Arrow array over the buffers of a column.
func toArray(t FieldType, col *block.Column, n int) arrow.Array {
	valid, nulls := validity(col, n)
	var values *memory.Buffer
	switch t {
	case TypeString:
		s := newStringBuffers(n, 0)
		buffers.put(s.data)
		s.data = col.Bytes
		for i, end := range col.Ends {
			s.offsets[i+1] = int32(end)
		}
		buffers.put(arrow.Uint32Traits.CastToBytes(col.Ends))
		return s.array(valid, nulls)
	case TypeInt64:
		values = buffers.wrap(arrow.Int64Traits.CastToBytes(col.Int))
	case TypeInt32:
		vs := arrow.Int32Traits.CastFromBytes(buffers.get(4 * n)[:4*n])
		for i, v := range col.Int {
			vs[i] = int32(v)
		}
		values = buffers.wrap(arrow.Int32Traits.CastToBytes(vs))
	case TypeBool:
		bits := make([]byte, bitutil.BytesForBits(int64(n)))
		for i, v := range col.Int {
			bitutil.SetBitTo(bits, i, v != 0)
		}
		values = memory.NewBufferBytes(bits)
	case TypeFloat32:
		values = buffers.wrap(arrow.Float32Traits.CastToBytes(col.F32))
	case TypeFloat64:
		values = buffers.wrap(arrow.Float64Traits.CastToBytes(col.F64))
	}
	return newArray(arrowTypes[t], n, []*memory.Buffer{valid, values}, nulls)
}

// newArray makes an array that owns the buffers.
func newArray(t arrow.DataType, n int, owned []*memory.Buffer, nulls int) arrow.Array {
	data := array.NewData(t, n, owned, nil, nulls, 0)
	defer data.Release()
	for _, b := range owned {
		if b != nil {
			b.Release() // data has taken its own reference
		}
	}
	return array.MakeFromData(data)
}

func validity(col *block.Column, n int) (*memory.Buffer, int) {
	if len(col.Valid) == 0 {
		return nil, 0
	}
	bits := arrow.Uint64Traits.CastToBytes(col.Valid)
	return memory.NewBufferBytes(bits), n - bitutil.CountSetBits(bits, 0, n)
}

// stringBuffers are the values of an Arrow string column.
type stringBuffers struct {
	offsets []int32 // n+1, the first 0
	data    []byte
}

// newStringBuffers returns buffers of n values, with size bytes of data to be filled.
func newStringBuffers(n, size int) stringBuffers {
	s := stringBuffers{
		offsets: arrow.Int32Traits.CastFromBytes(buffers.get(4 * (n + 1))[:4*(n+1)]),
		data:    buffers.get(max(size, 8*n))[:size],
	}
	s.offsets[0] = 0
	return s
}

func (s *stringBuffers) array(valid *memory.Buffer, nulls int) arrow.Array {
	offsets := buffers.wrap(arrow.Int32Traits.CastToBytes(s.offsets))
	return newArray(arrow.BinaryTypes.String, len(s.offsets)-1, []*memory.Buffer{valid, offsets, buffers.wrap(s.data)}, nulls)
}

// idCacheBytes bounds what an idReader keeps.
const idCacheBytes = 64 << 20

// idReader turns the ordinals that a snapshot sees into IDs. It keeps the chunks that it read, and forgets all of them
// when they exceed idCacheBytes. It may be used by several goroutines.
type idReader struct {
	dict   dictID
	read   readChunk
	chunks uint32                       // numbers of chunks are below
	groups []atomic.Pointer[chunkGroup] // made as they are needed: one user's rows need few of a large dictionary's
	bytes  atomic.Int64
	mu     sync.Mutex // held to forget
}

// chunkGroup holds chunks by the last bits of their numbers.
type chunkGroup [64]atomic.Pointer[reverseChunk]

// readChunk reads a chunk of IDs that stays valid for as long as the builder is used.
type readChunk func(ctx context.Context, d dictID, num uint32) (reverseChunk, error)

func newIDReader(v *dictView, read readChunk) *idReader {
	chunks := (v.state.Next + reverseSlots - 1) / reverseSlots
	return &idReader{dict: v.id, read: read, chunks: chunks, groups: make([]atomic.Pointer[chunkGroup], chunks/uint32(len(chunkGroup{}))+1)}
}

// id returns the ID of an ordinal; it stays valid. An ordinal without ID is a *[CorruptError]: rows hold only ordinals
// that the dictionary has.
func (r *idReader) id(ctx context.Context, ordinal uint32) ([]byte, error) {
	c, err := r.chunk(ctx, ordinal)
	if err != nil {
		return nil, err
	}
	if id := c.id(int(ordinal % reverseSlots)); id != nil {
		return id, nil
	}
	return nil, r.missing(ordinal)
}

func (r *idReader) missing(ordinal uint32) error {
	return &CorruptError{What: r.dict.String(), Problem: fmt.Sprintf("a row refers to ordinal %d, which has no ID", ordinal)}
}

// chunk returns the chunk of an ordinal.
func (r *idReader) chunk(ctx context.Context, ordinal uint32) (*reverseChunk, error) {
	if c := r.loaded(ordinal); c != nil {
		return c, nil
	}
	if num := ordinal / reverseSlots; num < r.chunks {
		return r.load(ctx, num)
	}
	return nil, r.missing(ordinal)
}

// loaded returns the chunk of an ordinal if it was read before, or nil.
func (r *idReader) loaded(ordinal uint32) *reverseChunk {
	num := ordinal / reverseSlots
	if i := num / uint32(len(chunkGroup{})); int(i) < len(r.groups) {
		if g := r.groups[i].Load(); g != nil {
			return g[num%uint32(len(g))].Load()
		}
	}
	return nil
}

func (r *idReader) load(ctx context.Context, num uint32) (*reverseChunk, error) {
	c, err := r.read(ctx, r.dict, num)
	if err != nil {
		return nil, err
	}
	size := int64(len(c.heap) + 4*len(c.ends))
	if r.bytes.Add(size) > idCacheBytes {
		r.mu.Lock()
		for i := range r.groups {
			r.groups[i].Store(nil)
		}
		r.bytes.Store(size)
		r.mu.Unlock()
	}
	at := &r.groups[num/uint32(len(chunkGroup{}))]
	g := at.Load()
	for g == nil {
		at.CompareAndSwap(nil, new(chunkGroup))
		g = at.Load()
	}
	g[num%uint32(len(g))].Store(&c)
	return &c, nil
}
