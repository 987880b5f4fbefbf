package engine

import (
	"errors"
	"fmt"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// What the engine hands on from the packages below it, so that an embedder imports one package.
type (
	// Codec names an encoding of rows.
	Codec = store.Codec
	// DatasetType is what a dataset holds: Users, Items or Interactions.
	DatasetType = store.DatasetType
	// ImportMode says what becomes of the rows that are there.
	ImportMode = jobs.Mode
	// Info is what is fixed for the life of a store.
	Info = store.Info
	// Tag is a label on a resource.
	Tag = jobs.Tag
	// Job is a deletion, import or export job.
	Job = jobs.Job
	// JobKind says what a job does. It is the kind in the job's ARN too.
	JobKind = jobs.Kind
	// JobStatus is PENDING, IN_PROGRESS, COMPLETED or FAILED.
	JobStatus = jobs.Status
	// Stats says what a store holds.
	Stats = store.Stats
	// CheckReport says what a check looked at and found.
	CheckReport = store.CheckReport
	// CorruptError says what in the file is damaged.
	CorruptError = store.CorruptError
	// InputError is a problem in an input file: file, line, column and what to do, never a value.
	InputError = ingest.Error
)

// The codecs.
const (
	CodecPacked = store.CodecPacked
	CodecNone   = store.CodecNone
)

// The types of datasets.
const (
	Users        = store.Users
	Items        = store.Items
	Interactions = store.Interactions
)

// The import modes. FULL replaces all rows of the dataset and keeps the new ones as given. INCREMENTAL adds rows: a
// Users or Items row replaces those of its ID, an interaction that is there already in every column is dropped.
const (
	ImportFull        = jobs.ModeFull
	ImportIncremental = jobs.ModeIncremental
)

// The kinds of jobs.
const (
	KindDeletion = jobs.KindDeletion
	KindImport   = jobs.KindImport
	KindExport   = jobs.KindExport
)

// The statuses of a job.
const (
	StatusPending    = jobs.StatusPending
	StatusInProgress = jobs.StatusInProgress
	StatusCompleted  = jobs.StatusCompleted
	StatusFailed     = jobs.StatusFailed
)

// Errors of opening and closing a store, see package store.
var (
	ErrLocked   = store.ErrLocked
	ErrNotStore = store.ErrNotStore
	ErrReadOnly = store.ErrReadOnly
	ErrClosed   = store.ErrClosed
	ErrPoisoned = store.ErrPoisoned
	ErrLeased   = store.ErrLeased
	ErrFull     = store.ErrFull
	ErrKey      = store.ErrKey
)

// ErrReleased says that a snapshot was read after its release.
var ErrReleased = errors.New("snapshot is released: open another one")

// ErrExpired says that a snapshot was read that is older than Options.SnapshotMaxAge.
var ErrExpired = errors.New("snapshot is older than snapshots may get: open another one, and release it sooner")

// Errors of resources and jobs; those of either package below are both of them.
var (
	// ErrInvalid says that an argument breaks a rule of the API; the text lists every rule that is broken.
	ErrInvalid = jobs.ErrInvalid
	// ErrNotFound says that a resource doesn't exist.
	ErrNotFound = jobs.ErrNotFound
	// ErrExists says that a name is taken.
	ErrExists = jobs.ErrExists
	// ErrLimit says that a group has as many of something as it can have: 5 PENDING deletion jobs, one event tracker.
	ErrLimit = jobs.ErrLimit
	// ErrInUse says that a resource can't be removed or changed because something refers to it; the text says what.
	ErrInUse = store.ErrInUse
	// ErrTooManyTags says that a resource would have more than 50 tags. It is an ErrInvalid too.
	ErrTooManyTags = jobs.ErrTooManyTags
	// ErrTooManyTagKeys says that more than 50 tags were to be removed at once. It is an ErrInvalid too.
	ErrTooManyTagKeys = jobs.ErrTooManyTagKeys
)

// JobError is the end of a job that failed.
type JobError struct{ Job Job }

// Error returns the job's name and its failure reason.
func (e *JobError) Error() string {
	return fmt.Sprintf("job %s failed: %s", e.Job.Name, e.Job.FailureReason)
}

// ParseDatasetType returns the type for a name such as "users" or "INTERACTIONS", in any case.
func ParseDatasetType(name string) (DatasetType, error) {
	t, err := ingest.ParseDatasetType(name)
	return DatasetType(t), err
}

// ValidateName checks a name by the rules for the names of groups, schemas, datasets and jobs: 1 to 63 letters, digits, -
// and _, the first a letter or a digit. member is what the error, an [ErrInvalid], calls it.
func ValidateName(member, name string) error { return jobs.ValidateName(member, name) }
