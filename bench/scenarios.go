package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"github.com/expunge-db/expunge/engine"
)

// onCopy runs fn on a fresh copy of the imported store, as often as is to be measured.
func (b *bed) onCopy(ctx context.Context, step string, fn func(e *engine.Engine) error) error {
	for run := range b.rc.Runs {
		b.step(step, run+1, b.rc.Runs)
		e, err := b.open(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(fn(e), e.Close(context.WithoutCancel(ctx))); err != nil {
			return err
		}
	}
	return nil
}

// scanner is what can be scanned: an engine's group, or a snapshot of it.
type scanner func(ctx context.Context) func(yield func(arrow.Record, error) bool)

// timedScan scans all rows, sums every byte of them, and compares the sums with one of wants.
func timedScan(ctx context.Context, s scanner, wants ...Totals) (time.Duration, error) {
	began := time.Now()
	var got Totals
	for rec, err := range s(ctx) {
		if err != nil {
			return 0, err
		}
		err = got.Add(rec)
		rec.Release()
		if err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	for i := range wants {
		wants[i].Digest = 0
		if got == wants[i] {
			return took, nil
		}
	}
	return took, got.check(wants[len(wants)-1])
}

// measureScan is timedScan with the other figures.
func measureScan(ctx context.Context, s scanner, want Totals) (Sample, error) {
	var took time.Duration
	sample, err := measure(func() (err error) {
		took, err = timedScan(ctx, s, want)
		return err
	})
	sample.Elapsed = took
	return sample, err
}

func scanOf(e *engine.Engine) scanner {
	return func(ctx context.Context) func(func(arrow.Record, error) bool) {
		return e.Scan(ctx, group, engine.Interactions)
	}
}

func (b *bed) scan(ctx context.Context) error {
	return b.onCopy(ctx, "scan", func(e *engine.Engine) error {
		sample, err := measureScan(ctx, scanOf(e), b.expect.all)
		b.add("Scan", ScenarioScan, "scan", sample)
		return err
	})
}

func (b *bed) oneUser(ctx context.Context) error {
	return b.onCopy(ctx, "one user", func(e *engine.Engine) error {
		sample, err := b.readUsers(ctx, e, func(int) bool { return true })
		b.add("UserRows", ScenarioUser, "one user's rows", sample)
		return err
	})
}

// readUsers reads the rows of random users. Those of users for whom isWhole is true are compared.
func (b *bed) readUsers(ctx context.Context, e *engine.Engine, isWhole func(user int) bool) (Sample, error) {
	ids := make([]string, len(b.readers))
	for i, u := range b.readers {
		ids[i] = b.c.UserID(u)
	}
	took := make([]time.Duration, len(ids))
	sample, err := measure(func() error {
		for i, id := range ids {
			began := time.Now()
			rec, err := e.UserRows(ctx, group, engine.Interactions, id)
			took[i] = time.Since(began)
			if err != nil {
				return err
			}
			var got Totals
			if rec != nil {
				err = got.AddDigest(rec)
				rec.Release()
			}
			if err == nil && isWhole(b.readers[i]) {
				err = got.check(b.expect.users[b.readers[i]])
			}
			if err != nil {
				return fmt.Errorf("read %d: %w", i+1, err)
			}
		}
		return nil
	})
	sample.setQuantiles(took)
	return sample, err
}

func (b *bed) deletions(ctx context.Context) error {
	for i, l := range b.lists {
		err := b.onCopy(ctx, "delete "+l.title, func(e *engine.Engine) error {
			remaining := b.expect.remaining[i]
			sample, d, err := b.measureDelete(ctx, e, l.path)
			if err != nil {
				return err
			}
			// Memory and bytes are of the whole job, so they stand once.
			b.add("Delete/list="+l.label+"/until=deleted", ScenarioDelete, "delete "+l.title+": invisible", Sample{N: 1, Elapsed: d.deleted})
			b.add("Delete/list="+l.label+"/until=erased", ScenarioDelete, "delete "+l.title+": erased", sample)
			if l.users == 0 && d.job.Counts.Unknown != int64(b.rc.Unknown) {
				return fmt.Errorf("%w: %d IDs are unknown of %d", ErrWrongResult, d.job.Counts.Unknown, b.rc.Unknown)
			}
			if err := checkDeleted(d.job, b.expect.all.Rows-remaining.Rows); err != nil {
				return err
			}
			return check(ctx, e, remaining)
		})
		if err != nil {
			return fmt.Errorf("list of %s: %w", l.title, err)
		}
	}
	return nil
}

// tenPercent returns the list of 10 % of the users, and what it must leave.
func (b *bed) tenPercent() (list, Totals) {
	i := slices.IndexFunc(b.lists, func(l list) bool { return l.label == "10pct" })
	return b.lists[i], b.expect.remaining[i]
}

// scanTombstones takes its snapshot right after the tombstone commit. What the snapshot sees stays until it is
// released, so it goes on to read blocks with tombstones, whatever is rewritten meanwhile.
func (b *bed) scanTombstones(ctx context.Context) error {
	l, remaining := b.tenPercent()
	return b.onCopy(ctx, "scan under tombstones", func(e *engine.Engine) error {
		job, _, _, err := startDeletion(ctx, e, l.path)
		if err != nil {
			return err
		}
		sn, err := e.Snapshot(ctx, group, engine.Interactions)
		if err != nil {
			return err
		}
		defer sn.Release()
		// A reason says that the job waits, and so that nothing else goes on any more.
		for began := time.Now(); job.StatusReason == "" && job.Status == engine.StatusInProgress; {
			if err := wait(ctx, time.Since(began)); err != nil {
				return err
			}
			if job, err = e.DescribeDataDeletionJob(ctx, job.Name); err != nil {
				return err
			}
		}
		sample, err := measureScan(ctx, func(ctx context.Context) func(func(arrow.Record, error) bool) {
			return sn.Scan(ctx, engine.Interactions)
		}, remaining)
		if err != nil {
			return err
		}
		if job.Status == engine.StatusCompleted {
			b.res.Notes = append(b.res.Notes, fmt.Sprintf(
				"scan under tombstones: a run on %d interactions isn't counted, since all was erased before the snapshot was open", b.c.Interactions))
			return nil
		}
		b.add("ScanTombstones/list="+l.label, ScenarioScanTombstones, "scan under tombstones", sample)
		sn.Release()
		if job, err = e.Wait(ctx, job); err != nil {
			return err
		}
		return checkDeleted(job, b.expect.all.Rows-remaining.Rows)
	})
}

// scanDelete scans from the creation of a job to its end. A scan sees all of the users or none.
func (b *bed) scanDelete(ctx context.Context) error {
	l, remaining := b.tenPercent()
	return b.onCopy(ctx, "scan while deleting", func(e *engine.Engine) error {
		var scans []time.Duration
		var d deletion
		sample, err := measure(func() error {
			done := make(chan error, 1)
			go func() {
				var err error
				d, err = b.delete(ctx, e, l.path)
				done <- err
			}()
			for {
				took, err := timedScan(ctx, scanOf(e), b.expect.all, remaining)
				if err != nil {
					return errors.Join(err, <-done)
				}
				scans = append(scans, took)
				select {
				case err := <-done:
					return err
				default:
				}
			}
		})
		if err != nil {
			return err
		}
		sample.setQuantiles(scans)
		b.add("ScanWhileDeleting/list="+l.label, ScenarioScanDelete, "scan while deleting", sample)
		b.add("DeleteWhileScanning/list="+l.label, ScenarioScanDelete, "delete while scanning: erased", Sample{N: 1, Elapsed: d.erased})
		if err := checkDeleted(d.job, b.expect.all.Rows-remaining.Rows); err != nil {
			return err
		}
		return check(ctx, e, remaining)
	})
}
