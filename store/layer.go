package store

import (
	"context"
	"fmt"

	"github.com/expunge-db/expunge/store/internal/block"
)

const (
	// blockRawBytes ends a block early, before its rows take more than this in memory.
	blockRawBytes = 4 << 20
	// progressRows is how often progress is told.
	progressRows = 1 << 16
)

// layerWriter turns the sorted runs of an import into a layer: first all IDs get their ordinals, then the rows are
// merged in the order of ordinals, encoded and stored.
type layerWriter struct {
	im       *Import
	progress func(rows int64)
	blocks   *blockBuilder
	*blockWriter

	rows, duplicates int64
}

func newLayerWriter(im *Import, progress func(int64)) *layerWriter {
	if progress == nil {
		progress = func(int64) {}
	}
	w := &layerWriter{im: im, progress: progress, blockWriter: newBlockWriter(im.s, im.rec.Dataset, im.rec.Layer)}
	w.blocks = newBlockBuilder(im.s, im.layout)
	return w
}

func (w *layerWriter) write(ctx context.Context) error {
	im := w.im
	runs := im.runs.runs
	items := make([][]uint32, len(runs))
	if im.layout.items {
		res := newResolver(im, dictItems)
		err := mergeIDs(im.runs.lists(func(r *run) section { return r.items }), false, func(c *idCursor, first bool) error {
			return res.add(ctx, c, first, func(run int, _ rowGroup, ordinal uint32) error {
				items[run] = append(items[run], ordinal) // a run's IDs come in the order of their places
				return nil
			})
		})
		if err == nil {
			err = res.finish(ctx)
		}
		if err != nil {
			return err
		}
	}
	groups := make([]*groupWriter, len(runs))
	for i, r := range runs {
		groups[i] = newGroupWriter(im.runs.spill, r)
	}
	res := newResolver(im, im.layout.dict)
	err := mergeIDs(im.runs.lists(func(r *run) section { return r.keys }), true, func(c *idCursor, first bool) error {
		return res.add(ctx, c, first, func(run int, g rowGroup, ordinal uint32) error {
			g.ordinal = ordinal
			return groups[run].add(g)
		})
	})
	if err == nil {
		err = res.finish(ctx)
	}
	for i := 0; err == nil && i < len(groups); i++ {
		err = groups[i].finish()
	}
	if err != nil {
		return err
	}
	return w.writeRows(ctx, groups, items)
}

// writeRows merges the rows, leaves out those that the import's mode drops, and stores the others.
func (w *layerWriter) writeRows(ctx context.Context, groups []*groupWriter, items [][]uint32) error {
	im := w.im
	add := func(ordinal uint32, rec []byte) error { return w.addRow(ctx, ordinal, rec) }
	last := lastOfKey{add: add}
	if im.rec.Mode == ImportIncremental {
		if im.layout.time {
			existing, err := newExistingRows(ctx, im)
			if err != nil {
				return err
			}
			defer existing.close()
			add = func(ordinal uint32, rec []byte) error {
				seen, err := existing.seen(ctx, ordinal, rec)
				if seen {
					w.duplicates++
				}
				if seen || err != nil {
					return err
				}
				return w.addRow(ctx, ordinal, rec)
			}
		} else {
			add = last.next
		}
	}
	if err := mergeRows(im.runs.spill, im.layout, im.runs.runs, groups, items, add); err != nil {
		return err
	}
	if err := last.flush(); err != nil {
		return err
	}
	w.duplicates += last.dropped
	return w.finish(ctx)
}

// lastOfKey passes on the last row of each key.
type lastOfKey struct {
	add     func(ordinal uint32, rec []byte) error
	ordinal uint32
	rec     []byte
	held    bool
	dropped int64
}

func (l *lastOfKey) next(ordinal uint32, rec []byte) error {
	if l.held && l.ordinal == ordinal {
		l.dropped++
	} else if err := l.flush(); err != nil {
		return err
	}
	l.ordinal, l.rec, l.held = ordinal, append(l.rec[:0], rec...), true
	return nil
}

func (l *lastOfKey) flush() error {
	if !l.held {
		return nil
	}
	l.held = false
	return l.add(l.ordinal, l.rec)
}

func (w *layerWriter) addRow(ctx context.Context, ordinal uint32, rec []byte) error {
	if w.im.layout.items {
		w.refs.add(recordItem(rec))
	}
	if w.rows++; w.rows%progressRows == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.progress(w.rows)
	}
	e, err := w.blocks.add(ordinal, rec)
	if err != nil || e == nil {
		return err
	}
	return w.stage(ctx, e)
}

func (w *layerWriter) finish(ctx context.Context) error {
	e, err := w.blocks.flush()
	if err != nil {
		return err
	}
	if e != nil {
		if err := w.stage(ctx, e); err != nil {
			return err
		}
	}
	w.progress(w.rows)
	return w.blockWriter.finish(ctx)
}

// blockBuilder collects rows in the order of ordinals and encodes them as blocks.
type blockBuilder struct {
	layout *rowLayout
	limit  int
	pages  *pageWriter

	cols  []block.Column
	index *rowIndex
	raw   int
}

func newBlockBuilder(s *Store, layout *rowLayout) *blockBuilder {
	return &blockBuilder{layout: layout, limit: s.opts.BlockRows, pages: s.newPageWriter(), cols: layout.newColumns(), index: newRowIndex()}
}

// add appends a row, and returns the block that was full before it, if there is one.
func (b *blockBuilder) add(ordinal uint32, rec []byte) (e *encodedBlock, err error) {
	if int(b.index.rows()) >= b.limit || b.raw > 0 && b.raw+len(rec) > blockRawBytes {
		if e, err = b.flush(); err != nil {
			return nil, err
		}
	}
	b.index.add(ordinal, 1)
	b.raw += len(rec)
	b.layout.appendRecord(b.cols, rec)
	return e, nil
}

// flush encodes the rows collected so far; it returns nil if there are none.
func (b *blockBuilder) flush() (*encodedBlock, error) {
	rows := int(b.index.rows())
	if rows == 0 {
		return nil, nil
	}
	b.pages.begin(b.layout, b.raw)
	if err := b.pages.add(b.cols, 0, rows); err != nil {
		return nil, fmt.Errorf("encode block: %w", err)
	}
	e, err := encodeBlock(b.pages, b.index)
	if err != nil {
		return nil, err
	}
	for i := range b.cols {
		b.cols[i].Reset()
	}
	b.index, b.raw = newRowIndex(), 0
	return e, nil
}
