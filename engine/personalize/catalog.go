package personalize

import (
	"context"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// arn returns the ARN in a member, which has to be of this kind of resource.
func arn(in object, member, kind string) (string, error) {
	arn := in.text(member)
	parts := strings.SplitN(arn, ":", 6)
	if got, id, ok := strings.Cut(parts[5], "/"); !ok || got != kind || id == "" {
		return "", invalidf("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must be an ARN of the kind %s", member, kind)
	}
	return arn, nil
}

// filter is arn for the filter of a list, "" if there is none.
func filter(in object, member, kind string) (string, error) {
	if in[member] == nil {
		return "", nil
	}
	return arn(in, member, kind)
}

// named is the one member that most outputs have.
type named map[string]any

// Kinds in ARNs.
const (
	groupKind   = "dataset-group"
	schemaKind  = "schema"
	datasetKind = "dataset"
	trackerKind = "event-tracker"
)

func createDatasetGroup(ctx context.Context, h *Handler, in object) (any, error) {
	n := engine.NewDatasetGroup{
		Name: in.text("name"), Domain: in.text("domain"), RoleARN: in.text("roleArn"), KMSKeyARN: in.text("kmsKeyArn"), Tags: tagsOf(in),
	}
	if (n.RoleARN == "") != (n.KMSKeyARN == "") {
		return nil, invalidf("The members roleArn and kmsKeyArn go together: give both or neither.")
	}
	g, err := limited(h, func() error { return h.checkGroups(ctx) }, func() (engine.DatasetGroup, error) { return h.backend.CreateDatasetGroup(ctx, n) })
	if err != nil {
		return nil, err
	}
	return struct {
		ARN    string `json:"datasetGroupArn"`
		Domain string `json:"domain,omitempty"`
	}{g.ARN, g.Domain}, nil
}

func describeDatasetGroup(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	g, err := h.backend.DatasetGroup(ctx, a)
	if err != nil {
		return nil, err
	}
	out := groupSummary(g)
	out.RoleARN, out.KMSKeyARN = g.RoleARN, g.KMSKeyARN
	return named{"datasetGroup": out}, nil
}

func groupSummary(g engine.DatasetGroup) datasetGroup {
	return datasetGroup{Name: g.Name, ARN: g.ARN, Status: active, Created: epoch(g.Created), Updated: epoch(g.Updated), Domain: g.Domain}
}

func (g datasetGroup) place() (time.Time, string) { return time.Time(g.Created), g.ARN }

func listDatasetGroups(ctx context.Context, h *Handler, in object) (any, error) {
	groups, err := h.backend.DatasetGroups(ctx)
	page, next, err := listed(h, "ListDatasetGroups", "", in, groups, groupSummary, err)
	return struct {
		Page []datasetGroup `json:"datasetGroups"`
		Next string         `json:"nextToken,omitempty"`
	}{page, next}, err
}

// listed makes the page of a list that the backend returned, with its error.
func listed[R any, S resource](h *Handler, op, filter string, in object, all []R, summary func(R) S, err error) ([]S, string, error) {
	if err != nil {
		return nil, "", err
	}
	summaries := make([]S, len(all))
	for i, r := range all {
		summaries[i] = summary(r)
	}
	return resources(h, op, filter, in, summaries)
}

func deleteDatasetGroup(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	return nil, h.backend.DeleteDatasetGroup(ctx, a)
}

func createSchema(ctx context.Context, h *Handler, in object) (any, error) {
	n := engine.NewSchema{Name: in.text("name"), Avro: []byte(in.text("schema")), Domain: in.text("domain")}
	s, err := limited(h, func() error { return h.checkSchemas(ctx) }, func() (engine.Schema, error) { return h.backend.CreateSchema(ctx, n) })
	if err != nil {
		return nil, err
	}
	return named{"schemaArn": s.ARN}, nil
}

func describeSchema(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "schemaArn", schemaKind)
	if err != nil {
		return nil, err
	}
	s, err := h.backend.Schema(ctx, a)
	if err != nil {
		return nil, err
	}
	out := schemaSummary(s)
	out.Schema = s.Avro
	return named{"schema": out}, nil
}

func schemaSummary(s engine.Schema) datasetSchema {
	return datasetSchema{Name: s.Name, ARN: s.ARN, Created: epoch(s.Created), Updated: epoch(s.Updated), Domain: s.Domain}
}

func (s datasetSchema) place() (time.Time, string) { return time.Time(s.Created), s.ARN }

func listSchemas(ctx context.Context, h *Handler, in object) (any, error) {
	schemas, err := h.backend.Schemas(ctx)
	page, next, err := listed(h, "ListSchemas", "", in, schemas, schemaSummary, err)
	return struct {
		Page []datasetSchema `json:"schemas"`
		Next string          `json:"nextToken,omitempty"`
	}{page, next}, err
}

func deleteSchema(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "schemaArn", schemaKind)
	if err != nil {
		return nil, err
	}
	return nil, h.backend.DeleteSchema(ctx, a)
}

func createDataset(ctx context.Context, h *Handler, in object) (any, error) {
	group, err := arn(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	schema, err := arn(in, "schemaArn", schemaKind)
	if err != nil {
		return nil, err
	}
	t, err := engine.ParseDatasetType(in.text("datasetType"))
	if err != nil {
		return nil, invalidf("The datasetType must be Interactions, Items or Users, in any case: there are no datasets of actions here.")
	}
	d, err := h.backend.CreateDataset(ctx, engine.NewDataset{Name: in.text("name"), Group: group, Type: t, Schema: schema, Tags: tagsOf(in)})
	if err != nil {
		return nil, err
	}
	return named{"datasetArn": d.ARN}, nil
}

func describeDataset(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetArn", datasetKind)
	if err != nil {
		return nil, err
	}
	d, err := h.backend.DatasetByARN(ctx, a)
	if err != nil {
		return nil, err
	}
	out := datasetSummary(d)
	out.GroupARN, out.SchemaARN, out.TrackingID = d.GroupARN, d.SchemaARN, d.TrackingID
	if u := d.Latest; u != nil {
		out.Latest = &datasetUpdate{u.SchemaARN, active, epoch(u.Created), epoch(u.Updated)}
	}
	return named{"dataset": out}, nil
}

func datasetSummary(d engine.Dataset) dataset {
	return dataset{Name: d.Name, ARN: d.ARN, Type: string(d.Type), Status: active, Created: epoch(d.Created), Updated: epoch(d.Updated)}
}

func (d dataset) place() (time.Time, string) { return time.Time(d.Created), d.ARN }

func listDatasets(ctx context.Context, h *Handler, in object) (any, error) {
	group, err := filter(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	datasets, err := h.backend.Datasets(ctx, group)
	page, next, err := listed(h, "ListDatasets", group, in, datasets, datasetSummary, err)
	return struct {
		Page []dataset `json:"datasets"`
		Next string    `json:"nextToken,omitempty"`
	}{page, next}, err
}

func updateDataset(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetArn", datasetKind)
	if err != nil {
		return nil, err
	}
	schema, err := arn(in, "schemaArn", schemaKind)
	if err != nil {
		return nil, err
	}
	d, err := h.backend.UpdateDataset(ctx, a, schema)
	if err != nil {
		return nil, err
	}
	return named{"datasetArn": d.ARN}, nil
}

func deleteDataset(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "datasetArn", datasetKind)
	if err != nil {
		return nil, err
	}
	return nil, h.backend.DeleteDataset(ctx, a)
}
