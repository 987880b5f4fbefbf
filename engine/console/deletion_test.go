package console_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/console"
)

func TestDeleteUploadedList(t *testing.T) {
	f := setup(t, console.Options{})
	got := f.send("/console/deletions", "shop", "forget-1", secret+".csv", list(1, 2, 2, 99))
	got.want(t, http.StatusSeeOther)
	if got.location != "/console/jobs/data-deletion-job/forget-1" {
		t.Fatalf("leads to %s", got.location)
	}
	if job := f.wait("forget-1"); job.Status != engine.StatusCompleted || *job.NumDeleted != 8 {
		t.Errorf("job %s, %v", job.Status, job.NumDeleted)
	}
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 0 })
	receipt, err := f.e.Receipt(context.Background(), "forget-1")
	f.must(err)
	f.get(got.location).want(t, http.StatusOK, "Deletion receipt 1", receipt.Digest(), receipt.Files.SHA256, "<svg", "4 IDs: 2 matched, 1 unknown, 1 repeated",
		`<span class="status COMPLETED"`)
	f.get("/").want(t, http.StatusOK, "forget-1", "8 deleted", `data-f="rows">38</td>`)
	file := f.get("/console/receipts/forget-1")
	file.want(t, http.StatusOK, "<style>", receipt.Digest())
	if got := file.header.Get("Content-Disposition"); got != `attachment; filename="receipt-forget-1.html"` {
		t.Errorf("the file is %s", got)
	}
	f.get("/console/receipts/nobody").want(t, http.StatusNotFound)

	// Compressed lists are told by their ending; without a name the engine chooses one.
	got = f.send("/console/deletions", "shop", "", "users.csv.gz", list(3))
	got.want(t, http.StatusSeeOther)
	job := f.wait(filepath.Base(got.location))
	if job.Status != engine.StatusFailed || !strings.Contains(job.FailureReason, "gzip") {
		t.Errorf("a text that is called .gz: %s %s", job.Status, job.FailureReason)
	}
}

func TestBadList(t *testing.T) {
	f := setup(t, console.Options{})
	got := f.send("/console/deletions", "shop", "bad", "users.csv", "USER_ID\n"+secret+"-1\n"+secret+"-2,extra\n")
	got.want(t, http.StatusSeeOther)
	job := f.wait("bad")
	if job.Status != engine.StatusFailed {
		t.Fatalf("the job is %s", job.Status)
	}
	for _, want := range []string{"line 3", "column"} {
		if !strings.Contains(job.FailureReason, want) {
			t.Errorf("the reason lacks %q: %s", want, job.FailureReason)
		}
	}
	f.get(got.location).want(t, http.StatusOK, "deleted nothing", "line 3", "FAILED")
	f.get("/").want(t, http.StatusOK, `data-f="reasonText">uploaded list: line 3`, `data-f="rows">40</td>`)
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 0 })
}

// With several groups none is chosen beforehand: the list of one mustn't be run against another.
func TestGroupHasToBeChosen(t *testing.T) {
	f := setup(t, console.Options{})
	f.get("/").want(t, http.StatusOK, `<select id="group" name="group" required><option>shop</option></select>`)
	f.group("other")
	f.get("/").want(t, http.StatusOK, `<select id="group" name="group" required><option value="">Choose one</option><option>`)
	f.send("/console/deletions", "shop", "", "", "").want(t, http.StatusBadRequest, `<option selected>shop</option>`)
}

func TestBadForms(t *testing.T) {
	f := setup(t, console.Options{MaxUpload: 1000})
	f.send("/console/deletions", "shop", "taken", "l.csv", list(1)).want(t, http.StatusSeeOther)
	f.wait("taken")
	for _, path := range []string{"/console/deletions", "/console/dry-runs"} {
		f.send(path, "", "", "l.csv", list(1)).want(t, http.StatusBadRequest, "Choose a dataset group", `role="alert"`)
		f.send(path, "shop", "kept-name", "", "").want(t, http.StatusBadRequest, "Choose a list", `value="kept-name"`)
		f.send(path, "shop", strings.Repeat("x", 5000), "l.csv", list(1)).want(t, http.StatusBadRequest, "too long")
		f.send(path, "shop", "", "l.csv", strings.Repeat("x", 1001)).want(t, http.StatusRequestEntityTooLarge, "larger than")
		f.post(path, "group=shop").want(t, http.StatusBadRequest, "isn&#39;t a form with a file")
		f.do("POST", path, "multipart/form-data", strings.NewReader("x"), nil).want(t, http.StatusBadRequest)
		f.do("POST", path, "multipart/form-data; boundary=b", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"list\"; filename=\"a\"\r\n\r\nUSER"), nil).
			want(t, http.StatusBadRequest, "cut off")
		f.do("POST", path, "multipart/form-data; boundary=b", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n"), nil).
			want(t, http.StatusBadRequest, "isn&#39;t known")
	}
	f.send("/console/deletions", "shop", "taken", "l.csv", list(1)).want(t, http.StatusConflict, "taken")
	f.send("/console/deletions", "shop", "bad name!", "l.csv", list(1)).want(t, http.StatusBadRequest, "jobName")
	f.send("/console/deletions", "nobody", "", "l.csv", list(1)).want(t, http.StatusNotFound)
	eventually(t, "no list is left", func() bool { return len(f.lists()) == 0 })
	jobs, _, err := f.e.ListDataDeletionJobs(context.Background(), engine.ListJobs{})
	if err != nil || len(jobs) != 1 {
		t.Errorf("%d jobs: %v", len(jobs), err)
	}
}

// TestHugeList sends a list of 64 MiB, of which half is too much: it goes to the disk and not into memory.
func TestHugeList(t *testing.T) {
	const limit, sent = 32 << 20, 64 << 20
	f := setup(t, console.Options{MaxUpload: limit})
	head := "--b\r\nContent-Disposition: form-data; name=\"group\"\r\n\r\nshop\r\n--b\r\n" +
		"Content-Disposition: form-data; name=\"list\"; filename=\"a.csv\"\r\n\r\nUSER_ID\n"
	body := io.MultiReader(strings.NewReader(head), io.LimitReader(lines{}, sent), strings.NewReader("\r\n--b--\r\n"))
	req, err := http.NewRequest("POST", "/console/deletions", body)
	f.must(err)
	req.Host = "localhost"
	req.Header.Set("Origin", "http://localhost")
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	w := &response{header: make(http.Header)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.c.ServeHTTP(w, req)
	runtime.ReadMemStats(&after)
	if w.status != http.StatusRequestEntityTooLarge || !strings.Contains(w.body.String(), "larger than 32.0 MiB") {
		t.Errorf("status %d: %s", w.status, w.body.String())
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d bytes were allocated for a list of %d", used, sent)
	}
	if names := f.lists(); len(names) > 0 {
		t.Errorf("%v is left", names)
	}
}

type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = (secret + "-1\n")[i%len(secret+"-1\n")]
	}
	return len(p), nil
}

type response struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *response) Header() http.Header         { return w.header }
func (w *response) WriteHeader(status int)      { w.status = status }
func (w *response) Write(p []byte) (int, error) { return w.body.Write(p) }

func TestClientLeavesDuringUpload(t *testing.T) {
	f := setup(t, console.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	go func() {
		_, err := io.WriteString(w, "--b\r\nContent-Disposition: form-data; name=\"list\"; filename=\"a.csv\"\r\n\r\n"+list(1)+strings.Repeat(" ", 1<<16))
		if err == nil {
			eventually(t, "the list is on its way", func() bool { return len(f.lists()) == 1 })
		}
		cancel()
		w.CloseWithError(errors.Join(err, io.ErrUnexpectedEOF))
	}()
	req, err := http.NewRequestWithContext(ctx, "POST", f.srv.URL+"/console/deletions", r)
	f.must(err)
	req.Header.Set("Origin", f.srv.URL)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Error("the request wasn't cut off")
	}
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 0 })
}

// TestListGoesBeforeTheJobEnds holds an erasure with a snapshot: the list is gone while the job is IN_PROGRESS, and the
// page says what it waits for.
func TestListGoesBeforeTheJobEnds(t *testing.T) {
	f := setup(t, console.Options{})
	sn, err := f.e.Snapshot(context.Background(), "shop")
	f.must(err)
	f.send("/console/deletions", "shop", "held", "l.csv", list(1)).want(t, http.StatusSeeOther)
	var job console.Job
	eventually(t, "the job says what it waits for", func() bool {
		job = decode[console.Job](t, f.get("/console/api/jobs/data-deletion-job/held"))
		return job.StatusReason != ""
	})
	if job.Status != "IN_PROGRESS" || !job.UnderWay || job.NumDeleted != nil || job.Progress == nil || job.Progress.Step != "erasing" ||
		!strings.Contains(job.NowText, "snapshot") {
		t.Errorf("job %+v", job)
	}
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 0 })
	f.get(job.Path).want(t, http.StatusOK, `data-poll="/console/api/jobs/data-deletion-job/held"`, "waiting for an open snapshot", "<noscript><meta http-equiv=\"refresh\"", "<progress")
	f.get("/").want(t, http.StatusOK, "waiting for an open snapshot", "<noscript>")
	f.get("/console/receipts/held").want(t, http.StatusNotFound)
	sn.Release()
	f.wait("held")
	job = decode[console.Job](t, f.get("/console/api/jobs/data-deletion-job/held"))
	if job.Status != "COMPLETED" || job.UnderWay || *job.NumDeleted != 4 || job.RowsText != "4 deleted" || job.NowText != "" {
		t.Errorf("job %+v", job)
	}
}

var dryRunPath = regexp.MustCompile(`^/console/dry-runs/[A-Z2-7]+$`)

// runDry sends a list and returns the page of its dry run when that is done.
func (f *fixture) runDry(fileName, content string) (path string, page answer) {
	f.t.Helper()
	got := f.send("/console/dry-runs", "shop", "later", fileName, content)
	got.want(f.t, http.StatusSeeOther)
	if !dryRunPath.MatchString(got.location) {
		f.t.Fatalf("leads to %s", got.location)
	}
	eventually(f.t, "the dry run is done", func() bool {
		page = f.get(got.location)
		return !strings.Contains(page.body, "http-equiv=\"refresh\" content=\"2\"")
	})
	page.want(f.t, http.StatusOK)
	return got.location, page
}

func TestDryRun(t *testing.T) {
	f := setup(t, console.Options{})
	path, page := f.runDry(`<b>my "list".csv`, list(1, 2, 2, 99))
	page.want(t, http.StatusOK, "<b>2</b><span>users would be deleted", "<b>8</b><span>rows would be deleted", "<b>1</b><span>IDs are unknown", "_b_my _list_.csv", `value="later"`)
	if jobs, _, err := f.e.ListDataDeletionJobs(context.Background(), engine.ListJobs{}); err != nil || len(jobs) > 0 {
		t.Errorf("a dry run made %d jobs: %v", len(jobs), err)
	}
	if n := len(f.lists()); n != 1 {
		t.Errorf("%d lists wait for a decision, want 1", n)
	}
	f.post(path+"/delete", "jobName=bad+name").want(t, http.StatusBadRequest, "Not done.", "jobName", `value="bad name"`)
	got := f.post(path+"/delete", "jobName=sooner")
	got.want(t, http.StatusSeeOther)
	if job := f.wait("sooner"); job.Status != engine.StatusCompleted || *job.NumDeleted != 8 {
		t.Errorf("job %s, %v", job.Status, job.NumDeleted)
	}
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 0 })
	f.post(path+"/delete", "").want(t, http.StatusNotFound, "no such dry run")
	f.get(path).want(t, http.StatusNotFound, "no such dry run")

	path, _ = f.runDry("l.csv", list(3))
	f.post(path+"/discard", "").want(t, http.StatusSeeOther)
	f.get(path).want(t, http.StatusNotFound)
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 0 })

	path, page = f.runDry("l.csv", "USER_ID\n"+secret+"-3,\n")
	page.want(t, http.StatusOK, "The list can't be used.", "line 2", "It was erased")
	f.post(path+"/delete", "").want(t, http.StatusNotFound)
	if names := f.lists(); len(names) > 0 {
		t.Errorf("a list that can't be used is kept: %v", names)
	}

	for range 10 { // the oldest make room
		path, _ = f.runDry("l.csv", list(3))
	}
	eventually(t, "8 lists are left", func() bool { return len(f.lists()) == 8 })
	f.get(path).want(t, http.StatusOK)
	f.closeConsole()
	if names := f.lists(); len(names) > 0 {
		t.Errorf("closing left %v", names)
	}
	f.openConsole()
}

func TestSweep(t *testing.T) {
	f := setup(t, console.Options{})
	mine := filepath.Join(f.uploads, "notes.csv")
	f.must(os.WriteFile(mine, []byte("mine"), 0o600))
	var source, waits string
	// A job that is still waiting behind an import when the process ends. The import is larger if it was too quick.
	for rows := 50_000; ; rows *= 4 {
		waits = fmt.Sprintf("waits-%d", rows)
		var b strings.Builder
		b.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
		for i := range rows {
			fmt.Fprintf(&b, "%s-%d,item-%d,%d\n", secret, i%40, i%97, 1_600_000_000+i)
		}
		file := filepath.Join(t.TempDir(), "rows.csv")
		f.must(os.WriteFile(file, []byte(b.String()), 0o600))
		_, err := f.e.CreateDatasetImportJob(context.Background(), engine.NewDatasetImportJob{
			Group: "shop", Type: engine.Interactions, Source: file, Mode: engine.ImportFull,
		})
		f.must(err)
		f.send("/console/deletions", "shop", waits, "l.csv", list(1)).want(t, http.StatusSeeOther)
		f.close()
		f.must(os.WriteFile(filepath.Join(f.uploads, "expunge-list-left.csv"), []byte(list(5)), 0o600))
		f.open(engine.Options{ReadOnly: true}) // no job goes on
		job, err := f.e.DescribeDataDeletionJob(context.Background(), waits)
		f.must(err)
		if source = job.Source; !job.Status.Terminal() {
			break
		}
		if rows > 10_000_000 {
			t.Fatal("no import is large enough to be found unfinished")
		}
		f.close()
		f.open(engine.Options{})
	}
	if names := f.lists(); len(names) != 2 {
		t.Errorf("the folder has %v, want the list of the unfinished job and the file that is no list", names)
	}
	if _, err := os.Stat(source); err != nil {
		t.Errorf("the list of an unfinished job was erased: %v", err)
	}
	f.close()
	f.open(engine.Options{})
	if done := f.wait(waits); done.Status != engine.StatusCompleted || done.Counts.Matched != 1 {
		t.Errorf("the job that went on is %s: %s", done.Status, done.FailureReason)
	}
	eventually(t, "the list is gone", func() bool { return len(f.lists()) == 1 })
	if b, err := os.ReadFile(mine); err != nil || string(b) != "mine" {
		t.Errorf("a file that is no list was changed: %v", err)
	}
}
