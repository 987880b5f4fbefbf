package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
)

// lookUp returns the ordinals of n IDs, which at returns in the order of (hash, ID), and which of them the dictionary has
// for this import. Items that it finds are pinned.
func (im *Import) lookUp(ctx context.Context, kind dictKind, n int, at func(int) (uint64, []byte), ordinals []uint32, known []bool) ([]uint32, []bool, error) {
	s := im.s
	if kind == dictItems {
		s.pins.finding.RLock()
		defer s.pins.finding.RUnlock()
	}
	ordinals, known = ordinals[:0], known[:0]
	err := s.View(ctx, func(tx *Tx) error {
		view, err := tx.dictView(dictID{im.rec.GroupID, kind}, im.rec.ID)
		if err != nil {
			return err
		}
		l := tx.lookup(&view)
		for i := range n {
			hash, id := at(i)
			ordinal, ok, err := l.ordinal(hash, id)
			if err != nil {
				return err
			}
			ordinals, known = append(ordinals, ordinal), append(known, ok)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look up IDs: %w", err)
	}
	if kind == dictItems {
		var found []uint32
		for i, ok := range known {
			if ok {
				found = append(found, ordinals[i])
			}
		}
		s.pins.pin(im.rec.ID, found)
	}
	return ordinals, known, nil
}

// create adds IDs to a dictionary, for this import's eyes only, and returns the first of their ordinals.
func (im *Import) create(tx *Tx, kind dictKind, ids *newIDs) (first uint32, err error) {
	d := dictID{im.rec.GroupID, kind}
	if first, err = tx.reserve(d, im.rec.ID, ids.len()); err != nil {
		return 0, err
	}
	return first, tx.addIDs(d, first, ids)
}

// itemResolver gives the codes of ITEM_IDs their ordinals. The IDs come in the order of (hash, ID), so that the dictionary
// is read and written in its order.
type itemResolver struct {
	im   *Import
	full []itemCodes

	ordinals []uint32 // by code
	batch    newIDs
	uses     []itemUse
}

// itemUse is one code of an ID of the batch.
type itemUse struct {
	id   uint32 // in the batch
	code uint32
}

// resolveItems returns the ordinals of all codes.
func (im *Import) resolveItems(ctx context.Context) ([]uint32, error) {
	r := &itemResolver{im: im, ordinals: make([]uint32, im.itemCodes.Load())}
	for _, d := range im.dividers() {
		if err := d.items.flush(); err != nil {
			return nil, err
		}
		r.full = append(r.full, d.items.full...)
		d.items = itemTable{} // its memory isn't needed any more
	}
	lists := make([]*bufio.Reader, len(r.full))
	for i, t := range r.full {
		lists[i] = im.spill.reader(mergeBuffer(len(lists)), t.ids...)
	}
	l := &im.s.limits
	err := mergeIDs(lists, func(c *idCursor, first bool) error {
		if first {
			if r.batch.len() >= l.resolveBatch || len(r.batch.ids.data) >= l.resolveBytes || len(r.uses) >= 4*l.resolveBatch {
				if err := r.flush(ctx); err != nil {
					return err
				}
			}
			r.batch.add(c.hash, c.id)
		}
		r.uses = append(r.uses, itemUse{uint32(r.batch.len() - 1), r.full[c.list].codes[c.place]})
		return nil
	})
	if err == nil {
		err = r.flush(ctx)
	}
	return r.ordinals, err
}

func (r *itemResolver) flush(ctx context.Context) error {
	if r.batch.len() == 0 {
		return nil
	}
	at := func(i int) (uint64, []byte) { return r.batch.hashes[i], r.batch.ids.at(i) }
	ordinals, known, err := r.im.lookUp(ctx, dictItems, r.batch.len(), at, nil, nil)
	if err != nil {
		return err
	}
	var fresh newIDs
	for i, ok := range known {
		if !ok {
			fresh.add(at(i))
		}
	}
	if fresh.len() > 0 {
		err := r.im.s.Update(ctx, func(tx *Tx) error {
			next, err := r.im.create(tx, dictItems, &fresh)
			for i, ok := range known {
				if !ok {
					ordinals[i] = next
					next++
				}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("add IDs: %w", err)
		}
	}
	for _, u := range r.uses {
		r.ordinals[u.code] = ordinals[u.id]
	}
	r.batch.reset()
	r.uses = r.uses[:0]
	return nil
}

// keyResolver gives the keys of units their ordinals, unit by unit: those of the dictionary, or the next ones. Units come in
// the order of hashes, and so do their keys.
type keyResolver struct {
	im     *Import
	kind   dictKind
	base   uint32       // ordinals from here on are this import's
	next   uint32       // the next new ordinal
	sorted ordinalRange // the dictionary's

	suppress bool  // the group keeps users out
	lastOnly bool  // of the rows of a key the last one counts
	repeats  int64 // rows of users left out that would have been duplicates

	// The key before: one with many rows goes on in the next unit.
	hash    uint64
	id      []byte
	ordinal uint32
}

func (im *Import) newKeyResolver(ctx context.Context) (*keyResolver, error) {
	r := &keyResolver{im: im, kind: im.layout.dict}
	err := im.s.View(ctx, func(tx *Tx) error {
		st, err := tx.dictState(dictID{im.rec.GroupID, r.kind})
		if err != nil {
			return err
		}
		r.base, r.next, r.sorted = st.Next, st.Next, st.Sorted
		g, err := tx.Group(im.rec.Group)
		r.suppress = g.Suppress && r.kind == dictUsers
		return err
	})
	return r, err
}

// leaveOut finds the keys of users who are suppressed.
func (r *keyResolver) leaveOut(ctx context.Context, u *unit) error {
	if !r.suppress {
		return nil
	}
	return r.im.s.View(ctx, func(tx *Tx) error {
		g, err := tx.Group(r.im.rec.Group)
		if err != nil {
			return err
		}
		for i := range u.keys {
			_, id := u.key(i)
			out, err := (suppressed{tx, g}).has(id)
			if err != nil {
				return err
			}
			if out {
				u.streams[i] = streamLeftOut
				n := int64(len(u.rowsOf(i)))
				if r.lastOnly { // those before the last one may have been dropped before this, and so count as then
					r.repeats, n = r.repeats+n-1, 1
				}
				r.im.result.Suppressed += n
			}
		}
		return nil
	})
}

func (r *keyResolver) resolve(ctx context.Context, u *unit) (err error) {
	u.fresh.reset()
	u.first = r.next
	u.ordinals, u.known, err = r.im.lookUp(ctx, r.kind, len(u.keys), u.key, u.ordinals, u.known)
	if err != nil {
		return err
	}
	u.streams = append(u.streams[:0], make([]stream, len(u.keys))...)
	if err := r.leaveOut(ctx, u); err != nil {
		return err
	}
	for i, ok := range u.known {
		hash, id := u.key(i)
		switch {
		case u.streams[i] == streamLeftOut:
		case ok && u.ordinals[i] < r.base:
			u.streams[i] = streamAside
			if o := u.ordinals[i]; o >= r.sorted.From && o < r.sorted.To {
				u.streams[i] = streamKnown
			}
		case ok: // the key before, which was stored meanwhile
		case i == 0 && r.id != nil && hash == r.hash && bytes.Equal(id, r.id):
			u.ordinals[i] = r.ordinal
		default:
			u.ordinals[i] = r.next
			u.fresh.add(hash, id)
			r.next++
		}
	}
	if last := len(u.keys) - 1; last >= 0 {
		hash, id := u.key(last)
		r.hash, r.id, r.ordinal = hash, append(r.id[:0], id...), u.ordinals[last]
	}
	return nil
}
