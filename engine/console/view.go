package console

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/humanize"
)

// Job is a job as the endpoints and the pages show it. The texts are for people and can change.
type Job struct {
	Seq           uint64    `json:"seq"`
	Kind          string    `json:"kind"`
	Name          string    `json:"name"`
	ARN           string    `json:"arn"`
	Group         string    `json:"group"`
	Dataset       string    `json:"dataset,omitempty"` // type of the one that the job is about; "" if it is about all
	Source        string    `json:"source"`
	RoleARN       string    `json:"roleArn,omitempty"`
	Status        string    `json:"status"`
	StatusReason  string    `json:"statusReason,omitempty"`
	FailureReason string    `json:"failureReason,omitempty"`
	Created       time.Time `json:"created"`
	Updated       time.Time `json:"updated"`
	UnderWay      bool      `json:"underWay"`           // neither COMPLETED nor FAILED
	Progress      *Progress `json:"progress,omitempty"` // nil if nothing is known
	NumDeleted    *int64    `json:"numDeleted,omitempty"`

	Path       string `json:"path"`                 // of its page
	KindText   string `json:"kindText"`             // "deletion", "import of users, full"
	RowsText   string `json:"rowsText,omitempty"`   // what it did to the rows
	ListText   string `json:"listText,omitempty"`   // what a deletion found on its list
	ReasonText string `json:"reasonText,omitempty"` // the failure reason without the folders of the list or the data
	NowText    string `json:"nowText,omitempty"`    // what it does right now, or why it takes long
}

// Progress is how far a job under way is.
type Progress struct {
	Step  string `json:"step"`
	Done  int64  `json:"done"`  // of Total
	Total int64  `json:"total"` // 0 if it isn't known
	Unit  string `json:"unit,omitempty"`
}

// JobPage is a page of jobs, newest first.
type JobPage struct {
	Jobs     []Job  `json:"jobs"`
	Next     uint64 `json:"next,omitempty"` // the page after this one is ?before=Next; 0: there is none
	UnderWay bool   `json:"underWay"`       // one of them is
}

// Overview is what the store holds.
type Overview struct {
	Groups    []Group   `json:"groups"`
	Allocated int64     `json:"allocatedBytes"` // on the disk
	Counted   time.Time `json:"counted"`        // when: counting takes long in a large store, so it isn't done at every request
}

// Group is a dataset group.
type Group struct {
	Name     string    `json:"name"`
	Users    int64     `json:"users"` // different USER_IDs
	Items    int64     `json:"items"` // different ITEM_IDs
	Datasets []Dataset `json:"datasets"`
}

// Dataset is a dataset with its row counts.
type Dataset struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Rows    int64  `json:"rows"`
	Leaving int64  `json:"leaving"` // deleted or replaced, and not yet off the disk
	Bytes   int64  `json:"bytes"`
}

func (c *Console) viewJob(j engine.Job) Job {
	v := Job{
		Seq: j.Seq, Kind: string(j.Kind), Name: j.Name, ARN: j.ARN, Group: path.Base(j.GroupARN), Source: j.Source, RoleARN: j.RoleARN,
		Status: string(j.Status), StatusReason: j.StatusReason, FailureReason: j.FailureReason, Created: j.Created, Updated: j.Updated,
		UnderWay: !j.Status.Terminal(), NumDeleted: j.NumDeleted, Path: jobPath(j.Kind, j.Name),
	}
	if j.DatasetARN != "" {
		v.Dataset = strings.ToLower(path.Base(j.DatasetARN))
	}
	v.KindText, v.RowsText, v.ListText = kindText(j, v.Dataset), rowsText(j), listText(j)
	v.ReasonText = reasonText(j)
	if v.UnderWay {
		if p, ok := c.e.Progress(j); ok {
			v.Progress = &Progress{Step: string(p.Step), Done: p.Done, Total: p.Total, Unit: p.Unit}
		}
		v.NowText = nowText(j, v.Progress)
	}
	return v
}

func kindText(j engine.Job, dataset string) string {
	switch j.Kind {
	case engine.KindDeletion:
		return "deletion"
	case engine.KindImport:
		return fmt.Sprintf("import of %s, %s", dataset, strings.ToLower(string(j.Mode)))
	}
	return fmt.Sprintf("export of %s, %s", dataset, strings.ToLower(string(j.Ingestion)))
}

// nowText says what a job under way is doing.
func nowText(j engine.Job, p *Progress) string {
	switch {
	case j.StatusReason != "":
		return j.StatusReason
	case j.Status == engine.StatusPending:
		return "waiting for its turn"
	case p == nil:
		return ""
	case p.Total == 0:
		return p.Step
	case p.Unit == "bytes":
		return fmt.Sprintf("%s %s of %s", p.Step, size(p.Done), size(p.Total))
	}
	return fmt.Sprintf("%s %s of %s", p.Step, humanize.Count(p.Done), humanize.Counted(p.Total, strings.TrimSuffix(p.Unit, "s")))
}

// rowsText says what a job did to the rows.
func rowsText(j engine.Job) string {
	c := j.Counts
	switch {
	case j.NumDeleted != nil:
		return humanize.Count(*j.NumDeleted) + " deleted"
	case j.Kind == engine.KindImport && j.Status == engine.StatusCompleted:
		text := humanize.Count(c.RowsAdded) + " added"
		for _, more := range []struct {
			n    int64
			what string
		}{
			{c.RowsReplaced, "replaced"}, {c.RowsDuplicate, "left out that were there already"},
			{c.RowsSuppressed, "left out of users who were deleted"},
		} {
			if more.n > 0 {
				text += fmt.Sprintf(", %s %s", humanize.Count(more.n), more.what)
			}
		}
		return text
	case j.Kind == engine.KindExport && j.Status == engine.StatusCompleted:
		return fmt.Sprintf("%s exported to %s", humanize.Count(c.RowsExported), humanize.Counted(c.FilesExported, "file"))
	}
	return ""
}

// listText says what a deletion has found on its list so far.
func listText(j engine.Job) string {
	c := j.Counts
	if j.Kind != engine.KindDeletion || c.Listed == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %s matched, %s unknown, %s repeated", humanize.Counted(c.Listed, "ID"),
		humanize.Count(c.Matched), humanize.Count(c.Unknown), humanize.Count(c.Duplicate))
}

// reasonText is the failure reason for a line of a table: what a file is called there says more than where it lies.
func reasonText(j engine.Job) string {
	if j.Source == "" { // of an export
		return j.FailureReason
	}
	name := path.Base(j.Source)
	if strings.HasPrefix(name, listPrefix) {
		name = "uploaded list"
	}
	return strings.ReplaceAll(j.FailureReason, j.Source, name)
}
