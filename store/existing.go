package store

import (
	"bytes"
	"context"
	"slices"

	"github.com/expunge-db/expunge/store/internal/block"
)

// existingRows finds rows that a dataset has already. Keys are asked for in the order of ordinals, so it holds of each
// layer the block that it looked into last: the next key is likely there too. It is for one goroutine.
type existingRows struct {
	sn   *Snapshot
	view *datasetView
	open []openBlock // by layer

	times block.Column
	cols  []block.Column
	rec   []byte
}

// openBlock is a copy of a stored block.
type openBlock struct {
	id    uint64
	index *rowIndex
	data  *pagedRows
	buf   []byte // of data
}

func newExistingRows(sn *Snapshot, t DatasetType) *existingRows {
	view := sn.datasets[t]
	return &existingRows{sn: sn, view: view, open: make([]openBlock, len(view.layers)), times: block.Column{Kind: block.Int}, cols: view.layout.newColumns()}
}

// mark sets there[i] for each record i of a key, which are sorted by time, that the dataset has. Only rows of the same time
// are decoded whole.
func (e *existingRows) mark(ctx context.Context, ordinal uint32, recs [][]byte, there []bool) error {
	for n, layer := range e.view.layers {
		for i := firstBlock(layer, ordinal); i < len(layer) && layer[i].least <= ordinal; i++ {
			if e.open[n].id != layer[i].id {
				if err := e.load(ctx, &e.open[n], layer[i].id); err != nil {
					return err
				}
			}
			if err := e.markIn(&e.open[n], layer[i], ordinal, recs, there); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *existingRows) markIn(b *openBlock, ref blockRef, ordinal uint32, recs [][]byte, there []bool) error {
	from, to := b.index.find(ordinal)
	for page := b.data.find(from); from < to; page++ {
		stop := min(to, b.data.starts[page+1])
		e.times.Reset()
		if err := b.data.readColumn(page, 0, from, stop, &e.times); err != nil {
			return err
		}
		for i, time := range e.times.Int {
			row := from + uint32(i)
			first, found := slices.BinarySearchFunc(recs, time, func(rec []byte, time int64) int {
				switch t := recordTime(rec); {
				case t < time:
					return -1
				case t > time:
					return 1
				}
				return 0
			})
			if !found || ref.dead != nil && ref.dead.Contains(row) {
				continue
			}
			for c := range e.cols {
				e.cols[c].Reset()
			}
			if err := b.data.read(row, row+1, e.cols); err != nil {
				return err
			}
			e.rec = e.view.layout.recordOf(e.rec[:0], e.cols, 0)
			for k := first; k < len(recs) && recordTime(recs[k]) == time; k++ {
				there[k] = there[k] || bytes.Equal(recs[k], e.rec)
			}
		}
		from = stop
	}
	return nil
}

func (e *existingRows) load(ctx context.Context, b *openBlock, id uint64) error {
	b.id = 0 // until it is there
	return e.sn.s.View(ctx, func(tx *Tx) (err error) {
		if b.index, err = tx.readIndex(id); err != nil {
			return err
		}
		b.buf = append(b.buf[:0], tx.b.Bucket(bucketBlocks).Bucket(uint64Key(id)).Get(keyData)...)
		if b.data, err = parsePages(id, b.buf, e.view.layout, b.index); err == nil {
			b.id = id
		}
		return err
	})
}

// markRepeats sets there[i] for each record that is equal to an earlier one. They are sorted by time.
func markRepeats(recs [][]byte, there []bool) {
	for from := 0; from < len(recs); {
		to := from + 1
		for to < len(recs) && recordTime(recs[to]) == recordTime(recs[from]) {
			to++
		}
		if to-from > 1 {
			seen := make(map[string]struct{}, to-from)
			for i := from; i < to; i++ {
				if _, ok := seen[string(recs[i])]; ok {
					there[i] = true
				}
				seen[string(recs[i])] = struct{}{}
			}
		}
		from = to
	}
}
