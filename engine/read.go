package engine

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// Snapshot is one consistent state of a dataset group, whatever is imported and deleted meanwhile. A deletion that began
// after it can't complete before it is released. It may be used by several goroutines.
type Snapshot struct {
	e        *Engine
	sn       *store.Snapshot
	released atomic.Bool // set before sn is released: what was read while it isn't is whole
	expired  atomic.Bool // set before released
	timer    *time.Timer // ends it when it is too old; nil if it may get old
}

// Snapshot opens a snapshot of some datasets of a group, or of all that it has if none is named. The caller must release
// it. Errors: [ErrNotFound].
func (e *Engine) Snapshot(ctx context.Context, group string, types ...DatasetType) (*Snapshot, error) {
	sn, err := e.store.Snapshot(ctx, e.groupName(group), types...)
	if err != nil {
		return nil, mapError(err)
	}
	s := &Snapshot{e: e, sn: sn}
	if e.maxAge > 0 {
		s.timer = time.AfterFunc(e.maxAge, func() {
			s.expired.Store(true)
			s.end()
		})
	}
	return s, nil
}

// Release ends the snapshot; releasing it again does nothing.
func (s *Snapshot) Release() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.end()
}

func (s *Snapshot) end() {
	s.released.Store(true)
	s.sn.Release()
	if s.e.runner != nil {
		s.e.runner.Wake() // a deletion may have waited for it
	}
}

// Rows returns the number of rows that Scan returns for a dataset type.
func (s *Snapshot) Rows(t DatasetType) int64 { return s.sn.Rows(t) }

// Schema returns the Arrow schema of a dataset's records, or nil if the snapshot doesn't have it.
func (s *Snapshot) Schema(t DatasetType) *arrow.Schema { return s.sn.Schema(t) }

// Scan yields the rows of a dataset as Arrow records of up to some thousand rows. The rows of one user, in Items datasets
// of one item, lie side by side and in the order of TIMESTAMP within what one import brought. The caller releases each
// record; its buffers are its own. After an error nothing more is yielded. Errors: [ErrNotFound], [ErrReleased], [ErrExpired].
func (s *Snapshot) Scan(ctx context.Context, t DatasetType) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		for rec, err := range s.sn.Scan(ctx, t) {
			if rec, err = s.unreleased(rec, err); !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// unreleased passes on what was read, unless the snapshot was released meanwhile: then it may be anything.
func (s *Snapshot) unreleased(rec arrow.Record, err error) (arrow.Record, error) {
	if !s.released.Load() {
		return rec, mapError(err)
	}
	if rec != nil {
		rec.Release()
	}
	if s.expired.Load() {
		return nil, ErrExpired
	}
	return nil, ErrReleased
}

// UserRows returns the rows of one user in a Users or Interactions dataset as one record, or nil if there are none. In
// an Items dataset it takes an ITEM_ID. The caller releases the record. Errors: [ErrNotFound], [ErrReleased], [ErrExpired].
func (s *Snapshot) UserRows(ctx context.Context, t DatasetType, id string) (arrow.Record, error) {
	return s.unreleased(s.sn.RowsOf(ctx, t, []byte(id)))
}

// Scan yields the rows of one dataset as they are when the loop begins; see [Snapshot.Scan]. Leaving the loop releases
// its snapshot.
func (e *Engine) Scan(ctx context.Context, group string, t DatasetType) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		sn, err := e.Snapshot(ctx, group, t)
		if err != nil {
			yield(nil, err)
			return
		}
		defer sn.Release()
		for rec, err := range sn.Scan(ctx, t) {
			if !yield(rec, err) {
				return
			}
		}
	}
}

// UserRows returns the rows that one user has now; see [Snapshot.UserRows].
func (e *Engine) UserRows(ctx context.Context, group string, t DatasetType, id string) (arrow.Record, error) {
	rec, err := e.store.RowsOf(ctx, e.groupName(group), t, []byte(id))
	return rec, mapError(err)
}

// DryRun is what a deletion job with the same list would report, if nothing changed in between.
type DryRun struct {
	Listed    int64 // IDs in the list
	Matched   int64 // different users that the group has
	Unknown   int64 // different IDs that it hasn't
	Duplicate int64 // IDs that came before in the list
	// Rows is how many rows of each dataset would be deleted. Their sum would be numDeleted.
	Rows map[DatasetType]int64
}

// NumDeleted returns the sum of Rows.
func (d DryRun) NumDeleted() (n int64) {
	for _, rows := range d.Rows {
		n += rows
	}
	return n
}

// DryRunDeletion finds out what a deletion job would delete, exactly, and changes nothing; the store may be open
// read-only. Problems of the list are an *[InputError].
func (e *Engine) DryRunDeletion(ctx context.Context, group, source string) (DryRun, error) {
	src, err := e.locations.Source(source, "", ingest.Recursive)
	if err != nil {
		return DryRun{}, ofKind(ErrInvalid, err)
	}
	if err := e.foldForDryRun(ctx, e.groupName(group)); err != nil {
		return DryRun{}, err
	}
	d, err := e.store.BeginDryRun(ctx, e.groupName(group))
	if err != nil {
		return DryRun{}, mapError(err)
	}
	if err := addList(ctx, d, src); err != nil {
		return DryRun{}, errors.Join(err, d.Abort())
	}
	res, err := d.Finish(ctx)
	return DryRun(res), err
}

// foldForDryRun makes layers of what was put, since a job would delete it too. It doesn't wait for the job whose turn it is:
// what that changes a dry run can't know.
func (e *Engine) foldForDryRun(ctx context.Context, group string) error {
	open, err := e.unfinished(ctx)
	if err != nil || e.folder == nil {
		return err
	}
	defer e.runner.Wake() // an erasure may have waited for the snapshot that a fold holds
	for _, j := range open {
		if j.GroupARN == e.groupARN(group) && j.Status == StatusInProgress && !j.Released {
			return e.foldNow(ctx, group)
		}
	}
	unlock, err := e.turns.lock(ctx, group)
	if err != nil {
		return err
	}
	defer unlock()
	return e.fold(ctx, group)
}

func addList(ctx context.Context, d *store.DryRun, src ingest.Source) error {
	r, err := ingest.NewListReader(ctx, src)
	if err != nil {
		return err
	}
	var ids ingest.IDs
	for err == nil {
		if err = r.Read(&ids, listBatch); err == nil {
			err = d.Add(ctx, ids.Len(), ids.At)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, r.Close())
}

// Stats counts what is in the store.
func (e *Engine) Stats(ctx context.Context) (Stats, error) { return e.store.Stats(ctx) }

// Check looks for every inconsistency in the store, the records of its jobs and its ledger, not only the first. It changes
// nothing and reads the whole store.
func (e *Engine) Check(ctx context.Context) (CheckReport, error) {
	report, err := e.store.Check(ctx)
	if err != nil {
		return report, err
	}
	err = jobDB{e.store}.View(ctx, jobs.Check)
	if ctx.Err() != nil {
		return report, ctx.Err()
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		report.Problems = append(report.Problems, all.Unwrap()...)
	} else if err != nil {
		report.Problems = append(report.Problems, err)
	}
	return report, nil
}
