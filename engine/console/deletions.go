package console

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// dryRun is a list that was uploaded to see what it would delete. The job that deletes reads the same file.
type dryRun struct {
	order
	ID     string
	timer  *time.Timer // discards it
	cancel func()
	done   chan struct{} // closed when what follows is set
	found  engine.DryRun
	// problem says what was wrong with the list, "" if nothing was.
	problem string
}

const (
	maxDryRuns = 8 // lists that are kept until somebody decides
	dryRunLife = 15 * time.Minute
	// dryRunWait is how long the answer waits for the result, so that a small list shows it at once.
	dryRunWait = time.Second
)

// createDeletion makes a job of an uploaded list.
func (c *Console) createDeletion(w http.ResponseWriter, r *http.Request) {
	c.withOrder(w, r, func(o order) {
		job, err := c.deleteList(r.Context(), o)
		if err != nil {
			c.eraseList(o.list)
			c.refuse(w, r, o, err)
			return
		}
		http.Redirect(w, r, jobPath(job.Kind, job.Name), http.StatusSeeOther)
	})
}

// withOrder hands on the order of a form, or answers what is wrong with it.
func (c *Console) withOrder(w http.ResponseWriter, r *http.Request, do func(o order)) {
	if c.folder == nil {
		c.fail(w, r, http.StatusNotFound, "This server takes no lists: it was started without a folder for them.")
		return
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		c.fail(w, r, http.StatusServiceUnavailable, "Other lists are on their way. Try again in a while.")
		return
	}
	o, err := c.readOrder(w, r)
	if err != nil {
		c.refuse(w, r, o, err)
		return
	}
	do(o)
}

// deleteList creates the job of a list, and sees to it that the list is erased when the job has read it.
func (c *Console) deleteList(ctx context.Context, o order) (engine.Job, error) {
	// A client that leaves now mustn't leave it open whether there is a job.
	job, err := c.e.CreateDataDeletionJob(context.WithoutCancel(ctx), engine.NewDataDeletionJob{
		Name: o.JobName, Group: o.Group, Source: c.folder.location(o.list),
	})
	if err == nil {
		c.log.Info("deletion job created", "job", job.Name)
		c.watch(job, o.list)
	}
	return job, err
}

// refuse shows the form again, with what is wrong.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, o order, err error) {
	status, text := c.explain(err)
	c.showIndex(w, r, status, form{Group: o.Group, JobName: o.JobName, Problem: text})
}

// explain returns the status and the text of an error for whoever made the request. The engine's errors name no user.
func (c *Console) explain(err error) (int, string) {
	var order *orderError
	var input *engine.InputError
	switch {
	case errors.As(err, &order):
		return order.status, order.text
	case errors.Is(err, engine.ErrExists):
		return http.StatusConflict, err.Error()
	case errors.Is(err, engine.ErrLimit):
		return http.StatusTooManyRequests, err.Error()
	case errors.Is(err, engine.ErrNotFound):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, engine.ErrInvalid), errors.As(err, &input):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, engine.ErrReadOnly):
		return http.StatusConflict, "The store is open for reading only."
	case errors.Is(err, engine.ErrClosed):
		return http.StatusServiceUnavailable, "The server is stopping."
	}
	c.log.Error("request failed", "err", err)
	return http.StatusInternalServerError, "That didn't work: see the server's log."
}

// createDryRun begins to count what an uploaded list would delete.
func (c *Console) createDryRun(w http.ResponseWriter, r *http.Request) {
	c.withOrder(w, r, func(o order) {
		d := &dryRun{order: o, ID: rand.Text(), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(c.ctx)
		d.cancel = cancel
		if !c.keep(d) {
			cancel()
			c.eraseList(o.list)
			c.fail(w, r, http.StatusServiceUnavailable, "Too many dry runs are under way. Try again in a while.")
			return
		}
		c.start(func(context.Context) {
			defer close(d.done)
			defer cancel()
			var err error
			if d.found, err = c.e.DryRunDeletion(ctx, d.Group, c.folder.location(d.list)); err != nil {
				_, d.problem = c.explain(err)
				c.eraseList(d.list) // it is no use to anybody
			}
		})
		http.Redirect(w, r, "/console/dry-runs/"+d.ID, http.StatusSeeOther)
	})
}

// keep adds a dry run; the oldest that is done makes room for it. It is false if there is none, or the console is closed.
func (c *Console) keep(d *dryRun) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if len(c.dryRuns) >= maxDryRuns {
		oldest := slices.IndexFunc(c.dryRuns, (*dryRun).isDone)
		if oldest < 0 {
			return false
		}
		c.dropLocked(oldest)
	}
	d.timer = time.AfterFunc(dryRunLife, func() { c.discard(d.ID) })
	c.dryRuns = append(c.dryRuns, d)
	return true
}

// dropLocked takes a dry run away, and erases its list when nothing reads it any more.
func (c *Console) dropLocked(i int) {
	d := c.dryRuns[i]
	c.dryRuns = slices.Delete(c.dryRuns, i, i+1)
	d.timer.Stop()
	d.cancel()
	c.tasks.Go(func() {
		<-d.done
		c.eraseList(d.list)
	})
}

func (d *dryRun) isDone() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// findDryRun returns a dry run by its ID, nil if there is none.
func (c *Console) findDryRun(id string) *dryRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.dryRuns, func(d *dryRun) bool { return d.ID == id }); i >= 0 {
		return c.dryRuns[i]
	}
	return nil
}

// take returns a dry run that is done, which then is the caller's with its list; nil if there is none.
func (c *Console) take(id string) *dryRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.dryRuns, func(d *dryRun) bool { return d.ID == id && d.isDone() && d.problem == "" })
	if i < 0 {
		return nil
	}
	d := c.dryRuns[i]
	d.timer.Stop()
	c.dryRuns = slices.Delete(c.dryRuns, i, i+1)
	return d
}

// discard ends a dry run, if it is there.
func (c *Console) discard(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.dryRuns, func(d *dryRun) bool { return d.ID == id }); i >= 0 {
		c.dropLocked(i)
	}
}

func (c *Console) dryRun(w http.ResponseWriter, r *http.Request) {
	d := c.findDryRun(r.PathValue("id"))
	if d == nil {
		c.fail(w, r, http.StatusNotFound, dryRunGone)
		return
	}
	select {
	case <-d.done:
	case <-r.Context().Done():
	case <-time.After(dryRunWait):
	}
	c.showDryRun(w, http.StatusOK, d, "")
}

const dryRunGone = "There is no such dry run any more: its list was deleted or discarded."

func (c *Console) deleteDryRun(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, http.StatusBadRequest, "The form can't be read.")
		return
	}
	d := c.take(r.PathValue("id"))
	if d == nil {
		c.fail(w, r, http.StatusNotFound, dryRunGone)
		return
	}
	d.JobName = strings.TrimSpace(r.PostForm.Get("jobName"))
	job, err := c.deleteList(r.Context(), d.order)
	if err == nil {
		http.Redirect(w, r, jobPath(job.Kind, job.Name), http.StatusSeeOther)
		return
	}
	status, problem := c.explain(err)
	if !c.keep(d) {
		c.eraseList(d.list)
		c.fail(w, r, status, problem)
		return
	}
	c.showDryRun(w, status, d, problem)
}

func (c *Console) discardDryRun(w http.ResponseWriter, r *http.Request) {
	c.discard(r.PathValue("id"))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// jobPath is the address of a job's page.
func jobPath(kind engine.JobKind, name string) string {
	return "/console/jobs/" + string(kind) + "/" + url.PathEscape(name)
}
