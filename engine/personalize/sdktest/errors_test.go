package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/personalize"
	"github.com/aws/aws-sdk-go-v2/service/personalize/types"
	"github.com/aws/smithy-go"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
)

const (
	aGroup  = "arn:aws:personalize:us-east-1:000000000000:dataset-group/g"
	aSchema = "arn:aws:personalize:us-east-1:000000000000:schema/s"
	anItems = "arn:aws:personalize:us-east-1:000000000000:dataset/g/ITEMS"
)

// kind is a modelled error: what of the engine causes it, and its Go type.
type kind struct {
	cause error
	is    func(error) bool
}

func isType[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

var (
	invalidInput = kind{engine.ErrInvalid, isType[*types.InvalidInputException]}
	notFound     = kind{engine.ErrNotFound, isType[*types.ResourceNotFoundException]}
	exists       = kind{engine.ErrExists, isType[*types.ResourceAlreadyExistsException]}
	limit        = kind{engine.ErrLimit, isType[*types.LimitExceededException]}
	inUse        = kind{engine.ErrInUse, isType[*types.ResourceInUseException]}
	tooManyTags  = kind{engine.ErrTooManyTags, isType[*types.TooManyTagsException]}
	tooManyKeys  = kind{engine.ErrTooManyTagKeys, isType[*types.TooManyTagKeysException]}
	badToken     = kind{nil, isType[*types.InvalidNextTokenException]} // caused by the token that the lists below send
)

// operations are those of the model, with their modelled errors. The lists send a token that is none, so that they
// end in the one error that all of them have.
var operations = []struct {
	name  string
	errs  []kind
	input func(*sdk.Client, context.Context) error
}{
	{"CreateDatasetGroup", []kind{invalidInput, exists, limit, tooManyTags}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateDatasetGroup(ctx, &sdk.CreateDatasetGroupInput{Name: aws.String("g")})
		return err
	}},
	{"DescribeDatasetGroup", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeDatasetGroup(ctx, &sdk.DescribeDatasetGroupInput{DatasetGroupArn: aws.String(aGroup)})
		return err
	}},
	{"ListDatasetGroups", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListDatasetGroups(ctx, &sdk.ListDatasetGroupsInput{NextToken: aws.String("x")})
		return err
	}},
	{"DeleteDatasetGroup", []kind{invalidInput, notFound, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DeleteDatasetGroup(ctx, &sdk.DeleteDatasetGroupInput{DatasetGroupArn: aws.String(aGroup)})
		return err
	}},
	{"CreateSchema", []kind{invalidInput, exists, limit}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateSchema(ctx, &sdk.CreateSchemaInput{Name: aws.String("s"), Schema: aws.String("{}")})
		return err
	}},
	{"DescribeSchema", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeSchema(ctx, &sdk.DescribeSchemaInput{SchemaArn: aws.String(aSchema)})
		return err
	}},
	{"ListSchemas", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListSchemas(ctx, &sdk.ListSchemasInput{NextToken: aws.String("x")})
		return err
	}},
	{"DeleteSchema", []kind{invalidInput, notFound, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DeleteSchema(ctx, &sdk.DeleteSchemaInput{SchemaArn: aws.String(aSchema)})
		return err
	}},
	{"CreateDataset", []kind{invalidInput, notFound, exists, limit, inUse, tooManyTags}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateDataset(ctx, &sdk.CreateDatasetInput{Name: aws.String("d"), SchemaArn: aws.String(aSchema), DatasetGroupArn: aws.String(aGroup), DatasetType: aws.String("items")})
		return err
	}},
	{"DescribeDataset", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeDataset(ctx, &sdk.DescribeDatasetInput{DatasetArn: aws.String(anItems)})
		return err
	}},
	{"ListDatasets", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListDatasets(ctx, &sdk.ListDatasetsInput{NextToken: aws.String("x")})
		return err
	}},
	{"UpdateDataset", []kind{invalidInput, notFound, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.UpdateDataset(ctx, &sdk.UpdateDatasetInput{DatasetArn: aws.String(anItems), SchemaArn: aws.String(aSchema)})
		return err
	}},
	{"DeleteDataset", []kind{invalidInput, notFound, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DeleteDataset(ctx, &sdk.DeleteDatasetInput{DatasetArn: aws.String(anItems)})
		return err
	}},
	{"CreateDatasetImportJob", []kind{invalidInput, notFound, exists, limit, inUse, tooManyTags}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateDatasetImportJob(ctx, &sdk.CreateDatasetImportJobInput{JobName: aws.String("j"), DatasetArn: aws.String(anItems), DataSource: source("s3://data/k")})
		return err
	}},
	{"DescribeDatasetImportJob", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeDatasetImportJob(ctx, &sdk.DescribeDatasetImportJobInput{DatasetImportJobArn: jobARN("dataset-import-job")})
		return err
	}},
	{"ListDatasetImportJobs", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListDatasetImportJobs(ctx, &sdk.ListDatasetImportJobsInput{NextToken: aws.String("x")})
		return err
	}},
	{"CreateDatasetExportJob", []kind{invalidInput, notFound, exists, limit, inUse, tooManyTags}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateDatasetExportJob(ctx, &sdk.CreateDatasetExportJobInput{JobName: aws.String("j"), DatasetArn: aws.String(anItems), RoleArn: aws.String(role), JobOutput: output("s3://data/k/")})
		return err
	}},
	{"DescribeDatasetExportJob", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeDatasetExportJob(ctx, &sdk.DescribeDatasetExportJobInput{DatasetExportJobArn: jobARN("dataset-export-job")})
		return err
	}},
	{"ListDatasetExportJobs", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListDatasetExportJobs(ctx, &sdk.ListDatasetExportJobsInput{NextToken: aws.String("x")})
		return err
	}},
	{"CreateDataDeletionJob", []kind{invalidInput, notFound, exists, limit, inUse, tooManyTags}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateDataDeletionJob(ctx, deletion("j", aws.String(aGroup), "s3://data/k"))
		return err
	}},
	{"DescribeDataDeletionJob", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeDataDeletionJob(ctx, &sdk.DescribeDataDeletionJobInput{DataDeletionJobArn: jobARN("data-deletion-job")})
		return err
	}},
	{"ListDataDeletionJobs", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListDataDeletionJobs(ctx, &sdk.ListDataDeletionJobsInput{NextToken: aws.String("x")})
		return err
	}},
	{"TagResource", []kind{invalidInput, notFound, tooManyTags, inUse, limit}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: aws.String(aGroup), Tags: []types.Tag{}})
		return err
	}},
	{"UntagResource", []kind{invalidInput, notFound, tooManyKeys, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: aws.String(aGroup), TagKeys: []string{}})
		return err
	}},
	{"ListTagsForResource", []kind{invalidInput, notFound, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: aws.String(aGroup)})
		return err
	}},
	{"CreateEventTracker", []kind{invalidInput, exists, notFound, limit, inUse, tooManyTags}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.CreateEventTracker(ctx, &sdk.CreateEventTrackerInput{Name: aws.String("t"), DatasetGroupArn: aws.String(aGroup)})
		return err
	}},
	{"DescribeEventTracker", []kind{invalidInput, notFound}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DescribeEventTracker(ctx, &sdk.DescribeEventTrackerInput{EventTrackerArn: jobARN("event-tracker")})
		return err
	}},
	{"ListEventTrackers", []kind{badToken}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.ListEventTrackers(ctx, &sdk.ListEventTrackersInput{NextToken: aws.String("x")})
		return err
	}},
	{"DeleteEventTracker", []kind{invalidInput, notFound, inUse}, func(c *sdk.Client, ctx context.Context) error {
		_, err := c.DeleteEventTracker(ctx, &sdk.DeleteEventTrackerInput{EventTrackerArn: jobARN("event-tracker")})
		return err
	}},
}

func source(location string) *types.DataSource { return &types.DataSource{DataLocation: &location} }

func output(path string) *types.DatasetExportJobOutput {
	return &types.DatasetExportJobOutput{S3DataDestination: &types.S3DataConfig{Path: &path}}
}

func jobARN(kind string) *string {
	return aws.String("arn:aws:personalize:us-east-1:000000000000:" + kind + "/j")
}

func deletion(name string, group *string, location string) *sdk.CreateDataDeletionJobInput {
	return &sdk.CreateDataDeletionJobInput{JobName: &name, DatasetGroupArn: group, DataSource: source(location), RoleArn: aws.String(role)}
}

func TestEveryModelledErrorHasItsGoType(t *testing.T) {
	b := &broken{}
	s := start(t, func(e *engine.Engine) personalize.Backend { b.Engine = e; return b })
	for _, op := range operations {
		for _, k := range op.errs {
			if b.err = nil; k.cause != nil {
				b.err = fmt.Errorf("group %w: do something", k.cause)
			}
			err := op.input(s.client, t.Context())
			if !k.is(err) {
				t.Errorf("%s: %v gives %v", op.name, k.cause, err)
			}
			var api smithy.APIError
			if !errors.As(err, &api) || k.cause != nil && api.ErrorMessage() != b.err.Error() {
				t.Errorf("%s: the message of %v is another one", op.name, err)
			}
			var response interface {
				HTTPStatusCode() int
				ServiceRequestID() string
			}
			if !errors.As(err, &response) || response.HTTPStatusCode() != 400 || response.ServiceRequestID() == "" {
				t.Errorf("%s: the response of %v isn't 400 with a request ID", op.name, err)
			}
		}
	}
}

// TestErrorsWithACause has those that a client can bring about.
func TestErrorsWithACause(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	for _, op := range operations {
		if strings.HasPrefix(op.name, "Describe") || strings.HasPrefix(op.name, "Delete") || op.name == "UpdateDataset" || strings.Contains(op.name, "Resource") ||
			op.name == "CreateDataset" || op.name == "CreateEventTracker" || strings.HasPrefix(op.name, "Create") && strings.HasSuffix(op.name, "Job") {
			is[*types.ResourceNotFoundException](t, op.name+" in an empty store", op.input(s.client, ctx))
		}
	}
	shop := s.newShop("shop")
	create := func(name string, err error) { is[*types.ResourceAlreadyExistsException](t, name+" again", err) }
	_, err := s.client.CreateDatasetGroup(ctx, &sdk.CreateDatasetGroupInput{Name: aws.String("shop")})
	create("CreateDatasetGroup", err)
	_, err = s.client.CreateSchema(ctx, &sdk.CreateSchemaInput{Name: aws.String("shop-Users"), Schema: aws.String(usersSchema)})
	create("CreateSchema", err)
	_, err = s.client.CreateDataset(ctx, &sdk.CreateDatasetInput{Name: aws.String("more"), DatasetGroupArn: shop.group, SchemaArn: shop.usersSchema, DatasetType: aws.String("USERS")})
	create("CreateDataset", err)
	list := s.put("list.csv", "USER_ID\nnobody\n")
	s.deleteUsers("j", shop.group, list)
	_, err = s.client.CreateDataDeletionJob(ctx, deletion("j", shop.group, *list))
	create("CreateDataDeletionJob", err)
	s.importFrom("j", shop.users, s.put("u.csv", "USER_ID,AGE\nu1,\n"), "")
	_, err = s.client.CreateDatasetImportJob(ctx, &sdk.CreateDatasetImportJobInput{JobName: aws.String("j"), DatasetArn: shop.users, DataSource: source("s3://data/u.csv")})
	create("CreateDatasetImportJob", err)
	tracker, err := s.client.CreateEventTracker(ctx, &sdk.CreateEventTrackerInput{Name: aws.String("t"), DatasetGroupArn: shop.group})
	must(t, err)
	_, err = s.client.CreateEventTracker(ctx, &sdk.CreateEventTrackerInput{Name: aws.String("t2"), DatasetGroupArn: shop.group})
	is[*types.LimitExceededException](t, "a second event tracker", err)
	_, err = s.client.DeleteDataset(ctx, &sdk.DeleteDatasetInput{DatasetArn: shop.interactions})
	is[*types.ResourceInUseException](t, "DeleteDataset with an event tracker", err)
	_, err = s.client.DeleteEventTracker(ctx, &sdk.DeleteEventTrackerInput{EventTrackerArn: tracker.EventTrackerArn})
	must(t, err)

	for what, in := range map[string]*sdk.CreateSchemaInput{
		"no JSON":        {Name: aws.String("x"), Schema: aws.String("secret")},
		"another domain": {Name: aws.String("x"), Schema: aws.String(usersSchema), Domain: "MUSIC"},
		"a bad name":     {Name: aws.String("-secret"), Schema: aws.String(usersSchema)},
	} {
		_, err := s.client.CreateSchema(ctx, in)
		is[*types.InvalidInputException](t, what, err)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats the value: %v", what, err)
		}
	}
	_, err = s.client.CreateDataset(ctx, &sdk.CreateDatasetInput{Name: aws.String("a"), DatasetGroupArn: shop.group, SchemaArn: shop.usersSchema, DatasetType: aws.String("Actions")})
	is[*types.InvalidInputException](t, "a dataset of actions", err)
	_, err = s.client.CreateDataDeletionJob(ctx, deletion("x", shop.group, "https://example.com/list.csv"))
	is[*types.InvalidInputException](t, "a list on the web", err)
	_, err = s.client.UpdateDataset(ctx, &sdk.UpdateDatasetInput{DatasetArn: shop.interactions, SchemaArn: shop.usersSchema})
	is[*types.InvalidInputException](t, "UpdateDataset of interactions", err)

	// Nothing of the engine, and nothing that the model has.
	_, err = s.client.CreateSolution(ctx, &sdk.CreateSolutionInput{Name: aws.String("s"), DatasetGroupArn: shop.group})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "UnknownOperationException" || !strings.Contains(api.ErrorMessage(), "CreateSolution") {
		t.Errorf("CreateSolution: %v", err)
	}
}

func TestSixPendingJobsAreTooMany(t *testing.T) {
	s := start(t, nil)
	shop := s.newShop("shop")
	list := s.put("list.csv", "USER_ID\nnobody\n")
	release := s.hold()
	first, err := s.client.CreateDataDeletionJob(t.Context(), deletion("first", shop.group, *list))
	must(t, err)
	status := func(arn *string) string {
		out, err := s.client.DescribeDataDeletionJob(t.Context(), &sdk.DescribeDataDeletionJobInput{DataDeletionJobArn: arn})
		must(t, err)
		return *out.DataDeletionJob.Status
	}
	s.poll("first job", func() bool { return status(first.DataDeletionJobArn) == "IN_PROGRESS" })
	var last *string
	for i := range 5 {
		made, err := s.client.CreateDataDeletionJob(t.Context(), deletion(fmt.Sprint("j", i), shop.group, *list))
		must(t, err)
		last = made.DataDeletionJobArn
	}
	_, err = s.client.CreateDataDeletionJob(t.Context(), deletion("sixth", shop.group, *list))
	is[*types.LimitExceededException](t, "a sixth PENDING job", err)
	other := s.newShop("other")
	_, err = s.client.CreateDataDeletionJob(t.Context(), deletion("other", other.group, *list))
	must(t, err)
	release()
	s.poll("last job", func() bool { return status(last) == "COMPLETED" })
	_, err = s.client.CreateDataDeletionJob(t.Context(), deletion("sixth", shop.group, *list))
	must(t, err)
}

// TestLimitsOfTheAccount are off by default: the other tests go over them.
func TestLimitsOfTheAccount(t *testing.T) {
	s := start(t, nil)
	limited := httptest.NewServer(personalize.New(s.engine, personalize.Options{Limits: personalize.Limits{DatasetGroups: 1, Schemas: 3, ImportJobs: 2}}))
	defer limited.Close()
	s.client = sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: &limited.URL, HTTPClient: limited.Client(), RetryMaxAttempts: 1, Credentials: aws.AnonymousCredentials{},
	})
	ctx := t.Context()
	shop := s.newShop("shop")
	_, err := s.client.CreateDatasetGroup(ctx, &sdk.CreateDatasetGroupInput{Name: aws.String("more")})
	is[*types.LimitExceededException](t, "a second group", err)
	_, err = s.client.CreateSchema(ctx, &sdk.CreateSchemaInput{Name: aws.String("more"), Schema: aws.String(itemsSchema)})
	is[*types.LimitExceededException](t, "a fourth schema", err)
	users := s.put("u.csv", "USER_ID,AGE\nu1,\n")
	release := s.hold()
	create := func(name string) error {
		_, err := s.client.CreateDatasetImportJob(ctx, &sdk.CreateDatasetImportJobInput{JobName: &name, DatasetArn: shop.users, DataSource: source(*users)})
		return err
	}
	must(t, errors.Join(create("a"), create("b")))
	is[*types.LimitExceededException](t, "a third import", create("c"))
	release()
	s.poll("imports", func() bool {
		open, err := s.engine.UnfinishedJobs(ctx)
		must(t, err)
		return len(open) == 0
	})
	must(t, create("c"))
}

func TestUnsignedRequestsReachNothing(t *testing.T) {
	s := start(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL, strings.NewReader(`{"name":"g"}`))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonPersonalize.CreateDatasetGroup")
	response, err := s.server.Client().Do(r)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	groups, err := s.engine.DatasetGroups(t.Context())
	must(t, err)
	if response.StatusCode != 403 || !strings.Contains(string(body), "MissingAuthenticationToken") || len(groups) != 0 {
		t.Errorf("got %d %s, and there are %d groups", response.StatusCode, body, len(groups))
	}
}
