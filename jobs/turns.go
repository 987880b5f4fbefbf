package jobs

import (
	"context"
	"errors"
	"maps"
	"time"
)

// The waits between attempts. A store that can't be written is likely to stay so until it is opened again; what
// Finish waits for is a file system or a reader.
const (
	storeRetryLeast, storeRetryMost   = 50 * time.Millisecond, 5 * time.Second
	finishRetryLeast, finishRetryMost = 100 * time.Millisecond, 30 * time.Second
)

// errTurnLeft stands for a Turn that returned nil and left the job as it was: taken again, it would do so for ever.
var errTurnLeft = errors.New("the turn ended without an outcome, which is an error in the program; report it, then create another job")

// dispatch starts the turns. Whatever makes a turn possible sends its signal after it has happened, so none is missed.
func (r *Runner) dispatch(ctx context.Context) {
	// Also when ctx ended by itself: nothing that Wait waits for would happen any more.
	defer r.end()
	retry := backoff{least: storeRetryLeast, most: storeRetryMost}
	for ctx.Err() == nil {
		err := r.startTurns(ctx)
		if err == nil {
			retry.reset()
			sleep(ctx, 0, r.dispatchSignal)
			continue
		}
		wait := retry.next()
		if ctx.Err() == nil {
			r.log.Error("cannot read the unfinished jobs", logError, err, logRetry, wait)
		}
		sleep(ctx, wait, nil)
	}
}

// startTurns starts a turn for each group that has a job to run and no turn being taken.
func (r *Runner) startTurns(ctx context.Context) error {
	// Before the jobs are read: those of a group whose turn ends meanwhile may be read as they were in the
	// turn. Its end signals, and the group is looked at again then.
	r.mu.Lock()
	busy := maps.Clone(r.busy)
	r.mu.Unlock()
	var open []Job
	err := r.db.View(ctx, func(tx Tx) (err error) {
		open, err = Unfinished(tx)
		return err
	})
	if err != nil {
		return err
	}
	for group, job := range nextTurns(open) {
		if busy[group] {
			continue
		}
		r.mu.Lock()
		r.busy[group] = true
		r.mu.Unlock()
		r.running.Go(func() {
			r.turn(ctx, job)
			r.mu.Lock()
			delete(r.busy, group)
			r.mu.Unlock()
			r.Notify()
			r.Wake()
		})
	}
	return nil
}

// nextTurns says for each group which of the unfinished jobs, given in the order of creation, is to run: one whose
// turn was interrupted before all others, since it may have begun to change the group; then the oldest.
func nextTurns(open []Job) map[string]Job {
	next := make(map[string]Job)
	for _, j := range open {
		if j.Released {
			continue
		}
		have, ok := next[j.GroupARN]
		if !ok || have.Status == StatusPending && j.Status == StatusInProgress {
			next[j.GroupARN] = j
		}
	}
	return next
}

// turn takes one job's turn. When it returns, the job is terminal or Released, or ctx has ended.
func (r *Runner) turn(ctx context.Context, job Job) {
	if job.Status == StatusPending {
		started := r.persist(ctx, job.ARN, func() error {
			return r.db.Update(ctx, func(tx Tx) (err error) {
				job, err = Transition(tx, job.Seq, StatusPending, StatusInProgress, time.Now(), nil)
				return err
			})
		})
		if !started {
			return
		}
		r.Notify()
	}
	err := r.worker.Turn(ctx, job)
	if ctx.Err() != nil {
		return
	}
	// Read first: after most turns there is nothing to write.
	var now Job
	read := r.persist(ctx, job.ARN, func() (err error) {
		now, err = r.get(ctx, job.Seq)
		return err
	})
	// An error and a Released job together are a commit whose outcome was unknown, and which did commit.
	if !read || now.Status != StatusInProgress || now.Released {
		return
	}
	if err == nil {
		err = errTurnLeft
	}
	reason := err.Error()
	if reason == "" {
		reason = "unknown error; create another job"
	}
	failed := r.persist(ctx, job.ARN, func() error {
		return r.db.Update(ctx, func(tx Tx) error {
			_, err := Transition(tx, job.Seq, StatusInProgress, StatusFailed, time.Now(), func(j *Job) { j.FailureReason = reason })
			return err
		})
	})
	if failed {
		r.log.Warn("job failed", logJob, job.ARN, logError, reason)
	}
}

// persist calls do until it succeeds, with growing waits, and reports whether it did. It gives up when ctx ends,
// and when the job isn't in the state that do supposes: then an attempt before has committed despite its
// error, or somebody else has ended the job.
func (r *Runner) persist(ctx context.Context, arn string, do func() error) bool {
	retry := backoff{least: storeRetryLeast, most: storeRetryMost}
	for ctx.Err() == nil {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, ErrConflict) {
			r.log.Warn("job is in another state", logJob, arn, logError, err)
			return false
		}
		wait := retry.next()
		r.log.Error("cannot read or write the state of a job", logJob, arn, logError, err, logRetry, wait)
		sleep(ctx, wait, nil)
	}
	return false
}

// finish calls Finish until ctx ends: at once, when it asks to be called again, and when it is woken.
func (r *Runner) finish(ctx context.Context) {
	retry := backoff{least: finishRetryLeast, most: finishRetryMost}
	for ctx.Err() == nil {
		wait, err := r.worker.Finish(ctx)
		if ctx.Err() != nil {
			return
		}
		r.Notify()
		if err == nil {
			retry.reset()
		} else {
			wait = retry.next()
			r.log.Warn("cannot finish jobs yet", logError, err, logRetry, wait)
		}
		if sleep(ctx, wait, r.finishSignal) {
			retry.reset()
		}
	}
}

// signal leaves a signal in c, unless one is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep waits for d, or without a limit if d isn't above 0; until a signal comes, if c isn't nil; and until ctx
// ends. It reports whether a signal came.
func sleep(ctx context.Context, d time.Duration, c <-chan struct{}) bool {
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-c:
		return true
	case <-after:
	case <-ctx.Done():
	}
	return false
}

// backoff is a wait that doubles from least to most.
type backoff struct{ least, most, last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, b.least), b.most)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }
