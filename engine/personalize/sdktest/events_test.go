package sdktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/personalize"
	"github.com/aws/aws-sdk-go-v2/service/personalize/types"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
)

// The SDK's client of the events service isn't among the modules that can be had everywhere: what it sends is sent here by hand,
// signed by the SDK's signer. boto3's client is used by .ci/clients.sh.

// event calls the events service. code is the exception, "" for none.
func (s *service) event(path string, input any) (status int, code string) {
	s.t.Helper()
	body, err := json.Marshal(input)
	must(s.t, err)
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.server.URL+path, strings.NewReader(string(body)))
	must(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	must(s.t, v4.NewSigner().SignHTTP(context.Background(), key, r, hex.EncodeToString(sum[:]), "personalize", "us-east-1", time.Now()))
	response, err := s.server.Client().Do(r)
	must(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(s.t, err)
	if response.StatusCode == 200 {
		if len(text) > 0 || response.Header.Get("X-Amzn-Errortype") != "" {
			s.t.Errorf("%s: the answer has the body %q", path, text)
		}
		return 200, ""
	}
	var e struct {
		Type    string `json:"__type"`
		Message string
	}
	must(s.t, json.Unmarshal(text, &e))
	if e.Message == "" || response.Header.Get("X-Amzn-Errortype") != e.Type || response.Header.Get("X-Amzn-Requestid") == "" {
		s.t.Errorf("%s: an error comes as %v %s", path, response.Header, text)
	}
	return response.StatusCode, e.Type
}

type m = map[string]any

func view(item string, at int) m { return m{"eventType": "view", "itemId": item, "sentAt": at} }

func TestEventsAreThereAndAreDeleted(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	shop := s.newShop("shop")
	tracker, err := s.client.CreateEventTracker(ctx, &sdk.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: shop.group})
	must(t, err)
	described, err := s.client.DescribeEventTracker(ctx, &sdk.DescribeEventTrackerInput{EventTrackerArn: tracker.EventTrackerArn})
	must(t, err)
	if e := described.EventTracker; *e.TrackingId != *tracker.TrackingId || *e.AccountId != "000000000000" || *e.DatasetGroupArn != *shop.group || *e.Status != "ACTIVE" {
		t.Errorf("the tracker is %+v", e)
	}
	put := func(path string, input any) {
		t.Helper()
		if status, code := s.event(path, input); status != 200 {
			t.Fatalf("%s: %d %s", path, status, code)
		}
	}
	id := *tracker.TrackingId
	// Of a session before it was anybody's, then of its user, and of another user.
	put("/events", m{"trackingId": id, "sessionId": "s1", "eventList": []m{view("i1", 1700000000)}})
	put("/events", m{"trackingId": id, "sessionId": "s1", "userId": "u1", "eventList": []m{view("i1", 1700000001), view("i2", 1700000002)}})
	put("/events", m{"trackingId": id, "sessionId": "s2", "userId": "u2", "eventList": []m{view("i1", 1700000003)}})
	put("/users", m{"datasetArn": *shop.users, "users": []m{{"userId": "u1", "properties": `{"age": 30}`}, {"userId": "u2"}}})
	put("/items", m{"datasetArn": *shop.items, "items": []m{{"itemId": "i1", "properties": `{"genres": "a|b"}`}}})
	// Bulk data beside them: FULL replaces bulk data and nothing else.
	s.importFrom("bulk", shop.interactions, s.put("e.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu1,i9,1700000009\nu3,i9,1700000009\n"), types.ImportModeFull)
	s.importFrom("bulk2", shop.interactions, s.put("e2.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu1,i8,1700000008\nu3,i8,1700000008\n"), types.ImportModeFull)

	export, err := s.client.CreateDatasetExportJob(ctx, &sdk.CreateDatasetExportJobInput{
		JobName: aws.String("out"), DatasetArn: shop.interactions, IngestionMode: types.IngestionModeAll, RoleArn: aws.String(role), JobOutput: output("s3://data/out/"),
	})
	must(t, err)
	s.poll("export", func() bool {
		out, err := s.client.DescribeDatasetExportJob(ctx, &sdk.DescribeDatasetExportJobInput{DatasetExportJobArn: export.DatasetExportJobArn})
		must(t, err)
		j := out.DatasetExportJob
		if *j.Status == "CREATE FAILED" {
			t.Fatalf("the export failed: %s", *j.FailureReason)
		}
		if *j.JobOutput.S3DataDestination.Path != "s3://data/out/" || j.IngestionMode != types.IngestionModeAll || *j.DatasetArn != *shop.interactions || *j.RoleArn != role {
			t.Fatalf("the export is %+v", j)
		}
		return *j.Status == "ACTIVE"
	})
	exports, err := s.client.ListDatasetExportJobs(ctx, &sdk.ListDatasetExportJobsInput{DatasetArn: shop.interactions})
	must(t, err)
	if len(exports.DatasetExportJobs) != 1 || *exports.DatasetExportJobs[0].JobName != "out" {
		t.Errorf("exports are %+v", exports.DatasetExportJobs)
	}

	job := s.deleteUsers("june", shop.group, s.put("list.csv", "USER_ID\nu1\n"))
	// A Users row, two events, that of the session, and a bulk row.
	if *job.Status != "COMPLETED" || aws.ToInt32(job.NumDeleted) != 5 {
		t.Errorf("the job ended as %s with %d: %s", *job.Status, aws.ToInt32(job.NumDeleted), aws.ToString(job.FailureReason))
	}
	if u, i := s.rows("shop", engine.Users), s.rows("shop", engine.Interactions); u != 1 || i != 2 {
		t.Errorf("%d users and %d interactions are left", u, i)
	}
	// The session goes on: it is nobody's now.
	put("/events", m{"trackingId": id, "sessionId": "s1", "userId": "u1", "eventList": []m{view("i5", 1700000010)}})
	s.poll("the event after", func() bool { return s.rows("shop", engine.Interactions) == 3 })
}

func TestErrorsOfEvents(t *testing.T) {
	s := start(t, nil)
	shop := s.newShop("shop")
	tracker, err := s.client.CreateEventTracker(t.Context(), &sdk.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: shop.group})
	must(t, err)
	id := *tracker.TrackingId
	one := []m{view("i1", 1700000000)}
	with := func(name string, value any) []m {
		e := view("i1", 1700000000)
		e[name] = value
		return []m{e}
	}
	for name, c := range map[string]struct {
		path   string
		input  m
		status int
		code   string
	}{
		"a tracking ID that isn't there":   {"/events", m{"trackingId": "none", "sessionId": "s", "eventList": one}, 400, "InvalidInputException"},
		"no session":                       {"/events", m{"trackingId": id, "eventList": one}, 400, "InvalidInputException"},
		"no events":                        {"/events", m{"trackingId": id, "sessionId": "s", "eventList": []m{}}, 400, "InvalidInputException"},
		"no item, which the schema needs":  {"/events", m{"trackingId": id, "sessionId": "s", "eventList": []m{{"eventType": "view", "sentAt": 1}}}, 400, "InvalidInputException"},
		"properties that aren't JSON":      {"/events", m{"trackingId": id, "sessionId": "s", "eventList": with("properties", "{")}, 400, "InvalidInputException"},
		"a reserved name in properties":    {"/events", m{"trackingId": id, "sessionId": "s", "eventList": with("properties", `{"userId":"u"}`)}, 400, "InvalidInputException"},
		"a dataset that isn't there":       {"/users", m{"datasetArn": strings.Replace(*shop.users, "shop", "none", 1), "users": []m{{"userId": "u"}}}, 404, "ResourceNotFoundException"},
		"users in a dataset of items":      {"/users", m{"datasetArn": *shop.items, "users": []m{{"userId": "u"}}}, 400, "InvalidInputException"},
		"items in a dataset of users":      {"/items", m{"datasetArn": *shop.users, "items": []m{{"itemId": "i"}}}, 400, "InvalidInputException"},
		"an ARN of a group":                {"/items", m{"datasetArn": *shop.group, "items": []m{{"itemId": "i"}}}, 400, "InvalidInputException"},
		"a value of another type":          {"/users", m{"datasetArn": *shop.users, "users": []m{{"userId": "u", "properties": `{"age":"old"}`}}}, 400, "InvalidInputException"},
		"an operation that isn't there":    {"/actions", m{"datasetArn": *shop.users, "actions": []m{}}, 404, "UnknownOperationException"},
		"another one that isn't there":     {"/action-interactions", m{"trackingId": id}, 404, "UnknownOperationException"},
		"an event that is one of the list": {"/events", m{"trackingId": id, "sessionId": "s", "eventList": m{}}, 400, "SerializationException"},
	} {
		if status, code := s.event(c.path, c.input); status != c.status || code != c.code {
			t.Errorf("%s: got %d %s, want %d %s", name, status, code, c.status, c.code)
		}
	}
	if u, i := s.rows("shop", engine.Users), s.rows("shop", engine.Interactions); u != 0 || i != 0 {
		t.Errorf("refused requests left %d users and %d interactions", u, i)
	}
	b := &broken{}
	s = start(t, func(e *engine.Engine) personalize.Backend { b.Engine = e; return b })
	for _, c := range []struct {
		cause  error
		status int
		code   string
	}{{engine.ErrInvalid, 400, "InvalidInputException"}, {engine.ErrNotFound, 404, "ResourceNotFoundException"}, {engine.ErrInUse, 409, "ResourceInUseException"}} {
		b.err = fmt.Errorf("dataset %w: do something", c.cause)
		for path, list := range map[string]string{"/users": "users", "/items": "items"} {
			if status, code := s.event(path, m{"datasetArn": anItems, list: []m{{strings.TrimSuffix(list, "s") + "Id": "x"}}}); status != c.status || code != c.code {
				t.Errorf("%s: %v is %d %s", path, c.cause, status, code)
			}
		}
	}
}

// TestManyEvents has many clients at once.
func TestManyEvents(t *testing.T) {
	const clients, each = 50, 10
	s := start(t, nil)
	shop := s.newShop("shop")
	tracker, err := s.client.CreateEventTracker(t.Context(), &sdk.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: shop.group})
	must(t, err)
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			for i := range each {
				in := m{"trackingId": *tracker.TrackingId, "sessionId": fmt.Sprint("s", n), "userId": fmt.Sprint("u", n), "eventList": []m{view("i", 1700000000+2*i), view("j", 1700000001+2*i)}}
				if status, code := s.event("/events", in); status != 200 {
					t.Errorf("got %d %s", status, code)
				}
			}
		})
	}
	all.Wait()
	s.poll("events", func() bool { return s.rows("shop", engine.Interactions) >= clients*each*2 })
	if got := s.rows("shop", engine.Interactions); got != clients*each*2 {
		t.Errorf("%d interactions, want %d", got, clients*each*2)
	}
}
