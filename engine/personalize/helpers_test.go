package personalize

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// fake is a backend that keeps what it is given and returns what it is told to.
type fake struct {
	Backend // nil: what a test doesn't expect panics

	groups  []engine.DatasetGroup
	job     engine.Job
	tags    []engine.Tag
	events  []engine.Event
	rows    []engine.PutRow
	user    string
	session string
	err     error
}

func (f *fake) CreateDatasetGroup(_ context.Context, n engine.NewDatasetGroup) (engine.DatasetGroup, error) {
	return engine.DatasetGroup{Name: n.Name, ARN: groupARN, Domain: n.Domain}, f.err
}

func (f *fake) DatasetGroup(context.Context, string) (engine.DatasetGroup, error) {
	return f.groups[0], f.err
}

func (f *fake) DatasetGroups(context.Context) ([]engine.DatasetGroup, error) {
	return append([]engine.DatasetGroup(nil), f.groups...), f.err
}

func (f *fake) DeleteDatasetGroup(context.Context, string) error { return f.err }

func (f *fake) DescribeDataDeletionJob(context.Context, string) (engine.Job, error) {
	return f.job, f.err
}

func (f *fake) DescribeDatasetImportJob(context.Context, string) (engine.Job, error) {
	return f.job, f.err
}

func (f *fake) TagResource(_ context.Context, _ string, tags []engine.Tag) error {
	f.tags = append(f.tags, tags...)
	return f.err
}

func (f *fake) PutEvents(_ context.Context, _, user, session string, events []engine.Event) error {
	f.user, f.session, f.events = user, session, events
	return f.err
}

func (f *fake) PutUsers(_ context.Context, _ string, rows []engine.PutRow) error {
	f.rows = rows
	return f.err
}

const (
	groupARN   = "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop"
	datasetARN = "arn:aws:personalize:us-east-1:000000000000:dataset/shop/USERS"
	roleARN    = "arn:aws:iam::000000000000:role/lists"
)

var someTime = time.UnixMilli(1698435651836).UTC()

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the exception that the body names; "" if it names none.
func (a answer) code() string {
	_, rest, _ := strings.Cut(a.body, `"__type":"`)
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

// request makes a request as clients do: the control plane for the name of an operation, the events service for a path.
func request(operation, body string) *http.Request {
	if strings.HasPrefix(operation, "/") {
		r := httptest.NewRequest(http.MethodPost, operation, strings.NewReader(body))
		r.Header.Set("Content-Type", restJSON)
		return r
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", jsonRPC)
	r.Header.Set("X-Amz-Target", targetPrefix+operation)
	return r
}

func do(t *testing.T, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{w.Code, w.Result().Header, string(body)}
}

func call(t *testing.T, h http.Handler, operation, body string) answer {
	t.Helper()
	return do(t, h, request(operation, body))
}

// mustFail checks the form of an error.
func mustFail(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.code() != code || a.header.Get("X-Amzn-Errortype") != code {
		t.Errorf("got %d %s (header %q), want %d %s: %s", a.status, a.code(), a.header.Get("X-Amzn-Errortype"), status, code, a.body)
	}
	if !strings.HasPrefix(a.body, fmt.Sprintf(`{"__type":"%s","message":"`, code)) {
		t.Errorf("the body has another form: %s", a.body)
	}
}
