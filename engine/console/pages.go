package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/humanize"
	"github.com/expunge-db/expunge/engine/receipt"
)

//go:embed pages
var pageFiles embed.FS

var pages = func() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"count": humanize.Count, "counted": humanize.Counted, "moment": humanize.Moment, "size": size,
	}).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html"))
	all := make(map[string]*template.Template)
	for _, name := range []string{"index", "job", "dryrun", "login", "message"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, "pages/"+name+".html"))
	}
	return all
}()

// size writes bytes; small lists and datasets are more than 0.00 MiB.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return humanize.Counted(n, "byte")
	case n < 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KiB"
	}
	return humanize.Size(n)
}

//go:embed assets
var assetFiles embed.FS

// serveAsset answers a request for the style, the script or the icon, which hold nothing of the store.
func serveAsset(w http.ResponseWriter, r *http.Request) bool {
	name, ok := strings.CutPrefix(r.URL.Path, "/console/assets/")
	if !ok {
		return false
	}
	types := map[string]string{"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml", "receipt.css": "text/css"}
	kind, ok := types[name]
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	content := []byte(receipt.CSS)
	if name != "receipt.css" {
		content, _ = assetFiles.ReadFile("assets/" + name) // it is embedded
	}
	_, _ = w.Write(content) // a client that left is nobody to tell
	return true
}

// page is what the layout shows.
type page struct {
	Title   string
	Poll    string // endpoint that the script asks for what has changed, "" for none
	Refresh bool   // the page is loaded again soon, without the script
	Live    bool   // so it is where no script runs
	Token   bool   // there is one, so one can log out
	Content any
}

// render writes a page. It is made whole before the first byte of it is sent.
func (c *Console) render(w http.ResponseWriter, status int, name string, p page) {
	p.Token = c.auth.token != "" && name != "login"
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, "layout.html", p); err != nil {
		c.log.Error("page can't be made", "page", name, "err", err)
		http.Error(w, "The page can't be made: see the server's log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a client that left is nobody to tell
}

// form is the form that makes a deletion, with what was filled in and what was wrong with it.
type form struct {
	Groups                  []string
	Group, JobName, Problem string
	MaxBytes                int64
}

type indexView struct {
	Overview
	JobPage
	Jobs      []Job
	Info      engine.Info
	Rows      int64 // of all datasets
	Filter    string
	Older     string // address of the jobs before those shown, "" if there are none
	Newest    string // address of the newest jobs, "" if they are shown
	NotErased int
	Form      *form // nil if there is none
}

func (c *Console) index(w http.ResponseWriter, r *http.Request) {
	c.showIndex(w, r, http.StatusOK, form{})
}

func (c *Console) showIndex(w http.ResponseWriter, r *http.Request, status int, f form) {
	group, before, err := listQuery(r)
	v := indexView{Filter: group, Info: c.e.Info(), NotErased: c.notErased()}
	if err == nil {
		v.Overview, err = c.overview(r.Context())
	}
	if err == nil {
		v.JobPage, err = c.jobs(r.Context(), group, before)
	}
	if err == nil && c.folder != nil {
		v.Form, f.MaxBytes = &f, c.opts.MaxUpload
		var groups []engine.DatasetGroup
		groups, err = c.e.DatasetGroups(r.Context())
		for _, g := range groups {
			f.Groups = append(f.Groups, g.Name)
		}
	}
	if err != nil {
		status, text := c.explain(err)
		c.fail(w, r, status, text)
		return
	}
	v.Jobs = v.JobPage.Jobs
	for _, g := range v.Groups {
		for _, d := range g.Datasets {
			v.Rows += d.Rows
		}
	}
	q := url.Values{}
	if group != "" {
		q.Set("group", group)
	}
	poll := "/console/api/jobs?" + q.Encode()
	if before != 0 {
		v.Newest = "/?" + q.Encode() + "#jobs"
		poll += fmt.Sprintf("&before=%d", before)
	}
	if v.Next != 0 {
		q.Set("before", fmt.Sprint(v.Next))
		v.Older = "/?" + q.Encode() + "#jobs"
	}
	title := "Console"
	if f.Problem != "" {
		title = "Not done"
	}
	c.render(w, status, "index", page{Title: title, Poll: poll, Live: v.UnderWay, Content: v})
}

type jobView struct {
	Job
	Ended   bool
	Took    string
	Tags    []engine.Tag
	Number  uint64        // of the receipt, 0 if there is none
	Receipt template.HTML // its sections
}

func (c *Console) job(w http.ResponseWriter, r *http.Request) {
	j, err := c.describeJob(r.Context(), r.PathValue("kind"), r.PathValue("name"))
	v := jobView{Ended: j.Status.Terminal(), Took: humanize.Duration(j.Updated.Sub(j.Created))}
	if err == nil {
		v.Job = c.viewJob(j)
		v.Tags, err = c.e.ResourceTags(r.Context(), j.ARN)
	}
	if err == nil && j.Kind == engine.KindDeletion && j.Status == engine.StatusCompleted {
		var entry engine.LedgerEntry
		if entry, err = c.e.Receipt(r.Context(), j.ARN); err == nil {
			v.Number = entry.Number
			v.Receipt, err = receipt.Sections(entry)
		}
	}
	if errors.Is(err, engine.ErrNotFound) {
		c.fail(w, r, http.StatusNotFound, "There is no such job.")
		return
	}
	if err != nil {
		status, text := c.explain(err)
		c.fail(w, r, status, text)
		return
	}
	p := page{Title: j.Name + " is " + string(j.Status), Live: v.UnderWay, Content: v}
	if v.UnderWay {
		p.Poll = "/console/api/jobs/" + path.Join(url.PathEscape(string(j.Kind)), url.PathEscape(j.Name))
	}
	c.render(w, http.StatusOK, "job", p)
}

// receiptFile answers with a receipt in one file, to be kept.
func (c *Console) receiptFile(w http.ResponseWriter, r *http.Request) {
	entry, err := c.e.Receipt(r.Context(), r.PathValue("name"))
	var b bytes.Buffer
	if err == nil {
		err = receipt.WritePage(&b, entry)
	}
	if err != nil {
		status, text := c.explain(err)
		c.fail(w, r, status, text)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="receipt-`+entry.Name+`.html"`)
	_, _ = b.WriteTo(w) // a client that left is nobody to tell
}

type dryRunView struct {
	order
	ID          string
	Done        bool
	Problem     string // of the deletion that was to follow
	ListProblem string // the list can't be read
	Found       engine.DryRun
	Rows        []Dataset // to be deleted
	SizeText    string
	Total       int64
}

func (c *Console) showDryRun(w http.ResponseWriter, status int, d *dryRun, problem string) {
	v := dryRunView{order: d.order, ID: d.ID, Done: d.isDone(), SizeText: size(d.Size), Problem: problem}
	title := "Dry run: counting"
	if v.Done {
		title = "Dry run"
		v.Found, v.Total = d.found, d.found.NumDeleted()
		for _, t := range datasetTypes {
			if n, ok := d.found.Rows[t]; ok {
				v.Rows = append(v.Rows, Dataset{Type: strings.ToLower(string(t)), Rows: n})
			}
		}
		v.ListProblem = d.problem
	}
	c.render(w, status, "dryrun", page{Title: title, Refresh: !v.Done, Content: v})
}
