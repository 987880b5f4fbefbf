package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunnerTurnsInOrderOfCreation(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onTurn = func(ctx context.Context, job Job) error {
			time.Sleep(time.Second)
			return w.complete(ctx, job)
		}
		for i := range 5 {
			db.create(t, deletion(fmt.Sprint("d", i), "g"))
			db.create(t, importing(fmt.Sprint("i", i), "g"))
		}
		began := time.Now()
		start(t, r)
		wait(t, r, 10, StatusCompleted)
		if got, want := w.order(), "d0 i0 d1 i1 d2 i2 d3 i3 d4 i4"; got != want {
			t.Errorf("turns %s, want %s", got, want)
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("10 turns of a second took %v", d)
		}
	})
}

func TestRunnerGroupsDontWaitForEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onTurn = func(ctx context.Context, job Job) error {
			if job.Name == "stuck" {
				<-ctx.Done()
				return ctx.Err()
			}
			return w.complete(ctx, job)
		}
		db.create(t, deletion("stuck", "a"))
		behind := db.create(t, deletion("behind", "a"))
		start(t, r)
		for i := range 3 {
			j := db.create(t, deletion(fmt.Sprint("free", i), fmt.Sprint("g", i)))
			r.Wake()
			wait(t, r, j.Seq, StatusCompleted)
		}
		synctest.Wait()
		if j := db.job(t, behind.Seq); j.Status != StatusPending {
			t.Errorf("the job behind the stuck one is %s", j.Status)
		}
	})
}

func TestRunnerReleasedJobGivesUpItsTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onTurn = w.release
		hold := true
		w.onFinish = func(ctx context.Context) (time.Duration, error) {
			if hold {
				return 0, nil
			}
			return w.completeReleased(ctx)
		}
		db.create(t, deletion("a", "g"))
		db.create(t, deletion("b", "g"))
		start(t, r)
		synctest.Wait()
		if got := w.order(); got != "a b" {
			t.Fatalf("turns %q, want a b", got)
		}
		for seq := range uint64(2) {
			if j := db.job(t, seq+1); j.Status != StatusInProgress || !j.Released {
				t.Errorf("job %d is %s, released %v", j.Seq, j.Status, j.Released)
			}
		}
		hold = false
		r.Wake()
		wait(t, r, 1, StatusCompleted)
		wait(t, r, 2, StatusCompleted)
	})
}

func TestRunnerStopAndRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, first *Runner) {
		w.onTurn = func(ctx context.Context, job Job) error {
			if err := db.Update(ctx, func(tx Tx) error {
				_, err := Modify(tx, job.Seq, StatusInProgress, time.Now(), func(j *Job) { j.Checkpoint = []byte("3") })
				return err
			}); err != nil {
				return err
			}
			<-ctx.Done()
			return errors.New("interrupted")
		}
		for i := range 3 {
			db.create(t, deletion(fmt.Sprint("j", i), "g"))
		}
		start(t, first)
		synctest.Wait()
		waited := make(chan error)
		go func() {
			_, err := first.Wait(t.Context(), 1)
			waited <- err
		}()
		synctest.Wait()
		first.Stop()
		first.Stop()
		wantErr(t, <-waited, ErrStopped)
		wantErr(t, first.Start(t.Context()), ErrStopped)
		_, err := first.Wait(t.Context(), 1)
		wantErr(t, err, ErrStopped)
		if j := db.job(t, 1); j.Status != StatusInProgress || j.FailureReason != "" {
			t.Errorf("stopping made the job %s", j.Status)
		}

		var resumed []string
		w.onTurn = func(ctx context.Context, job Job) error {
			resumed = append(resumed, fmt.Sprint(job.Name, string(job.Checkpoint)))
			return w.complete(ctx, job)
		}
		second := NewRunner(db, w, nil)
		defer second.Stop()
		start(t, second)
		wait(t, second, 3, StatusCompleted)
		if want := []string{"j03", "j1", "j2"}; !slices.Equal(resumed, want) {
			t.Errorf("resumed %v, want %v", resumed, want)
		}
	})
}

// The jobs are read while a turn is being taken, and what was read arrives after its end.
func TestRunnerReadsOldState(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onTurn = func(ctx context.Context, job Job) error {
			time.Sleep(10 * time.Second)
			return w.complete(ctx, job)
		}
		db.create(t, deletion("a", "g"))
		db.create(t, deletion("b", "g"))
		start(t, r)
		time.Sleep(5 * time.Second)
		db.slowNextView(10 * time.Second)
		r.Wake()
		wait(t, r, 2, StatusCompleted)
		if got := w.order(); got != "a b" {
			t.Errorf("turns %s, want a b", got)
		}
	})
}

func TestNextTurns(t *testing.T) {
	job := func(seq uint64, group string, s Status, released bool) Job {
		return Job{Spec: Spec{GroupARN: group}, Seq: seq, Status: s, Released: released}
	}
	for name, tc := range map[string]struct {
		open []Job
		want map[string]uint64
	}{
		"none": {nil, map[string]uint64{}},
		"oldest": {[]Job{job(1, "a", StatusPending, false), job(2, "a", StatusPending, false), job(3, "b", StatusPending, false)},
			map[string]uint64{"a": 1, "b": 3}},
		"interrupted first": {[]Job{job(1, "a", StatusPending, false), job(2, "a", StatusInProgress, false), job(3, "a", StatusPending, false)},
			map[string]uint64{"a": 2}},
		"oldest interrupted": {[]Job{job(1, "a", StatusInProgress, false), job(2, "a", StatusInProgress, false)},
			map[string]uint64{"a": 1}},
		"released": {[]Job{job(1, "a", StatusInProgress, true), job(2, "b", StatusInProgress, true), job(3, "b", StatusPending, false)},
			map[string]uint64{"b": 3}},
	} {
		got := map[string]uint64{}
		for group, j := range nextTurns(tc.open) {
			got[group] = j.Seq
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestRunnerTurnFails(t *testing.T) {
	for name, tc := range map[string]struct{ err, reason string }{
		"error":            {"lists/a.csv: line 3: empty ID; remove the line", "lists/a.csv: line 3: empty ID; remove the line"},
		"error, no text":   {"", "unknown error; create another job"},
		"nothing done":     {"nil", errTurnLeft.Error()},
		"cancelled inside": {"context", context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
				w.onTurn = func(ctx context.Context, job Job) error {
					switch {
					case job.Name != "bad":
						return w.complete(ctx, job)
					case tc.err == "nil":
						return nil
					case tc.err == "context":
						return context.Canceled
					}
					return errors.New(tc.err)
				}
				db.create(t, deletion("bad", "g"))
				db.create(t, deletion("good", "g"))
				start(t, r)
				if j := wait(t, r, 1, StatusFailed); j.FailureReason != tc.reason || j.NumDeleted != nil {
					t.Errorf("failed with %q, want %q", j.FailureReason, tc.reason)
				}
				wait(t, r, 2, StatusCompleted)
			})
		})
	}
}

// The commit that releases the job reports an error and has happened.
func TestRunnerErrorAfterRelease(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onTurn = func(ctx context.Context, job Job) error {
			if err := w.release(ctx, job); err != nil {
				return err
			}
			return errors.New("commit: outcome unknown")
		}
		w.onFinish = w.completeReleased
		db.create(t, deletion("a", "g"))
		start(t, r)
		if j := wait(t, r, 1, StatusCompleted); j.FailureReason != "" {
			t.Errorf("failure reason %q", j.FailureReason)
		}
	})
}

// The store can't be written for a while; or it can, and says that it couldn't.
func TestRunnerStoreFails(t *testing.T) {
	for _, commits := range []bool{false, true} {
		t.Run(fmt.Sprint("commits ", commits), func(t *testing.T) {
			inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
				boom := errors.New("disk full")
				left := 0
				fault := func() (bool, error) {
					if left--; left >= 0 {
						return commits, boom
					}
					return true, nil
				}
				w.onTurn = func(context.Context, Job) error {
					db.setFault(nil)
					left = 20
					db.setFault(fault)
					return errors.New("bad list")
				}
				db.create(t, deletion("a", "g"))
				left = 3
				db.setFault(fault)
				began := time.Now()
				start(t, r)
				if j := wait(t, r, 1, StatusFailed); j.FailureReason != "bad list" {
					t.Errorf("failure reason %q", j.FailureReason)
				}
				if got := w.order(); got != "a" {
					t.Errorf("turns %q, want one", got)
				}
				// 3 waits before the turn; after it 20, of which all but the first 7 are the longest. A commit that
				// happened is seen at the second attempt.
				want := (50+100+200)*time.Millisecond + (50+100+200+400+800+1600+3200)*time.Millisecond + 13*5*time.Second
				if commits {
					want = 50 * time.Millisecond
				}
				if d := time.Since(began); d < want || !commits && d > want {
					t.Errorf("took %v, want %v", d, want)
				}
			})
		})
	}
}

func TestRunnerStopWhileStoreFails(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		db.create(t, deletion("a", "g"))
		db.setFault(func() (bool, error) { return false, errors.New("disk full") })
		start(t, r)
		time.Sleep(time.Hour)
		r.Stop()
		if j := db.job(t, 1); j.Status != StatusPending || w.order() != "" {
			t.Errorf("job is %s, turns %q", j.Status, w.order())
		}
	})
}

func TestRunnerFinishBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		var works atomic.Bool
		w.onFinish = func(context.Context) (time.Duration, error) {
			if !works.Load() {
				return time.Minute, errors.New("a reader holds on")
			}
			return 0, nil
		}
		start(t, r)
		time.Sleep(120 * time.Second)
		ms := time.Millisecond
		want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms, 30000 * ms}
		if got := w.waits(); !slices.Equal(got, want) {
			t.Fatalf("waits %v, want %v", got, want)
		}
		r.Wake()
		synctest.Wait()
		time.Sleep(350 * ms)
		if got := w.waits()[len(want)+1:]; !slices.Equal(got, []time.Duration{100 * ms, 200 * ms}) {
			t.Errorf("waits after Wake %v, want them to begin anew", got)
		}
		works.Store(true)
		time.Sleep(time.Hour)
		n := len(w.waits())
		time.Sleep(time.Hour)
		if got := len(w.waits()); got != n {
			t.Errorf("%d calls with nothing to do", got-n)
		}
	})
}

func TestRunnerFinishAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onFinish = func(context.Context) (time.Duration, error) { return 7 * time.Second, nil }
		start(t, r)
		time.Sleep(15 * time.Second)
		if got, want := w.waits(), []time.Duration{7 * time.Second, 7 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("waits %v, want %v", got, want)
		}
	})
}

func TestRunnerWait(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		db.create(t, deletion("a", "g"))
		_, err := r.Wait(t.Context(), 9)
		wantErr(t, err, ErrNotFound)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		views := db.views
		_, err = r.Wait(ctx, 1)
		wantErr(t, err, context.DeadlineExceeded)
		if got := db.views - views; got != 1 {
			t.Errorf("%d reads while nothing happened, want 1", got)
		}

		// Notify inside Finish is enough to end a Wait, before Finish is done.
		w.onTurn = w.release
		hold := make(chan struct{})
		w.onFinish = func(ctx context.Context) (time.Duration, error) {
			again, err := w.completeReleased(ctx)
			r.Notify()
			<-hold
			return again, err
		}
		start(t, r)
		synctest.Wait()
		hold <- struct{}{} // the first call found nothing
		wait(t, r, 1, StatusCompleted)
		close(hold)
	})
}

func TestRunnerContextEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		w.onTurn = func(ctx context.Context, _ Job) error { <-ctx.Done(); return ctx.Err() }
		db.create(t, deletion("a", "g"))
		ctx, cancel := context.WithCancel(t.Context())
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx); err != nil {
			t.Errorf("second Start: %v", err)
		}
		time.AfterFunc(time.Second, cancel)
		_, err := r.Wait(t.Context(), 1)
		wantErr(t, err, ErrStopped)
		synctest.Wait()
		if j := db.job(t, 1); j.Status != StatusInProgress {
			t.Errorf("job is %s", j.Status)
		}
		if got := w.order(); got != "a" {
			t.Errorf("turns %q, want one", got)
		}
	})
}

func TestRunnerStartReportsDamage(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, r *Runner) {
		db.create(t, deletion("a", "g"))
		sound := db.data
		db.data = (&memTx{data: sound}).snapshot()
		db.data[string(seqKey(recordPrefix, 1))] = "damaged"
		var corrupt *CorruptError
		if err := r.Start(t.Context()); !errors.As(err, &corrupt) || corrupt.Seq != 1 {
			t.Errorf("Start: %v, want a CorruptError of job 1", err)
		}
		db.data = sound
		start(t, r)
		wait(t, r, 1, StatusCompleted)
	})
}

// What is logged holds neither tags nor the source.
func TestRunnerLog(t *testing.T) {
	inBubble(t, func(t *testing.T, db *memDB, w *fakeWorker, _ *Runner) {
		var out strings.Builder
		r := NewRunner(db, w, slog.New(slog.NewTextHandler(&out, nil)))
		w.onTurn = func(context.Context, Job) error { return errors.New("line 3") }
		spec := deletion("a", "g")
		spec.Source, spec.Tags = "secret.csv", []Tag{{"secret", "secret"}}
		db.create(t, spec)
		start(t, r)
		wait(t, r, 1, StatusFailed)
		r.Stop()
		if text := out.String(); strings.Contains(text, "secret") || !strings.Contains(text, "data-deletion-job/a") || !strings.Contains(text, "line 3") {
			t.Errorf("log: %s", text)
		}
	})
}

// Many groups, with jobs created from many goroutines while turns are taken: for the race detector, and for signals
// that could be lost.
func TestRunnerManyGroups(t *testing.T) {
	db := newMemDB()
	w := newFakeWorker(t, db)
	w.onTurn = func(ctx context.Context, job Job) error {
		if job.Seq%2 == 0 {
			return w.release(ctx, job)
		}
		return w.complete(ctx, job)
	}
	w.onFinish = w.completeReleased
	r := NewRunner(db, w, nil)
	start(t, r)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 8 {
				var j Job
				err := db.Update(t.Context(), func(tx Tx) (err error) {
					j, err = Create(tx, DefaultAccount(), deletion(fmt.Sprintf("g%d-%d", g, i), fmt.Sprint("g", g)), time.Now())
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				r.Wake()
				if i%4 == 3 {
					if j, err := r.Wait(t.Context(), j.Seq); err != nil || j.Status != StatusCompleted {
						t.Errorf("job %d: %s, %v", j.Seq, j.Status, err)
					}
				}
			}
		})
	}
	all.Wait()
	r.Stop()
	db.check(t)
	for seq := range uint64(64) {
		if j := db.job(t, seq+1); j.Status != StatusCompleted {
			t.Errorf("job %d is %s", j.Seq, j.Status)
		}
	}
	for i := range 8 {
		last := -1
		for _, name := range w.turns {
			var g, n int
			if _, err := fmt.Sscanf(name, "g%d-%d", &g, &n); err != nil {
				t.Fatal(err)
			}
			if g == i && n <= last {
				t.Errorf("group %d: job %d after %d", g, n, last)
			} else if g == i {
				last = n
			}
		}
	}
}
