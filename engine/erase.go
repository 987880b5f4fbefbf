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
		return e.mergeLayers(ctx)
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
	return mergeDelay, nil
}

// mergeDelay is how long Finish waits before the next merge of layers, so that jobs come first.
const mergeDelay = time.Millisecond

// mergeLayers merges layers that imports made, one merge a call. Jobs don't wait for it: see [Engine.stopMerge].
func (e *Engine) mergeLayers(ctx context.Context) (again time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.merge = cancel
	e.mu.Unlock()
	// A job that was released before stopMerge could end this merge is here; one that is released later ends it.
	released, err := e.released(ctx)
	more := false
	if err == nil && len(released) == 0 {
		more, err = e.store.MergeLayers(ctx)
	}
	if ctx.Err() != nil || len(released) > 0 {
		return mergeDelay, nil // what the merge may have left is for Clean, which the job needs
	}
	if err != nil {
		return 0, err
	}
	if more {
		e.merged = true
		return mergeDelay, nil
	}
	if !e.merged {
		return e.trim(ctx)
	}
	// The layers that were merged are let go, and their room given back.
	_, waitsFor, err := e.store.Clean(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := e.store.Scrub(ctx); err != nil {
		return 0, err
	}
	if e.merged = waitsFor > 0; e.merged { // it is called again when the snapshot ends
		return 0, nil
	}
	return mergeDelay, nil
}

// trim gives room back to the file system when there is nothing else to do.
func (e *Engine) trim(ctx context.Context) (again time.Duration, err error) {
	more, err := e.store.Trim(ctx)
	if err != nil || !more {
		return 0, err
	}
	return mergeDelay, nil
}

// stopMerge ends a merge that is under way, since a job waits for what Finish does.
func (e *Engine) stopMerge() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.merge != nil {
		e.merge()
	}
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
		if err := e.store.DropStaged(ctx, seq); err != nil {
			return err
		}
	}
	_, err = e.store.Scrub(ctx)
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
	var ready, waiting []Job
	held := make(map[string]bool) // groups with a deletion that isn't ready: those after it wait too
	for _, j := range released {
		if j.Kind == jobs.KindImport {
			ready = append(ready, j) // what it replaced may stay as long as snapshots see it
			continue
		}
		cp, err := readCheckpoint(j)
		if err != nil {
			return err
		}
		if held[j.GroupARN] = held[j.GroupARN] || cp.Epoch > done; held[j.GroupARN] {
			waiting = append(waiting, j)
			continue
		}
		if err := e.store.CheckGone(ctx, e.groupName(j.GroupARN), j.Seq); err != nil {
			return err
		}
		ready = append(ready, j)
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

// leaseReason says what a job waits for, in words that stay the same as long as that does.
func (e *Engine) leaseReason(epoch uint64) string {
	l := e.store.Leases(epoch)
	return fmt.Sprintf("waiting for %d open snapshots that still see the data, the oldest of them since %s",
		l.Open, l.Oldest.UTC().Format(time.RFC3339))
}

// complete scrubs the file and completes jobs of which nothing is left in live pages.
func (e *Engine) complete(ctx context.Context, ready []Job) error {
	for _, j := range ready {
		e.setProgress(j.Seq, Progress{Step: StepScrubbing})
		if j.Kind == jobs.KindDeletion {
			if err := e.store.DropStaged(ctx, j.Seq); err != nil {
				return err
			}
		}
	}
	report, err := e.store.Scrub(ctx)
	if err != nil {
		return err
	}
	e.log.Info("scrubbed", "pages", report.PagesZeroed, "bytes_written", report.BytesWritten, "bytes_punched", report.BytesPunched)
	err = e.store.Update(ctx, func(tx *store.Tx) error {
		for _, j := range ready {
			_, err := jobs.Transition(jobTx{tx.KV()}, j.Seq, StatusInProgress, StatusCompleted, now(), func(j *Job) {
				if j.Kind != jobs.KindDeletion {
					return
				}
				total := int64(0)
				for _, n := range j.Counts.Deleted {
					total += n
				}
				j.NumDeleted = &total
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, j := range ready {
		e.endProgress(j.Seq)
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
