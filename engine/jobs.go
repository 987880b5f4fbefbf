package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// NewDataDeletionJob is what a deletion job is created from.
type NewDataDeletionJob struct {
	Name    string // unique among the store's deletion jobs; "" lets the engine choose one
	Group   string // name or ARN
	Source  string // a CSV file with the header USER_ID, or a folder of them with its subfolders; see Options.Locations
	RoleARN string // handed to Options.Locations; files of this machine need none
	Tags    []Tag
}

// NewDatasetImportJob is what an import job is created from.
type NewDatasetImportJob struct {
	Name    string // unique among the store's import jobs; "" lets the engine choose one
	Group   string // name or ARN
	Type    DatasetType
	Source  string // a CSV file, or a folder of them without its subfolders; see Options.Locations
	Mode    ImportMode
	RoleARN string // handed to Options.Locations; files of this machine need none
	Tags    []Tag
}

// CreateDataDeletionJob creates a job that deletes every row of the listed users from the group's datasets, and returns
// at once; see [Engine.Wait]. The list is read when the job's turn comes: jobs of a group take turns in the order of
// creation. Errors: [ErrInvalid], [ErrNotFound], [ErrExists], [ErrLimit] for a sixth PENDING job of the group,
// [ErrReadOnly].
func (e *Engine) CreateDataDeletionJob(ctx context.Context, n NewDataDeletionJob) (Job, error) {
	source, err := e.absolute(n.Source, n.RoleARN, ingest.Recursive)
	if err != nil {
		return Job{}, err
	}
	return e.create(ctx, jobs.Spec{
		Kind: jobs.KindDeletion, Name: nameOr(n.Name, "delete"), GroupARN: e.groupARN(e.groupName(n.Group)), Source: source,
		RoleARN: n.RoleARN, Tags: n.Tags,
	})
}

// CreateDatasetImportJob creates a job that imports rows, and returns at once; see [Engine.Wait]. The rows become
// visible all at once or, if the job fails, not at all. Errors: as [Engine.CreateDataDeletionJob].
func (e *Engine) CreateDatasetImportJob(ctx context.Context, n NewDatasetImportJob) (Job, error) {
	source, err := e.absolute(n.Source, n.RoleARN, ingest.FirstLevel)
	if err != nil {
		return Job{}, err
	}
	if err := checkType(n.Type); err != nil {
		return Job{}, err
	}
	group := e.groupName(n.Group)
	return e.create(ctx, jobs.Spec{
		Kind: jobs.KindImport, Name: nameOr(n.Name, "import"), GroupARN: e.groupARN(group),
		DatasetARN: e.datasetARN(group, n.Type), Source: source, Mode: n.Mode, RoleARN: n.RoleARN, Tags: n.Tags,
	})
}

func checkType(t DatasetType) error {
	switch t {
	case Users, Items, Interactions:
		return nil
	}
	return invalidf("no such type of dataset: use %s, %s or %s", Users, Items, Interactions)
}

func (e *Engine) create(ctx context.Context, spec jobs.Spec) (job Job, err error) {
	if e.runner == nil {
		return job, ErrReadOnly
	}
	if err := spec.Validate(); err != nil {
		return job, err
	}
	err = e.store.Update(ctx, func(tx *store.Tx) error {
		group := e.groupName(spec.GroupARN)
		if _, err := tx.Group(group); err != nil {
			return err
		}
		if spec.DatasetARN != "" {
			if _, err := tx.Dataset(group, e.datasetType(spec.DatasetARN)); err != nil {
				return err
			}
		}
		job, err = jobs.Create(jobTx{tx.KV()}, e.account, spec, now())
		return err
	})
	if err != nil {
		return Job{}, mapError(err)
	}
	e.runner.Wake()
	return job, nil
}

// datasetType returns the type in an ARN of a dataset.
func (e *Engine) datasetType(arn string) DatasetType {
	return DatasetType(arn[strings.LastIndexByte(arn, '/')+1:])
}

// absolute returns a location that means the same in every working directory, since a job can go on in another process.
func (e *Engine) absolute(location, role string, walk ingest.Walk) (string, error) {
	if _, err := e.locations.Source(location, role, walk); err != nil {
		return "", ofKind(ErrInvalid, err)
	}
	if strings.Contains(location, "://") {
		return location, nil
	}
	path, err := filepath.Abs(location)
	if err != nil {
		return "", fmt.Errorf("find location: %w", err)
	}
	return path, nil
}

// nameOr returns name, or one that begins with prefix and that nobody has.
func nameOr(name, prefix string) string {
	if name != "" {
		return name
	}
	var b [4]byte
	rand.Read(b[:]) // never fails: see its documentation
	return prefix + "-" + now().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
}

// DescribeDataDeletionJob returns a deletion job by its name or ARN. Errors: [ErrNotFound].
func (e *Engine) DescribeDataDeletionJob(ctx context.Context, nameOrARN string) (Job, error) {
	return e.describe(ctx, jobs.KindDeletion, nameOrARN)
}

// DescribeDatasetImportJob returns an import job by its name or ARN. Errors: [ErrNotFound].
func (e *Engine) DescribeDatasetImportJob(ctx context.Context, nameOrARN string) (Job, error) {
	return e.describe(ctx, jobs.KindImport, nameOrARN)
}

func (e *Engine) describe(ctx context.Context, kind jobs.Kind, nameOrARN string) (job Job, err error) {
	err = jobDB{e.store}.View(ctx, func(tx jobs.Tx) error {
		job, err = jobs.Get(tx, kind, nameOrARN)
		return err
	})
	return job, err
}

// ListJobs says which jobs to list.
type ListJobs struct {
	Group   string // name or ARN; "" lists those of all groups
	Dataset string // ARN; "" lists those of all datasets. Deletion jobs are of none
	After   uint64 // the Seq of the last job of the page before; 0 begins with the newest
	Limit   int    // at most so many; 0 means 100
}

// ListDataDeletionJobs returns deletion jobs, newest first, and whether there are more. A group that doesn't exist has no
// jobs.
func (e *Engine) ListDataDeletionJobs(ctx context.Context, l ListJobs) (page []Job, more bool, err error) {
	return e.list(ctx, jobs.KindDeletion, l)
}

// ListDatasetImportJobs returns import jobs, newest first, and whether there are more.
func (e *Engine) ListDatasetImportJobs(ctx context.Context, l ListJobs) (page []Job, more bool, err error) {
	return e.list(ctx, jobs.KindImport, l)
}

func (e *Engine) list(ctx context.Context, kind jobs.Kind, l ListJobs) (page []Job, more bool, err error) {
	f := jobs.Filter{Kind: kind, DatasetARN: l.Dataset}
	if l.Group != "" {
		f.GroupARN = e.groupARN(e.groupName(l.Group))
	}
	if l.Limit == 0 {
		l.Limit = 100
	}
	err = jobDB{e.store}.View(ctx, func(tx jobs.Tx) error {
		page, more, err = jobs.List(tx, f, l.After, l.Limit)
		return err
	})
	return page, more, err
}

// Wait returns a job when it is COMPLETED or FAILED; a failed one comes with a *[JobError]. If ctx ends first the job
// goes on.
func (e *Engine) Wait(ctx context.Context, job Job) (Job, error) {
	if e.runner == nil {
		return job, ErrReadOnly
	}
	done, err := e.runner.Wait(ctx, job.Seq)
	if errors.Is(err, jobs.ErrStopped) {
		err = ofKind(ErrClosed, err)
	}
	if err != nil {
		return job, fmt.Errorf("wait for job %s: %w", job.Name, err)
	}
	if done.Status == StatusFailed {
		return done, &JobError{done}
	}
	return done, nil
}

// Import runs an import job to its end: [Engine.CreateDatasetImportJob] and [Engine.Wait].
func (e *Engine) Import(ctx context.Context, n NewDatasetImportJob) (Job, error) {
	job, err := e.CreateDatasetImportJob(ctx, n)
	if err != nil {
		return job, err
	}
	return e.Wait(ctx, job)
}

// Delete runs a deletion job to its end: [Engine.CreateDataDeletionJob] and [Engine.Wait].
func (e *Engine) Delete(ctx context.Context, n NewDataDeletionJob) (Job, error) {
	job, err := e.CreateDataDeletionJob(ctx, n)
	if err != nil {
		return job, err
	}
	return e.Wait(ctx, job)
}

// Progress is how far a job under way is, beyond what its record says.
type Progress struct {
	Step  Step
	Done  int64 // of Total, in Unit
	Total int64 // 0 if it isn't known
	Unit  string
}

// Step is what a job does right now.
type Step string

// The steps. A job whose process was killed begins its step again where its last batch was committed.
const (
	StepReading   Step = "reading"   // bytes of the list or of the data
	StepStoring   Step = "storing"   // rows of an import, sorted and encoded
	StepExporting Step = "exporting" // rows, written to files
	StepDeleting  Step = "deleting"  // making rows invisible
	StepErasing   Step = "erasing"   // taking them out of what the store uses of its file
	StepScrubbing Step = "scrubbing" // overwriting what the store doesn't use of it
)

// Progress returns how far a job is; false if it isn't under way in this process.
func (e *Engine) Progress(job Job) (Progress, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.progress[job.Seq]
	return p, ok
}

func (e *Engine) setProgress(seq uint64, p Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.progress[seq] = p
}

func (e *Engine) endProgress(seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.progress, seq)
}
