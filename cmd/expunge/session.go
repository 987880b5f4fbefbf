package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// read runs do on the store, opened read-only.
func (a *app) read(ctx context.Context, do func(*engine.Engine) error) (err error) {
	key, err := a.key()
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, a.store, engine.Options{ReadOnly: true, IDKey: key, Logger: a.log})
	if err != nil {
		return a.openError(err)
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	return do(e)
}

// write runs do on the store, opened for writing. What an earlier process left unfinished goes on meanwhile.
func (a *app) write(ctx context.Context, do func(*engine.Engine) error) error {
	if !a.storeExists() { // a mistyped path mustn't leave an empty store behind
		return a.openError(fs.ErrNotExist)
	}
	return a.create(ctx, engine.Options{}, do)
}

// create is write that makes the store if it is missing. The key and the logger are added to opts.
func (a *app) create(ctx context.Context, opts engine.Options, do func(*engine.Engine) error) (err error) {
	key, err := a.key()
	if err != nil {
		return err
	}
	if opts.Locations == nil {
		if err := a.refuseRemote(ctx); err != nil {
			return err
		}
	}
	opts.IDKey, opts.Logger = key, a.log
	e, err := engine.Open(ctx, a.store, opts)
	if errors.Is(err, fs.ErrNotExist) {
		return nextStep(err, "Make the folder first, or give another --store.")
	}
	if err != nil {
		return a.openError(err)
	}
	defer func() {
		closeErr := a.status.during("Closing the store", func() error { return e.Close(context.WithoutCancel(ctx)) })
		if closeErr != nil {
			closeErr = fmt.Errorf("close store: %w", closeErr)
		}
		err = errors.Join(err, closeErr)
	}()
	return do(e)
}

// refuseRemote is an error if the store has an unfinished job whose locations only 'expunge serve' knows: opened without
// them the job would go on, and fail.
func (a *app) refuseRemote(ctx context.Context) error {
	if !a.storeExists() {
		return nil
	}
	return a.read(ctx, func(e *engine.Engine) error {
		jobs, err := e.UnfinishedJobs(ctx)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if strings.HasPrefix(j.Source, "s3://") || strings.HasPrefix(j.Destination, "s3://") {
				return nextStep(fmt.Errorf("%s %s is unfinished and needs s3:// locations", kindOf(j), j.Name),
					"Have it finished first: expunge serve --store %s, with the flags that the server had.", quote(a.store))
			}
		}
		return nil
	})
}

func (a *app) storeExists() bool {
	_, err := os.Stat(a.store)
	return !errors.Is(err, fs.ErrNotExist)
}

// errStopped is the end of a command whose job goes on when the store is opened again.
var errStopped = errors.New("stopped")

// finishOthers waits for the jobs that an earlier process left unfinished, except the one with sequence number own. A
// job that fails is told to the user and keeps nobody from going on.
func (a *app) finishOthers(ctx context.Context, e *engine.Engine, own uint64) error {
	for _, job := range e.Resumed() {
		if job.Seq == own {
			continue
		}
		a.status.printf("Finishing %s %s of group %s first, which was left %s.\n", kindOf(job), job.Name, groupOf(job), job.Status)
		_, err := a.wait(ctx, e, job)
		var failed *engine.JobError
		if errors.As(err, &failed) {
			a.status.printf("expunge: %v\n", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// wait waits for a job and shows how far it is. A failed job is an *[engine.JobError]; errStopped says that ctx ended and
// the job goes on another time.
func (a *app) wait(ctx context.Context, e *engine.Engine, job engine.Job) (engine.Job, error) {
	type outcome struct {
		job engine.Job
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		done, err := e.Wait(ctx, job)
		ended <- outcome{done, err}
	}()
	defer a.status.clear()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	reason := ""
	for n := 1; ; n++ {
		select {
		case o := <-ended:
			if o.err != nil && ctx.Err() != nil {
				return o.job, errStopped
			}
			return o.job, o.err
		case <-tick.C:
			a.showJob(e, job)
			if n%10 != 0 {
				continue
			}
			if now, err := describe(ctx, e, job.Kind, job.ARN); err == nil && now.StatusReason != "" && now.StatusReason != reason {
				reason = now.StatusReason
				a.status.printf("Job %s: %s.\n", job.Name, reason)
			}
		}
	}
}

// stepLabels are short: with the name of the job the bar wouldn't fit on the line of a terminal.
var stepLabels = map[engine.Step]string{
	engine.StepReading: "Reading", engine.StepStoring: "Storing", engine.StepDeleting: "Deleting",
	engine.StepErasing: "Erasing", engine.StepScrubbing: "Scrubbing", engine.StepExporting: "Exporting",
}

func (a *app) showJob(e *engine.Engine, job engine.Job) {
	p, ok := e.Progress(job)
	if !ok {
		a.status.show(progress{label: "Waiting"})
		return
	}
	a.status.show(progress{label: stepLabels[p.Step], done: p.Done, total: p.Total, unit: p.Unit})
}

// describe reads a job.
func describe(ctx context.Context, e *engine.Engine, kind engine.JobKind, nameOrARN string) (engine.Job, error) {
	switch kind {
	case engine.KindImport:
		return e.DescribeDatasetImportJob(ctx, nameOrARN)
	case engine.KindExport:
		return e.DescribeDatasetExportJob(ctx, nameOrARN)
	}
	return e.DescribeDataDeletionJob(ctx, nameOrARN)
}

// attach looks for the job that the command is asked for by name. It returns false if the name is free, the job if it is
// one that was left unfinished and was made from the same arguments, and an error otherwise.
func attach(ctx context.Context, e *engine.Engine, want engine.Job) (engine.Job, bool, error) {
	if want.Name == "" {
		return want, false, nil
	}
	for _, job := range e.Resumed() { // it may have ended by now, but is still the one that was asked for
		if job.Kind != want.Kind || job.Name != want.Name {
			continue
		}
		if groupOf(job) == groupOf(want) && typeOf(job) == typeOf(want) && job.Source == want.Source && job.Mode == want.Mode {
			return job, true, nil
		}
		return want, false, nextStep(fmt.Errorf("%s %s is unfinished and was created with other arguments", kindOf(job), job.Name),
			"It goes on now. Choose another --job-name, or see what it does: expunge job %s", job.ARN)
	}
	job, err := describe(ctx, e, want.Kind, want.Name)
	if errors.Is(err, engine.ErrNotFound) {
		return want, false, nil
	}
	if err != nil {
		return want, false, err
	}
	return want, false, nextStep(fmt.Errorf("%s %s exists already and is %s", kindOf(job), job.Name, job.Status),
		"Choose another --job-name, or leave it out to have one made.")
}

// runJob waits for a job to end: one that attach found, or else what create makes. All that was left unfinished comes
// before it.
func (a *app) runJob(ctx context.Context, e *engine.Engine, job engine.Job, attached bool, create func() (engine.Job, error)) (engine.Job, error) {
	if err := a.finishOthers(ctx, e, job.Seq); err != nil {
		return job, err
	}
	if attached {
		a.status.printf("Going on with %s %s, which was left %s.\n", kindOf(job), job.Name, job.Status)
	} else {
		created, err := create()
		if err != nil {
			if ctx.Err() != nil {
				err = errStopped
			}
			return job, err
		}
		job = created
		a.log.Info("job created", "job", job.ARN)
	}
	return a.wait(ctx, e, job)
}
