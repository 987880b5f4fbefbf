package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
)

// BackupReport says what a backup holds.
type BackupReport struct {
	Datasets int
	Rows     int64
	Bytes    int64 // that it takes on the disk
}

// Backup writes a store of its own to dest that holds what is live, and nothing else: the pages of the file are not copied,
// but its rows imported anew. It takes one moment of the whole store, which can be used meanwhile; while it runs it holds a
// snapshot of every group. resume is called in the copy's first transaction, so that the caller makes of jobs that were
// under way what can go on there: nothing that they staged is copied. It returns the greatest number of a job.
//
// dest must not exist (fs.ErrExist). Until the copy is whole it has another name beside dest, which the next backup to dest
// removes should this one be killed.
func (s *Store) Backup(ctx context.Context, dest string, resume func(*Tx) (uint64, error)) (report BackupReport, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up to %s: %w", dest, err)
		}
	}()
	if _, err := os.Lstat(dest); err == nil {
		return report, fmt.Errorf("%w: give a name that isn't taken", os.ErrExist)
	} else if !errors.Is(err, os.ErrNotExist) {
		return report, err
	}
	partial := filepath.Join(filepath.Dir(dest), "."+filepath.Base(dest)+".partial")
	if err := removePartial(partial); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, removeIfThere(partial)) }()
	opts := Options{
		Codec: s.info.Codec, Region: s.info.Region, Account: s.info.Account, BlockRows: s.opts.BlockRows,
		IDKey: s.opts.IDKey, Logger: s.log,
	}
	if err := initialise(partial, opts); err != nil { // not under yet another name, which nobody would remove after a kill
		return report, err
	}
	d, err := open(ctx, partial, opts, s.limits)
	if err != nil {
		return report, err
	}
	b := &backup{from: s, to: d, resume: resume}
	err = b.run(ctx)
	if err := errors.Join(err, d.Close(context.WithoutCancel(ctx))); err != nil {
		return report, err
	}
	info, err := os.Stat(partial)
	if err != nil {
		return report, err
	}
	b.report.Bytes = allocatedBytes(info)
	if err := os.Link(partial, dest); err != nil { // where Rename would replace a file that came meanwhile
		return report, err
	}
	if err := os.Remove(partial); err != nil {
		return report, err
	}
	return b.report, syncDir(filepath.Dir(dest))
}

// removePartial removes what a killed backup left. Errors: [ErrLocked] if it is one that is under way.
func removePartial(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = lockFile(f, true, -1)
	if err == nil {
		err = os.Remove(path)
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// backup is one in flight.
type backup struct {
	from, to *Store
	resume   func(*Tx) (uint64, error)
	report   BackupReport

	groups []Group
	ids    map[uint32]uint32 // of groups and datasets, there and in the copy
	hashed []uint64          // jobs with hashes at that moment
	last   uint64            // job at that moment
	views  []*Snapshot       // of groups
}

func (b *backup) run(ctx context.Context) (err error) {
	defer func() {
		for _, sn := range b.views {
			sn.Release()
		}
	}()
	if err := b.begin(ctx); err != nil {
		return err
	}
	for i, g := range b.groups {
		for t, view := range b.views[i].datasets {
			for _, put := range []bool{false, true} {
				if err := b.rows(ctx, b.views[i], view.only(put), put); err != nil {
					return fmt.Errorf("copy %s of group %s: %w", t, g.Name, err)
				}
			}
			if t == Interactions {
				if err := b.sessionUsers(ctx, b.views[i], view); err != nil {
					return fmt.Errorf("copy sessions of group %s: %w", g.Name, err)
				}
			}
			b.report.Datasets++
			b.report.Rows += view.rows
		}
		// Only now, since an import leaves suppressed users out: of the rows that are there none goes.
		if err := b.suppressed(ctx, g); err != nil {
			return fmt.Errorf("copy the suppressed users of group %s: %w", g.Name, err)
		}
	}
	for _, job := range b.hashed {
		if err := b.hashes(ctx, job); err != nil {
			return fmt.Errorf("copy hashes of deleted users: %w", err)
		}
	}
	if err := b.check(ctx); err != nil {
		return err
	}
	_, _, err = b.to.Clean(ctx)
	return err
}

// begin takes the moment that the copy is of: no commit comes between the snapshots, the catalog and the callers' records.
// Were these newer, a job could be COMPLETED in the copy and its rows be there.
func (b *backup) begin(ctx context.Context) error {
	b.from.writer.Lock()
	defer b.from.writer.Unlock()
	err := b.from.View(ctx, func(tx *Tx) (err error) {
		b.groups, err = tx.Groups()
		slices.SortFunc(b.groups, func(a, b Group) int { return cmp.Compare(a.ID, b.ID) })
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range b.groups {
		sn, err := b.from.Snapshot(ctx, g.Name)
		if err != nil {
			return err
		}
		b.views = append(b.views, sn)
	}
	b.ids = make(map[uint32]uint32)
	return b.from.View(ctx, func(from *Tx) error {
		if err := b.to.Update(ctx, func(to *Tx) error { return b.catalog(from, to) }); err != nil {
			return err
		}
		return b.events(ctx, from)
	})
}

// catalog copies what is small.
func (b *backup) catalog(from, to *Tx) error {
	key, err := getSealed(from.b.Bucket(bucketMeta), "key record", keyIDKey)
	if err != nil {
		return err
	}
	if err := putSealed(to.b.Bucket(bucketMeta), keyIDKey, bytes.Clone(key)); err != nil {
		return err
	}
	schemas, err := from.Schemas()
	if err != nil {
		return err
	}
	// In the order of creation, which the IDs keep.
	slices.SortFunc(schemas, func(a, b Schema) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range schemas {
		if err := to.CreateSchema(s); err != nil {
			return err
		}
	}
	for _, g := range b.groups {
		updated := g.Updated
		c, err := to.CreateGroup(g)
		if err != nil {
			return err
		}
		b.ids[g.ID] = c.ID
		c.Updated, c.Suppress = updated, false
		if err := to.putRecord(groupKey(g.Name), c); err != nil {
			return err
		}
		datasets, err := from.Datasets(g.Name)
		if err != nil {
			return err
		}
		slices.SortFunc(datasets, func(a, b Dataset) int { return cmp.Compare(a.ID, b.ID) })
		for _, d := range datasets {
			updated := d.Updated
			c, err := to.CreateDataset(d)
			if err != nil {
				return err
			}
			b.ids[d.ID] = c.ID
			c.Updated, c.Killed = updated, 0
			if err := to.putDataset(c); err != nil {
				return err
			}
		}
	}
	trackers, err := from.EventTrackers()
	if err != nil {
		return err
	}
	for _, t := range trackers {
		if err := to.putRecord(trackerKey(t.ID()), t); err != nil {
			return err
		}
	}
	if err := from.b.Bucket(bucketJobs).ForEach(func(k, v []byte) error { return to.KV().Put(bytes.Clone(k), v) }); err != nil {
		return err
	}
	c := from.b.Bucket(bucketHashes).Cursor()
	for k, _ := c.First(); k != nil; {
		if len(k) != 16 {
			return &CorruptError{What: "hashes of the users of a job", Problem: "a key can't be read"}
		}
		job := uint64At(k)
		b.hashed = append(b.hashed, job)
		if job == math.MaxUint64 {
			break
		}
		k, _ = c.Seek(uint64Key(job + 1))
	}
	b.last, err = b.resume(to)
	return err
}

// rows imports the rows of one kind that a snapshot sees of a dataset.
func (b *backup) rows(ctx context.Context, sn *Snapshot, view *datasetView, put bool) error {
	if len(view.layers) == 0 {
		return nil
	}
	im, err := b.to.beginImport(ctx, view.Group, view.Type, ImportFull, put)
	if err != nil {
		return err
	}
	scan := func(yield func(arrow.Record, error) bool) { sn.scan(ctx, view, yield) }
	for rec, err := range scan {
		if err == nil {
			err = im.Append(rec)
			rec.Release()
		}
		if err != nil {
			return errors.Join(err, im.Abort(context.WithoutCancel(ctx)))
		}
	}
	_, err = im.Finish(ctx, nil, func(*Tx, ImportResult) error { return nil })
	if err != nil {
		return errors.Join(err, im.Abort(context.WithoutCancel(ctx)))
	}
	return b.to.Sweep(ctx, view.Group)
}

// hashes copies those of one job.
func (b *backup) hashes(ctx context.Context, job uint64) error {
	return b.copyPrefix(ctx, bucketHashes, uint64Key(job), func(k []byte) []byte { return k })
}

// suppressed copies the set of a group, under its ID in the copy, and its settings.
func (b *backup) suppressed(ctx context.Context, g Group) error {
	err := b.copyPrefix(ctx, bucketSuppressed, appendUint32s(nil, g.ID), func(k []byte) []byte {
		return append(appendUint32s(nil, b.ids[g.ID]), k[4:]...)
	})
	if err != nil {
		return err
	}
	// What later jobs added, or one had not made count by then, goes again. A job under way adds it anew.
	_, err = b.to.filterSuppressed(ctx, g.Name, func(_ Group, job uint64) bool { return job <= b.last && job != g.Suppressing })
	if err != nil {
		return err
	}
	return b.to.Update(ctx, func(tx *Tx) error { return tx.SetSuppression(g.Name, g.Suppress) })
}

// copyPrefix copies the entries of a bucket under a prefix, some at a time.
func (b *backup) copyPrefix(ctx context.Context, bucket, prefix []byte, rename func([]byte) []byte) error {
	type entry struct{ key, value []byte }
	for next := prefix; next != nil; {
		var page []entry
		err := b.from.View(ctx, func(tx *Tx) error {
			c := tx.b.Bucket(bucket).Cursor()
			k, v := c.Seek(next)
			next = nil
			for size := 0; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
				if size >= b.from.limits.stageBytes {
					next = bytes.Clone(k)
					break
				}
				value, err := unseal(string(bucket), k, v)
				if err != nil {
					return err
				}
				page = append(page, entry{bytes.Clone(k), bytes.Clone(value)})
				size += len(k) + len(v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = b.to.Update(ctx, func(tx *Tx) error {
			for _, e := range page {
				if err := putSealed(tx.b.Bucket(bucket), rename(e.key), e.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// check compares the copy with the snapshots: a backup is no place for a surprise.
func (b *backup) check(ctx context.Context) error {
	for i, g := range b.groups {
		sn, err := b.to.Snapshot(ctx, g.Name)
		if err != nil {
			return err
		}
		for t, view := range b.views[i].datasets {
			if sn.Rows(t) != view.rows {
				err = errors.Join(err, fmt.Errorf("the copy has %d rows of %s and there are %d", sn.Rows(t), t, view.rows))
			}
		}
		sn.Release()
		if err != nil {
			return err
		}
	}
	report, err := b.to.Check(ctx)
	if err == nil && len(report.Problems) > 0 {
		err = fmt.Errorf("check copy: %w", errors.Join(report.Problems...))
	}
	return err
}
