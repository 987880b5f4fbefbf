package store

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring"
	"github.com/apache/arrow/go/v15/arrow"

	"github.com/expunge-db/expunge/store/internal/block"
)

// Snapshot is one consistent state of a dataset group, whatever commits meanwhile. It holds the list of blocks and
// tombstones of its moment (about 40 bytes a block), and reads them in short transactions. While it is open nothing that
// it can see is removed, so a deletion in its group that began after it can't complete: release it. It may be used by
// several goroutines.
type Snapshot struct {
	s        *Store
	group    uint32 // ID: the name can be another group's before the snapshot ends
	epoch    uint64
	since    time.Time
	datasets map[DatasetType]*datasetView
	users    dictView
	items    dictView
	release  sync.Once
}

// datasetView is what a snapshot sees of a dataset.
type datasetView struct {
	Dataset
	layout *rowLayout
	schema *arrow.Schema
	layers [][]blockRef
	rows   int64
}

// blockRef is a block as a snapshot sees it.
type blockRef struct {
	id              uint64
	least, greatest uint32 // least is a lower bound
	rows            uint32
	dead            *roaring.Bitmap // nil if none
}

// Snapshot opens a snapshot of some datasets of a group, or of all that it has if none is named. Errors: [ErrNotFound].
func (s *Store) Snapshot(ctx context.Context, group string, types ...DatasetType) (*Snapshot, error) {
	sn := &Snapshot{s: s, since: time.Now(), datasets: make(map[DatasetType]*datasetView)}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// A lease has to be in the table before anything that it can see may be removed: nothing is removed between the
	// beginning of the transaction and the entry, since removing looks into the table. The gate comes first, since those
	// who hold it may ask the table.
	s.gate.RLock()
	defer s.gate.RUnlock()
	s.leases.mu.Lock()
	locked := true
	unlock := func() {
		if locked {
			locked = false
			s.leases.mu.Unlock()
		}
	}
	err := s.viewLocked(func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		sn.group, sn.epoch = g.ID, tx.Epoch()
		s.leases.held[sn] = struct{}{}
		unlock()
		return sn.capture(tx, group, types)
	})
	unlock()
	if err != nil {
		sn.Release()
		return nil, err
	}
	return sn, nil
}

func (sn *Snapshot) capture(tx *Tx, group string, types []DatasetType) (err error) {
	if sn.users, err = tx.dictView(dictID{sn.group, dictUsers}, 0); err != nil {
		return err
	}
	if sn.items, err = tx.dictView(dictID{sn.group, dictItems}, 0); err != nil {
		return err
	}
	datasets, err := tx.Datasets(group)
	if err != nil {
		return err
	}
	for _, d := range datasets {
		if len(types) > 0 && !slices.Contains(types, d.Type) {
			continue
		}
		v := &datasetView{Dataset: d, schema: d.ArrowSchema()}
		if v.layout, err = d.layout(); err != nil {
			return err
		}
		for _, layer := range d.Layers {
			refs, rows, err := tx.captureLayer(d.ID, layer)
			if err != nil {
				return err
			}
			v.layers = append(v.layers, refs)
			v.rows += rows
		}
		sn.datasets[d.Type] = v
	}
	for _, t := range types {
		if sn.datasets[t] == nil {
			return fmt.Errorf("dataset %s of group %s: %w", t, group, ErrNotFound)
		}
	}
	return nil
}

// errStrayTombstone is what a damaged key of a tombstone gives: passing over it would bring dead rows back.
var errStrayTombstone = &CorruptError{What: "tombstone", Problem: "it belongs to no block"}

func (tx *Tx) captureLayer(dataset, layer uint32) (refs []blockRef, rows int64, err error) {
	prefix := layerKey(dataset, layer)
	tombs := tx.b.Bucket(bucketTombs).Cursor()
	next, _ := tombs.Seek(prefix)
	err = tx.eachFence(dataset, layer, func(key []byte, f fence) error {
		ref := blockRef{id: f.Block, least: uint32At(key, 2), greatest: f.Greatest, rows: f.Rows}
		rows += int64(f.Rows)
		if next != nil && bytes.Compare(next, key) < 0 {
			return errStrayTombstone
		}
		if next != nil && bytes.Equal(next, key) {
			dead, err := tx.tombstone(key)
			if err == nil && dead == nil {
				err = errStrayTombstone
			}
			if err != nil {
				return err
			}
			ref.dead = dead
			rows -= int64(dead.GetCardinality())
			next, _ = tombs.Next()
		}
		refs = append(refs, ref)
		return nil
	})
	if err == nil && next != nil && bytes.HasPrefix(next, prefix) {
		err = errStrayTombstone
	}
	return refs, rows, err
}

// Release ends the snapshot's lease. Releasing it again does nothing.
func (sn *Snapshot) Release() { sn.release.Do(func() { sn.s.leases.end(sn) }) }

// Epoch returns the epoch that the snapshot is of.
func (sn *Snapshot) Epoch() uint64 { return sn.epoch }

// Rows returns the number of rows that Scan returns for a dataset type; 0 if it isn't in the snapshot.
func (sn *Snapshot) Rows(t DatasetType) int64 {
	if v := sn.datasets[t]; v != nil {
		return v.rows
	}
	return 0
}

// Schema returns the Arrow schema of a dataset's records, or nil if it isn't in the snapshot.
func (sn *Snapshot) Schema(t DatasetType) *arrow.Schema {
	if v := sn.datasets[t]; v != nil {
		return v.schema
	}
	return nil
}

// Scan yields the rows of a dataset as records of some thousand rows, layer by layer, in each sorted by the key's ordinal
// and TIMESTAMP. The caller releases each record; its buffers are its own and stay valid after the snapshot has ended.
// After an error nothing more is yielded.
func (sn *Snapshot) Scan(ctx context.Context, t DatasetType) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		v := sn.datasets[t]
		if v == nil {
			yield(nil, fmt.Errorf("dataset %s: %w", t, ErrNotFound))
			return
		}
		sn.scan(ctx, v, yield)
	}
}

// datasetViews holds decoded catalog entries of datasets, each with the bytes that it was decoded from: reading one user's
// rows would spend a good part of its time on decoding it.
type datasetViews struct {
	mu    sync.Mutex
	views map[string]encodedView // by key; guarded by mu
}

type encodedView struct {
	raw  []byte
	view *datasetView
}

// datasetView returns a dataset without its list of blocks. It is shared, and not to be changed.
func (tx *Tx) datasetView(group string, t DatasetType) (*datasetView, error) {
	key := datasetKey(group, t)
	raw := tx.b.Bucket(bucketCatalog).Get(key)
	c := &tx.s.views
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.views[string(key)]; ok && bytes.Equal(have.raw, raw) {
		return have.view, nil
	}
	d, err := tx.Dataset(group, t)
	if err != nil {
		return nil, err
	}
	l, err := d.layout()
	if err != nil {
		return nil, err
	}
	if c.views == nil {
		c.views = make(map[string]encodedView)
	}
	v := &datasetView{Dataset: d, layout: l, schema: d.ArrowSchema()}
	c.views[string(key)] = encodedView{bytes.Clone(raw), v}
	return v, nil
}

// firstBlock returns the first block of a layer that can hold an ordinal: it and those after it do while their least
// ordinal isn't above it.
func firstBlock(layer []blockRef, ordinal uint32) int {
	return sort.Search(len(layer), func(i int) bool { return layer[i].greatest >= ordinal })
}

// decodedBlock is rows in memory: copies, with the ordinals of their keys.
type decodedBlock struct {
	keys   []uint32 // ordinals, ascending within what came from one block
	counts []uint32 // rows of each
	cols   []block.Column
	n      int
}

func newDecodedBlock(l *rowLayout) *decodedBlock { return &decodedBlock{cols: l.newColumns()} }

// reset empties d for other rows of the same layout. Its columns are no longer its own.
func (d *decodedBlock) reset() {
	d.keys, d.counts, d.n = d.keys[:0], d.counts[:0], 0
	for i := range d.cols {
		d.cols[i] = block.Column{Kind: d.cols[i].Kind}
	}
}

// reserve makes room for rows from the pool of scans.
func (d *decodedBlock) reserve(rows int) {
	for i := range d.cols {
		switch c := &d.cols[i]; c.Kind {
		case block.Int:
			c.Int = arrow.Int64Traits.CastFromBytes(buffers.get(8 * rows)[:8*rows])[:0]
		case block.Float32:
			c.F32 = arrow.Float32Traits.CastFromBytes(buffers.get(4 * rows)[:4*rows])[:0]
		case block.Float64:
			c.F64 = arrow.Float64Traits.CastFromBytes(buffers.get(8 * rows)[:8*rows])[:0]
		case block.String:
			c.Ends = arrow.Uint32Traits.CastFromBytes(buffers.get(4 * rows)[:4*rows])[:0]
			c.Bytes = buffers.get(8 * rows)
		}
	}
}

// free gives the memory of the columns back to the pool. Nothing may refer to it any more.
func (d *decodedBlock) free() {
	for i := range d.cols {
		c := &d.cols[i]
		buffers.put(arrow.Int64Traits.CastToBytes(c.Int))
		buffers.put(arrow.Float32Traits.CastToBytes(c.F32))
		buffers.put(arrow.Float64Traits.CastToBytes(c.F64))
		buffers.put(arrow.Uint32Traits.CastToBytes(c.Ends))
		buffers.put(c.Bytes)
	}
}

func (d *decodedBlock) rows() int { return d.n }

func (d *decodedBlock) addKey(ordinal, rows uint32) {
	d.n += int(rows)
	if n := len(d.keys); n > 0 && d.keys[n-1] == ordinal {
		d.counts[n-1] += rows
		return
	}
	d.keys = append(d.keys, ordinal)
	d.counts = append(d.counts, rows)
}

// readBlock decodes the live rows of a block.
func (sn *Snapshot) readBlock(ctx context.Context, v *datasetView, ref blockRef) (*decodedBlock, error) {
	d := newDecodedBlock(v.layout)
	return d, sn.readBlockInto(ctx, v, ref, d, new(pagedRows))
}

// readBlockInto is readBlock into an empty d. It uses the memory of pages again.
func (sn *Snapshot) readBlockInto(ctx context.Context, v *datasetView, ref blockRef, d *decodedBlock, pages *pagedRows) error {
	d.reserve(int(ref.rows))
	return sn.s.View(ctx, func(tx *Tx) error {
		x, err := tx.readIndex(ref.id)
		if err != nil {
			return err
		}
		if err := tx.readDataInto(pages, ref.id, v.layout, x.rows()); err != nil {
			return err
		}
		return d.read(pages, x, ref.dead)
	})
}

// read adds the rows of a stored block that aren't dead.
func (d *decodedBlock) read(data *pagedRows, x *rowIndex, dead *roaring.Bitmap) error {
	live := x
	if dead != nil {
		live = x.without(dead)
	}
	d.keys, d.counts = slices.Grow(d.keys, len(live.ends)), slices.Grow(d.counts, len(live.ends))
	for i, ordinal := range live.ordinals {
		a, b := live.at(i)
		d.addKey(ordinal, b-a)
	}
	for a := range liveRuns(0, x.rows(), dead) {
		if err := data.read(a[0], a[1], d.cols); err != nil {
			return err
		}
	}
	return nil
}

// liveRuns yields the runs [from, to) of rows that are not dead.
func liveRuns(from, to uint32, dead *roaring.Bitmap) iter.Seq[[2]uint32] {
	return func(yield func([2]uint32) bool) {
		if dead != nil {
			it := dead.Iterator()
			it.AdvanceIfNeeded(from)
			for it.HasNext() && it.PeekNext() < to {
				row := it.Next()
				if row > from && !yield([2]uint32{from, row}) {
					return
				}
				from = row + 1
			}
		}
		if from < to {
			yield([2]uint32{from, to})
		}
	}
}
