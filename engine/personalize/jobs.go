package personalize

import (
	"context"
	"strconv"

	"github.com/expunge-db/expunge/engine"
)

// location returns the location of a job's data. The model lets it be left out, and no job can do without it.
func location(in object) (string, error) {
	if l := in.object("dataSource").text("dataLocation"); l != "" {
		return l, nil
	}
	return "", invalidf("1 validation error detected: Value at 'dataSource.dataLocation' failed to satisfy constraint: Member must not be null")
}

// datasetOf returns the dataset that a job is for.
func datasetOf(ctx context.Context, h *Handler, in object) (engine.Dataset, error) {
	a, err := arn(in, "datasetArn", datasetKind)
	if err != nil {
		return engine.Dataset{}, err
	}
	return h.backend.DatasetByARN(ctx, a)
}

func createImportJob(ctx context.Context, h *Handler, in object) (any, error) {
	d, err := datasetOf(ctx, h, in)
	if err != nil {
		return nil, err
	}
	source, err := location(in)
	if err != nil {
		return nil, err
	}
	if in.bool("publishAttributionMetricsToS3") {
		return nil, invalidf("The member publishAttributionMetricsToS3 can't be true: there are no metric attributions here.")
	}
	mode := engine.ImportFull
	if m := in.text("importMode"); m != "" {
		mode = engine.ImportMode(m)
	}
	n := engine.NewDatasetImportJob{
		Name: in.text("jobName"), Group: d.GroupARN, Type: d.Type, Source: source, Mode: mode, RoleARN: in.text("roleArn"), Tags: tagsOf(in),
	}
	job, err := limited(h, func() error { return h.checkImports(ctx) }, func() (engine.Job, error) { return h.backend.CreateDatasetImportJob(ctx, n) })
	if err != nil {
		return nil, err
	}
	return named{"datasetImportJobArn": job.ARN}, nil
}

func describeImportJob(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetImportJobArn", string(engine.KindImport))
	if err != nil {
		return nil, err
	}
	j, err := h.backend.DescribeDatasetImportJob(ctx, a)
	if err != nil {
		return nil, err
	}
	return named{"datasetImportJob": importJob{
		j.Name, j.ARN, j.DatasetARN, &dataLocation{j.Source}, j.RoleARN, createStatus(j.Status),
		epoch(j.Created), epoch(j.Updated), j.FailureReason, string(j.Mode),
	}}, nil
}

func listImportJobs(ctx context.Context, h *Handler, in object) (any, error) {
	dataset, err := filter(in, "datasetArn", datasetKind)
	if err != nil {
		return nil, err
	}
	page, next, err := jobPage(ctx, h, "ListDatasetImportJobs", dataset, in, h.backend.ListDatasetImportJobs, engine.ListJobs{Dataset: dataset},
		func(j engine.Job) importJobSummary {
			return importJobSummary{j.ARN, j.Name, createStatus(j.Status), epoch(j.Created), epoch(j.Updated), j.FailureReason, string(j.Mode)}
		})
	return struct {
		Page []importJobSummary `json:"datasetImportJobs"`
		Next string             `json:"nextToken,omitempty"`
	}{page, next}, err
}

// jobPage returns a page of jobs and the token of the next one. Jobs are numbered in the order of creation, so their
// numbers are the positions.
func jobPage[S any](ctx context.Context, h *Handler, op, filter string, in object,
	list func(context.Context, engine.ListJobs) ([]engine.Job, bool, error), l engine.ListJobs, summary func(engine.Job) S,
) (page []S, next string, err error) {
	if token, ok := in["nextToken"]; ok {
		position, err := h.position(op, filter, token.(string))
		if err != nil {
			return nil, "", err
		}
		if l.After, err = strconv.ParseUint(position, 10, 64); err != nil {
			return nil, "", errToken
		}
	}
	l.Limit = pageSize(in)
	jobs, more, err := list(ctx, l)
	if err != nil {
		return nil, "", err
	}
	page = make([]S, len(jobs))
	for i, j := range jobs {
		page[i] = summary(j)
	}
	if more {
		next = h.token(op, filter, strconv.FormatUint(jobs[len(jobs)-1].Seq, 10))
	}
	return page, next, nil
}

func createExportJob(ctx context.Context, h *Handler, in object) (any, error) {
	d, err := datasetOf(ctx, h, in)
	if err != nil {
		return nil, err
	}
	ingestion := engine.Ingestion("PUT") // the API's default
	if m := in.text("ingestionMode"); m != "" {
		ingestion = engine.Ingestion(m)
	}
	to := in.object("jobOutput").object("s3DataDestination")
	job, err := h.backend.CreateDatasetExportJob(ctx, engine.NewDatasetExportJob{
		Name: in.text("jobName"), Group: d.GroupARN, Type: d.Type, Ingestion: ingestion, Destination: to.text("path"),
		KMSKeyARN: to.text("kmsKeyArn"), RoleARN: in.text("roleArn"), Tags: tagsOf(in),
	})
	if err != nil {
		return nil, err
	}
	return named{"datasetExportJobArn": job.ARN}, nil
}

func describeExportJob(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetExportJobArn", string(engine.KindExport))
	if err != nil {
		return nil, err
	}
	j, err := h.backend.DescribeDatasetExportJob(ctx, a)
	if err != nil {
		return nil, err
	}
	out := exportJob{
		Name: j.Name, ARN: j.ARN, DatasetARN: j.DatasetARN, Ingestion: string(j.Ingestion), RoleARN: j.RoleARN, Status: createStatus(j.Status),
		Created: epoch(j.Created), Updated: epoch(j.Updated), FailureReason: j.FailureReason,
	}
	out.Output.Destination.Path, out.Output.Destination.KMSKeyARN = j.Destination, j.KMSKeyARN
	return named{"datasetExportJob": out}, nil
}

func listExportJobs(ctx context.Context, h *Handler, in object) (any, error) {
	dataset, err := filter(in, "datasetArn", datasetKind)
	if err != nil {
		return nil, err
	}
	page, next, err := jobPage(ctx, h, "ListDatasetExportJobs", dataset, in, h.backend.ListDatasetExportJobs, engine.ListJobs{Dataset: dataset},
		func(j engine.Job) exportJobSummary {
			return exportJobSummary{j.ARN, j.Name, createStatus(j.Status), epoch(j.Created), epoch(j.Updated), j.FailureReason}
		})
	return struct {
		Page []exportJobSummary `json:"datasetExportJobs"`
		Next string             `json:"nextToken,omitempty"`
	}{page, next}, err
}

func createDeletionJob(ctx context.Context, h *Handler, in object) (any, error) {
	group, err := arn(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	source, err := location(in)
	if err != nil {
		return nil, err
	}
	job, err := h.backend.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{
		Name: in.text("jobName"), Group: group, Source: source, RoleARN: in.text("roleArn"), Tags: tagsOf(in),
	})
	if err != nil {
		return nil, err
	}
	return named{"dataDeletionJobArn": job.ARN}, nil
}

func describeDeletionJob(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "dataDeletionJobArn", string(engine.KindDeletion))
	if err != nil {
		return nil, err
	}
	j, err := h.backend.DescribeDataDeletionJob(ctx, a)
	if err != nil {
		return nil, err
	}
	return named{"dataDeletionJob": deletionJob{
		j.Name, j.ARN, j.GroupARN, &dataLocation{j.Source}, j.RoleARN, string(j.Status), int32Of(j.NumDeleted),
		epoch(j.Created), epoch(j.Updated), j.FailureReason,
	}}, nil
}

func listDeletionJobs(ctx context.Context, h *Handler, in object) (any, error) {
	group, err := filter(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	page, next, err := jobPage(ctx, h, "ListDataDeletionJobs", group, in, h.backend.ListDataDeletionJobs, engine.ListJobs{Group: group},
		func(j engine.Job) deletionJobSummary {
			return deletionJobSummary{j.ARN, j.GroupARN, j.Name, string(j.Status), epoch(j.Created), epoch(j.Updated), j.FailureReason}
		})
	return struct {
		Page []deletionJobSummary `json:"dataDeletionJobs"`
		Next string               `json:"nextToken,omitempty"`
	}{page, next}, err
}
