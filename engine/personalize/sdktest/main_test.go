// Package sdktest tests package personalize with the client of the AWS SDK for Go, over real connections and signed. It is a
// package of its own so that who embeds the handler doesn't need the client, and has nothing but tests.
//
// The client of the events service isn't used: see events_test.go.
package sdktest

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/personalize"
	"github.com/aws/aws-sdk-go-v2/service/personalize/types"
	"go.uber.org/goleak"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
	"github.com/expunge-db/expunge/engine/personalize/sigv4"
	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/buckets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	role   = "arn:aws:iam::000000000000:role/lists"
)

// service is a store with a server in front, and a client of it.
type service struct {
	t       *testing.T
	engine  *engine.Engine
	buckets string // the folder of the buckets
	places  *gated
	server  *httptest.Server
	client  *sdk.Client
}

// start serves a new store. wrap, unless it is nil, stands between the handler and the engine.
func start(t *testing.T, wrap func(*engine.Engine) personalize.Backend) *service {
	t.Helper()
	dir := t.TempDir()
	s := &service{t: t, buckets: filepath.Join(dir, "buckets")}
	must(t, os.MkdirAll(filepath.Join(s.buckets, "data", "lists"), 0o700))
	locations, err := buckets.New(s.buckets)
	must(t, err)
	s.places = &gated{Locations: locations}
	s.engine, err = engine.Open(t.Context(), filepath.Join(dir, "s.expunge"), engine.Options{Locations: s.places})
	must(t, err)
	var backend personalize.Backend = s.engine
	if wrap != nil {
		backend = wrap(s.engine)
	}
	s.server = httptest.NewServer(personalize.New(backend, personalize.Options{Verifier: sigv4.New(sigv4.Keys{keyID: secret}, "us-east-1")}))
	s.client = sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: &s.server.URL, HTTPClient: s.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""), RetryMaxAttempts: 1,
	})
	t.Cleanup(func() {
		s.server.Close()
		report, err := s.engine.Check(context.Background())
		must(t, err)
		if len(report.Problems) > 0 {
			t.Errorf("check: %v", report.Problems)
		}
		must(t, errors.Join(s.engine.Close(context.Background()), locations.Close()))
	})
	return s
}

// put writes an object of the bucket data and returns its location.
func (s *service) put(key, text string) *string {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.buckets, "data", filepath.FromSlash(key)), []byte(text), 0o600))
	return aws.String("s3://data/" + key)
}

// gated are locations that can be held: jobs then wait before they read.
type gated struct {
	ingest.Locations
	gate atomic.Pointer[chan struct{}]
}

func (g *gated) Source(location, role string, walk ingest.Walk) (ingest.Source, error) {
	src, err := g.Locations.Source(location, role, walk)
	return gatedSource{src, g}, err
}

type gatedSource struct {
	ingest.Source
	g *gated
}

func (s gatedSource) List(ctx context.Context) ([]ingest.File, error) {
	if gate := s.g.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Source.List(ctx)
}

// hold keeps jobs from reading until release is called.
func (s *service) hold() (release func()) {
	gate := make(chan struct{})
	s.places.gate.Store(&gate)
	return func() { close(gate) }
}

const (
	usersSchema = `{"type": "record", "name": "Users", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
 "fields": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["null", "int"]}]}`
	newUsersSchema = `{"type": "record", "name": "Users", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
 "fields": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["null", "int"]}, {"name": "PLAN", "type": ["null", "string"], "categorical": true}]}`
	itemsSchema = `{"type": "record", "name": "Items", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
 "fields": [{"name": "ITEM_ID", "type": "string"}, {"name": "GENRES", "type": ["null", "string"], "categorical": true}]}`
	interactionsSchema = `{"type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema", "version": "1.0",
 "fields": [{"name": "USER_ID", "type": "string"}, {"name": "ITEM_ID", "type": "string"}, {"name": "TIMESTAMP", "type": "long"}]}`
)

// shop is a dataset group with datasets that are empty.
type shop struct {
	group, users, items, interactions *string // ARNs
	usersSchema                       *string
}

// newShop makes a group of this name with its three datasets.
func (s *service) newShop(name string) shop {
	s.t.Helper()
	ctx := s.t.Context()
	group, err := s.client.CreateDatasetGroup(ctx, &sdk.CreateDatasetGroupInput{Name: &name})
	must(s.t, err)
	made := shop{group: group.DatasetGroupArn}
	create := func(kind, avro string) (schemaARN, datasetARN *string) {
		s.t.Helper()
		schema, err := s.client.CreateSchema(ctx, &sdk.CreateSchemaInput{Name: aws.String(name + "-" + kind), Schema: &avro})
		must(s.t, err)
		d, err := s.client.CreateDataset(ctx, &sdk.CreateDatasetInput{
			Name: aws.String(name + "-" + kind), DatasetGroupArn: made.group, SchemaArn: schema.SchemaArn, DatasetType: &kind,
		})
		must(s.t, err)
		return schema.SchemaArn, d.DatasetArn
	}
	made.usersSchema, made.users = create("Users", usersSchema)
	_, made.items = create("items", itemsSchema)
	_, made.interactions = create("INTERACTIONS", interactionsSchema)
	return made
}

// poll calls a function until it returns true; the test's own deadline ends it.
func (s *service) poll(what string, done func() bool) {
	s.t.Helper()
	for !done() {
		select {
		case <-s.t.Context().Done():
			s.t.Fatalf("%s: the test ended", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// importFrom runs an import job to its end.
func (s *service) importFrom(name string, dataset, location *string, mode types.ImportMode) *types.DatasetImportJob {
	s.t.Helper()
	made, err := s.client.CreateDatasetImportJob(s.t.Context(), &sdk.CreateDatasetImportJobInput{
		JobName: &name, DatasetArn: dataset, DataSource: &types.DataSource{DataLocation: location}, RoleArn: aws.String(role), ImportMode: mode,
	})
	must(s.t, err)
	var job *types.DatasetImportJob
	s.poll("import "+name, func() bool {
		out, err := s.client.DescribeDatasetImportJob(s.t.Context(), &sdk.DescribeDatasetImportJobInput{DatasetImportJobArn: made.DatasetImportJobArn})
		must(s.t, err)
		job = out.DatasetImportJob
		switch *job.Status {
		case "CREATE PENDING", "CREATE IN_PROGRESS":
			return false
		case "ACTIVE", "CREATE FAILED":
			return true
		}
		s.t.Fatalf("an import has the status %q", *job.Status)
		return true
	})
	return job
}

// deleteUsers runs a deletion job to its end, and checks its statuses on the way.
func (s *service) deleteUsers(name string, group, list *string) *types.DataDeletionJob {
	s.t.Helper()
	made, err := s.client.CreateDataDeletionJob(s.t.Context(), &sdk.CreateDataDeletionJobInput{
		JobName: &name, DatasetGroupArn: group, DataSource: &types.DataSource{DataLocation: list}, RoleArn: aws.String(role),
	})
	must(s.t, err)
	var job *types.DataDeletionJob
	s.poll("deletion "+name, func() bool {
		out, err := s.client.DescribeDataDeletionJob(s.t.Context(), &sdk.DescribeDataDeletionJobInput{DataDeletionJobArn: made.DataDeletionJobArn})
		must(s.t, err)
		job = out.DataDeletionJob
		if (job.NumDeleted != nil) != (*job.Status == "COMPLETED") || (job.FailureReason != nil) != (*job.Status == "FAILED") {
			s.t.Errorf("%s: numDeleted %v, failureReason %v", *job.Status, job.NumDeleted, job.FailureReason)
		}
		switch *job.Status {
		case "PENDING", "IN_PROGRESS":
			return false
		case "COMPLETED", "FAILED":
			return true
		}
		s.t.Fatalf("a deletion has the status %q", *job.Status)
		return true
	})
	return job
}

// rows counts what training would read.
func (s *service) rows(group string, of engine.DatasetType) int64 {
	s.t.Helper()
	snapshot, err := s.engine.Snapshot(s.t.Context(), group, of)
	must(s.t, err)
	defer snapshot.Release()
	return snapshot.Rows(of)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is checks that an error is a modelled one, by its Go type.
func is[E error](t *testing.T, what string, err error) {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Errorf("%s: got %v, want a %T", what, err, want)
	}
}

func numbered(format string, n int) (text string) {
	for i := range n {
		text += fmt.Sprintf(format, i)
	}
	return text
}
