package main

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/receipt"
)

// jobJSON is a job with the names that its members have in the API; absent ones are left out. Counts and StatusReason are
// Expunge's own.
type jobJSON struct {
	JobName             string       `json:"jobName"`
	DataDeletionJobARN  string       `json:"dataDeletionJobArn,omitempty"`
	DatasetImportJobARN string       `json:"datasetImportJobArn,omitempty"`
	DatasetExportJobARN string       `json:"datasetExportJobArn,omitempty"`
	DatasetGroupARN     string       `json:"datasetGroupArn"`
	DatasetARN          string       `json:"datasetArn,omitempty"`
	DataSource          *sourceJSON  `json:"dataSource,omitempty"`
	JobOutput           *outputJSON  `json:"jobOutput,omitempty"`
	RoleARN             string       `json:"roleArn,omitempty"`
	ImportMode          string       `json:"importMode,omitempty"`
	IngestionMode       string       `json:"ingestionMode,omitempty"`
	Status              string       `json:"status"`
	NumDeleted          *int64       `json:"numDeleted,omitempty"`
	CreationDateTime    json.Number  `json:"creationDateTime"`
	LastUpdatedDateTime json.Number  `json:"lastUpdatedDateTime"`
	FailureReason       string       `json:"failureReason,omitempty"`
	StatusReason        string       `json:"statusReason,omitempty"`
	DeletionCounts      *listCounts  `json:"deletionCounts,omitempty"`
	ImportCounts        *importCount `json:"importCounts,omitempty"`
	ExportCounts        *exportCount `json:"exportCounts,omitempty"`
	receiptJSON
}

type sourceJSON struct {
	DataLocation string `json:"dataLocation"`
}

type outputJSON struct {
	S3DataDestination struct {
		Path      string `json:"path"`
		KMSKeyARN string `json:"kmsKeyArn,omitempty"`
	} `json:"s3DataDestination"`
}

// exportCount are the figures of an export.
type exportCount struct {
	Rows  int64 `json:"rowsExported"`
	Files int64 `json:"filesExported"`
}

// listCounts are the figures of a deletion: of the IDs on its list, and the rows deleted from each dataset.
type listCounts struct {
	Listed    int64            `json:"listed"`
	Matched   int64            `json:"matched"`
	Unknown   int64            `json:"unknown"`
	Duplicate int64            `json:"duplicate"`
	Rows      map[string]int64 `json:"rowsDeleted,omitempty"`
}

// importCount are the figures of an import, in rows.
type importCount struct {
	Read      int64 `json:"rowsRead"`
	Added     int64 `json:"rowsAdded"`
	Replaced  int64 `json:"rowsReplaced"`
	Duplicate int64 `json:"rowsDuplicate"`

	Suppressed int64 `json:"rowsSuppressed"`
}

func viewJob(j engine.Job) jobJSON {
	v := jobJSON{
		JobName: j.Name, DatasetGroupARN: j.GroupARN, DatasetARN: j.DatasetARN,
		RoleARN: j.RoleARN, ImportMode: string(j.Mode), IngestionMode: string(j.Ingestion), Status: string(j.Status), NumDeleted: j.NumDeleted,
		CreationDateTime: epoch(j.Created), LastUpdatedDateTime: epoch(j.Updated),
		FailureReason: j.FailureReason, StatusReason: j.StatusReason,
	}
	c := j.Counts
	if j.Kind == engine.KindExport {
		v.JobOutput = new(outputJSON)
		v.JobOutput.S3DataDestination.Path, v.JobOutput.S3DataDestination.KMSKeyARN = j.Destination, j.KMSKeyARN
	} else {
		v.DataSource = &sourceJSON{j.Source}
	}
	switch j.Kind {
	case engine.KindImport:
		v.DatasetImportJobARN = j.ARN
		v.ImportCounts = &importCount{c.RowsRead, c.RowsAdded, c.RowsReplaced, c.RowsDuplicate, c.RowsSuppressed}
	case engine.KindExport:
		v.DatasetExportJobARN = j.ARN
		v.ExportCounts = &exportCount{c.RowsExported, c.FilesExported}
	default:
		v.DataDeletionJobARN = j.ARN
		v.DeletionCounts = &listCounts{c.Listed, c.Matched, c.Unknown, c.Duplicate, c.Deleted}
	}
	return v
}

func viewJobs(jobs []engine.Job) []jobJSON {
	views := make([]jobJSON, len(jobs))
	for i, j := range jobs {
		views[i] = viewJob(j)
	}
	return views
}

// groupOf returns the name of a job's group.
func groupOf(j engine.Job) string { return path.Base(j.GroupARN) }

// typeOf returns the dataset type of an import or export job, and "" for a deletion.
func typeOf(j engine.Job) string {
	if j.DatasetARN == "" {
		return ""
	}
	return path.Base(j.DatasetARN)
}

// kindOf is what a job is called in a sentence.
func kindOf(j engine.Job) string {
	switch j.Kind {
	case engine.KindImport:
		return "import job"
	case engine.KindExport:
		return "export job"
	}
	return "deletion job"
}

// printJob writes everything about a job, with its receipt if it has one.
func (a *app) printJob(j engine.Job, entry *engine.LedgerEntry) error {
	if a.json {
		view := viewJob(j)
		if entry != nil {
			view.receiptJSON = receiptJSON{entry.Digest(), entry.Line}
		}
		return a.printJSON(view)
	}
	group := groupOf(j)
	if t := typeOf(j); t != "" {
		group += ", dataset " + lower(t)
	}
	kind, status := kindOf(j), string(j.Status)
	if j.Mode != "" {
		kind += ", " + lower(j.Mode)
	}
	if j.StatusReason != "" {
		status += ": " + j.StatusReason
	}
	ended := ""
	if j.Status.Terminal() {
		ended = fmt.Sprintf("%s, after %v", moment(j.Updated), j.Updated.Sub(j.Created).Round(10*time.Millisecond))
	}
	rows := [][2]string{
		{"Job", j.Name},
		{"Kind", kind},
		{"ARN", j.ARN},
		{"Group", group},
		{"Source", j.Source},
		{"Destination", j.Destination},
		{"Role", j.RoleARN},
		{"Status", status},
		{"Reason", j.FailureReason},
		{"Created", moment(j.Created)},
		{"Ended", ended},
		{"List", listText(j)},
		{"Rows", rowsText(j)},
	}
	if entry != nil {
		rows = append(rows, receipt.Pairs(*entry)...)
	}
	return a.print(pairs(rows...))
}

// listText says what a deletion found on its list.
func listText(j engine.Job) string {
	if j.Kind != engine.KindDeletion || j.Status == engine.StatusPending || j.Status == engine.StatusFailed {
		return ""
	}
	c := j.Counts
	return idsText(c.Listed, c.Matched, c.Unknown, c.Duplicate)
}

func idsText(listed, matched, unknown, duplicate int64) string {
	return fmt.Sprintf("%s: %s matched, %s unknown, %s repeated", counted(listed, "ID"), count(matched), count(unknown), count(duplicate))
}

// rowsText says what a job did to the rows.
func rowsText(j engine.Job) string {
	c := j.Counts
	switch {
	case j.NumDeleted != nil:
		return count(*j.NumDeleted) + " deleted" + perDataset(c.Deleted)
	case j.Kind == engine.KindExport && j.Status == engine.StatusCompleted:
		return fmt.Sprintf("%s written to %s", count(c.RowsExported), counted(c.FilesExported, "file"))
	case j.Kind == engine.KindImport && j.Status == engine.StatusCompleted:
		text := fmt.Sprintf("%s read, %s added", count(c.RowsRead), count(c.RowsAdded))
		if c.RowsReplaced > 0 {
			text += fmt.Sprintf(", %s replaced", count(c.RowsReplaced))
		}
		if c.RowsDuplicate > 0 {
			text += fmt.Sprintf(", %s left out that were there already", count(c.RowsDuplicate))
		}
		if c.RowsSuppressed > 0 {
			text += fmt.Sprintf(", %s left out of users who were deleted", count(c.RowsSuppressed))
		}
		return text
	}
	return ""
}

// perDataset lists rows for each dataset, as ": 3 users, 40 interactions".
func perDataset[T ~string](rows map[T]int64) string {
	var parts []string
	for _, t := range datasetTypes {
		if n, ok := rows[T(t)]; ok {
			parts = append(parts, count(n)+" "+lower(t))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}
