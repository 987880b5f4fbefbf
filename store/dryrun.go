package store

import (
	"bufio"
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring"
)

// DryRun finds out what a list of users would delete, and changes nothing in the store; it works on a read-only one too.
// It is used by one goroutine.
type DryRun struct {
	s     *Store
	group Group
	users *roaring.Bitmap
	spill *spillFile
	lists []section
	out   DryRunResult
}

// DryRunResult is what a deletion of the same list would report, if nothing changed in between.
type DryRunResult struct {
	Listed    int64 // IDs in the list
	Matched   int64 // different users that the group has
	Unknown   int64 // different IDs that it hasn't
	Duplicate int64 // IDs that came before in the list
	Rows      map[DatasetType]int64
}

// BeginDryRun starts a dry run. The caller must end it with Finish or Abort.
func (s *Store) BeginDryRun(ctx context.Context, group string) (*DryRun, error) {
	d := &DryRun{s: s, users: roaring.New()}
	err := s.View(ctx, func(tx *Tx) (err error) {
		d.group, err = tx.Group(group)
		return err
	})
	if err == nil {
		d.spill, err = newSpillFile(s.path)
	}
	return d, err
}

// Add takes a batch of n listed IDs, which are not kept.
func (d *DryRun) Add(ctx context.Context, n int, at func(int) []byte) error {
	sorted, repeats := d.s.sortIDs(n, at)
	return d.s.View(ctx, func(tx *Tx) error {
		m, err := tx.match(d.group.ID, sorted)
		if err != nil {
			return err
		}
		before := d.users.GetCardinality()
		d.users.Or(m.users)
		matched := int64(d.users.GetCardinality() - before)
		d.out.Listed += int64(n)
		d.out.Matched += matched
		d.out.Duplicate += repeats + int64(m.users.GetCardinality()) - matched
		sec, err := d.spill.append(m.unknown.appendTo(nil))
		d.lists = append(d.lists, sec)
		return err
	})
}

// Finish counts the rows.
func (d *DryRun) Finish(ctx context.Context) (DryRunResult, error) {
	lists := make([]*bufio.Reader, len(d.lists))
	for i, sec := range d.lists {
		lists[i] = d.spill.reader(mergeBuffer(len(lists)), sec)
	}
	err := mergeIDs(lists, func(_ *idCursor, first bool) error {
		if first {
			d.out.Unknown++
		} else {
			d.out.Duplicate++
		}
		return nil
	})
	if err == nil {
		err = d.s.View(ctx, func(tx *Tx) (err error) {
			d.out.Rows, err = tx.countRows(d.group.Name, d.users)
			return err
		})
	}
	return d.out, errors.Join(err, d.Abort())
}

// Abort ends the dry run; after Finish it does nothing.
func (d *DryRun) Abort() error { return d.spill.close() }
