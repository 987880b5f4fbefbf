package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// waitFor waits until a job is as wanted.
func waitFor(t *testing.T, e *engine.Engine, job engine.Job, what string, ok func(engine.Job) bool) engine.Job {
	t.Helper()
	for range 6000 {
		now := must[engine.Job](t)(e.DescribeDataDeletionJob(context.Background(), job.Name))
		if ok(now) {
			return now
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("job %s never %s", job.Name, what)
	return job
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	return must[os.FileInfo](t)(os.Stat(path)).Size()
}

func TestFullDiskBeforeThePointOfNoReturn(t *testing.T) {
	ctx := context.Background()
	path, log := storePath(t), new(logBuffer)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	before := allRows(t, e)
	mustClose(t, e)
	e = open(t, path, engine.Options{MaxSize: fileSize(t, path) + 3<<20, Logger: log.logger()})
	list := writeFile(t, t.TempDir(), "list.csv", manyIDs(unknownIDs))
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}))
	failed(t, e, path, job, log, before, "no space left")
	// An import fails too, and what failed leaves room for what fits.
	rows := writeFile(t, t.TempDir(), "rows.csv", "USER_ID,AGE,CITY\n"+strings.ReplaceAll(manyIDs(unknownIDs)[len("USER_ID\n"):], "\n", ",1,x\n"))
	imp := must[engine.Job](t)(e.CreateDatasetImportJob(ctx, engine.NewDatasetImportJob{Group: "g", Type: engine.Users, Source: rows, Mode: engine.ImportFull}))
	failed(t, e, path, imp, log, before, "no space left")
	if job := deleteUsers(t, e, "g", "user-01"); *job.NumDeleted != 11 {
		t.Errorf("deleted %d rows, want 11", *job.NumDeleted)
	}
}

// importWide makes a group w whose users have rows in many blocks.
func importWide(t *testing.T, e *engine.Engine) (list string) {
	createGroup(t, e, "w", testSchemas)
	var b strings.Builder
	b.WriteString("USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n")
	var gone []string
	for u := range 2000 {
		if u%4 == 0 {
			gone = append(gone, fmt.Sprintf("SECRET-%d", u))
		}
		for k := range 60 {
			id := fmt.Sprintf("user-%d", u)
			if u%4 == 0 {
				id = gone[len(gone)-1]
			}
			fmt.Fprintf(&b, "%s,item-%d,view,%d.5,%d\n", id, k*u%997, k, 1_600_000_000+k*7919+u)
		}
	}
	importText(t, e, "w", engine.Interactions, engine.ImportFull, b.String())
	return listFile(t, gone...)
}

func TestFullDiskAfterThePointOfNoReturn(t *testing.T) {
	ctx := context.Background()
	path, log := storePath(t), new(logBuffer)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	list := importWide(t, e)
	mustClose(t, e)
	e = open(t, path, engine.Options{MaxSize: fileSize(t, path) + 1<<20 + 64<<10, Logger: log.logger()})
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "w", Source: list}))
	now := waitFor(t, e, job, "said why it takes long", func(j engine.Job) bool { return j.StatusReason != "" || j.Status.Terminal() })
	if now.Status != engine.StatusInProgress || !strings.Contains(now.StatusReason, "no space left") || now.NumDeleted != nil {
		t.Errorf("job %+v", now)
	}
	if strings.Contains(now.StatusReason+log.String(), secret) {
		t.Error("the reason or the log holds an ID")
	}
	after := scan(t, e, "w", engine.Interactions)
	if len(after) != 1500*60 || strings.Contains(strings.Join(after, "\n"), secret) {
		t.Errorf("%d rows are visible, want those of the users that stay, %d", len(after), 1500*60)
	}
	mustClose(t, e)
	e = open(t, path, engine.Options{})
	done := must[engine.Job](t)(e.Wait(ctx, job))
	if *done.NumDeleted != 500*60 {
		t.Errorf("deleted %d rows, want %d", *done.NumDeleted, 500*60)
	}
	sameRows(t, "rows", scan(t, e, "w", engine.Interactions), after)
	if inFolder(t, path, secret) {
		t.Error("deleted IDs are in the store's folder")
	}
}

func TestReadOnly(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	if _, err := engine.Open(ctx, path, engine.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a store that isn't there: %v", err)
	}
	e := open(t, path, engine.Options{})
	users := importSmall(t, e)
	before := allRows(t, e)
	mustClose(t, e)
	bytesBefore := readFile(t, path)

	e = open(t, path, engine.Options{ReadOnly: true})
	other := open(t, path, engine.Options{ReadOnly: true}) // several may read
	sameData(t, allRows(t, e), before)
	sameData(t, allRows(t, other), before)
	mustCheck(t, e)
	list := listFile(t, users[:5]...)
	if dry := must[engine.DryRun](t)(e.DryRunDeletion(ctx, "g", list)); dry.NumDeleted() != 55 {
		t.Errorf("dry run of a read-only store: %+v", dry)
	}
	for what, do := range map[string]func() error{
		"delete": func() error { _, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "g", Source: list}); return err },
		"import": func() error {
			_, err := e.Import(ctx, engine.NewDatasetImportJob{Group: "g", Type: engine.Users, Source: list, Mode: engine.ImportFull})
			return err
		},
		"create group": func() error { _, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "x"}); return err },
	} {
		if err := do(); !errors.Is(err, engine.ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", what, err)
		}
	}
	if _, err := engine.Open(ctx, path, engine.Options{LockTimeout: -1}); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("opened for writing while it is read: %v, want ErrLocked", err)
	}
	mustClose(t, e)
	mustClose(t, other)
	if !bytes.Equal(readFile(t, path), bytesBefore) {
		t.Error("reading changed the file")
	}
	if n := len(folderFiles(t, path)); n != 1 {
		t.Errorf("%d files in the store's folder, want 1", n)
	}
}

// TestReadOnlyResumesNothing opens a store with a job that was stopped.
func TestReadOnlyResumesNothing(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{})
	importSmall(t, e)
	list := writeFile(t, t.TempDir(), "list.csv", manyIDs(unknownIDs))
	job := must[engine.Job](t)(e.CreateDataDeletionJob(context.Background(), engine.NewDataDeletionJob{Group: "g", Source: list}))
	if !whileReading(t, e, job, func() { mustClose(t, e) }) {
		t.Skip("the list was read already")
	}
	before := readFile(t, path)
	e = open(t, path, engine.Options{ReadOnly: true})
	if now := must[engine.Job](t)(e.DescribeDataDeletionJob(context.Background(), job.Name)); now.Status != engine.StatusInProgress {
		t.Errorf("the job is %s, want IN_PROGRESS", now.Status)
	}
	mustClose(t, e)
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("opening a store read-only changed the file")
	}
}

func TestLocked(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{})
	for _, readOnly := range []bool{false, true} {
		_, err := engine.Open(context.Background(), path, engine.Options{ReadOnly: readOnly, LockTimeout: -1})
		if !errors.Is(err, engine.ErrLocked) {
			t.Errorf("opened twice, read-only %t: %v, want ErrLocked", readOnly, err)
		}
	}
	mustClose(t, e)
}

func TestNotAStore(t *testing.T) {
	ctx := context.Background()
	path := writeFile(t, t.TempDir(), "x.expunge", "USER_ID\nSECRET\n"+strings.Repeat("SECRET\n", 10_000))
	before := readFile(t, path)
	_, err := engine.Open(ctx, path, engine.Options{})
	var corrupt *engine.CorruptError
	if !errors.Is(err, engine.ErrNotStore) && !errors.As(err, &corrupt) || strings.Contains(fmt.Sprint(err), secret) {
		t.Errorf("a file that is no store: %v", err)
	}
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("opening a file that is no store changed it")
	}
}

func TestTruncatedStore(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{})
	importSmall(t, e)
	before := allRows(t, e)
	mustClose(t, e)
	whole := readFile(t, path)
	refused := 0
	for size := 0; size < len(whole); size += 13 * 1024 {
		damaged := filepath.Join(t.TempDir(), "damaged.expunge")
		writeFile(t, filepath.Dir(damaged), "damaged.expunge", string(whole[:size]))
		e, err := engine.Open(context.Background(), damaged, engine.Options{})
		var corrupt *engine.CorruptError
		switch {
		case err == nil: // the file's end is free: nothing may be missing then
			sameData(t, allRows(t, e), before)
			mustCheck(t, e)
			mustClose(t, e)
		case errors.As(err, &corrupt) || errors.Is(err, engine.ErrNotStore):
			refused++
		default:
			t.Errorf("a store of %d bytes cut to %d: %v", len(whole), size, err)
		}
	}
	if refused < 5 {
		t.Errorf("%d cut stores were refused, want more", refused)
	}
}

// TestCutStore: another program cuts the file short while it is open. What can't be read is an error, of a job too, and
// never the end of the process.
func TestCutStore(t *testing.T) {
	ctx := context.Background()
	for _, size := range []int64{0, 4096, 5000, 64 << 10, 256 << 10} {
		path := storePath(t)
		e := must[*engine.Engine](t)(engine.Open(ctx, path, engine.Options{}))
		list := importWide(t, e)
		sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "w"))
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		rows, scanErr := int64(0), error(nil)
		for rec, err := range sn.Scan(ctx, engine.Interactions) {
			if scanErr = err; err == nil {
				rows += rec.NumRows()
				rec.Release()
			}
		}
		sn.Release()
		if corrupt := new(engine.CorruptError); !errors.As(scanErr, &corrupt) {
			t.Errorf("cut to %d: %d rows are read: %v", size, rows, scanErr)
		}
		if report, err := e.Check(ctx); err == nil && len(report.Problems) == 0 {
			t.Errorf("cut to %d: a check finds nothing", size)
		}
		job, err := e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "w", Source: list})
		for range 50 {
			if err != nil || job.Status.Terminal() || job.StatusReason != "" {
				break
			}
			time.Sleep(time.Millisecond)
			job, err = e.DescribeDataDeletionJob(ctx, job.Name)
		}
		if err == nil && job.Status == engine.StatusCompleted {
			t.Errorf("cut to %d: a deletion is COMPLETED", size)
		}
		// It finds the damage, unless a commit of the job did before, which then has said so.
		_ = e.Close(ctx)
		if _, err := engine.Open(ctx, path, engine.Options{}); err == nil {
			t.Errorf("cut to %d: the store opens", size)
		}
	}
}

// TestFlippedByte damages a block that a deletion has to rewrite.
func TestFlippedByte(t *testing.T) {
	ctx := context.Background()
	path, log := storePath(t), new(logBuffer)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	mark := "SECRETcity"
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nuser-01,1,"+mark+"\nuser-02,2,x\n")
	mustClose(t, e)
	data := readFile(t, path)
	at := bytes.Index(data, []byte(mark))
	if at < 0 {
		t.Fatal("the value isn't in the file")
	}
	data[at] ^= 1
	writeFile(t, filepath.Dir(path), filepath.Base(path), string(data))

	e, err := engine.Open(ctx, path, engine.Options{Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	report := must[engine.CheckReport](t)(e.Check(ctx))
	if len(report.Problems) == 0 {
		t.Error("a check finds nothing")
	}
	var corrupt *engine.CorruptError
	for _, err := range e.Scan(ctx, "g", engine.Users) {
		if !errors.As(err, &corrupt) {
			t.Errorf("scan: %v, want a *CorruptError", err)
		}
	}
	job := must[engine.Job](t)(e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "g", Source: listFile(t, "user-02")}))
	now := waitFor(t, e, job, "said why it takes long", func(j engine.Job) bool { return j.StatusReason != "" || j.Status.Terminal() })
	if now.Status != engine.StatusInProgress || !strings.Contains(now.StatusReason, "damaged") {
		t.Errorf("job %+v", now)
	}
	for _, text := range []string{log.String(), now.StatusReason, fmt.Sprint(corrupt), fmt.Sprint(report.Problems)} {
		if strings.Contains(text, secret) {
			t.Error("an error holds a value")
		}
	}
	mustClose(t, e)
}
