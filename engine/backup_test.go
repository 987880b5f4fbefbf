package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/expunge-db/expunge/engine"
)

// TestBackup backs up a store at each point of a deletion's life. The copy has what a new reader sees, and where a job was
// under way it goes on there to the same end.
func TestBackup(t *testing.T) {
	ctx := context.Background()
	path, key := storePath(t), bytes.Repeat([]byte("k"), 32)
	e := open(t, path, engine.Options{Codec: engine.CodecNone, IDKey: key})
	importSmall(t, e)
	if err := e.SetSuppression(ctx, "g", true); err != nil {
		t.Fatal(err)
	}
	deleteUsers(t, e, "g", "user-11", "stranger")
	receipts := ledger(t, e)
	backUp := func() (dest string) {
		t.Helper()
		dest = filepath.Join(t.TempDir(), "copy.expunge")
		report := must[engine.BackupReport](t)(e.Backup(ctx, dest))
		if report.Datasets != 3 || report.Bytes == 0 {
			t.Errorf("backup %+v", report)
		}
		return dest
	}
	same := func(dest string, jobs ...engine.Job) {
		t.Helper()
		want := allRows(t, e)
		ro := must[*engine.Engine](t)(engine.Open(ctx, dest, engine.Options{ReadOnly: true}))
		sameData(t, allRows(t, ro), want)
		if entries := ledger(t, ro); export(entries...) != export(receipts...) {
			t.Error("the copy's ledger is another one")
		}
		mustClose(t, ro)
		if inFolder(t, dest, "user-11") || inFolder(t, dest, "stranger") {
			t.Error("a deleted user is in the copy")
		}
		if _, err := engine.Open(ctx, dest, engine.Options{}); !errors.Is(err, engine.ErrKey) {
			t.Errorf("the copy opens without the key: %v", err)
		}
		c := open(t, dest, engine.Options{IDKey: key})
		for _, job := range jobs {
			done := must[engine.Job](t)(c.Wait(ctx, job))
			if inFolder(t, dest, "user-01") || inFolder(t, dest, secret) {
				t.Errorf("job %s is %s in the copy, and its users are there", job.Name, done.Status)
			}
		}
		if _, err := c.VerifyLedger(ctx, receipts[0].Digest()); err != nil {
			t.Error(err)
		}
		n := len(jobs) * 2 // user-01 and user-02
		if job := importText(t, c, "g", engine.Users, engine.ImportIncremental, "USER_ID,AGE,CITY\nuser-11,1,\nstranger,1,\nuser-01,1,\nuser-02,1,\n"); job.Counts.RowsSuppressed != int64(2+n) {
			t.Errorf("an import into the copy: %+v", job.Counts)
		}
		mustCheck(t, c)
		mustClose(t, c)
	}
	same(backUp())

	list := writeFile(t, t.TempDir(), "list.csv", manyIDs(unknownIDs))
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
	var dest string
	var before map[string][]string
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g")) // so that the job can't end
	reading := whileReading(t, e, job, func() { before, dest = allRows(t, e), backUp() })
	waitFor(t, e, job, "waited", isWaiting)
	if !reading {
		t.Log("the list was read before the backup")
	} else {
		ro := must[*engine.Engine](t)(engine.Open(ctx, dest, engine.Options{ReadOnly: true}))
		sameData(t, allRows(t, ro), before)
		if got := must[engine.Job](t)(ro.DescribeDataDeletionJob(ctx, job.Name)); got.Counts.Listed != 0 || got.Status != engine.StatusInProgress {
			t.Errorf("the job in the copy: %s, %+v", got.Status, got.Counts)
		}
		mustClose(t, ro)
		if inFolder(t, dest, secret) {
			t.Error("staged IDs are in the copy")
		}
		c := open(t, dest, engine.Options{IDKey: key})
		done := must[engine.Job](t)(c.Wait(ctx, job))
		if done.Counts.Listed != unknownIDs+2 || done.Counts.Unknown != unknownIDs || *done.NumDeleted != 22 {
			t.Errorf("the job ended in the copy with %+v", done.Counts)
		}
		if s := must[engine.Suppression](t)(c.Suppressed(ctx, "g")); s.Users != 2+unknownIDs+2 {
			t.Errorf("suppressed in the copy: %+v", s)
		}
		sameData(t, allRows(t, c), allRows(t, e)) // the new readers of the store
		mustClose(t, c)
	}
	same(backUp(), job) // invisible, and held by the snapshot
	sn.Release()
	must[engine.Job](t)(e.Wait(ctx, job))
	receipts = ledger(t, e)
	same(backUp(), must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, job.Name)))

	dest = backUp()
	if _, err := e.Backup(ctx, dest); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a file that is there: %v", err)
	}
	if _, err := e.Backup(ctx, path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto itself: %v", err)
	}
	if _, err := e.Backup(ctx, filepath.Join(dest, "x")); err == nil {
		t.Error("into what is no folder")
	}
	mustClose(t, e)
	// Read-only, and without the key.
	file := readFile(t, path)
	ro := must[*engine.Engine](t)(engine.Open(ctx, path, engine.Options{ReadOnly: true}))
	dest = filepath.Join(t.TempDir(), "copy.expunge")
	must[engine.BackupReport](t)(ro.Backup(ctx, dest))
	mustClose(t, ro)
	if !slices.Equal(readFile(t, path), file) {
		t.Error("the backup changed the store")
	}
	if _, err := engine.Open(ctx, dest, engine.Options{IDKey: []byte(fmt.Sprintf("%032d", 1))}); !errors.Is(err, engine.ErrKey) {
		t.Errorf("opened with another key: %v", err)
	}
	c := open(t, dest, engine.Options{IDKey: key})
	if _, deleted, _, err := c.MatchLedger(ctx, "g", list); err != nil || deleted != 2 {
		t.Errorf("matched %d users in the copy, %v", deleted, err)
	}
}

// TestBackupHoldsDeletion: a deletion that comes while a backup is made waits for it, and ends by itself.
func TestBackupHoldsDeletion(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e := open(t, storePath(t), engine.Options{Codec: engine.CodecNone})
	list := importWide(t, e)
	dest := filepath.Join(t.TempDir(), "copy.expunge")
	var backup errgroup.Group
	backup.Go(func() error {
		_, err := e.Backup(ctx, dest)
		return err
	})
	eventually(t, "the backup has begun", func() bool { return len(folderFiles(t, dest)) > 0 })
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "w", Source: list}))
	now := waitFor(t, e, job, "waits or ends", func(j engine.Job) bool { return j.StatusReason != "" || j.Status.Terminal() })
	t.Logf("while the backup is made: %s, %s", now.Status, now.StatusReason)
	if err := backup.Wait(); err != nil {
		t.Fatal(err)
	}
	if done := must[engine.Job](t)(e.Wait(ctx, job)); done.Status != engine.StatusCompleted {
		t.Errorf("job %+v", done)
	}
}
