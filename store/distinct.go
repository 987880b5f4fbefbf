package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/expunge-db/expunge/store/internal/block"
)

// Kind says which layers of a dataset are meant.
type Kind uint8

// The kinds of layers.
const (
	KindAll  Kind = iota
	KindBulk      // what imports brought
	KindPut       // what came row by row
)

// distinctRows is how many rows a record of distinct rows has at most.
const distinctRows = 4096

// Distinct yields rows of a dataset as records, sorted by (ordinal of the key, TIMESTAMP): those that are equal in every
// column once. Of all kinds of a Users or Items dataset it yields the newest row of each key. The caller releases each
// record. After an error nothing more is yielded.
func (sn *Snapshot) Distinct(ctx context.Context, t DatasetType, kind Kind) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		v := sn.datasets[t]
		if v == nil {
			yield(nil, fmt.Errorf("dataset %s: %w", t, ErrNotFound))
			return
		}
		// A row that is put replaces those of its key in all layers, and so does an incremental import. Where both kinds
		// have a key, a full import came after the row that was put: so bulk rows are the newer ones.
		var layers [][]blockRef
		if kind != KindBulk {
			layers = append(layers, v.only(true).layers...)
		}
		if kind != KindPut {
			layers = append(layers, v.only(false).layers...)
		}
		d := &distinct{sn: sn, v: v, builder: sn.scanBuilder(v), newest: kind == KindAll && !v.layout.time, yield: yield}
		err := sn.mergeRows(ctx, v, layers, func(ordinal uint32, cols []block.Column, from, to int) error {
			return d.rows(ctx, ordinal, cols, from, to)
		})
		if err == nil {
			err = d.end(ctx)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(nil, err)
		}
	}
}

// errStopped says that the reader has left the loop.
var errStopped = errors.New("stopped")

// distinct takes rows in the order of (ordinal, TIMESTAMP) and drops those that are equal.
type distinct struct {
	sn      *Snapshot
	v       *datasetView
	builder *recordBuilder
	newest  bool // of a key the last row counts
	yield   func(arrow.Record, error) bool
	out     *decodedBlock // nil if no row waits

	// The rows of one key and time: the first one, and all of them once there are two.
	any     bool
	ordinal uint32
	time    int64
	first   []byte
	seen    map[string]struct{}
	rec     []byte

	// If the newest is wanted: the last row of the key.
	holds   bool
	held    []block.Column
	heldKey uint32
}

func (d *distinct) rows(ctx context.Context, ordinal uint32, cols []block.Column, from, to int) error {
	if d.newest {
		if from == to {
			return nil
		}
		if d.heldKey != ordinal {
			if err := d.release(ctx); err != nil {
				return err
			}
		}
		if d.held == nil {
			d.held = d.v.layout.newColumns()
		}
		d.holds, d.heldKey = true, ordinal
		for i := range cols {
			d.held[i].Reset()
			d.held[i].AppendRange(&cols[i], to-1, to)
		}
		return nil
	}
	run := from
	for i := from; i < to; i++ {
		if !d.repeats(ordinal, cols, i) {
			continue
		}
		if err := d.add(ctx, ordinal, cols, run, i); err != nil {
			return err
		}
		run = i + 1
	}
	return d.add(ctx, ordinal, cols, run, to)
}

// repeats reports whether a row is equal to one before it.
func (d *distinct) repeats(ordinal uint32, cols []block.Column, i int) bool {
	time := int64(0)
	if d.v.layout.time {
		time = cols[0].Int[i]
	}
	d.rec = d.v.layout.recordOf(d.rec[:0], cols, i)
	if !d.any || d.ordinal != ordinal || d.time != time {
		d.any, d.ordinal, d.time, d.seen = true, ordinal, time, nil
		d.first = append(d.first[:0], d.rec...)
		return false
	}
	if d.seen == nil {
		d.seen = map[string]struct{}{string(d.first): {}}
	}
	if _, ok := d.seen[string(d.rec)]; ok {
		return true
	}
	d.seen[string(d.rec)] = struct{}{}
	return false
}

// release gives out the row that is held.
func (d *distinct) release(ctx context.Context) error {
	if !d.holds {
		return nil
	}
	d.holds = false
	return d.add(ctx, d.heldKey, d.held, 0, 1)
}

// add gives out the rows [from, to) of a key.
func (d *distinct) add(ctx context.Context, ordinal uint32, cols []block.Column, from, to int) error {
	for from < to {
		if d.out == nil {
			d.out = newDecodedBlock(d.v.layout)
			d.out.reserve(distinctRows)
		}
		n := min(to-from, distinctRows-d.out.rows())
		d.out.addKey(ordinal, uint32(n))
		for i := range cols {
			d.out.cols[i].AppendRange(&cols[i], from, from+n)
		}
		from += n
		if d.out.rows() == distinctRows {
			if err := d.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *distinct) flush(ctx context.Context) error {
	if d.out == nil {
		return nil
	}
	rec, err := d.builder.record(ctx, d.out)
	d.out = nil
	if err != nil {
		return err
	}
	if !d.yield(rec, nil) {
		return errStopped
	}
	return nil
}

// end gives out what is left.
func (d *distinct) end(ctx context.Context) error {
	if err := d.release(ctx); err != nil {
		return err
	}
	return d.flush(ctx)
}
