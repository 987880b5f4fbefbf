package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
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
			c.heap = bytes.Clone(c.heap)
			return err
		})
		return c, err
	})
}

// scanBuilder is recordBuilder for many records.
func (sn *Snapshot) scanBuilder(v *datasetView) *recordBuilder {
	r := sn.recordBuilder(v)
	r.items.keepShort()
	return r
}

// record makes a record that takes over the buffers of d.
func (r *recordBuilder) record(ctx context.Context, d *decodedBlock) (arrow.Record, error) {
	cols := make([]arrow.Array, r.schema.NumFields())
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
	var space [128][]byte // as many as most blocks have
	ids, size := space[:0], 0
	for i, k := range d.keys {
		id, err := r.keys.id(ctx, k)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
		size += len(id) * int(d.counts[i])
	}
	s := newStringBuffers(d.n, size)
	offsets, data, at := s.offsets[1:], s.data, int32(0)
	for i, id := range ids {
		rows := offsets[:d.counts[i]]
		for j := range rows {
			at += int32(len(id))
			rows[j] = at
		}
		offsets = offsets[len(rows):]
		n := len(rows) * len(id)
		repeat(data[:n], id)
		data = data[n:]
	}
	return s.array(nil, 0), nil
}

// repeat fills dst with as many copies of b as fit, twice as many with each step.
func repeat(dst, b []byte) {
	for n := copy(dst, b); n < len(dst); {
		n += copy(dst[n:], dst[:n])
	}
}

// itemArray returns the column of items.
func (r *recordBuilder) itemArray(ctx context.Context, ordinals []int64) (arrow.Array, error) {
	s := newStringBuffers(len(ordinals), 0)
	offsets := s.offsets[1:]
	for len(ordinals) > 0 {
		rows := 0
		if r.items.short != nil {
			at, part := len(s.data), ordinals[:min(len(ordinals), idWindowRows)]
			s.data = slices.Grow(s.data, len(idWindow{}))
			var size int
			rows, size = r.items.copyShort((*idWindow)(s.data[at:at+len(idWindow{})]), offsets, part, int32(at))
			s.data = s.data[:at+size]
			if rows == len(part) {
				offsets, ordinals = offsets[rows:], ordinals[rows:]
				continue
			}
		}
		id, err := r.items.id(ctx, uint32(ordinals[rows]))
		if err != nil {
			return nil, err
		}
		s.data = append(s.data, id...)
		offsets[rows] = int32(len(s.data))
		offsets, ordinals = offsets[rows+1:], ordinals[rows+1:]
	}
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
		ends := arrow.Uint32Traits.CastToBytes(col.Ends)
		copy(s.offsets[1:], arrow.Int32Traits.CastFromBytes(ends))
		buffers.put(ends)
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
		data:    buffers.get(max(size, 8*n+len(idWindow{})))[:size],
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
	short  []atomic.Pointer[shortIDs]   // by number of chunk; nil if IDs are read one by one
	bytes  atomic.Int64
	mu     sync.Mutex // held to forget
}

// chunkGroup holds chunks by the last bits of their numbers.
type chunkGroup [64]atomic.Pointer[reverseChunk]

const (
	shortID      = 16 // the bytes in which a short ID lies, its length in the last one
	idWindowRows = 128
)

// shortIDs are the IDs of a chunk that are shorter than shortID. The others, and those that aren't there, have length 0.
type shortIDs [reverseSlots][shortID]byte

// idWindow is room for short IDs: each is copied in full, and the next one over its end.
type idWindow [idWindowRows*shortID + shortID]byte

// readChunk reads a chunk of IDs that stays valid for as long as the builder is used.
type readChunk func(ctx context.Context, d dictID, num uint32) (reverseChunk, error)

func newIDReader(v *dictView, read readChunk) *idReader {
	chunks := (v.state.Next + reverseSlots - 1) / reverseSlots
	return &idReader{dict: v.id, read: read, chunks: chunks, groups: make([]atomic.Pointer[chunkGroup], chunks/uint32(len(chunkGroup{}))+1)}
}

// keepShort makes the reader of many IDs ready for copyShort.
func (r *idReader) keepShort() { r.short = make([]atomic.Pointer[shortIDs], r.chunks) }

// copyShort writes the IDs of up to idWindowRows ordinals one after the other, and where each ends, counted from base. It
// stops at one that isn't short or in no chunk that was read, and returns how many it wrote and their bytes.
func (r *idReader) copyShort(w *idWindow, offsets []int32, ordinals []int64, base int32) (rows, size int) {
	offsets = offsets[:len(ordinals)]
	n := uint32(0)
	for i, o := range ordinals {
		num := uint32(o) / reverseSlots
		if int(num) >= len(r.short) {
			return i, int(n)
		}
		c := r.short[num].Load()
		if c == nil {
			return i, int(n)
		}
		id := &c[uint32(o)%reverseSlots]
		if id[shortID-1] == 0 {
			return i, int(n)
		}
		*(*[shortID]byte)(w[n%(idWindowRows*shortID):]) = *id // n is less than that
		n += uint32(id[shortID-1])
		offsets[i] = base + int32(n)
	}
	return len(ordinals), int(n)
}

// id returns the ID of an ordinal; it stays valid. An ordinal without ID is a *[CorruptError]: rows hold only ordinals
// that the dictionary has.
func (r *idReader) id(ctx context.Context, ordinal uint32) ([]byte, error) {
	num := ordinal / reverseSlots
	if num < r.chunks {
		var c *reverseChunk
		if g := r.groups[num/uint32(len(chunkGroup{}))].Load(); g != nil {
			c = g[num%uint32(len(g))].Load()
		}
		if c == nil {
			var err error
			if c, err = r.load(ctx, num); err != nil {
				return nil, err
			}
		}
		if id := c.id(int(ordinal % reverseSlots)); id != nil {
			return id, nil
		}
	}
	return nil, &CorruptError{What: r.dict.String(), Problem: fmt.Sprintf("a row refers to ordinal %d, which has no ID", ordinal)}
}

func (r *idReader) load(ctx context.Context, num uint32) (*reverseChunk, error) {
	c, err := r.read(ctx, r.dict, num)
	if err != nil {
		return nil, err
	}
	size := int64(len(c.heap) + 4*len(c.ends))
	if r.short != nil {
		size += int64(len(shortIDs{}) * shortID)
	}
	if r.bytes.Add(size) > idCacheBytes {
		r.mu.Lock()
		for i := range r.groups {
			r.groups[i].Store(nil)
		}
		for i := range r.short {
			r.short[i].Store(nil)
		}
		r.bytes.Store(size)
		r.mu.Unlock()
	}
	if r.short != nil {
		ids := new(shortIDs)
		for slot := range c.slots() {
			if id := c.id(slot); len(id) < shortID {
				ids[slot][shortID-1] = byte(copy(ids[slot][:], id))
			}
		}
		r.short[num].Store(ids)
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
