package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// Finish implements [jobs.Worker]: it takes what released jobs made invisible off the disk, for all of them at once, and
// completes those of which nothing is left.
func (w worker) Finish(ctx context.Context) (time.Duration, error) {
	e := w.e
	released, err := e.released(ctx)
	if err != nil {
		return 0, err
	}
	if len(released) == 0 && !e.waiting && e.started {
		return e.background(ctx)
	}
	for _, j := range released {
		e.setProgress(j.Seq, Progress{Step: StepErasing})
	}
	if !e.started {
		err = e.dropStale(ctx)
	}
	if err == nil {
		err = e.erase(ctx, released)
	}
	if err != nil && ctx.Err() == nil {
		reason := fmt.Sprintf("erasing the data failed and is tried again: %v", err)
		err = errors.Join(err, e.setReason(ctx, released, reason))
	}
	e.started = e.started || err == nil
	if err != nil || e.waiting {
		return 0, err // it is called when a snapshot ends
	}
	return backgroundDelay, nil
}

// dropStale removes what jobs that are over have staged, off the disk too: one that failed on a full disk can't always.
func (e *Engine) dropStale(ctx context.Context) error {
	staged, err := e.store.StagedJobs(ctx) // before the list of jobs, which so has all that are staging now
	if err != nil || len(staged) == 0 {
		return err
	}
	open, err := e.unfinished(ctx)
	if err != nil {
		return err
	}
	stale := slices.DeleteFunc(staged, func(seq uint64) bool {
		return slices.ContainsFunc(open, func(j Job) bool { return j.Seq == seq })
	})
	if len(stale) == 0 {
		return nil
	}
	for _, seq := range stale {
		if err := e.dropStaleJob(ctx, seq); err != nil {
			return err
		}
	}
	_, err = e.store.Scrub(ctx)
	return err
}

func (e *Engine) dropStaleJob(ctx context.Context, seq uint64) error {
	var job Job
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		job, err = jobs.GetSeq(jobTx{tx.KV()}, seq)
		return err
	})
	switch {
	case err == nil && job.Status == StatusCompleted:
		return e.store.DropStaged(ctx, seq, nil)
	case err == nil || errors.Is(err, jobs.ErrNotFound):
		return e.store.DropFailed(ctx, e.groupName(job.GroupARN), seq)
	}
	return err
}

// released returns the jobs that are past the point of no return, in the order of creation.
func (e *Engine) released(ctx context.Context) ([]Job, error) {
	open, err := e.unfinished(ctx)
	return slices.DeleteFunc(open, func(j Job) bool { return !j.Released }), err
}

func (e *Engine) erase(ctx context.Context, released []Job) error {
	done, waitsFor, err := e.store.Clean(ctx)
	if err != nil {
		return err
	}
	e.waiting = waitsFor > 0
	var ready []erased
	var waiting []Job
	held := make(map[string]bool) // groups with a deletion that isn't ready: those after it wait too
	for _, j := range released {
		cp, err := readCheckpoint(j)
		if err != nil {
			return err
		}
		if held[j.GroupARN] = held[j.GroupARN] || cp.Epoch > done; held[j.GroupARN] {
			waiting = append(waiting, j)
			continue
		}
		if cp.Verified == nil {
			looked, err := e.store.CheckGone(ctx, e.groupName(j.GroupARN), j.Seq)
			if err != nil {
				return err
			}
			cp.Verified = (*jobs.Verified)(&looked)
		}
		r, err := e.newReceipt(ctx, j, cp)
		if err != nil {
			return err
		}
		ready = append(ready, erased{r, cp})
	}
	if len(waiting) > 0 {
		if err := e.setReason(ctx, waiting, e.leaseReason(waitsFor)); err != nil {
			return err
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return e.complete(ctx, ready)
}

// leaseReason says what a job waits for, in words that stay the same as long as that does; "" if it has just ended.
func (e *Engine) leaseReason(epoch uint64) string {
	l := e.store.Leases(epoch)
	since := l.Oldest.UTC().Format(time.RFC3339)
	switch l.Open {
	case 0:
		return ""
	case 1:
		return "waiting for an open snapshot that still sees the data, since " + since
	}
	return fmt.Sprintf("waiting for %d open snapshots that still see the data, the oldest of them since %s", l.Open, since)
}

// erased is a job of which nothing is left in live pages.
type erased struct {
	Receipt
	checkpoint checkpoint
}

// complete scrubs the file and completes jobs.
func (e *Engine) complete(ctx context.Context, ready []erased) error {
	for _, r := range ready {
		e.setProgress(r.Seq, Progress{Step: StepScrubbing})
		err := e.store.DropStaged(ctx, r.Seq, func(tx *store.Tx) error {
			_, err := jobs.Modify(jobTx{tx.KV()}, r.Seq, StatusInProgress, now(), func(j *Job) { j.Checkpoint = r.checkpoint.json() })
			return err
		})
		if err != nil {
			return err
		}
	}
	report, err := e.store.ScrubThen(ctx, func(tx *store.Tx, report store.ScrubReport) error {
		scrubbed := now()
		for _, r := range ready {
			done, err := jobs.Transition(jobTx{tx.KV()}, r.Seq, StatusInProgress, StatusCompleted, now(), func(j *Job) { j.NumDeleted = &r.NumDeleted })
			if err != nil {
				return err
			}
			r.Erased, r.Completed = scrubbed, done.Updated
			r.Scrubbed = jobs.Scrubbed{
				Pages: report.PagesZeroed, Written: report.BytesWritten, Punched: report.BytesPunched, Method: report.Method,
			}
			if _, err := jobs.AppendReceipt(jobTx{tx.KV()}, r.Receipt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	e.log.Info("scrubbed", "pages", report.PagesZeroed, "bytes_written", report.BytesWritten, "bytes_punched", report.BytesPunched)
	for _, r := range ready {
		e.endProgress(r.Seq)
	}
	e.runner.Notify()
	return nil
}

// setReason says in the records of jobs why they take long.
func (e *Engine) setReason(ctx context.Context, of []Job, reason string) error {
	var changed []Job
	for _, j := range of {
		if j.StatusReason != reason {
			changed = append(changed, j)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return e.store.Update(ctx, func(tx *store.Tx) error {
		for _, j := range changed {
			_, err := jobs.Modify(jobTx{tx.KV()}, j.Seq, StatusInProgress, now(), func(j *Job) { j.StatusReason = reason })
			if err != nil && !errors.Is(err, jobs.ErrConflict) {
				return err
			}
		}
		return nil
	})
}
