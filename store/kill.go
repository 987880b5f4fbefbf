package store

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring"
	"golang.org/x/sync/errgroup"
)

// fenced is a block that may hold rows of some keys.
type fenced struct {
	key   []byte // in fences and tombs
	fence fence
}

// blocksOf returns the blocks of a dataset whose fences don't rule out the ordinals of set.
func (tx *Tx) blocksOf(d Dataset, set *roaring.Bitmap) (out []fenced, err error) {
	for _, layer := range d.Layers {
		err = tx.eachFenceOf(d.ID, layer, set, func(key []byte, f fence) error {
			out = append(out, fenced{bytes.Clone(key), f})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// eachBlock calls fn for every block of a list, on all processors, with read transactions: also while a write transaction
// is open, as long as that hasn't changed what fn reads.
func (s *Store) eachBlock(ctx context.Context, blocks []fenced, fn func(tx *Tx, i int) error) error {
	const least = 16 // blocks for which a goroutine pays
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(blocks)/least+1) {
		g.Go(func() error {
			return s.View(ctx, func(tx *Tx) error {
				for i := int(next.Add(1)) - 1; i < len(blocks); i = int(next.Add(1)) - 1 {
					if err := fn(tx, i); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	return g.Wait()
}

// killRows makes the rows of some keys dead in every layer of a dataset, and returns how many weren't dead before. If there
// were any it marks d, which the caller stores. The transaction must not have changed the dataset's blocks or tombstones.
func (tx *Tx) killRows(ctx context.Context, d *Dataset, epoch uint64, keys *roaring.Bitmap) (int64, error) {
	blocks, err := tx.blocksOf(*d, keys)
	if err != nil {
		return 0, err
	}
	tombs := make([][]byte, len(blocks))
	var killed atomic.Int64
	err = tx.s.eachBlock(ctx, blocks, func(tx *Tx, i int) error {
		x, err := tx.readIndex(blocks[i].fence.Block)
		if err != nil {
			return err
		}
		rows := x.rowsOf(keys)
		if rows.IsEmpty() {
			return nil
		}
		dead, err := tx.tombstone(blocks[i].key)
		if err != nil {
			return err
		}
		n := rows.GetCardinality()
		if dead != nil {
			n -= rows.AndCardinality(dead)
			rows.Or(dead)
		}
		killed.Add(int64(n))
		tombs[i], err = encodeBitmap(rows)
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, b := range blocks {
		if tombs[i] == nil {
			continue
		}
		if err := putSealed(tx.b.Bucket(bucketTombs), b.key, tombs[i]); err != nil {
			return 0, err
		}
	}
	if killed.Load() > 0 {
		d.Killed = epoch
	}
	return killed.Load(), nil
}

// countRows returns how many rows of each dataset the users of a set have that Scan returns.
func (tx *Tx) countRows(group string, users *roaring.Bitmap) (map[DatasetType]int64, error) {
	datasets, err := tx.Datasets(group)
	if err != nil {
		return nil, err
	}
	counts := make(map[DatasetType]int64)
	for _, d := range datasets {
		if d.Type == Items {
			continue
		}
		counts[d.Type] = 0
		for _, layer := range d.Layers {
			err := tx.eachFenceOf(d.ID, layer, users, func(key []byte, f fence) error {
				x, err := tx.readIndex(f.Block)
				if err != nil {
					return err
				}
				rows := x.rowsOf(users)
				dead, err := tx.tombstone(key)
				if dead != nil {
					rows.AndNot(dead)
				}
				counts[d.Type] += int64(rows.GetCardinality())
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return counts, nil
}

// Looked says what a check looked at.
type Looked struct {
	Users  int64 // whose IDs aren't in the dictionary
	Blocks int64 // in whose indexes the users aren't
}

// CheckGone makes sure that nothing of the users of a job is left where a reader or a later operation could find it: no
// index and no tombstone of a block and no session has their ordinals, and the dictionary doesn't have their IDs. It looks
// through fences, so its cost goes with the users, and with the sessions, but not with the rows of the store.
func (s *Store) CheckGone(ctx context.Context, group string, job uint64) (looked Looked, err error) {
	var users *roaring.Bitmap
	var blocks []fenced
	err = s.View(ctx, func(tx *Tx) (err error) {
		if users, err = tx.staged(job); err != nil || users.IsEmpty() {
			return err
		}
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		datasets, err := tx.Datasets(group)
		if err != nil {
			return err
		}
		for _, d := range datasets {
			if d.Type == Items {
				continue
			}
			of, err := tx.blocksOf(d, users)
			if err != nil {
				return err
			}
			blocks = append(blocks, of...)
			if d.Type == Interactions {
				if err := tx.checkSessionsGone(d.ID, users); err != nil {
					return err
				}
			}
		}
		return tx.checkIDsGone(dictID{g.ID, dictUsers}, users)
	})
	if err != nil {
		return looked, err
	}
	looked = Looked{Users: int64(users.GetCardinality()), Blocks: int64(len(blocks))}
	return looked, s.eachBlock(ctx, blocks, func(tx *Tx, i int) error {
		if tx.b.Bucket(bucketBlocks).Bucket(uint64Key(blocks[i].fence.Block)) == nil {
			return fmt.Errorf("%s was replaced during the check: check again", blockName(blocks[i].fence.Block))
		}
		x, err := tx.readIndex(blocks[i].fence.Block)
		if err == nil && x.holdsAny(users) {
			err = fmt.Errorf("%s still holds deleted users", blockName(blocks[i].fence.Block))
		}
		return err
	})
}

func (tx *Tx) checkIDsGone(d dictID, ordinals *roaring.Bitmap) error {
	it := ordinals.Iterator()
	for it.HasNext() {
		num := it.PeekNext() / reverseSlots
		c, err := tx.readReverse(d, num)
		if err != nil {
			return err
		}
		for it.HasNext() && it.PeekNext()/reverseSlots == num {
			if c.id(int(it.Next()%reverseSlots)) != nil {
				return fmt.Errorf("%s still holds IDs of deleted users", d)
			}
		}
	}
	return nil
}
