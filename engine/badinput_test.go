package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// secret is in every value of a bad file, and must be nowhere after the job.
const secret = "SECRET"

// logBuffer keeps what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// importSmall makes a group g of 50 users with 10 events each, and returns the users.
func importSmall(t testing.TB, e *engine.Engine) (users []string) {
	t.Helper()
	createGroup(t, e, "g", testSchemas)
	u, i, x := "USER_ID,AGE,CITY\n", "ITEM_ID,GENRE\n", "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n"
	for n := range 50 {
		users = append(users, fmt.Sprintf("user-%02d", n))
		u += fmt.Sprintf("user-%02d,%d,Paris\n", n, n)
		i += fmt.Sprintf("item-%02d,drama\n", n)
		for k := range 10 {
			x += fmt.Sprintf("user-%02d,item-%02d,view,%d,%d\n", n, (n*k)%60, k, n*k)
		}
	}
	importText(t, e, "g", engine.Users, engine.ImportFull, u)
	importText(t, e, "g", engine.Items, engine.ImportFull, i)
	importText(t, e, "g", engine.Interactions, engine.ImportFull, x)
	return users
}

// manyIDs returns a list of n unknown IDs after two known ones, in more batches than one if n is above 64K.
func manyIDs(n int) string {
	var b strings.Builder
	b.WriteString("USER_ID\nuser-01\nuser-02\n")
	for i := range n {
		fmt.Fprintf(&b, "%s-%07d\n", secret, i)
	}
	return b.String()
}

// failed waits for a job that has to fail, and checks what must hold for every failed job.
func failed(t *testing.T, e *engine.Engine, store string, job engine.Job, log *logBuffer, before map[string][]string, want ...string) {
	t.Helper()
	done, err := e.Wait(context.Background(), job)
	var je *engine.JobError
	if !errors.As(err, &je) {
		t.Fatalf("the job is %s, error %v", done.Status, err)
	}
	if done.Status != engine.StatusFailed || done.FailureReason == "" || done.NumDeleted != nil {
		t.Errorf("job %+v", done)
	}
	for _, w := range want {
		if !strings.Contains(done.FailureReason, w) {
			t.Errorf("reason %q doesn't say %q", done.FailureReason, w)
		}
	}
	record := must[[]byte](t)(json.Marshal(done))
	for what, text := range map[string]string{"error": err.Error(), "record": string(record), "log": log.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s holds a value of the file", what)
		}
	}
	sameData(t, allRows(t, e), before)
	mustCheck(t, e)
	if inFolder(t, store, secret) {
		t.Error("something of the failed job's input is in the store's folder")
	}
}

func TestBadInput(t *testing.T) {
	path, log := storePath(t), new(logBuffer)
	e := open(t, path, engine.Options{Codec: engine.CodecNone, Logger: log.logger()})
	importSmall(t, e)
	before := allRows(t, e)
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		name  string
		typ   engine.DatasetType // of an import; "" for a deletion
		files map[string]string  // the location is the folder, or list.csv if that is the only one
		want  []string
	}{
		{"no header", "", map[string]string{"list.csv": "SECRET1\nuser-01\n"}, []string{"list.csv: line 1", "USER_ID"}},
		{"wrong header", "", map[string]string{"list.csv": "user_id\nSECRET\n"}, []string{"list.csv: line 1"}},
		{"empty file", "", map[string]string{"list.csv": ""}, []string{"list.csv"}},
		{"two columns in the header", "", map[string]string{"list.csv": "USER_ID,NAME\nuser-01,SECRET\n"}, []string{"list.csv: line 1"}},
		{"two columns in a line", "", map[string]string{"list.csv": "USER_ID\nuser-01\nuser-02,SECRET\n"}, []string{"list.csv: line 3, column 9"}},
		{"empty ID", "", map[string]string{"list.csv": "USER_ID\nSECRET\n\"\"\n"}, []string{"list.csv: line 3, column 1 (USER_ID)"}},
		{"long ID", "", map[string]string{"list.csv": "USER_ID\nSECRET\nSECRET" + long + "\n"}, []string{"list.csv: line 3, column 1 (USER_ID)"}},
		{"invalid UTF-8", "", map[string]string{"list.csv": "USER_ID\nSECRET\nSECRET\xff\n"}, []string{"list.csv: line 3"}},
		{"open quote", "", map[string]string{"list.csv": "USER_ID\nuser-01\n\"SECRET\n"}, []string{"list.csv: line 3"}},
		{"quote inside", "", map[string]string{"list.csv": "USER_ID\nuser-01\nSECRET\"x\n"}, []string{"list.csv: line 3"}},
		{"bad line after many", "", map[string]string{"list.csv": manyIDs(70_000) + "a,SECRET\n"}, []string{"list.csv: line 70004, column 3"}},
		{"bad file after good ones", "", map[string]string{"a.csv": manyIDs(70_000), "b/c.csv": "SECRET\n"}, []string{"b/c.csv: line 1"}},
		{"missing file", "", map[string]string{}, []string{"list.csv", "no such file"}},
		{"empty folder", "", map[string]string{"_list.csv": "USER_ID\nSECRET\n"}, []string{"has no .csv"}},
		{"stray file", "", map[string]string{"a.csv": "USER_ID\nSECRET\n", "sub/notes.txt": "SECRET"}, []string{"sub/notes.txt"}},
		{"not gzip", "", map[string]string{"a.csv": "USER_ID\nSECRET\n", "b.csv.gz": "SECRET, not gzip"}, []string{"b.csv.gz"}},
		{"not zstd", "", map[string]string{"a.csv": "USER_ID\nSECRET\n", "b.csv.zst": "SECRET, not zstd"}, []string{"b.csv.zst"}},

		{"import: missing column", engine.Users, map[string]string{"list.csv": "USER_ID,CITY\nSECRET,SECRET\n"}, []string{"list.csv: line 1", "AGE"}},
		{"import: unknown column", engine.Users, map[string]string{"list.csv": "USER_ID,AGE,CITY,SECRET\nSECRET,1,SECRET,x\n"}, []string{"list.csv: line 1", "column 4"}},
		{"import: no header", engine.Users, map[string]string{"list.csv": "SECRET,1,SECRET\n"}, []string{"list.csv: line 1", "USER_ID"}},
		{"import: unparsable", engine.Users, map[string]string{"list.csv": "USER_ID,AGE,CITY\nSECRET,1,SECRET\nSECRET,SECRET,SECRET\n"}, []string{"list.csv: line 3, column 8 (AGE)"}},
		{"import: out of range", engine.Users, map[string]string{"list.csv": "USER_ID,AGE,CITY\nSECRET,3000000000,x\n"}, []string{"list.csv: line 2, column 8 (AGE)"}},
		{"import: null", engine.Users, map[string]string{"list.csv": "USER_ID,AGE,CITY\nSECRET,,SECRET\n"}, []string{"list.csv: line 2, column 8 (AGE)"}},
		{"import: empty ID", engine.Interactions, map[string]string{"list.csv": "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\nSECRET,,view,,1\n"}, []string{"line 2, column 8 (ITEM_ID)"}},
		{"import: long ID", engine.Items, map[string]string{"list.csv": "ITEM_ID,GENRE\nSECRET" + long + ",SECRET\n"}, []string{"line 2, column 1 (ITEM_ID)"}},
		{"import: short row", engine.Items, map[string]string{"list.csv": "ITEM_ID,GENRE\nSECRET\n"}, []string{"list.csv: line 2"}},
		{"import: bad row after many", engine.Items, map[string]string{"a.csv": "ITEM_ID,GENRE\n" + strings.Repeat("SECRET,SECRET\n", 50_000), "b.csv": "ITEM_ID,GENRE\nSECRET\n"}, []string{"b.csv: line 2"}},
		{"import: missing file", engine.Items, map[string]string{}, []string{"list.csv", "no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				writeFile(t, dir, name, text)
			}
			source := dir
			if _, ok := c.files["list.csv"]; ok || len(c.files) == 0 {
				source = filepath.Join(dir, "list.csv")
			}
			for _, mode := range []engine.ImportMode{engine.ImportFull, engine.ImportIncremental} {
				var job engine.Job
				var err error
				if c.typ == "" {
					job, err = e.CreateDataDeletionJob(context.Background(), engine.NewDataDeletionJob{Group: "g", Source: source})
				} else {
					job, err = e.CreateDatasetImportJob(context.Background(), engine.NewDatasetImportJob{Group: "g", Type: c.typ, Source: source, Mode: mode})
				}
				if err != nil {
					t.Fatal(err)
				}
				failed(t, e, path, job, log, before, c.want...)
				if c.typ == "" {
					_, err := e.DryRunDeletion(context.Background(), "g", source)
					var ie *engine.InputError
					if !errors.As(err, &ie) || strings.Contains(err.Error(), secret) {
						t.Errorf("a dry run with the same list: %T %v", err, err)
					}
					break
				}
			}
		})
	}
	mustClose(t, e)
	if inFolder(t, path, secret) {
		t.Error("something of the failed jobs' input is in the folder of the closed store")
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can read every file")
	}
	path, log := storePath(t), new(logBuffer)
	e := open(t, path, engine.Options{Logger: log.logger()})
	importSmall(t, e)
	list := listFile(t, secret)
	if err := os.Chmod(list, 0); err != nil {
		t.Fatal(err)
	}
	before := allRows(t, e)
	job := must[engine.Job](t)(e.CreateDataDeletionJob(context.Background(), engine.NewDataDeletionJob{Group: "g", Source: list}))
	failed(t, e, path, job, log, before, "list.csv", "permission")
}

func TestListsThatDeleteNobody(t *testing.T) {
	path := storePath(t)
	e := open(t, path, engine.Options{Codec: engine.CodecNone})
	importSmall(t, e)
	before := allRows(t, e)
	for name, text := range map[string]string{
		"header only":         "USER_ID\n",
		"header without end":  "USER_ID",
		"blank lines":         "USER_ID\n\n\r\n\n",
		"unknown users":       "USER_ID\nSECRET-1\nSECRET-2\nSECRET-1\n",
		"many unknown users":  strings.ReplaceAll(manyIDs(70_000), "user", secret),
		"almost a known user": "USER_ID\nUSER-01\n user-01\nuser-01 \nuser-1\n",
	} {
		t.Run(name, func(t *testing.T) {
			job := deleteSource(t, e, "g", writeFile(t, t.TempDir(), "list.csv", text))
			if job.Status != engine.StatusCompleted || *job.NumDeleted != 0 || job.Counts.Matched != 0 {
				t.Errorf("job %+v", job)
			}
			if c := job.Counts; c.Listed != c.Matched+c.Unknown+c.Duplicate {
				t.Errorf("counts don't add up: %+v", c)
			}
			sameData(t, allRows(t, e), before)
			if inFolder(t, path, secret) {
				t.Error("IDs of the list are in the store's folder")
			}
		})
	}
}

func TestLocations(t *testing.T) {
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	dir := t.TempDir()
	t.Chdir(dir)
	writeFile(t, dir, "some lists/a#1.csv", "USER_ID\nuser-01\n")
	writeFile(t, dir, "b.csv", "USER_ID\nuser-02\n")
	for i, source := range []string{"file://" + dir + "/some%20lists/a%231.csv", "b.csv", "some lists", "file://localhost" + dir + "/b.csv", "."} {
		job := deleteSource(t, e, "g", source)
		if want := []int64{11, 11, 0, 0, 0}[i]; *job.NumDeleted != want {
			t.Errorf("%s: deleted %d rows, want %d", source, *job.NumDeleted, want)
		}
		if !filepath.IsAbs(job.Source) && !strings.HasPrefix(job.Source, "file:///") && !strings.HasPrefix(job.Source, "file://localhost/") {
			t.Errorf("%s is stored as %s, which means something else in another working directory", source, job.Source)
		}
	}
}

func TestGroupWithoutDatasets(t *testing.T) {
	e := open(t, storePath(t), engine.Options{})
	must[engine.DatasetGroup](t)(e.CreateDatasetGroup(context.Background(), engine.NewDatasetGroup{Name: "empty"}))
	if job := deleteUsers(t, e, "empty", "somebody"); *job.NumDeleted != 0 || job.Counts.Unknown != 1 {
		t.Errorf("job %+v", job)
	}
}

func TestBadArguments(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	list := listFile(t, "user-01")
	if _, err := e.Delete(ctx, engine.NewDataDeletionJob{Name: "first", Group: "g", Source: list}); err != nil {
		t.Fatal(err)
	}
	del := func(n engine.NewDataDeletionJob) func() error {
		return func() error { _, err := e.CreateDataDeletionJob(ctx, n); return err }
	}
	imp := func(n engine.NewDatasetImportJob) func() error {
		return func() error { _, err := e.CreateDatasetImportJob(ctx, n); return err }
	}
	schema := func(avro string) func() error {
		return func() error {
			_, err := e.CreateSchema(ctx, engine.NewSchema{Name: "s", Avro: []byte(avro)})
			return err
		}
	}
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"bad job name":         {del(engine.NewDataDeletionJob{Name: "a b", Group: "g", Source: list}), engine.ErrInvalid},
		"long job name":        {del(engine.NewDataDeletionJob{Name: strings.Repeat("a", 64), Group: "g", Source: list}), engine.ErrInvalid},
		"job name taken":       {del(engine.NewDataDeletionJob{Name: "first", Group: "g", Source: list}), engine.ErrExists},
		"unknown group":        {del(engine.NewDataDeletionJob{Group: "nobody", Source: list}), engine.ErrNotFound},
		"no group":             {del(engine.NewDataDeletionJob{Source: list}), engine.ErrInvalid},
		"ARN of another kind":  {del(engine.NewDataDeletionJob{Group: "arn:aws:personalize:us-east-1:000000000000:schema/g", Source: list}), engine.ErrInvalid},
		"no source":            {del(engine.NewDataDeletionJob{Group: "g"}), engine.ErrInvalid},
		"unknown scheme":       {del(engine.NewDataDeletionJob{Group: "g", Source: "ftp://x/y"}), engine.ErrInvalid},
		"bad tag":              {del(engine.NewDataDeletionJob{Group: "g", Source: list, Tags: []engine.Tag{{Key: "aws:x"}}}), engine.ErrInvalid},
		"bad role":             {del(engine.NewDataDeletionJob{Group: "g", Source: list, RoleARN: "role"}), engine.ErrInvalid},
		"bad import mode":      {imp(engine.NewDatasetImportJob{Group: "g", Type: engine.Users, Source: list, Mode: "HALF"}), engine.ErrInvalid},
		"no dataset type":      {imp(engine.NewDatasetImportJob{Group: "g", Source: list, Mode: engine.ImportFull}), engine.ErrInvalid},
		"unknown dataset type": {imp(engine.NewDatasetImportJob{Group: "g", Type: "PETS", Source: list, Mode: engine.ImportFull}), engine.ErrInvalid},
		"group name taken":     {func() error { _, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "g"}); return err }, engine.ErrExists},
		"bad group name":       {func() error { _, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "ä"}); return err }, engine.ErrInvalid},
		"second dataset of a type": {func() error {
			_, err := e.CreateDataset(ctx, engine.NewDataset{Name: "again", Group: "g", Type: engine.Users, Schema: "g-users"})
			return err
		}, engine.ErrExists},
		"schema of another type": {func() error {
			_, err := e.CreateDataset(ctx, engine.NewDataset{Name: "x", Group: "g", Type: engine.Users, Schema: "g-items"})
			return err
		}, engine.ErrInvalid},
		"schema name taken": {func() error {
			_, err := e.CreateSchema(ctx, engine.NewSchema{Name: "g-users", Avro: []byte(testSchemas[engine.Users])})
			return err
		}, engine.ErrExists},
		"schema not JSON":         {schema("{"), engine.ErrInvalid},
		"schema without USER_ID":  {schema(strings.Replace(testSchemas[engine.Users], "USER_ID", "ID", 1)), engine.ErrInvalid},
		"schema, nullable key":    {schema(strings.Replace(testSchemas[engine.Users], `"USER_ID","type":"string"`, `"USER_ID","type":["null","string"]`, 1)), engine.ErrInvalid},
		"schema, column twice":    {schema(strings.Replace(testSchemas[engine.Users], `"AGE"`, `"CITY"`, 1)), engine.ErrInvalid},
		"scan of unknown group":   {func() error { _, err := e.Snapshot(ctx, "nobody"); return err }, engine.ErrNotFound},
		"dry run, unknown group":  {func() error { _, err := e.DryRunDeletion(ctx, "nobody", list); return err }, engine.ErrNotFound},
		"unknown job":             {func() error { _, err := e.DescribeDataDeletionJob(ctx, "nobody"); return err }, engine.ErrNotFound},
		"job of the other kind":   {func() error { _, err := e.DescribeDatasetImportJob(ctx, "first"); return err }, engine.ErrNotFound},
		"dataset of other group":  {func() error { _, err := e.Dataset(ctx, "other", engine.Users); return err }, engine.ErrNotFound},
		"schema that isn't there": {func() error { _, err := e.Schema(ctx, "nothing"); return err }, engine.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	page, _, err := e.ListDataDeletionJobs(ctx, engine.ListJobs{Group: "g"})
	if err != nil || len(page) != 1 {
		t.Errorf("%d jobs after refused ones, want 1 (%v)", len(page), err)
	}
}
