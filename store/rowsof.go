package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring"
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/expunge-db/expunge/store/internal/block"
)

// RowsOf returns the rows of one key, what Scan would yield of it, as one record, or nil if there are none. A USER_ID is
// asked for in Users and Interactions datasets, an ITEM_ID in Items datasets. The caller releases the record.
func (sn *Snapshot) RowsOf(ctx context.Context, t DatasetType, id []byte) (rec arrow.Record, err error) {
	v := sn.datasets[t]
	if v == nil {
		return nil, fmt.Errorf("dataset %s: %w", t, ErrNotFound)
	}
	err = sn.s.View(ctx, func(tx *Tx) error {
		rec, err = tx.keyRecord(ctx, v, &sn.users, &sn.items, id, func(r *keyRows) error {
			for _, layer := range v.layers {
				for i := firstBlock(layer, r.ordinal); i < len(layer) && layer[i].least <= r.ordinal; i++ {
					if err := r.read(layer[i].id, layer[i].rows, layer[i].dead); err != nil {
						return err
					}
				}
			}
			return nil
		})
		return err
	})
	return rec, err
}

// RowsOf is [Snapshot.RowsOf] of the store as it is now: it costs a few seeks.
func (s *Store) RowsOf(ctx context.Context, group string, t DatasetType, id []byte) (rec arrow.Record, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		v, err := tx.datasetView(group, t)
		if err != nil {
			return err
		}
		users, err := tx.dictView(dictID{v.GroupID, dictUsers}, 0)
		if err != nil {
			return err
		}
		items, err := tx.dictView(dictID{v.GroupID, dictItems}, 0)
		if err != nil {
			return err
		}
		rec, err = tx.keyRecord(ctx, v, &users, &items, id, func(r *keyRows) error {
			for _, layer := range v.Layers {
				if err := r.readLayer(layer); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	return rec, err
}

// keyRows reads the rows of one key, in one transaction. Its memory is used again for the next key: fresh memory would cost
// about as much as the rest.
type keyRows struct {
	tx      *Tx
	v       *datasetView
	ordinal uint32
	d       decodedBlock
	room    int // rows that d has memory for
	pages   pagedRows

	byItem []uint64 // ordinal of an item and row
	ids    [][]byte // of the items, by row
}

var keyRowsPool = sync.Pool{New: func() any { return new(keyRows) }}

// keyRecord returns the record of the rows of one key that read reads, or nil if there are none.
func (tx *Tx) keyRecord(ctx context.Context, v *datasetView, users, items *dictView, id []byte, read func(*keyRows) error) (arrow.Record, error) {
	keys := users
	if v.layout.dict == dictItems {
		keys = items
	}
	ordinal, ok, err := tx.lookup(keys).ordinal(tx.s.hashID(id), id)
	if err != nil || !ok {
		return nil, err
	}
	r := keyRowsPool.Get().(*keyRows)
	defer r.free()
	r.tx, r.v, r.ordinal = tx, v, ordinal
	r.d.cols = r.d.cols[:0]
	for _, c := range v.layout.cols {
		r.d.cols = append(r.d.cols, block.Column{Kind: c.kind})
	}
	if err := read(r); err != nil || r.d.n == 0 {
		return nil, err
	}
	return r.record(ctx, items, id)
}

func (r *keyRows) free() {
	clear(r.ids)
	clear(r.d.cols)
	r.tx, r.v, r.pages.data, r.d.n, r.room = nil, nil, nil, 0, 0
	keyRowsPool.Put(r)
}

// readLayer adds the rows that a layer has.
func (r *keyRows) readLayer(layer uint32) error {
	prefix := layerKey(r.v.ID, layer)
	c := r.tx.cursor(bucketFences)
	for k, v := seekFence(c, prefix, r.ordinal); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(k) >= len(prefix)+4 && uint32At(k, 2) > r.ordinal { // decodeFence refuses a shorter one
			return nil
		}
		f, err := decodeFence(k, v)
		if err != nil {
			return err
		}
		if f.Greatest < r.ordinal {
			continue
		}
		dead, err := r.tx.tombstone(k)
		if err != nil {
			return err
		}
		if err := r.read(f.Block, f.Rows, dead); err != nil {
			return err
		}
	}
	return nil
}

// read adds the rows that a block has, but for the dead ones. rows is how many rows of all keys it has.
func (r *keyRows) read(id uint64, rows uint32, dead *roaring.Bitmap) error {
	sealed, data, err := r.tx.storedBlock(id)
	if err != nil {
		return err
	}
	index, err := openIndex(id, sealed)
	if err != nil {
		return err
	}
	from, to, ok := findRows(index, r.ordinal)
	if !ok || to > rows {
		return errIndex(id, unreadable)
	}
	if from == to {
		return nil
	}
	if err := r.pages.parse(id, data, r.v.layout, rows); err != nil {
		return err
	}
	r.grow(int(to - from))
	for a := range liveRuns(from, to, dead) {
		if err := r.pages.read(a[0], a[1], r.d.cols); err != nil {
			return err
		}
		r.d.n += int(a[1] - a[0])
	}
	return nil
}

// grow makes room for more rows, from the pool.
func (r *keyRows) grow(rows int) {
	need := r.d.n + rows
	if need <= r.room {
		return
	}
	r.room = max(need, 2*r.room)
	if r.d.n == 0 {
		r.d.reserve(r.room)
		return
	}
	larger := newDecodedBlock(r.v.layout)
	larger.reserve(r.room)
	for i := range larger.cols {
		larger.cols[i].AppendRange(&r.d.cols[i], 0, r.d.n)
	}
	r.d.free()
	r.d.cols = larger.cols
}

// record makes a record of the rows.
func (r *keyRows) record(ctx context.Context, items *dictView, id []byte) (arrow.Record, error) {
	l := r.v.layout
	cols := make([]arrow.Array, len(l.fields))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	var err error
	cols[l.key] = repeated(id, r.d.n)
	for i, c := range l.cols {
		col := &r.d.cols[i]
		if i == 1 && l.items {
			if cols[c.field], err = r.itemArray(ctx, items, col.Int); err != nil {
				return nil, err
			}
			buffers.put(arrow.Int64Traits.CastToBytes(col.Int))
			continue
		}
		cols[c.field] = toArray(l.fields[c.field].Type, col, r.d.n)
	}
	return array.NewRecord(r.v.schema, cols, int64(r.d.n)), nil
}

// repeated returns a column of n times the same ID.
func repeated(id []byte, n int) arrow.Array {
	s := newStringBuffers(n, n*len(id))
	for i := range n {
		end := (i + 1) * len(id)
		copy(s.data[end-len(id):end], id)
		s.offsets[i+1] = int32(end)
	}
	return s.array(nil, 0)
}

// sortedItems is up to how many items are looked up in the order of ordinals. Of more it is cheaper to read all of a chunk.
const sortedItems = 1024

// itemArray returns the column of items.
func (r *keyRows) itemArray(ctx context.Context, items *dictView, ordinals []int64) (arrow.Array, error) {
	if len(ordinals) > sortedItems {
		read := func(_ context.Context, d dictID, num uint32) (reverseChunk, error) { return r.tx.readReverse(d, num) }
		return newRecordBuilder(r.v, items, items, read).itemArray(ctx, ordinals)
	}
	r.byItem = r.byItem[:0]
	for row, o := range ordinals {
		r.byItem = append(r.byItem, uint64(o)<<32|uint64(row))
	}
	slices.Sort(r.byItem)
	r.ids = slices.Grow(r.ids[:0], len(ordinals))[:len(ordinals)]
	l := r.tx.lookup(items)
	for _, o := range r.byItem {
		id, err := l.id(uint32(o >> 32))
		if err != nil {
			return nil, err
		}
		if id == nil {
			return nil, &CorruptError{What: items.id.String(), Problem: fmt.Sprintf("a row refers to ordinal %d, which has no ID", o>>32)}
		}
		r.ids[uint32(o)] = id
	}
	s := newStringBuffers(len(ordinals), 0)
	for i, id := range r.ids {
		s.data = append(s.data, id...)
		s.offsets[i+1] = int32(len(s.data))
	}
	return s.array(nil, 0), nil
}
