package console_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/console"
)

func TestOverview(t *testing.T) {
	f := setup(t, console.Options{})
	f.group("other")
	_, err := f.e.CreateDatasetGroup(context.Background(), engine.NewDatasetGroup{Name: "empty"})
	f.must(err)
	var o console.Overview
	eventually(t, "all groups were counted", func() bool {
		o = decode[console.Overview](t, f.get("/console/api/overview"))
		return len(o.Groups) == 3 && len(o.Groups[1].Datasets) == 2 && o.Groups[1].Datasets[1].Rows == 120
	})
	if o.Allocated == 0 || o.Counted.IsZero() {
		t.Errorf("overview %+v", o)
	}
	for i, want := range []string{"empty", "other", "shop"} {
		g := o.Groups[i]
		if g.Name != want {
			t.Fatalf("group %d is %s", i, g.Name)
		}
		if want == "empty" {
			continue
		}
		if g.Users != 40 || g.Items != 3 || len(g.Datasets) != 2 || g.Datasets[0].Type != "users" || g.Datasets[0].Rows != 40 ||
			g.Datasets[1].Type != "interactions" || g.Datasets[1].Rows != 120 || g.Datasets[1].Leaving != 0 || g.Datasets[1].Bytes == 0 {
			t.Errorf("group %+v", g)
		}
	}
	f.get("/").want(t, http.StatusOK, "It has no datasets yet.", "40 users, 3 items", `data-dataset="other/users"`, `<b data-total="rows">320</b>`,
		"<option>empty</option>", "Region us-east-1, account 000000000000")
}

// TestJobPages lists jobs of two kinds and groups, page by page, as the engine has them.
func TestJobPages(t *testing.T) {
	f := setup(t, console.Options{})
	f.group("other")
	var want []string
	for i := range 30 {
		group, name := []string{"shop", "other"}[i%2], fmt.Sprintf("job-%02d", i)
		file := filepath.Join(t.TempDir(), "rows.csv")
		if i%3 == 0 {
			f.must(os.WriteFile(file, []byte("USER_ID,AGE\n"+secret+"-1,5\n"), 0o600))
			_, err := f.e.Import(context.Background(), engine.NewDatasetImportJob{
				Name: name, Group: group, Type: engine.Users, Source: file, Mode: engine.ImportIncremental,
			})
			f.must(err)
		} else {
			f.must(os.WriteFile(file, []byte(list(i)), 0o600))
			_, err := f.e.Delete(context.Background(), engine.NewDataDeletionJob{Name: name, Group: group, Source: file})
			f.must(err)
		}
		want = append(want, name)
	}
	slices.Reverse(want)
	var got []string
	before := uint64(0)
	for {
		p := decode[console.JobPage](t, f.get(fmt.Sprintf("/console/api/jobs?before=%d", before)))
		if p.UnderWay {
			t.Error("a job is under way")
		}
		for _, j := range p.Jobs {
			got = append(got, j.Name)
			one := decode[console.Job](t, f.get("/console/api/jobs/"+j.Kind+"/"+j.Name))
			if one.Seq != j.Seq || one.Status != "COMPLETED" || one.RowsText == "" {
				t.Errorf("job %+v", one)
			}
		}
		if before = p.Next; before == 0 {
			break
		}
	}
	if len(got) != 34 || !slices.Equal(got[:30], want) { // 4 imports made the groups
		t.Errorf("the pages have %v", got)
	}
	of := decode[console.JobPage](t, f.get("/console/api/jobs?group=other"))
	if len(of.Jobs) != 17 || of.Next != 0 || slices.ContainsFunc(of.Jobs, func(j console.Job) bool { return j.Group != "other" }) {
		t.Errorf("%d jobs of a group", len(of.Jobs))
	}
	first := f.get("/")
	first.want(t, http.StatusOK, "job-29", "import of users, incremental", "1 added", "Older")
	if strings.Contains(first.body, "Newest") || strings.Contains(first.body, "job-01") {
		t.Error("the first page has what later ones have")
	}
	f.get("/?before=10").want(t, http.StatusOK, "Newest", "job-01", `data-poll="/console/api/jobs?&amp;before=10"`)
	f.get("/?group=other").want(t, http.StatusOK, "Jobs of other", "Jobs of all groups", `data-poll="/console/api/jobs?group=other"`)
	f.get("/?group=nobody").want(t, http.StatusOK, "There are none.")
	f.get("/console/jobs/dataset-import-job/job-27").want(t, http.StatusOK, "import of users, incremental", "1 added", ">users<")

	for _, path := range []string{"/?before=x", "/console/api/jobs?before=-1"} {
		f.get(path).want(t, http.StatusBadRequest, "must be the number of a job")
	}
	for _, path := range []string{"/console/api/jobs/data-deletion-job/nobody", "/console/api/jobs/other-kind/job-01"} {
		f.get(path).want(t, http.StatusNotFound, `{"error":`)
	}
	f.get("/console/jobs/data-deletion-job/nobody").want(t, http.StatusNotFound, "There is no such job.")
	f.get("/console/jobs/other-kind/job-01").want(t, http.StatusNotFound, "There is no such job.")
}

func TestJobPageShowsTags(t *testing.T) {
	f := setup(t, console.Options{})
	file := filepath.Join(t.TempDir(), "list.csv")
	f.must(os.WriteFile(file, []byte(list(1)), 0o600))
	_, err := f.e.Delete(context.Background(), engine.NewDataDeletionJob{
		Name: "tagged", Group: "shop", Source: file, RoleARN: "arn:aws:iam::000000000000:role/r", Tags: []engine.Tag{{Key: "case", Value: "42 @ Köln"}},
	})
	f.must(err)
	f.get("/console/jobs/data-deletion-job/tagged").want(t, http.StatusOK, "Tag case", "42 @ Köln", "role/r")
}

func TestWithoutFolder(t *testing.T) {
	f := setup(t, console.Options{})
	f.closeConsole()
	f.opts.UploadDir = ""
	f.openConsole()
	f.get("/").want(t, http.StatusOK, "This server takes no lists here")
	f.send("/console/deletions", "shop", "", "l.csv", list(1)).want(t, http.StatusNotFound, "takes no lists")
	f.send("/console/dry-runs", "shop", "", "l.csv", list(1)).want(t, http.StatusNotFound, "takes no lists")
}

func TestReadOnlyStore(t *testing.T) {
	f := setup(t, console.Options{})
	f.close()
	f.open(engine.Options{ReadOnly: true})
	f.send("/console/deletions", "shop", "", "l.csv", list(1)).want(t, http.StatusConflict, "open for reading only")
	_, page := f.runDry("l.csv", list(1))
	page.want(t, http.StatusOK, "<b>4</b><span>rows would be deleted")
	eventually(t, "only the list of the dry run is left", func() bool { return len(f.lists()) == 1 })
}

// TestExport shows an export, which has no source.
func TestExport(t *testing.T) {
	f := setup(t, console.Options{})
	_, err := f.e.Export(context.Background(), engine.NewDatasetExportJob{
		Name: "out", Group: "shop", Type: engine.Interactions, Ingestion: engine.IngestionAll, Destination: t.TempDir(),
	})
	f.must(err)
	j := decode[console.Job](t, f.get("/console/api/jobs/dataset-export-job/out"))
	if j.KindText != "export of interactions, all" || j.RowsText != "120 exported to 1 file" || j.ReasonText != "" {
		t.Errorf("job %+v", j)
	}
	f.get("/").want(t, http.StatusOK, "export of interactions, all")
	f.get("/console/jobs/dataset-export-job/out").want(t, http.StatusOK, "120 exported to 1 file")
}
