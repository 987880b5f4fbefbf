package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/expunge-db/expunge/engine"
)

const group = "bench"

// basePath is of the store that every scenario begins with a copy of, workPath of that copy.
func (b *bed) basePath() string { return filepath.Join(b.dir, "base.expunge") }
func (b *bed) workPath() string { return filepath.Join(b.dir, "work.expunge") }

// create makes a store with an empty Interactions dataset.
func create(ctx context.Context, path string) (e *engine.Engine, err error) {
	if e, err = engine.Open(ctx, path, engine.Options{}); err != nil {
		return nil, err
	}
	if _, err = e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: group}); err == nil {
		if _, err = e.CreateSchema(ctx, engine.NewSchema{Name: "interactions", Avro: []byte(InteractionsSchema)}); err == nil {
			_, err = e.CreateDataset(ctx, engine.NewDataset{
				Name: "interactions", Group: group, Type: engine.Interactions, Schema: "interactions",
			})
		}
	}
	if err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// newBase imports the dataset: once, or as often as the import is to be measured.
func (b *bed) newBase(ctx context.Context) error {
	runs := 1
	if b.wants(ScenarioImport) {
		runs = b.rc.Runs
	}
	for run := range runs {
		b.step("import", run+1, runs)
		if err := removeStore(b.basePath()); err != nil {
			return err
		}
		if err := b.settle(b.files.Interactions); err != nil {
			return err
		}
		e, err := create(ctx, b.basePath())
		if err != nil {
			return err
		}
		sample, err := b.importAll(ctx, e)
		if err := errors.Join(err, e.Close(context.WithoutCancel(ctx))); err != nil {
			return err
		}
		if b.wants(ScenarioImport) {
			b.add("Import", ScenarioImport, "import", sample)
		}
	}
	return nil
}

func (b *bed) importAll(ctx context.Context, e *engine.Engine) (Sample, error) {
	var job engine.Job
	sample, err := measure(func() (err error) {
		job, err = e.Import(ctx, engine.NewDatasetImportJob{
			Group: group, Type: engine.Interactions, Source: b.files.Interactions, Mode: engine.ImportFull,
		})
		return err
	})
	if err != nil {
		return sample, err
	}
	if job.Counts.RowsAdded != b.c.Interactions {
		return sample, fmt.Errorf("%w: the import added %d rows of %d", ErrWrongResult, job.Counts.RowsAdded, b.c.Interactions)
	}
	if sample.Size, err = allocated(b.basePath()); err != nil {
		return sample, err
	}
	return sample, check(ctx, e, b.expect.all)
}

// open opens a fresh copy of the imported store.
func (b *bed) open(ctx context.Context) (*engine.Engine, error) {
	if err := removeStore(b.workPath()); err != nil {
		return nil, err
	}
	if err := copyFile(b.workPath(), b.basePath()); err != nil {
		return nil, err
	}
	if err := b.settle(b.workPath()); err != nil {
		return nil, err
	}
	return engine.Open(ctx, b.workPath(), engine.Options{})
}

// settle syncs a file, so that its pages are not written out while something is measured, and drops it from the
// page cache if reads are to be cold.
func (b *bed) settle(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return err
	}
	if b.rc.Cold {
		return dropCached(f)
	}
	return nil
}

func copyFile(to, from string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	_, err = io.Copy(dst, src)
	return err
}

func removeStore(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// check compares all rows with what must be there.
func check(ctx context.Context, e *engine.Engine, want Totals) error {
	var got Totals
	for rec, err := range e.Scan(ctx, group, engine.Interactions) {
		if err != nil {
			return err
		}
		err = got.AddDigest(rec)
		rec.Release()
		if err != nil {
			return err
		}
	}
	return got.check(want)
}

// deletion is what one deletion job took.
type deletion struct {
	job             engine.Job
	deleted, erased time.Duration // from create to the tombstone commit, and to COMPLETED
}

// startDeletion creates a deletion job and returns when its rows are invisible, or when it has ended.
func startDeletion(ctx context.Context, e *engine.Engine, source string) (job engine.Job, began time.Time, deleted time.Duration, err error) {
	began = time.Now()
	job, err = e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: group, Source: source})
	for err == nil && !job.Released && job.Status != engine.StatusFailed {
		if err = wait(ctx, time.Since(began)); err == nil {
			job, err = e.DescribeDataDeletionJob(ctx, job.Name)
		}
	}
	return job, began, time.Since(began), err
}

// wait lets a part of the time that has gone by pass, so that asking costs little and what is measured is right
// to 2 %.
func wait(ctx context.Context, gone time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(min(max(gone/50, 50*time.Microsecond), 50*time.Millisecond)):
		return nil
	}
}

func (b *bed) delete(ctx context.Context, e *engine.Engine, source string) (d deletion, err error) {
	job, began, deleted, err := startDeletion(ctx, e, source)
	if err != nil {
		return d, err
	}
	job, err = e.Wait(ctx, job)
	return deletion{job: job, deleted: deleted, erased: time.Since(began)}, err
}

// measureDelete is delete with the other figures. The time is that until the users are erased.
func (b *bed) measureDelete(ctx context.Context, e *engine.Engine, source string) (sample Sample, d deletion, err error) {
	sample, err = measure(func() (err error) {
		d, err = b.delete(ctx, e, source)
		return err
	})
	if err != nil {
		return sample, d, err
	}
	sample.Elapsed = d.erased
	sample.Size, err = allocated(b.workPath())
	return sample, d, err
}

// checkDeleted compares what a job says it deleted.
func checkDeleted(job engine.Job, want int64) error {
	if job.NumDeleted == nil || *job.NumDeleted != want {
		return fmt.Errorf("%w: numDeleted isn't %d", ErrWrongResult, want)
	}
	return nil
}
