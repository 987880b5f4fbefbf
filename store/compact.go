package store

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring"
	"golang.org/x/sync/errgroup"

	"github.com/expunge-db/expunge/store/internal/block"
)

// candidate is a block that holds dead rows.
type candidate struct {
	key   []byte // in fences and tombs
	fence fence
	tomb  []byte // as stored
}

// planCompaction divides the blocks to rewrite among transactions, so that each writes about budget bytes at most; a
// block that is larger gets one of its own. It does no I/O.
func planCompaction(blocks []candidate, budget int) [][]candidate {
	var plan [][]candidate
	size := 0
	for i, c := range blocks {
		n := int(c.fence.Bytes)
		if i == 0 || size+n > budget {
			plan, size = append(plan, nil), 0
		}
		plan[len(plan)-1] = append(plan[len(plan)-1], c)
		size += n
	}
	return plan
}

// candidates returns up to limit blocks with dead rows from key from on, and the key to go on from, nil at the end.
func (tx *Tx) candidates(from []byte, limit int) (out []candidate, next []byte, err error) {
	c := tx.b.Bucket(bucketTombs).Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if len(out) == limit {
			return out, bytes.Clone(k), nil
		}
		f, err := decodeFence(k, tx.b.Bucket(bucketFences).Get(k))
		if err != nil {
			return nil, nil, err
		}
		out = append(out, candidate{key: bytes.Clone(k), fence: f, tomb: bytes.Clone(v)})
	}
	return out, nil, nil
}

// compact rewrites the blocks that hold dead rows without them.
func (s *Store) compact(ctx context.Context) (blocks int, err error) {
	from := []byte{}
	for from != nil {
		var found []candidate
		layouts := make(map[uint32]layoutOf)
		err := s.View(ctx, func(tx *Tx) (err error) {
			if found, from, err = tx.candidates(from, s.limits.compactPlanned); err != nil {
				return err
			}
			return tx.layouts(layouts)
		})
		if err != nil {
			return blocks, fmt.Errorf("plan compaction: %w", err)
		}
		n, err := s.compactPlan(ctx, planCompaction(found, s.limits.compactBytes), layouts)
		if blocks += n; err != nil {
			return blocks, fmt.Errorf("compact: %w", err)
		}
	}
	return blocks, nil
}

// compactPlan rewrites the blocks of each batch of a plan in one transaction, and prepares the next batch meanwhile.
func (s *Store) compactPlan(ctx context.Context, plan [][]candidate, layouts map[uint32]layoutOf) (blocks int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan []rewritten)
	g.Go(func() error {
		defer close(ready)
		for _, batch := range plan {
			out, err := s.rewriteBatch(ctx, batch, layouts)
			if err != nil {
				return err
			}
			select {
			case ready <- out:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for out := range ready {
			for len(out) > 0 {
				changed, err := s.replaceBatch(ctx, out, layouts)
				if err != nil {
					return err
				}
				for _, r := range out {
					if r.e != nil {
						r.e.free()
					}
				}
				blocks += len(out) - len(changed)
				// Those that got more dead rows meanwhile again: the ones that they had must go now.
				if out, err = s.rewriteBatch(ctx, changed, layouts); err != nil {
					return err
				}
			}
		}
		return nil
	})
	err = g.Wait()
	return blocks, err
}

// rewriteBatch encodes the blocks of a batch without their dead rows, on all processors.
func (s *Store) rewriteBatch(ctx context.Context, batch []candidate, layouts map[uint32]layoutOf) ([]rewritten, error) {
	out := make([]rewritten, len(batch))
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(batch)) {
		g.Go(func() error {
			w := s.newPageWriter()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(batch) {
					return nil
				}
				var err error
				if out[i], err = s.rewrite(ctx, w, batch[i], layouts[uint32At(batch[i].key, 0)].layout); err != nil {
					return err
				}
			}
		})
	}
	return out, g.Wait()
}

// layoutOf is what a compaction has to know of a dataset.
type layoutOf struct {
	group  Group
	layout *rowLayout
}

func (tx *Tx) layouts(out map[uint32]layoutOf) error {
	all, err := tx.allDatasets()
	if err != nil {
		return err
	}
	for _, d := range all {
		l, err := d.layout()
		if err != nil {
			return err
		}
		out[d.ID] = layoutOf{Group{ID: d.GroupID, Name: d.Group}, l}
	}
	return nil
}

// rewritten is a block without its dead rows.
type rewritten struct {
	candidate
	e    *encodedBlock // nil if no row is left
	gone []uint32      // the items of the rows that go
}

// replaceBatch puts rewritten blocks in the place of the old ones, in one transaction. It returns the blocks whose
// tombstones changed meanwhile, as they are now.
func (s *Store) replaceBatch(ctx context.Context, out []rewritten, layouts map[uint32]layoutOf) (changed []candidate, err error) {
	err = s.Update(ctx, func(tx *Tx) error {
		changed = nil
		// The blocks that earlier batches replaced go now, so that later ones can use their pages: the file doesn't grow by
		// all that is rewritten, and fewer pages are left to scrub. Many may be held: each batch looks at the next of them.
		oldest, look := s.leases.epochs(tx.Epoch()), s.limits.dropPerTx
		if _, s.cleaner.reclaimFrom, err = tx.reclaim(oldest, s.cleaner.reclaimFrom, look); err != nil {
			return err
		}
		epoch := tx.nextEpoch()
		type layerID struct{ dataset, layer uint32 }
		gone := make(map[layerID]itemCounts)
		for _, r := range out {
			now := tx.b.Bucket(bucketTombs).Get(r.key)
			if now == nil { // its layer was removed
				continue
			}
			if !bytes.Equal(now, r.tomb) {
				changed = append(changed, candidate{key: r.key, fence: r.fence, tomb: bytes.Clone(now)})
				continue
			}
			id := layerID{uint32At(r.key, 0), uint32At(r.key, 1)}
			if err := tx.replaceBlock(layouts[id.dataset].group.ID, epoch, r); err != nil {
				return err
			}
			if gone[id] == nil {
				gone[id] = itemCounts{}
			}
			for _, ordinal := range r.gone {
				gone[id].add(ordinal)
			}
		}
		for id, counts := range gone {
			if err := tx.dropRefs(epoch, layouts[id.dataset].group, id.dataset, id.layer, counts); err != nil {
				return err
			}
		}
		return nil
	})
	return changed, err
}

// replaceBlock needs no look at the fence: only compactions change a block under its key, and there is one at a time.
func (tx *Tx) replaceBlock(group uint32, epoch uint64, r rewritten) error {
	if err := tx.b.Bucket(bucketTombs).Delete(r.key); err != nil {
		return err
	}
	if err := tx.retire(group, epoch, r.fence.Block); err != nil {
		return err
	}
	if r.e == nil {
		return tx.b.Bucket(bucketFences).Delete(r.key)
	}
	return tx.putBlock(r.key, r.e)
}

// rewrite encodes a block without its dead rows, and says which items these referred to.
func (s *Store) rewrite(ctx context.Context, w *pageWriter, c candidate, l *rowLayout) (rewritten, error) {
	r := rewritten{candidate: c}
	if l == nil {
		return r, &CorruptError{What: blockName(c.fence.Block), Problem: "its dataset is missing"}
	}
	var left *rowIndex
	err := s.View(ctx, func(tx *Tx) error {
		x, err := tx.readIndex(c.fence.Block)
		if err != nil {
			return err
		}
		data, err := tx.readData(c.fence.Block, l, x)
		if err != nil {
			return err
		}
		v, err := unseal("tombstone", c.key, c.tomb)
		if err != nil {
			return err
		}
		dead, ok := decodeBitmap(v)
		if !ok {
			return &CorruptError{What: "tombstone of " + blockName(c.fence.Block), Problem: "can't be read"}
		}
		left = x.without(dead)
		if l.items {
			r.gone = make([]uint32, 0, dead.GetCardinality())
		}
		w.begin(l, int(c.fence.Bytes))
		items := block.Column{Kind: block.Int}
		for i := range data.pages {
			from, to := data.starts[i], data.starts[i+1]
			if countRange(dead, from, to) == 0 {
				if err := w.keepPage(data, i); err != nil {
					return err
				}
				continue
			}
			if l.items {
				items.Reset()
				if err := data.readColumn(i, 1, from, to, &items); err != nil {
					return err
				}
				r.gone = appendGone(r.gone, items.Int, from, to, dead)
			}
			if err := w.thinPage(data, i, dead); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || left.rows() == 0 {
		return r, err
	}
	r.e, err = encodeBlock(w, left)
	return r, err
}

// appendGone appends the items of those of the rows [from, to) that are dead.
func appendGone(gone []uint32, items []int64, from, to uint32, dead *roaring.Bitmap) []uint32 {
	it := dead.Iterator()
	for it.AdvanceIfNeeded(from); it.HasNext() && it.PeekNext() < to; {
		gone = append(gone, uint32(items[it.Next()-from]))
	}
	return gone
}

// discardLayer lets a layer go that the dataset has no longer.
func (tx *Tx) discardLayer(epoch uint64, dataset, layer uint32) error {
	return putSealed(tx.b.Bucket(bucketGarbage), appendUint32s(uint64Key(epoch), dataset, layer), nil)
}

// dropGarbage removes the layers that were discarded up to the epoch that no snapshot of their group is older than.
func (s *Store) dropGarbage(ctx context.Context, oldest leaseEpochs) error {
	more, err := s.hasAny(ctx, bucketGarbage)
	if err != nil {
		return err
	}
	for more {
		err := s.Update(ctx, func(tx *Tx) error {
			key, err := tx.garbage(oldest)
			if more = key != nil; err != nil || !more {
				return err
			}
			done, err := tx.dropLayer(uint32At(key, 2), uint32At(key, 3))
			if err != nil || !done {
				return err
			}
			return tx.b.Bucket(bucketGarbage).Delete(key)
		})
		if err != nil {
			return fmt.Errorf("drop replaced rows: %w", err)
		}
	}
	return nil
}

// garbage returns the key of the first of those layers, or nil.
func (tx *Tx) garbage(oldest leaseEpochs) ([]byte, error) {
	const what = "list of discarded layers"
	all, err := tx.allDatasets()
	if err != nil {
		return nil, err
	}
	groups := make(map[uint32]uint32)
	for _, d := range all {
		groups[d.ID] = d.GroupID
	}
	c := tx.b.Bucket(bucketGarbage).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if _, err := unseal(what, k, v); err != nil {
			return nil, err
		}
		group, ok := groups[uint32At(k, 2)]
		if !ok {
			return nil, &CorruptError{What: what, Problem: "the dataset of a layer is missing"}
		}
		if uint64At(k) <= oldest.of(group) {
			return bytes.Clone(k), nil
		}
	}
	return nil, nil
}

// dropLayer removes a layer that no snapshot sees, as much as fits a transaction, and says whether it removed the last.
func (tx *Tx) dropLayer(dataset, layer uint32) (done bool, err error) {
	prefix := layerKey(dataset, layer)
	var keys [][]byte
	var ids []uint64
	err = tx.eachFence(dataset, layer, func(key []byte, f fence) error {
		if len(keys) < tx.s.limits.dropPerTx {
			keys, ids = append(keys, bytes.Clone(key)), append(ids, f.Block)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for i, key := range keys {
		if err := tx.dropBlock(ids[i]); err != nil {
			return false, err
		}
		if err := tx.b.Bucket(bucketFences).Delete(key); err != nil {
			return false, err
		}
		if err := tx.b.Bucket(bucketTombs).Delete(key); err != nil {
			return false, err
		}
	}
	if len(keys) == tx.s.limits.dropPerTx {
		return false, nil
	}
	refs := tx.b.Bucket(bucketItemRefs)
	keys = keys[:0]
	c := refs.Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, key := range keys {
		if err := refs.Delete(key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// reclaim removes the blocks that were retired up to the epoch that no snapshot of their group is older than, and returns
// how many.
func (s *Store) reclaim(ctx context.Context, oldest leaseEpochs) (int, error) {
	total := 0
	more, err := s.hasAny(ctx, bucketRetired)
	if err != nil {
		return 0, err
	}
	for from := []byte(nil); more; more = from != nil {
		n := 0
		err := s.Update(ctx, func(tx *Tx) (err error) {
			n, from, err = tx.reclaim(oldest, from, math.MaxInt)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// reclaim looks at some of the retired blocks, from a key on, and removes as many of those as fit a transaction. It returns
// the key to go on from, nil at the end.
func (tx *Tx) reclaim(oldest leaseEpochs, from []byte, look int) (n int, next []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("remove replaced blocks: %w", err)
		}
	}()
	b := tx.b.Bucket(bucketRetired)
	var keys [][]byte
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if look == 0 || len(keys) == tx.s.limits.dropPerTx {
			next = bytes.Clone(k)
			break
		}
		look--
		group, err := retiredOf(k, v)
		if err != nil {
			return 0, nil, err
		}
		if uint64At(k) <= oldest.of(group) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, key := range keys {
		if err := tx.dropBlock(uint64At(key[8:])); err != nil {
			return 0, nil, err
		}
		if err := b.Delete(key); err != nil {
			return 0, nil, err
		}
	}
	return len(keys), next, nil
}

// retiredOf returns the group of a retired block.
func retiredOf(k, sealed []byte) (group uint32, err error) {
	const what = "list of retired blocks"
	v, err := unseal(what, k, sealed)
	if err != nil {
		return 0, err
	}
	if len(v) != 4 {
		return 0, &CorruptError{What: what, Problem: "can't be read"}
	}
	return uint32At(v, 0), nil
}

// hasAny reports whether a bucket holds a key: where there is nothing to do, no commit is made.
func (s *Store) hasAny(ctx context.Context, bucket []byte) (any bool, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		k, _ := tx.b.Bucket(bucket).Cursor().First()
		any = k != nil
		return nil
	})
	return any, err
}
