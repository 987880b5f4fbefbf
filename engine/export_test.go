package engine_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// exported runs an export, and returns the header and the rows of its files, sorted.
func exported(t testing.TB, e *engine.Engine, typ engine.DatasetType, which engine.Ingestion) (header string, rows []string) {
	t.Helper()
	dir := t.TempDir()
	job, err := e.Export(context.Background(), engine.NewDatasetExportJob{Group: "g", Type: typ, Ingestion: which, Destination: dir})
	if err != nil {
		t.Fatal(err)
	}
	files := must[[]os.DirEntry](t)(os.ReadDir(dir))
	for i, f := range files {
		if want := fmt.Sprintf("%s-%05d.csv", job.Name, i+1); f.Name() != want {
			t.Errorf("file %s, want %s", f.Name(), want)
		}
		records := must[[][]string](t)(csv.NewReader(strings.NewReader(string(readFile(t, filepath.Join(dir, f.Name()))))).ReadAll())
		header = strings.Join(records[0], ",")
		for _, r := range records[1:] {
			rows = append(rows, strings.Join(r, "|"))
		}
	}
	if job.Counts.RowsExported != int64(len(rows)) || job.Counts.FilesExported != int64(len(files)) || job.NumDeleted != nil {
		t.Errorf("the job counts %+v, and there are %d rows in %d files", job.Counts, len(rows), len(files))
	}
	slices.Sort(rows)
	return header, rows
}

// TestExport writes the rows of each kind.
func TestExport(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	id := tracked(t, e)
	users := must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN
	put := func(id string, age int) {
		t.Helper()
		if err := e.PutUsers(ctx, users, []engine.PutRow{{ID: id, Properties: fmt.Appendf(nil, `{"age":%d,"city":"a \"quoted\", long\ncity"}`, age)}}); err != nil {
			t.Fatal(err)
		}
	}
	const city = "|a \"quoted\", long\ncity"
	put("both", 1) // older than the import of the same user, which leaves it
	put("put", 2)
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nboth,3,\nbulk,4,\"x,\"\"y\"\"\"\nbulk,5,\nbulk,5,\nchanged,6,\n")
	put("changed", 7) // replaces the one that was imported
	const events = "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,IMPRESSION,RECOMMENDATION_ID,NUMBER_OF_CLICKS,TIMESTAMP\n"
	importText(t, e, "g", engine.Interactions, engine.ImportFull, events+"ann,pen,view,,,,,1\nann,pen,view,,,,,1\nann,pen,view,0.1,,,,1\nbob,pen,view,,,,,2\n")
	mustPut(t, e, id, "ann", "", view("pen", 1), view("ink", 1))
	for _, tc := range []struct {
		typ   engine.DatasetType
		which engine.Ingestion
		want  []string
	}{
		{engine.Users, engine.IngestionBulk, []string{"both|3|", "bulk|4|x,\"y\"", "bulk|5|"}},
		{engine.Users, engine.IngestionPut, []string{"both|1" + city, "changed|7" + city, "put|2" + city}},
		{engine.Users, engine.IngestionAll, []string{"both|3|", "bulk|5|", "changed|7" + city, "put|2" + city}},
		{engine.Users, "", []string{"both|1" + city, "changed|7" + city, "put|2" + city}},
		{engine.Interactions, engine.IngestionBulk, []string{"ann|pen|view|0.1||||1", "ann|pen|view|||||1", "bob|pen|view|||||2"}},
		{engine.Interactions, engine.IngestionPut, []string{"ann|ink|view|||||1"}},
		{engine.Interactions, engine.IngestionAll, []string{"ann|ink|view|||||1", "ann|pen|view|0.1||||1", "ann|pen|view|||||1", "bob|pen|view|||||2"}},
		{engine.Items, engine.IngestionAll, nil},
	} {
		header, rows := exported(t, e, tc.typ, tc.which)
		if !slices.Equal(rows, tc.want) {
			t.Errorf("%s %s: %q, want %q", tc.which, tc.typ, rows, tc.want)
		}
		want := map[engine.DatasetType]string{engine.Users: "USER_ID,AGE,CITY", engine.Items: "ITEM_ID,GENRE", engine.Interactions: strings.TrimSpace(events)}
		if header != want[tc.typ] {
			t.Errorf("%s: header %s", tc.typ, header)
		}
	}
	deleteUsers(t, e, "g", "ann", "both")
	if _, rows := exported(t, e, engine.Interactions, engine.IngestionAll); !slices.Equal(rows, []string{"bob|pen|view|||||2"}) {
		t.Errorf("after a deletion %q", rows)
	}
	if _, rows := exported(t, e, engine.Users, engine.IngestionAll); slices.ContainsFunc(rows, func(r string) bool { return strings.HasPrefix(r, "both") }) {
		t.Errorf("after a deletion %q", rows)
	}
}

// TestExportImports takes what was exported into another store, which has the same rows then.
func TestExportImports(t *testing.T) {
	ctx := context.Background()
	from, to := open(t, storePath(t), engine.Options{}), open(t, storePath(t), engine.Options{})
	importSmall(t, from)
	createGroup(t, to, "g", testSchemas)
	for _, typ := range allTypes {
		dir := t.TempDir()
		if _, err := from.Export(ctx, engine.NewDatasetExportJob{Group: "g", Type: typ, Ingestion: engine.IngestionBulk, Destination: dir}); err != nil {
			t.Fatal(err)
		}
		importFile(t, to, "g", typ, dir, engine.ImportFull)
		if got, want := scan(t, to, "g", typ), scan(t, from, "g", typ); !slices.Equal(got, want) {
			t.Errorf("%s: %d rows, want %d", typ, len(got), len(want))
		}
	}
}

func TestExportRefused(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	tracked(t, e)
	dir := t.TempDir()
	n := engine.NewDatasetExportJob{Name: "out", Group: "g", Type: engine.Users, Ingestion: engine.IngestionAll, Destination: dir}
	with := func(change func(*engine.NewDatasetExportJob)) error {
		m := n
		m.Name = ""
		change(&m)
		_, err := e.CreateDatasetExportJob(ctx, m)
		return err
	}
	must[engine.Job](t)(e.Export(ctx, n))
	_, again := e.CreateDatasetExportJob(ctx, n)
	for what, tc := range map[string]struct{ err, want error }{
		"name taken":  {again, engine.ErrExists},
		"type":        {with(func(m *engine.NewDatasetExportJob) { m.Type = "THINGS" }), engine.ErrInvalid},
		"ingestion":   {with(func(m *engine.NewDatasetExportJob) { m.Ingestion = "SOME" }), engine.ErrInvalid},
		"destination": {with(func(m *engine.NewDatasetExportJob) { m.Destination = "" }), engine.ErrInvalid},
		"scheme":      {with(func(m *engine.NewDatasetExportJob) { m.Destination = "ftp://x/y" }), engine.ErrInvalid},
		"group":       {with(func(m *engine.NewDatasetExportJob) { m.Group = "h" }), engine.ErrNotFound},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%s: %v, want %v", what, tc.err, tc.want)
		}
	}
	// A folder that can't be written to fails the job.
	file := writeFile(t, dir, "file", "x")
	job, err := e.Export(ctx, engine.NewDatasetExportJob{Group: "g", Type: engine.Users, Destination: filepath.Join(file, "below")})
	var failed *engine.JobError
	if !errors.As(err, &failed) || job.FailureReason == "" {
		t.Errorf("exporting below a file: %v", err)
	}
	page, _, err := e.ListDatasetExportJobs(ctx, engine.ListJobs{Dataset: must[engine.Dataset](t)(e.Dataset(ctx, "g", engine.Users)).ARN})
	if err != nil || len(page) != 2 || page[1].Name != "out" || page[1].Destination != dir {
		t.Errorf("export jobs: %+v, %v", page, err)
	}
	if got := must[engine.Job](t)(e.DescribeDatasetExportJob(ctx, page[1].ARN)); got.Name != "out" || got.Ingestion != engine.IngestionAll {
		t.Errorf("described as %+v", got)
	}
}
