package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/expunge-db/expunge/store/internal/block"
)

// Each import adds a layer, and a read looks into all of them, so small layers are merged. The newest layers become one
// when the oldest of them has at most mergeFactor times the rows of the others together: a dataset so has few layers (those
// that stay grow by that factor), and a row is rewritten about mergeFactor/2 times for each factor by which its dataset
// outgrows its import. That is little beside what an import costs, since rows come sorted and decoded.
const mergeFactor = 16

// modeMerge marks the record of a merge, which is rolled back as an import is. It adds no rows and no IDs, so deletions
// and sweeps don't wait for it.
const modeMerge ImportMode = "MERGE"

// errMergeLost is for a merge whose layers have changed meanwhile: it begins again.
var errMergeLost = errors.New("the layers changed during the merge")

// MergeLayers merges layers of one dataset and kind, if any dataset has layers to merge, and reports whether it did or found that
// they had changed meanwhile: then there may be more to do. What readers see stays the same. Ended by its context, it
// leaves nothing behind. It excludes [Store.Clean], which must not take rows for gone that a merge is about to copy.
func (s *Store) MergeLayers(ctx context.Context) (more bool, err error) {
	if s.opts.ReadOnly {
		return false, ErrReadOnly
	}
	s.cleaner.mu.Lock()
	defer s.cleaner.mu.Unlock()
	var all []Dataset
	err = s.View(ctx, func(tx *Tx) (err error) {
		all, err = records(tx, "d/", func(d Dataset) string { return d.Group })
		return err
	})
	if err != nil {
		return false, fmt.Errorf("merge layers: %w", err)
	}
	for _, d := range all {
		if len(d.Layers) < 2 {
			continue
		}
		more, err := s.mergeDataset(ctx, d)
		if errors.Is(err, errMergeLost) {
			return true, nil
		}
		if err != nil || more {
			return more, err
		}
	}
	return false, nil
}

func (s *Store) mergeDataset(ctx context.Context, d Dataset) (merged bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("merge layers of %s in group %s: %w", d.Type, d.Group, err)
		}
	}()
	sn, err := s.Snapshot(ctx, d.Group, d.Type)
	if errors.Is(err, ErrNotFound) {
		return false, errMergeLost
	}
	if err != nil {
		return false, err
	}
	defer sn.Release()
	view := sn.datasets[d.Type]
	m := &layerMerge{s: s, sn: sn}
	for _, put := range []bool{false, true} { // the two kinds have different lifetimes
		of := view.only(put)
		if first, ok := pickLayers(of.layers, s.limits.mergeRows); ok && m.view == nil {
			m.view, m.first, m.put = of, first, put
		}
	}
	if m.view == nil {
		return false, nil
	}
	if err := m.begin(ctx); err != nil {
		return false, err
	}
	err = m.run(ctx)
	if err != nil {
		// Its blocks hold rows that may be deleted any time: should this fail, Clean does it before anything else.
		return false, errors.Join(err, s.rollbackImport(context.WithoutCancel(ctx), m.rec))
	}
	return true, nil
}

// rollbackMerges removes what a merge left that could not be rolled back when it ended. The caller holds cleaner.mu, so no
// merge is in flight.
func (s *Store) rollbackMerges(ctx context.Context) error {
	_, err := s.rollbackImports(ctx, func(rec importRecord) bool { return rec.Mode == modeMerge })
	return err
}

// pickLayers returns the first of the layers to merge, which go up to the newest, or false if there are none. Layers with
// dead rows wait for the compaction, which takes these out of the counts of items.
func pickLayers(layers [][]blockRef, most int64) (first int, ok bool) {
	newer := int64(0)
	for i := len(layers) - 1; i >= 0; i-- {
		rows := int64(0)
		for _, ref := range layers[i] {
			if ref.dead != nil {
				return first, ok
			}
			rows += int64(ref.rows)
		}
		if newer+rows > most {
			return first, ok
		}
		if i < len(layers)-1 && rows <= mergeFactor*newer {
			first, ok = i, true
		}
		newer += max(rows, 1)
	}
	return first, ok
}

// layerMerge is a merge in flight.
type layerMerge struct {
	s     *Store
	sn    *Snapshot
	view  *datasetView // with layers of one kind
	first int          // of them that it merges, up to the last
	put   bool         // they are individual
	rec   importRecord
}

func (m *layerMerge) begin(ctx context.Context) error {
	return m.s.Update(ctx, func(tx *Tx) error {
		m.rec = importRecord{
			ID: tx.newID(), Group: m.view.Group, Type: m.view.Type, Layer: tx.newID(), GroupID: m.view.GroupID,
			Dataset: m.view.ID, Mode: modeMerge, Put: m.put,
		}
		v, err := json.Marshal(m.rec)
		if err != nil {
			return err
		}
		return putSealed(tx.b.Bucket(bucketImports), appendUint32s(nil, m.rec.ID), v)
	})
}

// run writes the merged layer and puts it in the place of the others.
func (m *layerMerge) run(ctx context.Context) error {
	w := newBlockWriter(m.s, m.view.ID, m.rec.Layer)
	b := &mergeBuilder{s: m.s, layout: m.view.layout, pages: m.s.newPageWriter(), index: new(rowIndex)}
	b.put = func(e *encodedBlock) error { return w.stage(ctx, e) }
	err := m.sn.mergeRows(ctx, m.view, m.view.layers[m.first:], b.add)
	if err == nil {
		err = b.flush()
	}
	if err == nil && b.total > 0 { // without rows there will be no layer, and so no counts
		if err = m.sumRefs(ctx, w.refs); err == nil {
			err = w.finish(ctx)
		}
	}
	if err != nil {
		return err
	}
	return m.s.Update(ctx, func(tx *Tx) error { return m.publish(tx, b.total) })
}

// takeRows is called with the rows [from, to) of a key. It may keep nothing of cols.
type takeRows func(ordinal uint32, cols []block.Column, from, to int) error

// mergeRows gives take the rows of layers in the order of (ordinal, TIMESTAMP, layer).
func (sn *Snapshot) mergeRows(ctx context.Context, view *datasetView, layers [][]blockRef, take takeRows) error {
	var cursors []*layerCursor
	defer func() {
		for _, c := range cursors {
			c.free()
		}
	}()
	for i, refs := range layers {
		c := &layerCursor{sn: sn, view: view, layer: i, refs: refs}
		cursors = append(cursors, c)
		if err := c.load(ctx); err != nil {
			return err
		}
	}
	for {
		var least, next *layerCursor // there are few
		for _, c := range cursors {
			switch {
			case c.rows == nil:
			case least == nil || c.before(least):
				least, next = c, least
			case next == nil || c.before(next):
				next = c
			}
		}
		if least == nil {
			return nil
		}
		if err := least.take(ctx, next, take); err != nil {
			return err
		}
	}
}

// sumRefs counts the items of the merged layers. None of their rows is dead, and if that changes the merge is lost.
func (m *layerMerge) sumRefs(ctx context.Context, sum itemCounts) error {
	if !m.view.layout.items {
		return nil
	}
	return m.s.View(ctx, func(tx *Tx) error {
		for _, layer := range m.view.Layers[m.first:] {
			err := tx.eachRefs(m.view.ID, layer, func(num uint32, value func() (*[refSlots]uint32, error)) error {
				refs, err := value()
				if err != nil {
					return err
				}
				if sum[num] == nil {
					sum[num] = new([refSlots]uint32)
				}
				for slot, n := range refs {
					sum[num][slot] += n
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// publish puts the merged layer in the place of the others, unless rows of the dataset became invisible meanwhile.
func (m *layerMerge) publish(tx *Tx, rows int64) error {
	d, err := tx.Dataset(m.view.Group, m.view.Type)
	if errors.Is(err, ErrNotFound) {
		return errMergeLost
	}
	if err != nil {
		return err
	}
	merged := m.view.Layers[m.first:]
	if d.ID != m.view.ID || d.Killed > m.sn.epoch {
		return errMergeLost
	}
	for _, layer := range merged {
		if !slices.Contains(d.Layers, layer) {
			return errMergeLost
		}
	}
	epoch := tx.nextEpoch()
	for _, layer := range merged {
		if err := tx.discardLayer(epoch, d.ID, layer); err != nil {
			return err
		}
	}
	at := slices.Index(d.Layers, merged[0])
	d.removeLayers(merged)
	if rows > 0 {
		d.insertLayer(at, m.rec.Layer, m.put)
	}
	if err := tx.putDataset(d); err != nil {
		return err
	}
	return tx.b.Bucket(bucketImports).Delete(appendUint32s(nil, m.rec.ID))
}

// layerCursor walks the rows of a layer, from the first to the last.
type layerCursor struct {
	sn    *Snapshot
	view  *datasetView
	layer int
	refs  []blockRef // not loaded yet

	rows *decodedBlock // nil at the end
	key  int           // of rows.keys
	row  int           // of rows, of that key
	end  int           // of the rows of that key
}

// load goes on to the next block.
func (c *layerCursor) load(ctx context.Context) error {
	c.free()
	for c.rows == nil && len(c.refs) > 0 {
		d, err := c.sn.readBlock(ctx, c.view, c.refs[0])
		if err != nil {
			return err
		}
		c.refs = c.refs[1:]
		if d.rows() == 0 { // all of them are dead
			d.free()
			continue
		}
		c.rows, c.key, c.row, c.end = d, 0, 0, int(d.counts[0])
	}
	return nil
}

func (c *layerCursor) free() {
	if c.rows != nil {
		c.rows.free()
		c.rows = nil
	}
}

func (c *layerCursor) ordinal() uint32 { return c.rows.keys[c.key] }

func (c *layerCursor) time(row int) int64 {
	if !c.view.layout.time {
		return 0
	}
	return c.rows.cols[0].Int[row]
}

// before orders the rows that two cursors stand on.
func (c *layerCursor) before(o *layerCursor) bool {
	if a, b := c.ordinal(), o.ordinal(); a != b {
		return a < b
	}
	if a, b := c.time(c.row), o.time(o.row); a != b {
		return a < b
	}
	return c.layer < o.layer
}

// take gives to the rows that come before the one that next stands on, or all if it is nil, up to the end of the block.
func (c *layerCursor) take(ctx context.Context, next *layerCursor, to takeRows) error {
	for {
		end := c.end
		if next != nil && next.ordinal() <= c.ordinal() {
			if next.ordinal() < c.ordinal() {
				return nil
			}
			limit := next.time(next.row)
			for end = c.row; end < c.end && (c.time(end) < limit || c.time(end) == limit && c.layer < next.layer); end++ {
			}
		}
		if err := to(c.ordinal(), c.rows.cols, c.row, end); err != nil {
			return err
		}
		if c.row = end; end < c.end {
			return nil
		}
		if c.key++; c.key == len(c.rows.keys) {
			return c.load(ctx)
		}
		c.end += int(c.rows.counts[c.key])
	}
}

// mergeBuilder makes blocks of rows that come in order.
type mergeBuilder struct {
	s      *Store
	layout *rowLayout
	put    func(*encodedBlock) error
	pages  *pageWriter
	index  *rowIndex // of the block under way
	raw    int       // about the bytes of its rows in memory
	total  int64
}

// add takes the rows [from, to) of a key.
func (b *mergeBuilder) add(ordinal uint32, cols []block.Column, from, to int) error {
	for from < to {
		rows := int(b.index.rows())
		if rows == 0 {
			b.pages.begin(b.layout, 8*b.s.opts.BlockRows)
		}
		n := min(to-from, b.s.opts.BlockRows-rows)
		if err := b.pages.add(cols, from, from+n); err != nil {
			return fmt.Errorf("encode block: %w", err)
		}
		b.index.add(ordinal, uint32(n))
		for i := range cols {
			b.raw += cols[i].Size(from, from+n)
		}
		from += n
		b.total += int64(n)
		if int(b.index.rows()) == b.s.opts.BlockRows || b.raw > blockRawBytes {
			if err := b.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *mergeBuilder) flush() error {
	if b.index.rows() == 0 {
		return nil
	}
	e, err := encodeBlock(b.pages, b.index)
	if err != nil {
		return err
	}
	b.index, b.raw = new(rowIndex), 0
	return b.put(e)
}
