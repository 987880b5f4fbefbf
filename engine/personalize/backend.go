package personalize

import (
	"context"

	"github.com/expunge-db/expunge/engine"
)

// Backend is what the handler needs of an engine; *[engine.Engine] is one. To refuse or to change what comes in, embed the
// engine in a type with methods of its own: their errors that are one of package engine's get its exception.
type Backend interface {
	CreateDatasetGroup(context.Context, engine.NewDatasetGroup) (engine.DatasetGroup, error)
	DatasetGroup(ctx context.Context, arn string) (engine.DatasetGroup, error)
	DatasetGroups(context.Context) ([]engine.DatasetGroup, error)
	DeleteDatasetGroup(ctx context.Context, arn string) error

	CreateSchema(context.Context, engine.NewSchema) (engine.Schema, error)
	Schema(ctx context.Context, arn string) (engine.Schema, error)
	Schemas(context.Context) ([]engine.Schema, error)
	DeleteSchema(ctx context.Context, arn string) error

	CreateDataset(context.Context, engine.NewDataset) (engine.Dataset, error)
	DatasetByARN(ctx context.Context, arn string) (engine.Dataset, error)
	Datasets(ctx context.Context, group string) ([]engine.Dataset, error)
	UpdateDataset(ctx context.Context, arn, schema string) (engine.Dataset, error)
	DeleteDataset(ctx context.Context, arn string) error

	CreateEventTracker(context.Context, engine.NewEventTracker) (engine.EventTracker, error)
	EventTracker(ctx context.Context, arn string) (engine.EventTracker, error)
	EventTrackers(ctx context.Context, group string) ([]engine.EventTracker, error)
	DeleteEventTracker(ctx context.Context, arn string) error

	CreateDataDeletionJob(context.Context, engine.NewDataDeletionJob) (engine.Job, error)
	DescribeDataDeletionJob(ctx context.Context, arn string) (engine.Job, error)
	ListDataDeletionJobs(context.Context, engine.ListJobs) (page []engine.Job, more bool, err error)
	CreateDatasetImportJob(context.Context, engine.NewDatasetImportJob) (engine.Job, error)
	DescribeDatasetImportJob(ctx context.Context, arn string) (engine.Job, error)
	ListDatasetImportJobs(context.Context, engine.ListJobs) (page []engine.Job, more bool, err error)
	CreateDatasetExportJob(context.Context, engine.NewDatasetExportJob) (engine.Job, error)
	DescribeDatasetExportJob(ctx context.Context, arn string) (engine.Job, error)
	ListDatasetExportJobs(context.Context, engine.ListJobs) (page []engine.Job, more bool, err error)

	UnfinishedJobs(context.Context) ([]engine.Job, error)

	TagResource(ctx context.Context, arn string, tags []engine.Tag) error
	UntagResource(ctx context.Context, arn string, keys []string) error
	ResourceTags(ctx context.Context, arn string) ([]engine.Tag, error)

	PutEvents(ctx context.Context, trackingID, userID, sessionID string, events []engine.Event) error
	PutUsers(ctx context.Context, datasetARN string, users []engine.PutRow) error
	PutItems(ctx context.Context, datasetARN string, items []engine.PutRow) error
}

var _ Backend = (*engine.Engine)(nil)
