package sdktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/personalize"
	"github.com/aws/aws-sdk-go-v2/service/personalize/types"

	"github.com/expunge-db/expunge/engine"
)

// TestWholeLife goes from an empty store through all that a client does, and back to an empty store.
func TestWholeLife(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	shop := s.newShop("shop")

	group, err := s.client.DescribeDatasetGroup(ctx, &sdk.DescribeDatasetGroupInput{DatasetGroupArn: shop.group})
	must(t, err)
	if g := group.DatasetGroup; *g.Name != "shop" || *g.Status != "ACTIVE" || *g.DatasetGroupArn != "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop" ||
		g.CreationDateTime == nil || g.LastUpdatedDateTime == nil || g.Domain != "" || g.RoleArn != nil {
		t.Errorf("the group is %+v", g)
	}
	schema, err := s.client.DescribeSchema(ctx, &sdk.DescribeSchemaInput{SchemaArn: shop.usersSchema})
	must(t, err)
	if *schema.Schema.Schema != usersSchema {
		t.Errorf("the schema comes back as %s", *schema.Schema.Schema)
	}

	if job := s.importFrom("users", shop.users, s.put("users.csv", "USER_ID,AGE\n"+numbered("u%d,30\n", 20)), types.ImportModeFull); *job.Status != "ACTIVE" {
		t.Fatalf("the import of users ended as %s: %s", *job.Status, aws.ToString(job.FailureReason))
	}
	if job := s.importFrom("interactions", shop.interactions, s.put("events.csv", "USER_ID,ITEM_ID,TIMESTAMP\n"+numbered("u%d,i1,1700000000\n", 20)+numbered("u%[1]d,i%[1]d,1700000001\n", 10)), ""); *job.Status != "ACTIVE" || job.ImportMode != types.ImportModeFull {
		t.Fatalf("the import of interactions ended as %s: %s", *job.Status, aws.ToString(job.FailureReason))
	}
	if job := s.importFrom("bad", shop.users, s.put("bad.csv", "USER_ID\nu1\n"), ""); *job.Status != "CREATE FAILED" || !strings.Contains(aws.ToString(job.FailureReason), "bad.csv") {
		t.Errorf("an import without a column ended as %s: %s", *job.Status, aws.ToString(job.FailureReason))
	}

	// u0 to u4 go: a Users row, two interactions each. u99 isn't there, u1 is twice on the list.
	s.put("lists/a.csv", "USER_ID\nu0\nu1\nu2\n")
	s.put("lists/b.csv", "USER_ID\nu1\nu3\nu4\nu99\n")
	job := s.deleteUsers("june", shop.group, aws.String("s3://data/lists/"))
	if *job.Status != "COMPLETED" || aws.ToInt32(job.NumDeleted) != 15 || *job.DataSource.DataLocation != "s3://data/lists/" || *job.RoleArn != role ||
		*job.DataDeletionJobArn != "arn:aws:personalize:us-east-1:000000000000:data-deletion-job/june" || *job.DatasetGroupArn != *shop.group {
		t.Errorf("the job ended as %s with %d: %s", *job.Status, aws.ToInt32(job.NumDeleted), aws.ToString(job.FailureReason))
	}
	if u, i := s.rows("shop", engine.Users), s.rows("shop", engine.Interactions); u != 15 || i != 20 {
		t.Errorf("%d users and %d interactions are left", u, i)
	}
	job = s.deleteUsers("again", shop.group, aws.String("s3://data/lists/a.csv"))
	if *job.Status != "COMPLETED" || aws.ToInt32(job.NumDeleted) != 0 {
		t.Errorf("the second job ended as %s with %v", *job.Status, job.NumDeleted)
	}
	for list, text := range map[string]string{"header.csv": "ID\nu5\n", "quotes.csv": "USER_ID\n\"u5\nu6\n"} {
		job = s.deleteUsers(strings.TrimSuffix(list, ".csv"), shop.group, s.put(list, text))
		if *job.Status != "FAILED" || !strings.Contains(aws.ToString(job.FailureReason), list) || strings.Contains(aws.ToString(job.FailureReason), "u5") {
			t.Errorf("a job with a bad list ended as %s: %s", *job.Status, aws.ToString(job.FailureReason))
		}
	}
	job = s.deleteUsers("missing", shop.group, aws.String("s3://data/none.csv"))
	if *job.Status != "FAILED" {
		t.Errorf("a job without a list ended as %s", *job.Status)
	}

	updated, err := s.client.CreateSchema(ctx, &sdk.CreateSchemaInput{Name: aws.String("plans"), Schema: aws.String(newUsersSchema)})
	must(t, err)
	_, err = s.client.UpdateDataset(ctx, &sdk.UpdateDatasetInput{DatasetArn: shop.users, SchemaArn: updated.SchemaArn})
	must(t, err)
	dataset, err := s.client.DescribeDataset(ctx, &sdk.DescribeDatasetInput{DatasetArn: shop.users})
	must(t, err)
	if d := dataset.Dataset; *d.SchemaArn != *updated.SchemaArn || *d.DatasetType != "USERS" || *d.Status != "ACTIVE" || *d.DatasetGroupArn != *shop.group ||
		d.LatestDatasetUpdate == nil || *d.LatestDatasetUpdate.Status != "ACTIVE" || *d.LatestDatasetUpdate.SchemaArn != *updated.SchemaArn {
		t.Errorf("the dataset is %+v", d)
	}

	// The order in which the guide has one clean up.
	_, err = s.client.DeleteDatasetGroup(ctx, &sdk.DeleteDatasetGroupInput{DatasetGroupArn: shop.group})
	is[*types.ResourceInUseException](t, "DeleteDatasetGroup with datasets", err)
	_, err = s.client.DeleteSchema(ctx, &sdk.DeleteSchemaInput{SchemaArn: updated.SchemaArn})
	is[*types.ResourceInUseException](t, "DeleteSchema of a dataset", err)
	for _, arn := range []*string{shop.users, shop.items, shop.interactions} {
		_, err = s.client.DeleteDataset(ctx, &sdk.DeleteDatasetInput{DatasetArn: arn})
		must(t, err)
		_, err = s.client.DescribeDataset(ctx, &sdk.DescribeDatasetInput{DatasetArn: arn})
		is[*types.ResourceNotFoundException](t, "DescribeDataset after it was deleted", err)
	}
	_, err = s.client.DeleteDatasetGroup(ctx, &sdk.DeleteDatasetGroupInput{DatasetGroupArn: shop.group})
	must(t, err)
	schemas, err := s.client.ListSchemas(ctx, &sdk.ListSchemasInput{})
	must(t, err)
	for _, schema := range schemas.Schemas {
		_, err := s.client.DeleteSchema(ctx, &sdk.DeleteSchemaInput{SchemaArn: schema.SchemaArn})
		must(t, err)
	}
	groups, err := s.client.ListDatasetGroups(ctx, &sdk.ListDatasetGroupsInput{})
	must(t, err)
	datasets, err := s.client.ListDatasets(ctx, &sdk.ListDatasetsInput{})
	must(t, err)
	if len(groups.DatasetGroups) != 0 || len(datasets.Datasets) != 0 || len(schemas.Schemas) != 4 {
		t.Errorf("left are %d groups and %d datasets; there were %d schemas", len(groups.DatasetGroups), len(datasets.Datasets), len(schemas.Schemas))
	}
}

func TestListsInPages(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	a, b := s.newShop("a"), s.newShop("b")
	empty := s.put("empty.csv", "USER_ID\nnobody\n")
	var want []string // newest first
	for i := range 7 {
		name := fmt.Sprintf("job-%d", i)
		s.deleteUsers(name, a.group, empty)
		want = append([]string{name}, want...)
	}
	s.deleteUsers("other", b.group, empty)

	var got []string
	in := &sdk.ListDataDeletionJobsInput{DatasetGroupArn: a.group, MaxResults: aws.Int32(3)}
	for pages := 1; ; pages++ {
		out, err := s.client.ListDataDeletionJobs(ctx, in)
		must(t, err)
		for _, j := range out.DataDeletionJobs {
			got = append(got, *j.JobName)
			if *j.DatasetGroupArn != *a.group || *j.Status != "COMPLETED" || j.CreationDateTime == nil {
				t.Errorf("a summary is %+v", j)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		s.deleteUsers(fmt.Sprintf("later-%d", pages), a.group, empty) // moves nothing
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	out, err := s.client.ListDataDeletionJobs(ctx, &sdk.ListDataDeletionJobsInput{MaxResults: aws.Int32(1)})
	must(t, err)
	token := out.NextToken
	_, err = s.client.ListDataDeletionJobs(ctx, &sdk.ListDataDeletionJobsInput{NextToken: token, DatasetGroupArn: a.group})
	is[*types.InvalidNextTokenException](t, "a token of another filter", err)
	_, err = s.client.ListDatasetImportJobs(ctx, &sdk.ListDatasetImportJobsInput{NextToken: token})
	is[*types.InvalidNextTokenException](t, "a token of another list", err)
	none, err := s.client.ListDataDeletionJobs(ctx, &sdk.ListDataDeletionJobsInput{DatasetGroupArn: aws.String(*a.group + "-none")})
	must(t, err)
	if len(none.DataDeletionJobs) != 0 || none.NextToken != nil {
		t.Errorf("a group that isn't there has %d jobs", len(none.DataDeletionJobs))
	}

	// The paginators of the SDK, for the lists that have one.
	var groups []string
	for p := sdk.NewListDatasetGroupsPaginator(s.client, &sdk.ListDatasetGroupsInput{MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		must(t, err)
		for _, g := range page.DatasetGroups {
			groups = append(groups, *g.Name)
		}
	}
	if !slices.Equal(groups, []string{"b", "a"}) {
		t.Errorf("groups are %q", groups)
	}
	n := 0
	for p := sdk.NewListDatasetsPaginator(s.client, &sdk.ListDatasetsInput{DatasetGroupArn: b.group, MaxResults: aws.Int32(2)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		must(t, err)
		n += len(page.Datasets)
	}
	if n != 3 {
		t.Errorf("group b has %d datasets", n)
	}
	s.importFrom("i1", a.users, s.put("u.csv", "USER_ID,AGE\nu1,\n"), "")
	s.importFrom("i2", b.users, aws.String("s3://data/u.csv"), types.ImportModeIncremental)
	imports, err := s.client.ListDatasetImportJobs(ctx, &sdk.ListDatasetImportJobsInput{DatasetArn: b.users})
	must(t, err)
	if len(imports.DatasetImportJobs) != 1 || *imports.DatasetImportJobs[0].JobName != "i2" || imports.DatasetImportJobs[0].ImportMode != types.ImportModeIncremental {
		t.Errorf("imports of b are %+v", imports.DatasetImportJobs)
	}
}

func TestTags(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	shop := s.newShop("shop")
	list := s.put("list.csv", "USER_ID\nnobody\n")
	job := s.deleteUsers("j", shop.group, list)
	imported := s.importFrom("i", shop.users, s.put("u.csv", "USER_ID,AGE\nu1,\n"), "")
	tracker, err := s.client.CreateEventTracker(ctx, &sdk.CreateEventTrackerInput{Name: aws.String("t"), DatasetGroupArn: shop.group, Tags: []types.Tag{{TagKey: aws.String("at"), TagValue: aws.String("birth")}}})
	must(t, err)
	for _, arn := range []*string{shop.group, shop.users, job.DataDeletionJobArn, imported.DatasetImportJobArn, tracker.EventTrackerArn} {
		tag := func(key, value string) error {
			_, err := s.client.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{TagKey: &key, TagValue: &value}}})
			return err
		}
		must(t, tag("team", "a"))
		must(t, tag("team", "b"))
		must(t, tag("Team", ""))
		must(t, tag("gone", "soon"))
		_, err := s.client.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"gone", "never"}})
		must(t, err)
		out, err := s.client.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: arn})
		must(t, err)
		got := map[string]string{}
		for _, tag := range out.Tags {
			got[*tag.TagKey] = *tag.TagValue
		}
		delete(got, "at")
		if len(got) != 2 || got["team"] != "b" || got["Team"] != "" {
			t.Errorf("%s has the tags %v", *arn, got)
		}
		var many []types.Tag
		for i := range 51 {
			many = append(many, types.Tag{TagKey: aws.String(fmt.Sprint("k", i)), TagValue: aws.String("v")})
		}
		_, err = s.client.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: arn, Tags: many})
		is[*types.TooManyTagsException](t, "51 tags on "+*arn, err)
	}
}
