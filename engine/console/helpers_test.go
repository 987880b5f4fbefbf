package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/console"
)

// secret is in every USER_ID of the tests, and must be in nothing that is shown or logged.
const secret = "SECRET"

const (
	usersSchema = `{"type":"record","name":"Users","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"AGE","type":"int"}],"version":"1.0"}`
	interactionsSchema = `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`
)

// logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fixture is a store with a group "shop" and a console over it.
type fixture struct {
	t       testing.TB
	path    string
	uploads string
	opts    console.Options
	log     logBuffer
	e       *engine.Engine
	c       *console.Console
	srv     *httptest.Server
}

// setup opens a store with 40 users, each with a row in Users and 3 interactions.
func setup(t testing.TB, opts console.Options) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, path: filepath.Join(dir, "shop.expunge"), uploads: filepath.Join(dir, "lists")}
	opts.UploadDir = f.uploads
	opts.Logger = slog.New(slog.NewTextHandler(&f.log, nil))
	f.opts = opts
	f.open(engine.Options{Logger: opts.Logger})
	f.group("shop")
	t.Cleanup(func() {
		f.close()
		if strings.Contains(f.log.String(), secret) {
			t.Error("the log holds an ID")
		}
	})
	return f
}

func (f *fixture) open(opts engine.Options) {
	f.t.Helper()
	var err error
	if f.e, err = engine.Open(context.Background(), f.path, opts); err != nil {
		f.t.Fatal(err)
	}
	f.openConsole()
}

func (f *fixture) openConsole() {
	f.t.Helper()
	var err error
	if f.c, err = console.New(f.e, f.opts); err != nil {
		f.t.Fatal(err)
	}
	f.srv = httptest.NewServer(f.c)
}

func (f *fixture) close() {
	f.t.Helper()
	f.closeConsole()
	if err := f.e.Close(context.Background()); err != nil {
		f.t.Error(err)
	}
}

func (f *fixture) closeConsole() {
	f.t.Helper()
	f.srv.Close()
	if err := f.c.Close(); err != nil {
		f.t.Error(err)
	}
}

// group makes a dataset group with the rows of 40 users.
func (f *fixture) group(name string) {
	f.t.Helper()
	ctx := context.Background()
	_, err := f.e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: name})
	f.must(err)
	var users, interactions strings.Builder
	users.WriteString("USER_ID,AGE\n")
	interactions.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
	for u := range 40 {
		fmt.Fprintf(&users, "%s-%d,%d\n", secret, u, 20+u)
		for k := range 3 {
			fmt.Fprintf(&interactions, "%s-%d,item-%d,%d\n", secret, u, k, 1_700_000_000+k)
		}
	}
	for _, d := range []struct {
		t            engine.DatasetType
		schema, rows string
	}{{engine.Users, usersSchema, users.String()}, {engine.Interactions, interactionsSchema, interactions.String()}} {
		f.dataset(name, d.t, d.schema)
		f.importRows(name, d.t, d.rows)
	}
}

func (f *fixture) dataset(group string, t engine.DatasetType, schema string) {
	f.t.Helper()
	name := group + "-" + strings.ToLower(string(t))
	_, err := f.e.CreateSchema(context.Background(), engine.NewSchema{Name: name, Avro: []byte(schema)})
	f.must(err)
	_, err = f.e.CreateDataset(context.Background(), engine.NewDataset{Name: name, Group: group, Type: t, Schema: name})
	f.must(err)
}

func (f *fixture) importRows(group string, t engine.DatasetType, rows string) {
	f.t.Helper()
	file := filepath.Join(f.t.TempDir(), "rows.csv")
	f.must(os.WriteFile(file, []byte(rows), 0o600))
	_, err := f.e.Import(context.Background(), engine.NewDatasetImportJob{Group: group, Type: t, Source: file, Mode: engine.ImportFull})
	f.must(err)
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// list is a deletion list of some users.
func list(users ...int) string {
	var b strings.Builder
	b.WriteString("USER_ID\n")
	for _, u := range users {
		fmt.Fprintf(&b, "%s-%d\n", secret, u)
	}
	return b.String()
}

// answer is what came back.
type answer struct {
	status   int
	body     string
	location string
	header   http.Header
}

// do sends a request from our own page, and follows no redirect.
func (f *fixture) do(method, path, contentType string, body io.Reader, edit func(*http.Request)) answer {
	f.t.Helper()
	req, err := http.NewRequest(method, f.srv.URL+path, body)
	f.must(err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Origin", f.srv.URL)
	if edit != nil {
		edit(req)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	f.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	f.must(err)
	if strings.Contains(string(text), secret) {
		f.t.Errorf("%s %s shows an ID", method, path)
	}
	return answer{res.StatusCode, string(text), res.Header.Get("Location"), res.Header}
}

func (f *fixture) get(path string) answer {
	f.t.Helper()
	return f.do(http.MethodGet, path, "", nil, nil)
}

func (f *fixture) post(path, form string) answer {
	f.t.Helper()
	return f.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form), nil)
}

// send fills in the form. A file name of "" chooses no file.
func (f *fixture) send(path, group, jobName, fileName, content string) answer {
	f.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	f.must(w.WriteField("group", group))
	f.must(w.WriteField("jobName", jobName))
	part, err := w.CreateFormFile("list", fileName)
	f.must(err)
	_, err = io.WriteString(part, content)
	f.must(err)
	f.must(w.Close())
	return f.do(http.MethodPost, path, w.FormDataContentType(), &b, nil)
}

func (a answer) want(t testing.TB, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("the answer lacks %q: %s", text, a.body)
		}
	}
}

// wait returns a deletion job when it is over.
func (f *fixture) wait(name string) engine.Job {
	f.t.Helper()
	job, err := f.e.DescribeDataDeletionJob(context.Background(), name)
	f.must(err)
	job, _ = f.e.Wait(context.Background(), job) // its error is the job's
	return job
}

// lists returns the names of the lists in the folder.
func (f *fixture) lists() (names []string) {
	f.t.Helper()
	entries, err := os.ReadDir(f.uploads)
	f.must(err)
	for _, e := range entries {
		if e.Name() != "expunge-lists.lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

func decode[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	a.want(t, http.StatusOK)
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually waits until a condition holds, which it must some time.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("it never was so that %s", what)
		case <-tick():
		}
	}
}

// hang is how long a test waits before it takes something for stuck: it says nothing of how long things take.
const hang = time.Minute

func tick() <-chan time.Time { return time.After(10 * time.Millisecond) }
