// Package s3test is an S3 server for tests: buckets in memory, served over HTTP on this machine, that fail in the ways
// that the real ones do.
package s3test

import (
	"bytes"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Server is a running server. It takes any credentials, and the bucket in the path.
type Server struct {
	URL string

	http *httptest.Server
	data *s3mem.Backend
	s3   http.Handler

	mu    sync.Mutex
	fault func(Request) Fault  // guarded by mu
	large map[string]generated // by bucket/key; guarded by mu
}

// Request is what a client asks for.
type Request struct {
	Method string
	Bucket string
	Key    string // "" for the bucket
	List   bool   // it asks for a listing of the bucket
	Range  string // the header
	Upload string // the ID of the incomplete upload that it belongs to
}

// Fault is what a request gets in place of its answer. The zero value is none.
type Fault struct {
	Code  string // of an error of S3's, as AccessDenied or SlowDown
	After int64  // bytes of the answer's body, after which the connection breaks; 0: it doesn't
	Stall bool   // it doesn't break then, but stays silent
}

// generated is an object that isn't in memory.
type generated struct {
	etag string
	open func() io.ReadSeeker
}

// New starts a server with these buckets. The caller must Close it.
func New(buckets ...string) *Server {
	s := &Server{data: s3mem.New(), large: make(map[string]generated)}
	s.s3 = gofakes3.New(s.data, gofakes3.WithTimeSkewLimit(0)).Server()
	for _, b := range buckets {
		if err := s.data.CreateBucket(b); err != nil {
			panic(err) // a name given twice
		}
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // of answers that a test breaks off
	s.http.Start()
	s.URL = s.http.URL
	return s
}

// Close stops the server and breaks its connections.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Put stores an object.
func (s *Server) Put(bucket, key string, data []byte) error {
	_, err := s.data.PutObject(bucket, key, map[string]string{}, bytes.NewReader(data), int64(len(data)), nil)
	return err
}

// Delete removes an object.
func (s *Server) Delete(bucket, key string) error {
	_, err := s.data.DeleteObject(bucket, key)
	return err
}

// Generate serves an object that is made when it is read. It can be looked up and read, and is in no listing. Its ETag
// has to change with its bytes.
func (s *Server) Generate(bucket, key, etag string, open func() io.ReadSeeker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large[bucket+"/"+key] = generated{`"` + etag + `"`, open}
}

// OnRequest has every request go past fn first, which may be called at the same time from several goroutines.
func (s *Server) OnRequest(fn func(Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fn
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	fault := s.fault
	large, isLarge := s.large[bucket+"/"+key]
	s.mu.Unlock()

	var f Fault
	if fault != nil {
		f = fault(Request{
			Method: r.Method, Bucket: bucket, Key: key, List: r.Method == http.MethodGet && key == "",
			Range: r.Header.Get("Range"), Upload: r.URL.Query().Get("uploadId"),
		})
	}
	if f.Code != "" {
		s.refuse(w, r, f.Code)
		return
	}
	if f.After > 0 {
		w = &breaking{ResponseWriter: w, gone: r.Context().Done(), left: f.After, stall: f.Stall}
	}
	if isLarge {
		w.Header().Set("ETag", large.etag)
		w.Header().Set("Content-Type", "text/csv")
		if want := r.Header.Get("If-Match"); want != "" && want != large.etag {
			s.refuse(w, r, "PreconditionFailed")
			return
		}
		http.ServeContent(w, r, "", time.Time{}, large.open())
		return
	}
	// What the library leaves out.
	if want := r.Header.Get("If-Match"); want != "" && r.Method == http.MethodGet {
		o, err := s.data.HeadObject(bucket, key)
		if err == nil && `"`+hex.EncodeToString(o.Hash)+`"` != want {
			s.refuse(w, r, "PreconditionFailed")
			return
		}
	}
	s.s3.ServeHTTP(w, r)
}

var statuses = map[string]int{
	"AccessDenied": http.StatusForbidden, "PreconditionFailed": http.StatusPreconditionFailed,
	"SlowDown": http.StatusServiceUnavailable, "InternalError": http.StatusInternalServerError,
	"InvalidObjectState": http.StatusForbidden, "NoSuchKey": http.StatusNotFound,
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, code string) {
	status, ok := statuses[code]
	if !ok {
		panic(fmt.Sprintf("s3test: status of %s isn't known", code))
	}
	io.Copy(io.Discard, r.Body) // else the client may see a broken connection and no answer
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		xml.NewEncoder(w).Encode(struct {
			XMLName       xml.Name `xml:"Error"`
			Code, Message string
		}{Code: code, Message: "as the test wants"})
	}
}

// breaking is an answer whose connection breaks.
type breaking struct {
	http.ResponseWriter
	gone  <-chan struct{}
	left  int64
	stall bool
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil || b.left > 0 {
		return n, err
	}
	b.ResponseWriter.(http.Flusher).Flush()
	if b.stall {
		<-b.gone
	}
	panic(http.ErrAbortHandler)
}
