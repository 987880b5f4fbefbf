package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// blockRawBytes ends a block early, before its rows take more than this in memory.
const blockRawBytes = 4 << 20

// layerWriter makes a layer of the rows of an import. Units of them are grouped and encoded by several goroutines; what
// makes the layer the same whatever these do (giving ordinals, storing) they do in turns, in the order of units.
//
// Keys come in the order of their hashes. New ones get ordinals in this order; and so did those that an earlier import
// brought, the largest of which is known to the dictionary ([dictState].Sorted): both make streams of blocks in the order
// of ordinals. Rows of other keys are put aside, divided once more, by ordinal, and follow in a second pass. The streams have
// ranges of ordinals of their own, so that their blocks don't overlap.
type layerWriter struct {
	im       *Import
	progress func(rows int64)
	out      *blockWriter
	items    []uint32    // ordinals by code
	existing *Snapshot   // rows equal to one of it are dropped, and all repeats; nil to keep all
	lastOnly bool        // of the rows of a key the last one counts
	aside    *partitions // rows, by ordinal
	keys     *keyResolver

	fresh   []freshIDs // that wait for the next transaction
	idBytes int
	rows    int64

	duplicates atomic.Int64
	counting   sync.Mutex // held to change out.refs
}

func newLayerWriter(im *Import, progress func(int64)) *layerWriter {
	if progress == nil {
		progress = func(int64) {}
	}
	return &layerWriter{
		im: im, progress: progress, out: newBlockWriter(im.s, im.rec.Dataset, im.rec.Layer),
		lastOnly: im.rec.Mode == ImportIncremental && !im.layout.time,
	}
}

func (w *layerWriter) write(ctx context.Context) (err error) {
	im := w.im
	if im.layout.items {
		if w.items, err = im.resolveItems(ctx); err != nil {
			return err
		}
	}
	if im.rec.Mode == ImportIncremental && im.layout.time {
		if w.existing, err = im.s.Snapshot(ctx, im.rec.Group, im.rec.Type); err != nil {
			return err
		}
		defer w.existing.Release()
	}
	if w.keys, err = im.newKeyResolver(ctx); err != nil {
		return err
	}
	w.keys.lastOnly = w.lastOnly
	w.aside = newPartitions(im.spill, max(uint64(w.keys.base), 1), im.s.limits.partBuffer)
	var parts []*partitions
	for _, d := range im.dividers() {
		parts = append(parts, d.parts)
		d.parts = nil // its memory isn't needed after the pass
	}
	if err := w.pass(ctx, parts, w.items, w.keys.resolve); err != nil {
		return err
	}
	if err := w.pass(ctx, []*partitions{w.aside}, nil, resolveOrdinals); err != nil {
		return err
	}
	return w.out.finish(ctx)
}

// stream says where the rows of a key go.
type stream uint8

const (
	streamNew stream = iota
	streamKnown
	streamAside
	streamLeftOut // nowhere: of a suppressed user
)

// passWorkers bounds the goroutines of a pass, and so the memory of an import: each may hold a unit of limits.pieceBytes, which
// takes some four times its rows, and a count for each item. More would mostly wait for their turn to store.
const passWorkers = 4

// pass stores the rows of partitions, one or several of each range, whose keys get their ordinals from resolve. items are the
// ordinals of the items' codes; rows that were put aside have them already.
func (w *layerWriter) pass(ctx context.Context, rows []*partitions, items []uint32, resolve func(context.Context, *unit) error) error {
	src := &unitSource{rows: rows, layout: w.im.layout, limits: &w.im.s.limits, lastOnly: w.lastOnly, together: w.existing != nil}
	var resolving, storing turns
	g, working := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), passWorkers) + 1 { // one of them waits for the disk
		g.Go(func() error {
			u, enc := new(unit), newUnitEncoder(w)
			for {
				ok, err := src.next(working, u)
				if err != nil || !ok {
					enc.count(w)
					return err
				}
				if err := u.load(src, items); err != nil {
					return err
				}
				if err := resolving.enter(working, u.number); err != nil {
					return err
				}
				if err := resolve(working, u); err != nil {
					return err
				}
				if err := w.putAside(u); err != nil {
					return err
				}
				resolving.leave()
				if err := enc.encode(working, u); err != nil {
					return err
				}
				if err := storing.enter(working, u.number); err != nil {
					return err
				}
				if err := w.store(working, u); err != nil {
					return err
				}
				storing.leave()
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	w.duplicates.Add(src.dropped)
	return w.flush(ctx)
}

// resolveOrdinals is for units whose keys are ordinals.
func resolveOrdinals(_ context.Context, u *unit) error {
	u.fresh.reset()
	u.ordinals, u.streams = u.ordinals[:0], u.streams[:0]
	for i := range u.keys {
		hash, _ := u.key(i)
		u.ordinals, u.streams = append(u.ordinals, uint32(hash)), append(u.streams, streamKnown)
	}
	return nil
}

func (w *layerWriter) putAside(u *unit) error {
	for i, to := range u.streams {
		if to != streamAside {
			continue
		}
		for _, row := range u.rowsOf(i) {
			if err := w.aside.add(0, uint64(u.ordinals[i]), nil, u.record(row)); err != nil {
				return err
			}
		}
	}
	return nil
}

// store takes the blocks and the new IDs of a unit. They commit by the transaction-full.
func (w *layerWriter) store(ctx context.Context, u *unit) error {
	if u.fresh.len() > 0 {
		w.fresh = append(w.fresh, freshIDs{u.first, u.fresh})
		w.idBytes += len(u.fresh.ids.data)
		u.fresh = newIDs{}
	}
	for to := range u.blocks {
		for _, e := range u.blocks[to] {
			w.out.add(stream(to), e)
		}
		u.blocks[to] = u.blocks[to][:0]
	}
	w.rows += u.stored
	w.progress(w.rows)
	if w.out.size+w.idBytes < w.im.s.limits.stageBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *layerWriter) flush(ctx context.Context) error {
	if len(w.fresh) == 0 && len(w.out.staged) == 0 {
		return nil
	}
	err := w.out.store(ctx, func(tx *Tx) error {
		for i := range w.fresh {
			first, err := w.im.create(tx, w.im.layout.dict, &w.fresh[i].ids)
			if err == nil && first != w.fresh[i].first {
				err = fmt.Errorf("another import into the group is in flight")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	clear(w.fresh)
	w.fresh, w.idBytes = w.fresh[:0], 0
	return nil
}

// freshIDs are new keys of a unit, whose ordinals follow each other.
type freshIDs struct {
	first uint32
	ids   newIDs
}

// unitEncoder makes blocks of the rows of units, for one goroutine.
type unitEncoder struct {
	w        *layerWriter
	layout   *rowLayout
	pages    *pageWriter
	existing *existingRows
	items    []uint32 // rows by the item's ordinal

	index *rowIndex // of the block under way
	rows  int       // in it
	most  int       // of a block of this unit
	raw   int
	last  uint32 // the ordinal of the key before

	recs [][]byte
	drop []bool
}

func newUnitEncoder(w *layerWriter) *unitEncoder {
	e := &unitEncoder{w: w, layout: w.im.layout, pages: w.im.s.newPageWriter()}
	if e.layout.items {
		e.pages.count = e.addItems
	}
	if w.existing != nil {
		e.existing = newExistingRows(w.existing, w.im.rec.Type)
	}
	return e
}

// encode makes blocks of the rows of a unit's keys, but for those that are put aside.
func (e *unitEncoder) encode(ctx context.Context, u *unit) error {
	u.stored = 0
	for _, to := range []stream{streamNew, streamKnown} {
		if err := e.encodeStream(ctx, u, to); err != nil {
			return err
		}
	}
	return nil
}

func (e *unitEncoder) encodeStream(ctx context.Context, u *unit, to stream) error {
	all := 0
	for i := range u.keys {
		if u.streams[i] == to {
			all += len(u.rowsOf(i))
		}
	}
	if all == 0 {
		return nil
	}
	// Blocks of one size: a last one of few rows in each unit would waste room.
	limit := e.w.im.s.opts.BlockRows
	blocks := (all + limit - 1) / limit
	e.most = (all + blocks - 1) / blocks
	sorted := e.w.keys.sorted
	for i := range u.keys {
		if u.streams[i] != to {
			continue
		}
		if o := u.ordinals[i]; e.rows > 0 && e.last < sorted.From && o >= sorted.To {
			if err := e.flush(u, to); err != nil { // the blocks of the sorted range lie between
				return err
			}
		}
		if err := e.key(ctx, u, i); err != nil {
			return err
		}
		e.last = u.ordinals[i]
	}
	return e.flush(u, to)
}

// key adds the rows of one key, but for those that the import's mode drops.
func (e *unitEncoder) key(ctx context.Context, u *unit, i int) error {
	rows, ordinal := u.rowsOf(i), u.ordinals[i]
	if e.w.lastOnly {
		e.w.duplicates.Add(int64(len(rows) - 1))
		rows = rows[len(rows)-1:]
	}
	e.recs = e.recs[:0]
	for _, row := range rows {
		e.recs = append(e.recs, u.record(row))
	}
	recs := e.recs
	if e.existing != nil {
		e.drop = append(e.drop[:0], make([]bool, len(recs))...)
		markRepeats(recs, e.drop)
		if err := e.existing.mark(ctx, ordinal, recs, e.drop); err != nil {
			return err
		}
		kept := recs[:0]
		for k, rec := range recs {
			if !e.drop[k] {
				kept = append(kept, rec)
			}
		}
		e.w.duplicates.Add(int64(len(recs) - len(kept)))
		recs = kept
	}
	for len(recs) > 0 {
		if e.rows >= e.most || e.raw > 0 && e.raw+len(recs[0]) > blockRawBytes {
			if err := e.flush(u, u.streams[i]); err != nil {
				return err
			}
		}
		if e.rows == 0 {
			e.pages.begin(e.layout, 8*e.most)
			e.index = new(rowIndex)
		}
		n, raw := 0, e.raw // what fits the block
		for n < len(recs) && n < e.most-e.rows && (raw == 0 || raw+len(recs[n]) <= blockRawBytes) {
			raw += len(recs[n])
			n++
		}
		if err := e.pages.addRecords(recs[:n]); err != nil {
			return err
		}
		e.index.add(ordinal, uint32(n))
		e.rows, e.raw = e.rows+n, raw
		recs = recs[n:]
	}
	return nil
}

// flush ends the block under way.
func (e *unitEncoder) flush(u *unit, to stream) error {
	if e.rows == 0 {
		return nil
	}
	b, err := encodeBlock(e.pages, e.index)
	if err != nil {
		return err
	}
	u.blocks[to] = append(u.blocks[to], b)
	u.stored += int64(e.rows)
	e.rows, e.raw = 0, 0
	return nil
}

// addItems counts the items of a page.
func (e *unitEncoder) addItems(ordinals []int64) {
	for _, o := range ordinals {
		if int(o) >= len(e.items) {
			e.items = append(e.items, make([]uint32, int(o)+1-len(e.items)+refSlots)...)
		}
		e.items[o]++
	}
}

// count adds the items of all units to those of the layer.
func (e *unitEncoder) count(w *layerWriter) {
	w.counting.Lock()
	defer w.counting.Unlock()
	for ordinal, n := range e.items {
		if n > 0 {
			w.out.refs.addRows(uint32(ordinal), n)
		}
	}
	e.items = nil
}
