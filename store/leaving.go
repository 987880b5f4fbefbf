package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/RoaringBitmap/roaring"
)

// eachLeaving calls fn for the ordinals of a dictionary that leave it, epoch by epoch.
func (tx *Tx) eachLeaving(d dictID, fn func(key []byte, epoch uint64, bm *roaring.Bitmap) error) error {
	prefix := d.prefix()
	c := tx.b.Bucket(bucketLeaving).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		what := "leaving ordinals of " + d.String()
		b, err := unseal(what, k, v)
		if err != nil {
			return err
		}
		bm, ok := decodeBitmap(b)
		if !ok || len(k) != len(prefix)+8 {
			return &CorruptError{What: what, Problem: "can't be read"}
		}
		if err := fn(k, binary.BigEndian.Uint64(k[len(prefix):]), bm); err != nil {
			return err
		}
	}
	return nil
}

// addLeaving adds ordinals that leave a dictionary once no snapshot is older than epoch: from that epoch on, no row that a
// reader sees has them.
func (tx *Tx) addLeaving(d dictID, epoch uint64, more *roaring.Bitmap) error {
	if more.IsEmpty() {
		return nil
	}
	key := binary.BigEndian.AppendUint64(d.prefix(), epoch)
	what := "leaving ordinals of " + d.String()
	v, err := getSealed(tx.b.Bucket(bucketLeaving), what, key)
	if err != nil {
		return err
	}
	if v != nil {
		bm, ok := decodeBitmap(v)
		if !ok {
			return &CorruptError{What: what, Problem: "can't be read"}
		}
		more = roaring.Or(more, bm)
	}
	return tx.putLeaving(key, more)
}

func (tx *Tx) putLeaving(key []byte, bm *roaring.Bitmap) error {
	if bm.IsEmpty() {
		return tx.b.Bucket(bucketLeaving).Delete(key)
	}
	v, err := encodeBitmap(bm)
	if err != nil {
		return err
	}
	return putSealed(tx.b.Bucket(bucketLeaving), key, v)
}

// purge takes the IDs that leave out of the dictionaries, up to an epoch each for users and items that no snapshot is
// older than. The caller has rewritten the blocks that hold users who left by then.
func (s *Store) purge(ctx context.Context, users, items uint64) error {
	s.pins.finding.Lock()
	defer s.pins.finding.Unlock()
	upTo := map[dictKind]uint64{dictUsers: users, dictItems: items}
	more, err := s.hasAny(ctx, bucketLeaving)
	for err == nil && more {
		err = s.Update(ctx, func(tx *Tx) (err error) {
			more, err = tx.purgeSome(upTo)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("purge dictionaries: %w", err)
	}
	return nil
}

// purgeSome purges the first of the ordinals that may go, as many as fit a transaction, and reports whether it found
// any.
func (tx *Tx) purgeSome(upTo map[dictKind]uint64) (bool, error) {
	groups, err := tx.allGroups()
	if err != nil {
		return false, err
	}
	pinned := tx.s.pins.all()
	for _, g := range groups {
		for _, kind := range []dictKind{dictUsers, dictItems} {
			d := dictID{g.ID, kind}
			var key []byte
			var bm *roaring.Bitmap
			err := tx.eachLeaving(d, func(k []byte, epoch uint64, b *roaring.Bitmap) error {
				if bm != nil || epoch > upTo[kind] {
					return nil
				}
				if kind == dictItems && roaring.AndNot(b, pinned).IsEmpty() {
					return nil
				}
				key, bm = bytes.Clone(k), b
				return nil
			})
			if err != nil {
				return false, err
			}
			if bm == nil {
				continue
			}
			return true, tx.purgeBatch(d, key, bm, pinned)
		}
	}
	return false, nil
}

func (tx *Tx) purgeBatch(d dictID, key []byte, bm, pinned *roaring.Bitmap) error {
	gone := bm
	if d.kind == dictItems {
		gone = roaring.AndNot(bm, pinned)
	}
	removed, err := tx.removeIDs(d, gone)
	if err != nil {
		return err
	}
	return tx.putLeaving(key, roaring.AndNot(bm, removed))
}

// keepItems takes items that rows refer to again out of those that leave. They must not stay there: when they lose these
// rows too, a snapshot that is newer than the first loss and older than the second still needs their IDs.
func (tx *Tx) keepItems(d dictID, items *roaring.Bitmap) error {
	type entry struct {
		key  []byte
		left *roaring.Bitmap
	}
	var changed []entry
	err := tx.eachLeaving(d, func(key []byte, _ uint64, bm *roaring.Bitmap) error {
		if bm.Intersects(items) {
			changed = append(changed, entry{bytes.Clone(key), roaring.AndNot(bm, items)})
		}
		return nil
	})
	for i := 0; err == nil && i < len(changed); i++ {
		err = tx.putLeaving(changed[i].key, changed[i].left)
	}
	return err
}

// setSweep notes that a group's dictionaries may hold IDs that no row refers to.
func (tx *Tx) setSweep(group string) error {
	g, err := tx.Group(group)
	if err != nil {
		return err
	}
	g.Sweep = true
	return tx.putRecord(groupKey(group), g)
}

// Unswept returns the groups that [Store.Sweep] has something to do for.
func (s *Store) Unswept(ctx context.Context) (names []string, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		groups, err := tx.Groups()
		for _, g := range groups {
			if g.Sweep {
				names = append(names, g.Name)
			}
		}
		return err
	})
	return names, err
}

// Sweep lets the IDs that no row of the group refers to leave the dictionaries, if an import replaced rows since it was
// last done. It waits for no snapshot. While an import into the group is in flight it does nothing. While dead rows of items
// are left it does what it can, and there is something to do again after the next [Store.Clean].
func (s *Store) Sweep(ctx context.Context, group string) error {
	needed := false
	err := s.View(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		needed = g.Sweep
		return err
	})
	if err != nil || !needed {
		return err
	}
	err = s.Update(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		if busy, err := tx.importing(g.ID); err != nil || busy {
			return err
		}
		if g.Sweep, err = tx.sweep(g); err != nil {
			return err
		}
		return tx.putRecord(groupKey(group), g)
	})
	if err != nil {
		return fmt.Errorf("sweep group %s: %w", group, err)
	}
	return nil
}

// sweep reports whether dead rows of items are left: an ID must stay as long as a block has its ordinal, unless that is a
// user's, which leaves only after the compaction of all rows that were dead by then.
func (tx *Tx) sweep(g Group) (again bool, err error) {
	datasets, err := tx.Datasets(g.Name)
	if err != nil {
		return false, err
	}
	live := roaring.New()
	for _, d := range datasets {
		for _, layer := range d.Layers {
			keys, dead, err := tx.liveKeys(d.ID, layer)
			if err != nil {
				return false, err
			}
			if d.Type == Items {
				again = again || dead
			} else {
				live.Or(keys)
			}
		}
	}
	epoch := tx.nextEpoch()
	for _, kind := range []dictKind{dictUsers, dictItems} {
		view, err := tx.dictView(dictID{g.ID, kind}, 0)
		if err != nil {
			return false, err
		}
		all := view.all()
		if kind == dictUsers {
			all.AndNot(live)
		} else {
			referred, err := tx.referredItems(g, all)
			if err != nil {
				return false, err
			}
			all.AndNot(referred)
		}
		if err := tx.addLeaving(view.id, epoch, all); err != nil {
			return false, err
		}
	}
	return again, nil
}

// all returns the ordinals that the view sees, those that were given and left long ago included.
func (v *dictView) all() *roaring.Bitmap {
	bm := roaring.New()
	bm.AddRange(0, uint64(v.state.Next))
	for _, r := range v.state.Staged {
		if r.Import != v.own {
			bm.RemoveRange(uint64(r.From), uint64(r.To))
		}
	}
	for _, d := range v.dead {
		bm.AndNot(d)
	}
	return bm
}

// importing reports whether an import into a group is in flight.
func (tx *Tx) importing(group uint32) (bool, error) {
	busy := false
	recs, err := tx.importRecords()
	for _, rec := range recs {
		busy = busy || rec.GroupID == group && rec.Mode != modeMerge
	}
	return busy, err
}
