package jobs

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeWorker does what its functions say; without one, a Turn completes its job and Finish has nothing to do. It
// notes each call, and complains when two of a group overlap.
type fakeWorker struct {
	t        *testing.T
	db       *memDB
	onTurn   func(ctx context.Context, job Job) error
	onFinish func(ctx context.Context) (time.Duration, error)

	mu        sync.Mutex
	turns     []string // names, in the order in which the turns began
	finishes  []time.Time
	busy      map[string]bool
	finishing bool
}

func newFakeWorker(t *testing.T, db *memDB) *fakeWorker {
	return &fakeWorker{t: t, db: db, busy: map[string]bool{}}
}

func (w *fakeWorker) Turn(ctx context.Context, job Job) error {
	w.mu.Lock()
	w.turns = append(w.turns, job.Name)
	if w.busy[job.GroupARN] {
		w.t.Errorf("turn of %s overlaps another of its group", job.Name)
	}
	w.busy[job.GroupARN] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.busy[job.GroupARN] = false
		w.mu.Unlock()
	}()
	if now := w.db.job(w.t, job.Seq); job.Status != StatusInProgress || now.Status != StatusInProgress || now.Released {
		w.t.Errorf("turn of %s: handed over as %s, stored as %s, released %v", job.Name, job.Status, now.Status, now.Released)
	}
	if w.onTurn != nil {
		return w.onTurn(ctx, job)
	}
	return w.complete(ctx, job)
}

func (w *fakeWorker) Finish(ctx context.Context) (time.Duration, error) {
	w.mu.Lock()
	w.finishes = append(w.finishes, time.Now())
	if w.finishing {
		w.t.Error("two calls of Finish overlap")
	}
	w.finishing = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.finishing = false
		w.mu.Unlock()
	}()
	if w.onFinish != nil {
		return w.onFinish(ctx)
	}
	return 0, nil
}

func (w *fakeWorker) complete(ctx context.Context, job Job) error {
	return w.db.Update(ctx, func(tx Tx) error {
		_, err := Transition(tx, job.Seq, StatusInProgress, StatusCompleted, time.Now(), func(j *Job) {
			if j.Kind == KindDeletion {
				setDeleted(1)(j)
			}
		})
		return err
	})
}

func (w *fakeWorker) release(ctx context.Context, job Job) error {
	return w.db.Update(ctx, func(tx Tx) error {
		_, err := Modify(tx, job.Seq, StatusInProgress, time.Now(), func(j *Job) { j.Released = true })
		return err
	})
}

// completeReleased is a Finish that completes all Released jobs.
func (w *fakeWorker) completeReleased(ctx context.Context) (time.Duration, error) {
	var open []Job
	err := w.db.View(ctx, func(tx Tx) (err error) { open, err = Unfinished(tx); return err })
	for _, j := range open {
		if err == nil && j.Released {
			err = w.complete(ctx, j)
		}
	}
	return 0, err
}

func (w *fakeWorker) order() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.turns, " ")
}

// waits are the times between the calls of Finish.
func (w *fakeWorker) waits() (d []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.finishes); i++ {
		d = append(d, w.finishes[i].Sub(w.finishes[i-1]))
	}
	return d
}

// inBubble runs fn in a synctest bubble with a store, a worker and a runner that isn't started, and checks the
// store at the end.
func inBubble(t *testing.T, fn func(t *testing.T, db *memDB, w *fakeWorker, r *Runner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := newMemDB()
		w := newFakeWorker(t, db)
		r := NewRunner(db, w, nil)
		defer db.check(t)
		defer r.Stop()
		fn(t, db, w, r)
	})
}

func start(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wait(t *testing.T, r *Runner, seq uint64, want Status) Job {
	t.Helper()
	j, err := r.Wait(t.Context(), seq)
	if err != nil || j.Status != want {
		t.Fatalf("job %d: %s, %v; want %s", seq, j.Status, err, want)
	}
	return j
}
