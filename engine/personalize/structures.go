package personalize

import (
	"math"
	"strconv"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// The structures of the API, with their members in the order of the model, in which they are sent. What is absent is left
// out: an empty string means that, and so does nil.

type datasetGroup struct {
	Name          string `json:"name"`
	ARN           string `json:"datasetGroupArn"`
	Status        string `json:"status"`
	RoleARN       string `json:"roleArn,omitempty"`
	KMSKeyARN     string `json:"kmsKeyArn,omitempty"`
	Created       epoch  `json:"creationDateTime,omitzero"`
	Updated       epoch  `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string `json:"failureReason,omitempty"`
	Domain        string `json:"domain,omitempty"`
}

type datasetSchema struct {
	Name    string `json:"name"`
	ARN     string `json:"schemaArn"`
	Schema  string `json:"schema,omitempty"` // not in a summary
	Created epoch  `json:"creationDateTime,omitzero"`
	Updated epoch  `json:"lastUpdatedDateTime,omitzero"`
	Domain  string `json:"domain,omitempty"`
}

type dataset struct {
	Name       string         `json:"name"`
	ARN        string         `json:"datasetArn"`
	GroupARN   string         `json:"datasetGroupArn,omitempty"` // not in a summary
	Type       string         `json:"datasetType"`
	SchemaARN  string         `json:"schemaArn,omitempty"` // not in a summary
	Status     string         `json:"status"`
	Created    epoch          `json:"creationDateTime,omitzero"`
	Updated    epoch          `json:"lastUpdatedDateTime,omitzero"`
	Latest     *datasetUpdate `json:"latestDatasetUpdate,omitempty"` // not in a summary
	TrackingID string         `json:"trackingId,omitempty"`          // not in a summary
}

type datasetUpdate struct {
	SchemaARN string `json:"schemaArn"`
	Status    string `json:"status"`
	Created   epoch  `json:"creationDateTime,omitzero"`
	Updated   epoch  `json:"lastUpdatedDateTime,omitzero"`
}

type eventTracker struct {
	Name       string `json:"name"`
	ARN        string `json:"eventTrackerArn"`
	Account    string `json:"accountId,omitempty"`       // not in a summary
	TrackingID string `json:"trackingId,omitempty"`      // not in a summary
	GroupARN   string `json:"datasetGroupArn,omitempty"` // not in a summary
	Status     string `json:"status"`
	Created    epoch  `json:"creationDateTime,omitzero"`
	Updated    epoch  `json:"lastUpdatedDateTime,omitzero"`
}

type importJob struct {
	Name          string        `json:"jobName"`
	ARN           string        `json:"datasetImportJobArn"`
	DatasetARN    string        `json:"datasetArn"`
	Source        *dataLocation `json:"dataSource"`
	RoleARN       string        `json:"roleArn,omitempty"`
	Status        string        `json:"status"`
	Created       epoch         `json:"creationDateTime,omitzero"`
	Updated       epoch         `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string        `json:"failureReason,omitempty"`
	Mode          string        `json:"importMode"`
}

// The summaries of jobs have their members in another order than the jobs.

type importJobSummary struct {
	ARN           string `json:"datasetImportJobArn"`
	Name          string `json:"jobName"`
	Status        string `json:"status"`
	Created       epoch  `json:"creationDateTime,omitzero"`
	Updated       epoch  `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string `json:"failureReason,omitempty"`
	Mode          string `json:"importMode"`
}

type exportJob struct {
	Name          string       `json:"jobName"`
	ARN           string       `json:"datasetExportJobArn"`
	DatasetARN    string       `json:"datasetArn"`
	Ingestion     string       `json:"ingestionMode"`
	RoleARN       string       `json:"roleArn,omitempty"`
	Status        string       `json:"status"`
	Output        exportOutput `json:"jobOutput"`
	Created       epoch        `json:"creationDateTime,omitzero"`
	Updated       epoch        `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string       `json:"failureReason,omitempty"`
}

type exportOutput struct {
	Destination struct {
		Path      string `json:"path"`
		KMSKeyARN string `json:"kmsKeyArn,omitempty"`
	} `json:"s3DataDestination"`
}

type exportJobSummary struct {
	ARN           string `json:"datasetExportJobArn"`
	Name          string `json:"jobName"`
	Status        string `json:"status"`
	Created       epoch  `json:"creationDateTime,omitzero"`
	Updated       epoch  `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string `json:"failureReason,omitempty"`
}

type deletionJob struct {
	Name          string        `json:"jobName"`
	ARN           string        `json:"dataDeletionJobArn"`
	GroupARN      string        `json:"datasetGroupArn"`
	Source        *dataLocation `json:"dataSource"`
	RoleARN       string        `json:"roleArn,omitempty"`
	Status        string        `json:"status"`
	NumDeleted    *int32        `json:"numDeleted,omitempty"`
	Created       epoch         `json:"creationDateTime,omitzero"`
	Updated       epoch         `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string        `json:"failureReason,omitempty"`
}

type deletionJobSummary struct {
	ARN           string `json:"dataDeletionJobArn"`
	GroupARN      string `json:"datasetGroupArn"`
	Name          string `json:"jobName"`
	Status        string `json:"status"`
	Created       epoch  `json:"creationDateTime,omitzero"`
	Updated       epoch  `json:"lastUpdatedDateTime,omitzero"`
	FailureReason string `json:"failureReason,omitempty"`
}

type dataLocation struct {
	Location string `json:"dataLocation"`
}

type tag struct {
	Key   string `json:"tagKey"`
	Value string `json:"tagValue"`
}

// epoch is a time as the protocol has it: seconds since 1970 as a number, with milliseconds.
type epoch time.Time

// IsZero is for omitzero.
func (e epoch) IsZero() bool { return time.Time(e).IsZero() }

func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Time(e).UnixMilli())/1000, 'f', -1, 64), nil
}

// active is the status of whatever is ready as soon as it is there. Everything of the catalog is.
const active = "ACTIVE"

// createStatus is the status of an import or export job in the words of the API. Only deletion jobs have those of the
// engine.
func createStatus(s engine.JobStatus) string {
	switch s {
	case engine.StatusPending:
		return "CREATE PENDING"
	case engine.StatusInProgress:
		return "CREATE IN_PROGRESS"
	case engine.StatusCompleted:
		return active
	}
	return "CREATE FAILED"
}

// int32Of returns a count of rows as the API has it, which is 32 bits: the greatest value for more than that.
func int32Of(n *int64) *int32 {
	if n == nil {
		return nil
	}
	clamped := int32(min(*n, math.MaxInt32))
	return &clamped
}

func tagsOf(in object) (tags []engine.Tag) {
	for _, v := range in.list("tags") {
		t := v.(object)
		tags = append(tags, engine.Tag{Key: t.text("tagKey"), Value: t.text("tagValue")})
	}
	return tags
}
