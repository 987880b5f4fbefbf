package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// unknownIDs is a list that takes several commits to read.
const unknownIDs = 300_000

// whileReading calls do when a part of a job's list was read and committed, and reports whether the rest was still to be
// read then.
func whileReading(t *testing.T, e *engine.Engine, job engine.Job, do func()) bool {
	t.Helper()
	for {
		now := must[engine.Job](t)(e.DescribeDataDeletionJob(context.Background(), job.Name))
		if now.Counts.Listed > 0 {
			do()
			return now.Counts.Listed < unknownIDs && !now.Status.Terminal()
		}
		if now.Status.Terminal() {
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// changes are what can happen to a list that is being read.
var changes = map[string]func(path string) error{
	"grows": func(path string) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("SECRET-more\n")
		return errors.Join(err, f.Close())
	},
	"shrinks":  func(path string) error { return os.Truncate(path, 100) },
	"vanishes": os.Remove,
	"is replaced": func(path string) error {
		return errors.Join(os.WriteFile(path+".new", []byte("USER_ID\nSECRET\n"), 0o600), os.Rename(path+".new", path))
	},
}

func TestListChangesWhileItIsRead(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			path, log := storePath(t), new(logBuffer)
			e := open(t, path, engine.Options{Codec: engine.CodecNone, Logger: log.logger()})
			importSmall(t, e)
			before := allRows(t, e)
			list := writeFile(t, t.TempDir(), "list.csv", manyIDs(unknownIDs))
			job := must[engine.Job](t)(e.CreateDataDeletionJob(context.Background(), engine.NewDataDeletionJob{Group: "g", Source: list}))
			if !whileReading(t, e, job, func() {
				if err := change(list); err != nil {
					t.Fatal(err)
				}
			}) {
				t.Skip("the list was read before it could be changed")
			}
			failed(t, e, path, job, log, before, "list.csv", "changed")
		})
	}
}

func TestListChangesBetweenStopAndResume(t *testing.T) {
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			path, log := storePath(t), new(logBuffer)
			opts := engine.Options{Codec: engine.CodecNone, Logger: log.logger()}
			e := open(t, path, opts)
			importSmall(t, e)
			before := allRows(t, e)
			list := writeFile(t, t.TempDir(), "list.csv", manyIDs(unknownIDs))
			job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
			if !whileReading(t, e, job, func() { mustClose(t, e) }) {
				t.Skip("the list was read before the engine was closed")
			}
			if err := change(list); err != nil {
				t.Fatal(err)
			}
			e = open(t, path, opts)
			reason := "changed"
			if name == "vanishes" {
				reason = "no such file"
			}
			failed(t, e, path, job, log, before, "list.csv", reason)
		})
	}
}

// TestResume stops a deletion again and again while it reads its list: nothing is counted twice.
func TestResume(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	importSmall(t, e)
	list := filepath.Join(t.TempDir(), "list.csv")
	text := manyIDs(unknownIDs)
	writeFile(t, filepath.Dir(list), "list.csv", text+text[len("USER_ID\n"):]) // every ID twice
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
	for range 3 {
		whileReading(t, e, job, func() { mustClose(t, e) })
		e = open(t, path, engine.Options{})
		if resumed := e.Resumed(); len(resumed) != 1 || resumed[0].Seq != job.Seq {
			t.Errorf("resumed %d jobs, want the one that was stopped", len(resumed))
		}
	}
	done := must[engine.Job](t)(e.Wait(ctx, job))
	want := engine.Job{}.Counts
	want.Listed, want.Matched, want.Unknown, want.Duplicate = 2*(unknownIDs+2), 2, unknownIDs, unknownIDs+2
	got := done.Counts
	if got.Listed != want.Listed || got.Matched != want.Matched || got.Unknown != want.Unknown || got.Duplicate != want.Duplicate {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if *done.NumDeleted != 2*11 {
		t.Errorf("deleted %d rows, want 22", *done.NumDeleted)
	}
}

func TestSixthPendingJob(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	users := importSmall(t, e)
	// The first one keeps the group busy.
	list := writeFile(t, t.TempDir(), "list.csv", manyIDs(1_000_000))
	first := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
	if !whileReading(t, e, first, func() {}) {
		t.Skip("the list was read already")
	}
	var waiting []engine.Job
	for i := range 5 {
		n := engine.NewDataDeletionJob{Group: "g", Source: listFile(t, users[10+i])}
		waiting = append(waiting, must[engine.Job](t)(e.CreateDataDeletionJob(ctx, n)))
	}
	if now := must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, waiting[0].Name)); now.Status != engine.StatusPending {
		t.Skip("the first job was over already")
	}
	_, err := e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: listFile(t, users[20])})
	if !errors.Is(err, engine.ErrLimit) {
		t.Errorf("a sixth job: %v, want ErrLimit", err)
	}
	// Imports don't count, nor do other groups.
	createGroup(t, e, "other", testSchemas)
	deleteUsers(t, e, "other", "somebody")
	if now := must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, first.Name)); now.Status.Terminal() {
		t.Log("the first job was over before that of the other group")
	}
	for i, job := range append([]engine.Job{first}, waiting...) {
		done := must[engine.Job](t)(e.Wait(ctx, job))
		if want := int64(11); i > 0 && *done.NumDeleted != want {
			t.Errorf("job %d deleted %d rows, want %d", i, *done.NumDeleted, want)
		}
	}
}
