// Package server is what 'expunge serve' listens with: the service's protocols, and beside them our own endpoints,
// which are in one place here so that what is open to whom can be seen.
//
//	POST /, /events, /users, /items   package personalize
//	GET  /, /console/                 package console
//	GET  /healthz                     whether the store answers; open to whoever reaches the address
//	GET  /metrics                     for Prometheus, with the token if there is one
package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
)

// Config says what to serve. The zero value of each field but Engine is its default.
type Config struct {
	Engine *engine.Engine
	// Store is the path of the engine's file, for its size among the metrics.
	Store string
	// Verifier checks signatures. nil lets every request be served, which is for loopback addresses only: requests must name
	// one as their host then, or one of Hosts, see guard.
	Verifier personalize.Verifier
	Hosts    []string
	// Page is what a browser gets. It looks at the token, and at Host and Origin, itself.
	Page http.Handler
	// Token has to come with requests for our own endpoints, as "Authorization: Bearer TOKEN". "" lets everybody have them.
	Token string
	// Logger gets a line for each request. nil discards.
	Logger *slog.Logger

	stop time.Duration // for tests; 0 means stopTimeout
}

// Bounds on what a client may use. Requests of the API are small and are answered at once: only a commit is waited for.
const (
	maxConns      = 512
	maxHeader     = 32 << 10
	headerTimeout = 10 * time.Second
	readTimeout   = time.Minute
	writeTimeout  = 2 * time.Minute
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 20 * time.Second
)

// Handler returns all that is served.
func Handler(c Config) http.Handler {
	m := newMetrics(c.Engine, c.Store)
	api := personalize.New(c.Engine, personalize.Options{Verifier: c.Verifier, Logger: c.Logger, Observe: m.observe})
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { health(w, r, c.Engine) })
	mux.Handle("GET /metrics", withToken(c.Token, m.handler()))
	if c.Page != nil {
		mux.Handle("GET /{$}", c.Page)
		mux.Handle("/console/", c.Page)
	}
	if c.Verifier == nil {
		return guard(mux, c.Hosts)
	}
	return mux
}

// withToken answers requests that have the token.
func withToken(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte("Bearer " + token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "Give the server's token as Authorization: Bearer TOKEN.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// health says whether the store can be read.
func health(w http.ResponseWriter, r *http.Request, e *engine.Engine) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := e.UnfinishedJobs(r.Context()); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "the store can't be read; the log has the reason")
		return
	}
	fmt.Fprintln(w, "ok")
}

// Serve answers on l until ctx ends, then lets requests that are being answered come to their end, and cuts off those that
// take longer than 20 seconds. When it returns none is being answered any more. It closes l.
func Serve(ctx context.Context, l net.Listener, c Config, tlsConfig *tls.Config) error {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if c.stop == 0 {
		c.stop = stopTimeout
	}
	// Held for reading by each request, and for good at the end: the engine is closed after that.
	var answering sync.RWMutex
	defer answering.Lock()
	handler := Handler(c)
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answering.TryRLock() {
				panic(http.ErrAbortHandler) // its connection is closed already
			}
			defer answering.RUnlock()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		TLSConfig:      tlsConfig,
		Protocols:      new(http.Protocols),
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.Protocols.SetHTTP1(true) // and not 2, with which a connection has hundreds of requests at once: maxConns bounds them
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		until, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.stop)
		defer cancel()
		err := s.Shutdown(until)
		if errors.Is(err, context.DeadlineExceeded) { // a client that sends slowly is no reason to fail
			log.Warn("requests cut off: they took too long to end")
			err = nil
		}
		stopped <- errors.Join(err, s.Close())
	}()
	l = netutil.LimitListener(l, maxConns)
	var err error
	if tlsConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(fmt.Errorf("serve: %w", err), s.Close())
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}
