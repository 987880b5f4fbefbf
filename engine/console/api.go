package console

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// isAPI reports whether a request is for an endpoint and not for a page.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/console/api/") }

func (c *Console) apiOverview(w http.ResponseWriter, r *http.Request) {
	o, err := c.overview(r.Context())
	c.answer(w, r, o, err)
}

func (c *Console) apiJobs(w http.ResponseWriter, r *http.Request) {
	group, before, err := listQuery(r)
	var p JobPage
	if err == nil {
		p, err = c.jobs(r.Context(), group, before)
	}
	c.answer(w, r, p, err)
}

func (c *Console) apiJob(w http.ResponseWriter, r *http.Request) {
	j, err := c.describeJob(r.Context(), r.PathValue("kind"), r.PathValue("name"))
	var v Job
	if err == nil {
		v = c.viewJob(j)
	}
	c.answer(w, r, v, err)
}

// listQuery reads which jobs a page or an endpoint is to list.
func listQuery(r *http.Request) (group string, before uint64, err error) {
	q := r.URL.Query()
	if text := q.Get("before"); text != "" {
		if before, err = strconv.ParseUint(text, 10, 64); err != nil {
			return "", 0, &orderError{http.StatusBadRequest, "The parameter before must be the number of a job."}
		}
	}
	return q.Get("group"), before, nil
}

func (c *Console) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		status, text := c.explain(err)
		c.fail(w, r, status, text)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that left is nobody to tell
}

// fail answers with an error: a page, or JSON if an endpoint was asked.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, text string) {
	if isAPI(r) {
		writeJSON(w, status, struct {
			Error string `json:"error"`
		}{text})
		return
	}
	c.render(w, status, "message", page{Title: http.StatusText(status), Content: text})
}
