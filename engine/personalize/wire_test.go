package personalize

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

func TestAnswersAreInTheServicesForm(t *testing.T) {
	group := engine.DatasetGroup{Name: "shop", ARN: groupARN, Domain: "ECOMMERCE", Created: someTime, Updated: someTime}
	rows := int64(math.MaxInt32) + 7
	job := engine.Job{ARN: "arn:aws:personalize:us-east-1:000000000000:data-deletion-job/june", Status: engine.StatusCompleted, NumDeleted: &rows, Created: someTime, Updated: someTime}
	job.Name, job.GroupARN, job.Source, job.RoleARN = "june", groupARN, "s3://lists/<june>.csv", roleARN
	pending := job
	pending.Status, pending.NumDeleted, pending.RoleARN, pending.Mode = engine.StatusPending, nil, "", engine.ImportFull
	for _, c := range []struct {
		name, operation, in string
		fake                fake
		want                string
	}{
		{"members in order, absent ones left out", "DescribeDatasetGroup", `{"datasetGroupArn":"` + groupARN + `"}`, fake{groups: []engine.DatasetGroup{group}},
			`{"datasetGroup":{"name":"shop","datasetGroupArn":"` + groupARN + `","status":"ACTIVE","creationDateTime":1698435651.836,"lastUpdatedDateTime":1698435651.836,"domain":"ECOMMERCE"}}`},
		{"an empty list", "ListDatasetGroups", `{}`, fake{}, `{"datasetGroups":[]}`},
		{"an input without a body", "ListDatasetGroups", ``, fake{}, `{"datasetGroups":[]}`},
		{"null is absent", "ListDatasetGroups", `{"nextToken":null,"maxResults":null}`, fake{}, `{"datasetGroups":[]}`},
		{"other members are passed over", "ListDatasetGroups", `{"new":{"a":[1,{}]},"maxresults":0}`, fake{}, `{"datasetGroups":[]}`},
		{"numDeleted is 32 bits", "DescribeDataDeletionJob", `{"dataDeletionJobArn":"` + job.ARN + `"}`, fake{job: job},
			`{"dataDeletionJob":{"jobName":"june","dataDeletionJobArn":"` + job.ARN + `","datasetGroupArn":"` + groupARN +
				`","dataSource":{"dataLocation":"s3://lists/<june>.csv"},"roleArn":"` + roleARN +
				`","status":"COMPLETED","numDeleted":2147483647,"creationDateTime":1698435651.836,"lastUpdatedDateTime":1698435651.836}}`},
		{"numDeleted is absent before", "DescribeDataDeletionJob", `{"dataDeletionJobArn":"` + job.ARN + `"}`, fake{job: pending},
			`{"dataDeletionJob":{"jobName":"june","dataDeletionJobArn":"` + job.ARN + `","datasetGroupArn":"` + groupARN +
				`","dataSource":{"dataLocation":"s3://lists/<june>.csv"},"status":"PENDING","creationDateTime":1698435651.836,"lastUpdatedDateTime":1698435651.836}}`},
		{"other jobs have statuses of their own", "DescribeDatasetImportJob", `{"datasetImportJobArn":"arn:aws:personalize:r:a:dataset-import-job/june"}`, fake{job: pending},
			`{"datasetImportJob":{"jobName":"june","datasetImportJobArn":"` + job.ARN +
				`","datasetArn":"","dataSource":{"dataLocation":"s3://lists/<june>.csv"},"status":"CREATE PENDING","creationDateTime":1698435651.836,"lastUpdatedDateTime":1698435651.836,"importMode":"FULL"}}`},
		{"an operation without an output", "DeleteDatasetGroup", `{"datasetGroupArn":"` + groupARN + `"}`, fake{}, ``},
		{"an output without members", "TagResource", `{"resourceArn":"` + groupARN + `","tags":[]}`, fake{}, `{}`},
		{"events", "/users", `{"datasetArn":"` + datasetARN + `","users":[{"userId":"u1","properties":"{\"age\":3}"}]}`, fake{}, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := call(t, New(&c.fake, Options{}), c.operation, c.in)
			if a.status != 200 || a.body != c.want {
				t.Errorf("got  %d %s\nwant 200 %s", a.status, a.body, c.want)
			}
			wantType := jsonRPC
			if strings.HasPrefix(c.operation, "/") {
				wantType = restJSON
			}
			if got := a.header.Get("Content-Type"); got != wantType {
				t.Errorf("Content-Type is %q", got)
			}
			if id := a.header.Get("x-amzn-requestid"); !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
				t.Errorf("the request ID is %q, which is no UUID", id)
			}
			if got := slices.Sorted(maps.Keys(a.header)); !slices.Equal(got, []string{"Content-Length", "Content-Type", "X-Amzn-Requestid"}) {
				t.Errorf("the headers are %q", got)
			}
		})
	}
}

// TestMalformedRequests is the table of what a request gets that isn't one of the protocol.
func TestMalformedRequests(t *testing.T) {
	const maxBody = 4096
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	none := func(*http.Request) {}
	for _, c := range []struct {
		name, operation, body string
		edit                  func(*http.Request)
		status                int
		code                  string
	}{
		{"a charset", "ListSchemas", `{"maxResults":0}`, header("Content-Type", jsonRPC+"; charset=utf-8"), 400, "ValidationError"},
		{"another content type", "ListSchemas", `{}`, header("Content-Type", "application/json"), 400, "MalformedHttpRequestException"},
		{"no content type", "ListSchemas", `{}`, header("Content-Type", ""), 400, "MalformedHttpRequestException"},
		{"the other protocol's content type", "/users", `{}`, header("Content-Type", jsonRPC), 400, "MalformedHttpRequestException"},
		{"GET", "ListSchemas", ``, func(r *http.Request) { r.Method = http.MethodGet }, 404, "UnknownOperationException"},
		{"an operation of the service that isn't here", "CreateSolution", `{}`, none, 404, "UnknownOperationException"},
		{"actions", "/actions", `{}`, none, 404, "UnknownOperationException"},
		{"action interactions", "/action-interactions", `{}`, none, 404, "UnknownOperationException"},
		{"another path", "/else", `{}`, none, 404, "UnknownOperationException"},
		{"another service", "ListSchemas", `{}`, header("X-Amz-Target", "DynamoDB_20120810.ListTables"), 404, "UnknownOperationException"},
		{"no target", "ListSchemas", `{}`, header("X-Amz-Target", ""), 404, "UnknownOperationException"},
		{"a target and a path", "/users", `{}`, header("X-Amz-Target", targetPrefix+"ListSchemas"), 404, "UnknownOperationException"},
		{"a name that is none", "ListSchemas", `{}`, header("X-Amz-Target", targetPrefix+"<script>"), 404, "UnknownOperationException"},
		{"a body that is too long", "ListSchemas", strings.Repeat(" ", maxBody+1), none, 413, "RequestEntityTooLargeException"},
		{"the same, in chunks", "ListSchemas", strings.Repeat(" ", maxBody+1), func(r *http.Request) { r.ContentLength = -1 }, 413, "RequestEntityTooLargeException"},
		{"not JSON", "ListSchemas", `name=secret`, none, 400, "SerializationException"},
		{"half of it", "ListSchemas", `{"maxResults":`, none, 400, "SerializationException"},
		{"more after it", "ListSchemas", `{} {}`, none, 400, "SerializationException"},
		{"a list", "ListSchemas", `[]`, none, 400, "SerializationException"},
		{"null", "ListSchemas", `null`, none, 400, "SerializationException"},
		{"a member twice", "ListSchemas", `{"maxResults":1,"maxResults":2}`, none, 400, "SerializationException"},
		{"a member twice, once with an escape", "ListSchemas", `{"maxResults":1,"max\u0052esults":2}`, none, 400, "SerializationException"},
		{"too deep", "ListSchemas", strings.Repeat(`{"secret":`, 40) + `1` + strings.Repeat(`}`, 40), none, 400, "SerializationException"},
		{"not UTF-8", "ListSchemas", "{\"nextToken\":\"\xff\"}", none, 400, "SerializationException"},
		{"half a surrogate pair", "ListSchemas", `{"nextToken":"\ud800"}`, none, 400, "SerializationException"},
		{"a string for a number", "ListSchemas", `{"maxResults":"1"}`, none, 400, "SerializationException"},
		{"a fraction", "ListSchemas", `{"maxResults":1.5}`, none, 400, "SerializationException"},
		{"a number for a string", "ListSchemas", `{"nextToken":1}`, none, 400, "SerializationException"},
		{"an object for a list", "TagResource", `{"resourceArn":"` + groupARN + `","tags":{}}`, none, 400, "SerializationException"},
		{"null in a list", "TagResource", `{"resourceArn":"` + groupARN + `","tags":[null]}`, none, 400, "SerializationException"},
		{"a list for an object", "TagResource", `{"resourceArn":"` + groupARN + `","tags":[[]]}`, none, 400, "SerializationException"},
		{"an object for a string", "/users", `{"datasetArn":"` + datasetARN + `","users":[{"userId":"secret","properties":{}}]}`, none, 400, "SerializationException"},
		{"a time as text", "/events", `{"trackingId":"t","sessionId":"s","eventList":[{"eventType":"view","sentAt":"secret"}]}`, none, 400, "SerializationException"},
		{"a number out of range", "/events", `{"trackingId":"t","sessionId":"s","eventList":[{"eventType":"view","sentAt":1,"eventValue":1e999}]}`, none, 400, "SerializationException"},
		{"a time out of range", "/events", `{"trackingId":"t","sessionId":"s","eventList":[{"eventType":"view","sentAt":1e12}]}`, none, 400, "InvalidInputException"},
		{"properties that aren't JSON", "/users", `{"datasetArn":"` + datasetARN + `","users":[{"userId":"u","properties":"secret"}]}`, none, 400, "InvalidInputException"},
		{"properties that are a list", "/users", `{"datasetArn":"` + datasetARN + `","users":[{"userId":"u","properties":"[]"}]}`, none, 400, "InvalidInputException"},
		{"properties with a member twice", "/users", `{"datasetArn":"` + datasetARN + `","users":[{"userId":"u","properties":"{\"a\":1,\"a\":2}"}]}`, none, 400, "InvalidInputException"},
		{"an ARN of another kind", "DescribeDatasetGroup", `{"datasetGroupArn":"` + datasetARN + `"}`, none, 400, "InvalidInputException"},
		{"an ARN without a name", "DescribeDatasetGroup", `{"datasetGroupArn":"arn:aws:personalize:r:a:dataset-group/"}`, none, 400, "InvalidInputException"},
		{"a role without a key", "CreateDatasetGroup", `{"name":"g","roleArn":"` + roleARN + `"}`, none, 400, "InvalidInputException"},
		{"a job without a location", "CreateDataDeletionJob", `{"jobName":"j","datasetGroupArn":"` + groupARN + `","dataSource":{},"roleArn":"` + roleARN + `"}`, none, 400, "InvalidInputException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.operation, c.body)
			c.edit(r)
			a := do(t, New(&fake{}, Options{MaxBody: maxBody}), r)
			mustFail(t, a, c.status, c.code)
			if strings.Contains(a.body, "secret") || strings.Contains(a.body, "script") {
				t.Errorf("the error repeats what was sent: %s", a.body)
			}
		})
	}
	if a := call(t, New(&fake{}, Options{}), "CreateSolution", `{}`); !strings.Contains(a.body, "CreateSolution") {
		t.Errorf("the error doesn't name the operation: %s", a.body)
	}
}

// TestErrorsOfTheEngine goes through all operations and the kinds of errors that the engine has.
func TestErrorsOfTheEngine(t *testing.T) {
	kinds := []exception{invalidInput, notFound, alreadyExists, limitExceeded, inUse, tooManyTags, tooManyTagKeys, eventsNotFound, eventsInUse}
	for _, op := range operations {
		for _, x := range kinds {
			if strings.HasPrefix(op.name, "Put") != (op.path != "") {
				t.Fatalf("%s is in the wrong service", op.name)
			}
			want := x
			switch {
			case slices.Contains(op.errs, x):
			case slices.ContainsFunc(op.errs, func(y exception) bool { return y.kind == x.kind }):
				continue // the same kind has another status here
			case slices.Contains(op.errs, invalidInput):
				want = invalidInput
			default:
				want = validationError
			}
			if got := exceptionOf(&op, x.kind); got.exception != want {
				t.Errorf("%s: %v is %s %d, want %s %d", op.name, x.kind, got.code, got.status, want.code, want.status)
			}
		}
		for _, c := range []struct {
			err  error
			want exception
		}{{engine.ErrReadOnly, unavailable}, {engine.ErrClosed, unavailable}, {engine.ErrFull, unavailable}, {errors.New("disk"), internalFailure}} {
			if got := exceptionOf(&op, c.err); got.exception != c.want || strings.Contains(got.message, "disk") {
				t.Errorf("%s: %v is %s: %s", op.name, c.err, got.code, got.message)
			}
		}
	}
}

func TestLogHasNothingOfARequest(t *testing.T) {
	var log bytes.Buffer
	var calls []Call
	h := New(&fake{err: errors.New("disk is broken")}, Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Observe: func(c Call) { calls = append(calls, c) },
	})
	a := call(t, h, "/events", `{"trackingId":"secret","userId":"secret","sessionId":"secret","eventList":[{"eventType":"secret","sentAt":1,"itemId":"secret"}]}`)
	mustFail(t, a, 500, "InternalFailure")
	call(t, h, "TagResource", `{"resourceArn":"`+groupARN+`","tags":[{"tagKey":"secret","tagValue":"secret"}]}`)
	call(t, h, "secret", `{"secret":"secret`)
	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "disk is broken") ||
		!strings.Contains(text, "operation=PutEvents") || !strings.Contains(text, a.header.Get("X-Amzn-Requestid")) {
		t.Errorf("the log is\n%s", text)
	}
	if len(calls) != 3 || calls[0].Operation != "PutEvents" || calls[0].Status != 500 || calls[0].Code != "InternalFailure" || calls[2].Operation != "" {
		t.Errorf("calls are %+v", calls)
	}
}

func TestEventsArriveWhole(t *testing.T) {
	f := &fake{}
	in := `{"trackingId":"t1","userId":"u\u00e91","sessionId":"s1","eventList":[{"eventId":"e1","eventType":"view","eventValue":2.5,"itemId":"i1",` +
		`"properties":"{\"numberOfRatings\": \"12\"}","sentAt":1698435651.836,"recommendationId":"r1","impression":["i1","i2"],"metricAttribution":{"eventAttributionSource":"mail"}},` +
		`{"eventType":"view","sentAt":1698435651}]}`
	if a := call(t, New(f, Options{}), "/events", in); a.status != 200 || a.body != "" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	e := f.events[0]
	if f.user != "ué1" || f.session != "s1" || len(f.events) != 2 || e.EventID != "e1" || e.Type != "view" || *e.Value != 2.5 || e.ItemID != "i1" ||
		string(e.Properties) != `{"numberOfRatings": "12"}` || !e.SentAt.Equal(someTime) || e.RecommendationID != "r1" ||
		!slices.Equal(e.Impression, []string{"i1", "i2"}) || e.AttributionSource != "mail" {
		t.Errorf("got %+v", e)
	}
	if e := f.events[1]; e.Value != nil || e.Properties != nil || e.ItemID != "" || e.Impression != nil {
		t.Errorf("got %+v", e)
	}
	big := strings.Repeat("i", 256)
	in = `{"trackingId":"t","sessionId":"s","eventList":[{"eventType":"view","sentAt":1,"properties":"{\"a\":\"` + strings.Repeat("é", 900) + `\"}","impression":["` +
		strings.Repeat(strings.Repeat("é", 250)+`","`, 24) + big + `"]}]}`
	mustFail(t, call(t, New(f, Options{}), "/events", in), 400, "InvalidInputException")
}
