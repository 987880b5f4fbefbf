package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Worker does what jobs are for. The [Runner] calls Turn from one goroutine for each group at a time, and Finish
// from one goroutine; both can run at once. Both return soon after their context has ended.
type Worker interface {
	// Turn does the part of a job that no other job of its group may overlap. The job is IN_PROGRESS and not
	// Released; if it has a checkpoint, an earlier turn was interrupted. On nil the worker has committed that
	// the job is COMPLETED or Released. An error fails the job, with the error's text as FailureReason, so it
	// must hold no user data; but not if the context has ended, nor if the job turns out to be Released.
	Turn(ctx context.Context, job Job) error
	// Finish takes every Released, unfinished job of the store as far as it can, in the order of creation.
	// It returns how long to wait before it wants to be called again, 0 if there is nothing to do until the
	// next turn ends or [Runner.Wake] is called. An error doesn't fail a job: the worker records it as
	// StatusReason, and is called again after a while.
	Finish(ctx context.Context) (again time.Duration, err error)
}

// The keys of what the runner logs.
const (
	logJob   = "job"
	logError = "error"
	logRetry = "retry_in"
)

// Runner gives the jobs of a store their turns. Make one with [NewRunner]. Its methods are safe for use by many
// goroutines.
//
// It has one goroutine that looks for jobs whose turn it is, one for each group whose turn is being taken, and
// one for Finish. The state of the jobs is in the database only, never in the runner: so a runner that is
// started on a store where another was killed goes on as that one would have.
type Runner struct {
	db     DB
	worker Worker
	log    *slog.Logger

	// Each holds at most one signal: what has been asked for twice before it began is done once.
	dispatchSignal chan struct{}
	finishSignal   chan struct{}
	// stopped is closed when the runner is to end.
	stopped chan struct{}

	mu      sync.Mutex
	started bool               // under mu
	ended   bool               // under mu; stopped is closed
	cancel  context.CancelFunc // under mu; of the context of all goroutines, nil until started
	busy    map[string]bool    // under mu; ARNs of the groups whose turn is being taken
	changed chan struct{}      // under mu; closed and replaced by Notify
	// running counts the goroutines, and the calls of Start and Wait, which read the database. It is added to
	// by enter, or by a goroutine that is counted itself: never from zero while Stop waits.
	running sync.WaitGroup
}

// NewRunner returns a runner that does nothing until Start. A nil log discards.
func NewRunner(db DB, w Worker, log *slog.Logger) *Runner {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Runner{
		db:             db,
		worker:         w,
		log:            log,
		dispatchSignal: make(chan struct{}, 1),
		finishSignal:   make(chan struct{}, 1),
		stopped:        make(chan struct{}),
		busy:           make(map[string]bool),
		changed:        make(chan struct{}),
	}
}

// Start begins to run jobs, first those that an earlier runner left unfinished. The runner stops when ctx ends, as
// with [Runner.Stop], which is to be called in any case. A second Start does nothing. The error is [ErrStopped]
// after a Stop, or that of reading the jobs, after which Start can be tried again.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.running.Done()
	// A store whose jobs can't be read is for whoever opens it to know of, not for a log.
	if err := r.db.View(ctx, func(tx Tx) error { _, err := Unfinished(tx); return err }); err != nil {
		return fmt.Errorf("read unfinished jobs: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return ErrStopped
	}
	if r.started {
		return nil
	}
	r.started = true
	ctx, r.cancel = context.WithCancel(ctx)
	r.running.Go(func() { r.dispatch(ctx) })
	r.running.Go(func() { r.finish(ctx) })
	return nil
}

// enter counts the caller among those that Stop waits for, until it calls running.Done.
func (r *Runner) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return ErrStopped
	}
	r.running.Add(1)
	return nil
}

// Wake makes the runner look for work: call it after a transaction that created a job, and when something that
// Finish waited for has happened. It ends a wait after an error of Finish.
func (r *Runner) Wake() {
	signal(r.dispatchSignal)
	signal(r.finishSignal)
}

// Notify makes every [Runner.Wait] look at its job again. The worker calls it after it has committed the end of a
// job inside Finish, so that nobody waits for the jobs after it. The runner itself calls it after each Turn and Finish.
func (r *Runner) Notify() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Stop ends the runner: it cancels the contexts of Turn and Finish and waits until they have returned, and every
// Wait as well. After it the runner doesn't use the database. Jobs stay as they are, to be gone on with by the
// next runner. Stop can be called many times, and without a Start; not from inside Turn or Finish.
func (r *Runner) Stop() {
	r.end()
	r.running.Wait()
}

func (r *Runner) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	close(r.stopped)
	if r.cancel != nil {
		r.cancel()
	}
}

// Wait returns the job once it is COMPLETED or FAILED. It returns early with ctx's error, with [ErrStopped] if the
// runner is stopped, or with an error of reading the job, such as [ErrNotFound].
func (r *Runner) Wait(ctx context.Context, seq uint64) (Job, error) {
	if err := r.enter(); err != nil {
		return Job{}, err
	}
	defer r.running.Done()
	for {
		// Taken before the job is read, so that a change in between isn't missed.
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		j, err := r.get(ctx, seq)
		if err != nil || j.Status.Terminal() {
			return j, err
		}
		select {
		case <-changed:
		case <-r.stopped:
			return Job{}, ErrStopped
		case <-ctx.Done():
			return Job{}, ctx.Err()
		}
	}
}

func (r *Runner) get(ctx context.Context, seq uint64) (j Job, err error) {
	err = r.db.View(ctx, func(tx Tx) error {
		j, err = GetSeq(tx, seq)
		return err
	})
	return j, err
}
