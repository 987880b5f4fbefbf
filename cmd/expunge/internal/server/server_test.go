package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/expunge-db/expunge/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.expunge")
	e, err := engine.Open(t.Context(), path, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return Config{Engine: e, Store: path}
}

type none struct{}

func (none) Verify(*http.Request, []byte) error { return nil }

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"127.0.0.1:8080", "", 200},
		{"127.1.2.3", "", 200},
		{"localhost:8080", "", 200},
		{"[::1]:8080", "", 200},
		{"[::1]", "", 200},
		{"127.0.0.1:8080", "http://127.0.0.1:8080", 200},
		{"evil.example:8080", "", 403}, // an address made to point here
		{"127.0.0.1.evil.example", "", 403},
		{"10.0.0.1:8080", "", 403},
		{"", "", 403},
		{"127.0.0.1:8080", "http://evil.example", 403},
		{"127.0.0.1:8080", "http://127.0.0.1:9090", 403}, // another server of the machine
		{"127.0.0.1:8080", "null", 403},
		{"127.0.0.1:8080", "http://%zz", 403},
		{"Expunge.example:8080", "", 200}, // one that is allowed
		{"expunge.example", "http://expunge.example", 200},
		{"expunge.example", "http://evil.example", 403},
		{"[::1", "", 403},
		{"localhost:8080:1", "", 403},
	} {
		config := open(t)
		config.Hosts = []string{"expunge.example"}
		ask := func() int {
			r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
			r.Host = c.host
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			w := httptest.NewRecorder()
			Handler(config).ServeHTTP(w, r)
			return w.Code
		}
		if got := ask(); got != c.want {
			t.Errorf("host %q, origin %q: %d, want %d", c.host, c.origin, got, c.want)
		}
		config.Verifier = none{}
		if got := ask(); got != 200 {
			t.Errorf("host %q, origin %q, with signatures: %d", c.host, c.origin, got)
		}
	}
}

func TestEndpoints(t *testing.T) {
	config := open(t)
	config.Verifier = none{}
	h := Handler(config)
	ask := func(method, path, target, body string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		if target != "" {
			r.Header.Set("X-Amz-Target", "AmazonPersonalize."+target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, body := ask("POST", "/", "CreateDatasetGroup", `{"name":"named-by-somebody"}`); code != 200 {
		t.Errorf("got %d %s", code, body)
	}
	ask("POST", "/", "CreateDatasetGroup", `{"name":"named-by-somebody"}`)
	ask("POST", "/", "NamedBySomebody", `{}`)
	if code, body := ask("GET", "/", "", ""); code != 404 || !strings.Contains(body, "UnknownOperationException") {
		t.Errorf("without a page / gives %d %s", code, body)
	}
	if code, body := ask("GET", "/healthz", "", ""); code != 200 || body != "ok\n" {
		t.Errorf("health is %d %q", code, body)
	}
	code, body := ask("GET", "/metrics", "", "")
	for _, want := range []string{
		`expunge_requests_total{exception="",operation="CreateDatasetGroup",status="200"} 1`,
		`expunge_requests_total{exception="ResourceAlreadyExistsException",operation="CreateDatasetGroup",status="400"} 1`,
		`expunge_requests_total{exception="UnknownOperationException",operation="",status="404"} 2`,
		`expunge_unfinished_jobs{kind="data-deletion-job",status="PENDING"} 0`,
		`expunge_request_duration_seconds_count{operation="CreateDatasetGroup"} 2`,
		"\nexpunge_store_bytes ",
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d: no %s in\n%s", code, want, body)
		}
	}
	if strings.Contains(strings.ToLower(body), "somebody") {
		t.Error("the metrics have names that a client chose")
	}
	if err := config.Engine.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if code, _ := ask("GET", "/healthz", "", ""); code != 503 {
		t.Errorf("health of a closed store is %d", code)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	config := open(t)
	go func() { ended <- Serve(ctx, l, config, nil) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n"); err != nil {
		t.Log(err) // the server may have hung up by then
	}
	if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && response.StatusCode != 431 {
		t.Errorf("got %s", response.Status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What a handler uses is closed after Serve: a request that has to be cut off must be over by then.
func TestSlowRequestsAreCutOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	config := open(t)
	config.stop = time.Millisecond
	reading, over := make(chan struct{}), false
	config.Page = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reading)
		io.Copy(io.Discard, r.Body)
		time.Sleep(10 * time.Millisecond) // what is still to be done then
		over = true
	})
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, config, nil) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /console/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	<-reading
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !over {
		t.Error("a request is still being answered")
	}
}

// A connection has one request at a time, so that their number is bounded.
func TestOneRequestOfAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	config := open(t)
	other := httptest.NewTLSServer(nil) // for its certificate
	defer other.Close()
	go func() { ended <- Serve(ctx, l, config, &tls.Config{Certificates: other.TLS.Certificates}) }()
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: other.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}}
	response, err := client.Get("https://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || response.ProtoMajor != 1 {
		t.Errorf("got %s with %s", response.Status, response.Proto)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
