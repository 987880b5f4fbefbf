package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind says what a job does. It is the kind in the job's ARN too.
type Kind string

// The kinds of jobs.
const (
	KindDeletion Kind = "data-deletion-job"
	KindImport   Kind = "dataset-import-job"
	KindExport   Kind = "dataset-export-job"
)

// Mode says what an import does with the rows that are there.
type Mode string

// The modes of import jobs.
const (
	ModeFull        Mode = "FULL"        // replaces the bulk data of the dataset
	ModeIncremental Mode = "INCREMENTAL" // adds to it
)

// Ingestion says which rows of a dataset an export writes.
type Ingestion string

// The rows that an export can write.
const (
	IngestionBulk Ingestion = "BULK" // what imports brought
	IngestionPut  Ingestion = "PUT"  // what came row by row
	IngestionAll  Ingestion = "ALL"  // both; of a user or an item the newest row
)

// Status is where a job stands.
type Status string

// The statuses. No others are ever stored.
const (
	StatusPending    Status = "PENDING"
	StatusInProgress Status = "IN_PROGRESS"
	StatusCompleted  Status = "COMPLETED"
	StatusFailed     Status = "FAILED"
)

// Terminal reports whether a job with this status is over.
func (s Status) Terminal() bool { return s == StatusCompleted || s == StatusFailed }

// canBecome is the whole of the lifecycle.
func (s Status) canBecome(to Status) bool {
	switch s {
	case StatusPending:
		return to == StatusInProgress || to == StatusFailed
	case StatusInProgress:
		return to == StatusCompleted || to == StatusFailed
	}
	return false
}

// Tag is a key and a value that a caller hangs on a job. Both are sensitive: they never go into a log or an error.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Spec is what a job is created from. Apart from Tags it never changes.
type Spec struct {
	Kind     Kind   `json:"kind"`
	Name     string `json:"name"`     // unique among the jobs of its kind in the store
	GroupARN string `json:"groupArn"` // of the dataset group whose data the job changes
	// DatasetARN is the dataset that an import job writes to or an export job reads, which is one of the group's. Empty for
	// deletion jobs.
	DatasetARN string `json:"datasetArn,omitempty"`
	Source     string `json:"source,omitempty"`  // location of the list or of the data, as given; empty for export jobs
	RoleARN    string `json:"roleArn,omitempty"` // optional; what it means is for the worker
	Mode       Mode   `json:"mode,omitempty"`    // of import jobs
	// Of export jobs: which rows, where the folder that they are written to lies, as given, and a key that is kept and
	// shown and never used.
	Ingestion   Ingestion `json:"ingestion,omitempty"`
	Destination string    `json:"destination,omitempty"`
	KMSKeyARN   string    `json:"kmsKeyArn,omitempty"`
	Tags        []Tag     `json:"tags,omitempty"`
}

// Job is a job as it is stored. A Job that a function of this package returns is a copy: changing it changes
// nothing in the store.
type Job struct {
	Spec
	// Seq numbers the jobs of a store in the order of creation, over all kinds, from 1.
	Seq    uint64 `json:"seq"`
	ARN    string `json:"arn"`
	Status Status `json:"status"`
	// Created and Updated are in UTC, to the millisecond. Updated is the last change of anything but the tags;
	// it doesn't go back when the clock does.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// FailureReason is set if and only if the job is FAILED. It says what to do.
	FailureReason string `json:"failureReason,omitempty"`
	// StatusReason says why a job that is IN_PROGRESS takes long. It is empty otherwise.
	StatusReason string `json:"statusReason,omitempty"`
	// NumDeleted is the number of rows that a deletion job deleted. It is nil until the job is COMPLETED,
	// and for jobs of other kinds always.
	NumDeleted *int64 `json:"numDeleted,omitempty"`
	Counts     Counts `json:"counts"`
	// Released: the point of no return is passed and the job gave up its turn. It can't fail any more.
	Released bool `json:"released,omitempty"`
	// Checkpoint is where the work stands, in whatever JSON the worker likes. The store keeps its meaning, not
	// its spacing. It is dropped when the job ends.
	Checkpoint json.RawMessage `json:"checkpoint,omitempty"`
}

// Counts are the figures of a job so far; those of a terminal job are final. None is ever negative.
type Counts struct {
	// Of the IDs on a deletion list: all of them, and those that had rows or not, each once. Listed is
	// Matched + Unknown + Duplicate once the list has been read and matched.
	Listed    int64 `json:"listed,omitempty"`
	Matched   int64 `json:"matched,omitempty"`
	Unknown   int64 `json:"unknown,omitempty"`
	Duplicate int64 `json:"duplicate,omitempty"`
	// Deleted is the number of rows deleted, for each dataset type, such as "USERS".
	Deleted map[string]int64 `json:"deleted,omitempty"`
	// Of an import: the rows that were read; those of them that are new; the rows that were there and aren't any
	// more, all of a dataset or those of an ID that came; those dropped because the same row was there.
	RowsRead      int64 `json:"rowsRead,omitempty"`
	RowsAdded     int64 `json:"rowsAdded,omitempty"`
	RowsReplaced  int64 `json:"rowsReplaced,omitempty"`
	RowsDuplicate int64 `json:"rowsDuplicate,omitempty"`
	// RowsSuppressed are those left out because their user was deleted from a group that suppresses deleted users.
	RowsSuppressed int64 `json:"rowsSuppressed,omitempty"`
	// Of an export: the rows that were written, and the files.
	RowsExported  int64 `json:"rowsExported,omitempty"`
	FilesExported int64 `json:"filesExported,omitempty"`
}

func (c Counts) negative() bool {
	least := min(c.Listed, c.Matched, c.Unknown, c.Duplicate, c.RowsRead, c.RowsAdded, c.RowsReplaced, c.RowsDuplicate, c.RowsSuppressed, c.RowsExported, c.FilesExported)
	for _, n := range c.Deleted {
		least = min(least, n)
	}
	return least < 0
}

// sameOrigin reports whether a and b agree in everything that is fixed when a job is created, and in the tags.
func sameOrigin(a, b *Job) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.GroupARN == b.GroupARN && a.DatasetARN == b.DatasetARN &&
		a.Source == b.Source && a.RoleARN == b.RoleARN && a.Mode == b.Mode &&
		a.Ingestion == b.Ingestion && a.Destination == b.Destination && a.KMSKeyARN == b.KMSKeyARN && slices.Equal(a.Tags, b.Tags) &&
		a.Seq == b.Seq && a.ARN == b.ARN && a.Created.Equal(b.Created)
}

// consistent checks what holds for every stored job: it is run before each write and after each read.
func (j *Job) consistent() error {
	var errs []error
	rule := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	terminal := j.Status.Terminal()
	rule(j.Kind == KindDeletion || j.Kind == KindImport || j.Kind == KindExport, "unknown kind")
	rule(terminal || j.Status == StatusPending || j.Status == StatusInProgress, "unknown status")
	rule(j.Seq > 0 && j.Name != "" && j.ARN != "", "no sequence number, name or ARN")
	rule((j.Status == StatusFailed) == (j.FailureReason != ""), "failure reason and status FAILED don't go together")
	rule(j.StatusReason == "" || j.Status == StatusInProgress, "status reason without status IN_PROGRESS")
	rule((j.NumDeleted != nil) == (j.Kind == KindDeletion && j.Status == StatusCompleted),
		"number of deleted rows must be set for a COMPLETED deletion job, and for no other")
	rule(j.NumDeleted == nil || *j.NumDeleted >= 0, "negative number of deleted rows")
	rule(!j.Counts.negative(), "negative count")
	rule(!j.Released || j.Status == StatusInProgress || j.Status == StatusCompleted, "released before its turn, or failed after it")
	rule(len(j.Checkpoint) == 0 || !terminal, "checkpoint of a finished job")
	if len(errs) > 0 {
		return fmt.Errorf("inconsistent job: %w", errors.Join(errs...))
	}
	return nil
}
