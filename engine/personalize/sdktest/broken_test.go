package sdktest

import (
	"context"

	"github.com/expunge-db/expunge/engine"
)

// broken is an engine all of whose operations end in one error: some that the model has for an operation have no cause
// here, such as a dataset that can't be tagged while it is in use.
type broken struct {
	*engine.Engine
	err error
}

func (b *broken) CreateDatasetGroup(context.Context, engine.NewDatasetGroup) (engine.DatasetGroup, error) {
	return engine.DatasetGroup{}, b.err
}
func (b *broken) DatasetGroup(context.Context, string) (engine.DatasetGroup, error) {
	return engine.DatasetGroup{}, b.err
}
func (b *broken) DatasetGroups(context.Context) ([]engine.DatasetGroup, error) { return nil, b.err }
func (b *broken) DeleteDatasetGroup(context.Context, string) error             { return b.err }
func (b *broken) CreateSchema(context.Context, engine.NewSchema) (engine.Schema, error) {
	return engine.Schema{}, b.err
}
func (b *broken) Schema(context.Context, string) (engine.Schema, error) {
	return engine.Schema{}, b.err
}
func (b *broken) Schemas(context.Context) ([]engine.Schema, error) { return nil, b.err }
func (b *broken) DeleteSchema(context.Context, string) error       { return b.err }
func (b *broken) CreateDataset(context.Context, engine.NewDataset) (engine.Dataset, error) {
	return engine.Dataset{}, b.err
}
func (b *broken) DatasetByARN(context.Context, string) (engine.Dataset, error) {
	return engine.Dataset{}, b.err
}
func (b *broken) Datasets(context.Context, string) ([]engine.Dataset, error) { return nil, b.err }
func (b *broken) UpdateDataset(context.Context, string, string) (engine.Dataset, error) {
	return engine.Dataset{}, b.err
}
func (b *broken) DeleteDataset(context.Context, string) error { return b.err }
func (b *broken) CreateEventTracker(context.Context, engine.NewEventTracker) (engine.EventTracker, error) {
	return engine.EventTracker{}, b.err
}
func (b *broken) EventTracker(context.Context, string) (engine.EventTracker, error) {
	return engine.EventTracker{}, b.err
}
func (b *broken) EventTrackers(context.Context, string) ([]engine.EventTracker, error) {
	return nil, b.err
}
func (b *broken) DeleteEventTracker(context.Context, string) error { return b.err }
func (b *broken) CreateDataDeletionJob(context.Context, engine.NewDataDeletionJob) (engine.Job, error) {
	return engine.Job{}, b.err
}
func (b *broken) DescribeDataDeletionJob(context.Context, string) (engine.Job, error) {
	return engine.Job{}, b.err
}
func (b *broken) ListDataDeletionJobs(context.Context, engine.ListJobs) ([]engine.Job, bool, error) {
	return nil, false, b.err
}
func (b *broken) CreateDatasetImportJob(context.Context, engine.NewDatasetImportJob) (engine.Job, error) {
	return engine.Job{}, b.err
}
func (b *broken) DescribeDatasetImportJob(context.Context, string) (engine.Job, error) {
	return engine.Job{}, b.err
}
func (b *broken) ListDatasetImportJobs(context.Context, engine.ListJobs) ([]engine.Job, bool, error) {
	return nil, false, b.err
}
func (b *broken) CreateDatasetExportJob(context.Context, engine.NewDatasetExportJob) (engine.Job, error) {
	return engine.Job{}, b.err
}
func (b *broken) DescribeDatasetExportJob(context.Context, string) (engine.Job, error) {
	return engine.Job{}, b.err
}
func (b *broken) ListDatasetExportJobs(context.Context, engine.ListJobs) ([]engine.Job, bool, error) {
	return nil, false, b.err
}
func (b *broken) TagResource(context.Context, string, []engine.Tag) error    { return b.err }
func (b *broken) UntagResource(context.Context, string, []string) error      { return b.err }
func (b *broken) ResourceTags(context.Context, string) ([]engine.Tag, error) { return nil, b.err }
func (b *broken) PutEvents(context.Context, string, string, string, []engine.Event) error {
	return b.err
}
func (b *broken) PutUsers(context.Context, string, []engine.PutRow) error { return b.err }
func (b *broken) PutItems(context.Context, string, []engine.PutRow) error { return b.err }
