package store

import "context"

// blockWriter stores the blocks of a layer that nobody sees yet, each stream of them in the order of ordinals, and then the
// counts of its items.
type blockWriter struct {
	s              *Store
	dataset, layer uint32
	refs           itemCounts

	staged []stagedBlock
	size   int // bytes in staged
	last   [streamAside]lastBlock
}

// lastBlock is the block that a stream added last: a key with more rows than fit a block begins several.
type lastBlock struct {
	added      bool
	least, seq uint32
}

type stagedBlock struct {
	key []byte
	e   *encodedBlock
}

func newBlockWriter(s *Store, dataset, layer uint32) *blockWriter {
	return &blockWriter{s: s, dataset: dataset, layer: layer, refs: itemCounts{}}
}

// stage collects blocks and stores them by the transaction-full.
func (w *blockWriter) stage(ctx context.Context, e *encodedBlock) error {
	if w.add(streamNew, e); w.size < w.s.limits.stageBytes {
		return nil
	}
	return w.store(ctx, nil)
}

// add takes a block for the next transaction.
func (w *blockWriter) add(to stream, e *encodedBlock) {
	last := &w.last[to]
	if last.added && e.least == last.least {
		last.seq++
	} else {
		*last = lastBlock{added: true, least: e.least}
	}
	w.staged = append(w.staged, stagedBlock{fenceKey(w.dataset, w.layer, e.least, last.seq), e})
	w.size += e.size()
}

// store commits the blocks taken, and what also does, which may be nil.
func (w *blockWriter) store(ctx context.Context, also func(*Tx) error) error {
	err := w.s.Update(ctx, func(tx *Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		for _, b := range w.staged {
			if err := tx.putBlock(b.key, b.e); err != nil {
				return err
			}
		}
		return nil
	})
	for _, b := range w.staged {
		b.e.free()
	}
	clear(w.staged)
	w.staged, w.size = w.staged[:0], 0
	return err
}

// finish stores what is left, and the counts of items.
func (w *blockWriter) finish(ctx context.Context) error {
	if len(w.staged) > 0 {
		if err := w.store(ctx, nil); err != nil {
			return err
		}
	}
	nums := w.refs.chunks()
	perTx := max(1, w.s.limits.stageBytes/(refSlots*2))
	for len(nums) > 0 {
		n := min(perTx, len(nums))
		err := w.s.Update(ctx, func(tx *Tx) error {
			for _, num := range nums[:n] {
				key := refKey(w.dataset, w.layer, num)
				if err := putSealed(tx.b.Bucket(bucketItemRefs), key, encodeRefs(w.refs[num])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		nums = nums[n:]
	}
	return nil
}
