package store

import (
	"context"
	"runtime"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
)

// scanAhead is how many blocks each goroutine of a scan may be ahead of its reader: enough that neither waits, and few
// enough that memory stays small.
const scanAhead = 2

// scanned is a block of a scan on its way to the reader.
type scanned struct {
	rec arrow.Record
	err error
}

// scan yields the records of all blocks in order. Blocks are decoded ahead by as many goroutines as there are
// processors; all of them have ended when it returns.
func (sn *Snapshot) scan(ctx context.Context, v *datasetView, yield func(arrow.Record, error) bool) {
	refs := v.blocks()
	if len(refs) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	r := sn.scanBuilder(v)
	workers := min(runtime.GOMAXPROCS(0), len(refs))
	// ahead holds, in the order of blocks, where each block's record will come.
	ahead := make(chan chan scanned, workers*scanAhead)
	type task struct {
		ref blockRef
		out chan scanned
	}
	tasks := make(chan task, workers*scanAhead) // so that no worker waits for the next one
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(ahead)
		defer close(tasks)
		for _, ref := range refs {
			t := task{ref, make(chan scanned, 1)}
			select {
			case ahead <- t.out:
			case <-ctx.Done():
				return
			}
			tasks <- t // the workers take every task, also when ctx has ended
		}
	})
	for range workers {
		wg.Go(func() {
			d, pages := newDecodedBlock(v.layout), new(pagedRows)
			for t := range tasks {
				d.reset()
				err := sn.readBlockInto(ctx, v, t.ref, d, pages)
				var rec arrow.Record
				if err == nil {
					rec, err = r.record(ctx, d)
				}
				t.out <- scanned{rec, err}
				runtime.Gosched() // lets the reader have the record while it is in the processor's cache
			}
		})
	}
	defer func() {
		cancel()
		for out := range ahead {
			if s := <-out; s.rec != nil {
				s.rec.Release()
			}
		}
		wg.Wait()
	}()
	for out := range ahead {
		s := <-out
		if !yield(s.rec, s.err) || s.err != nil {
			return
		}
	}
	if err := ctx.Err(); err != nil {
		yield(nil, err)
	}
}

// blocks returns the blocks with rows that aren't dead, layer by layer.
func (v *datasetView) blocks() (refs []blockRef) {
	for _, layer := range v.layers {
		for _, ref := range layer {
			if ref.dead == nil || ref.dead.GetCardinality() < uint64(ref.rows) {
				refs = append(refs, ref)
			}
		}
	}
	return refs
}
