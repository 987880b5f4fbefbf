package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/expunge-db/expunge/engine"
)

// Options says how a console is made. The zero value of each field is its default.
type Options struct {
	// Token is what has to be shown to see anything, of 16 characters at least. "" means that nothing has to be shown, which
	// is for servers that only this machine can reach.
	Token string
	// AllowedHosts are the names that a request may call the server, without a port (then any is right) or with one. nil
	// means localhost and the loopback addresses.
	AllowedHosts []string
	// UploadDir is the folder for uploaded lists; it is made if it isn't there, and no other Console may use it. Keep it out
	// of backups. "" offers no form.
	UploadDir string
	// MaxUpload is the most bytes that a list may have, as uploaded. 0 means 1 GiB.
	MaxUpload int64
	// Logger gets what goes on, never an ID or what a list holds. nil discards.
	Logger *slog.Logger
}

// minToken is the least length of a token, in characters: a random one of that length can't be guessed.
const minToken = 16

func (o Options) validate() error {
	var errs []error
	if o.Token != "" && len(o.Token) < minToken {
		errs = append(errs, fmt.Errorf("the token has less than %d characters: use a longer one, as random as can be", minToken))
	}
	if o.MaxUpload < 0 {
		errs = append(errs, errors.New("the most bytes of a list are negative: use 0 for the default"))
	}
	for _, h := range o.AllowedHosts {
		if h == "" {
			errs = append(errs, errors.New("an allowed host is empty: leave it out"))
		}
	}
	return errors.Join(errs...)
}

// Console is the page with its endpoints, over one engine.
type Console struct {
	e     *engine.Engine
	opts  Options
	log   *slog.Logger
	mux   *http.ServeMux
	auth  *auth
	stats statsCache

	// What follows is for lists. folder is nil if there is no form.
	folder  *folder
	slots   chan struct{} // held by uploads under way
	ctx     context.Context
	stop    context.CancelFunc
	tasks   sync.WaitGroup // dry runs, and watches over lists
	mu      sync.Mutex
	dryRuns []*dryRun           // oldest first; guarded by mu
	stuck   map[string]struct{} // lists that couldn't be erased yet; guarded by mu
	closed  bool                // guarded by mu
}

// maxUploads is how many uploads are under way at once.
const maxUploads = 4

// New returns a console over an engine. It erases the lists that an earlier process left, except those of unfinished jobs,
// which are erased when their job no longer needs them. The caller must Close it before the engine.
func New(e *engine.Engine, opts Options) (*Console, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if opts.MaxUpload == 0 {
		opts.MaxUpload = 1 << 30
	}
	c := &Console{
		e: e, opts: opts, log: opts.Logger, auth: newAuth(opts.Token), slots: make(chan struct{}, maxUploads),
		stuck: make(map[string]struct{}),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.routes()
	if opts.UploadDir == "" {
		return c, nil
	}
	var err error
	if c.folder, err = openFolder(opts.UploadDir); err != nil {
		return nil, fmt.Errorf("console: folder for uploaded lists: %w", err)
	}
	if err := c.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("console: erase the lists that an earlier process left: %w", err), c.Close())
	}
	return c, nil
}

// Close erases the lists of dry runs and stops what goes on in the background; lists of unfinished jobs stay. Requests
// must have ended. Closing a closed console does nothing.
func (c *Console) Close() error {
	c.mu.Lock()
	closed, runs := c.closed, c.dryRuns
	c.closed, c.dryRuns = true, nil
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.stop()
	c.tasks.Wait()
	var errs []error
	for _, d := range runs {
		d.timer.Stop()
		errs = append(errs, c.folder.erase(d.list))
	}
	if c.folder != nil {
		errs = append(errs, c.folder.close())
	}
	return errors.Join(errs...)
}

func (c *Console) routes() {
	c.mux = http.NewServeMux()
	c.mux.HandleFunc("GET /{$}", c.index)
	c.mux.HandleFunc("GET /console/jobs/{kind}/{name}", c.job)
	c.mux.HandleFunc("GET /console/receipts/{name}", c.receiptFile)
	c.mux.HandleFunc("POST /console/deletions", c.createDeletion)
	c.mux.HandleFunc("POST /console/dry-runs", c.createDryRun)
	c.mux.HandleFunc("GET /console/dry-runs/{id}", c.dryRun)
	c.mux.HandleFunc("POST /console/dry-runs/{id}/delete", c.deleteDryRun)
	c.mux.HandleFunc("POST /console/dry-runs/{id}/discard", c.discardDryRun)
	c.mux.HandleFunc("GET /console/api/overview", c.apiOverview)
	c.mux.HandleFunc("GET /console/api/jobs", c.apiJobs)
	c.mux.HandleFunc("GET /console/api/jobs/{kind}/{name}", c.apiJob)
	c.mux.HandleFunc("POST /console/logout", c.logout)
	c.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, http.StatusNotFound, "There is nothing at this address.")
	})
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	if problem := c.foreign(r); problem != "" {
		c.log.Warn("request refused", "reason", problem)
		c.fail(w, r, http.StatusForbidden, problem)
		return
	}
	switch {
	case r.Method == http.MethodGet && serveAsset(w, r):
	case r.Method == http.MethodPost && r.URL.Path == loginPath:
		c.login(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/" && r.URL.Query().Has("token"):
		c.loginByLink(w, r)
	case !c.auth.allows(r):
		c.askForToken(w, r, "")
	default:
		c.mux.ServeHTTP(w, r)
	}
}
