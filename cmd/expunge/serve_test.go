package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/ingest"
)

// serving is an 'expunge serve' that runs.
type serving struct {
	url    string
	stop   context.CancelFunc
	ended  chan int
	stderr *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts the command, on a port that is free.
func serve(t *testing.T, args ...string) *serving {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &serving{stop: stop, ended: make(chan int, 1), stderr: &lockedBuffer{}}
	out, in := io.Pipe()
	go func() {
		status := run(ctx, append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args...), in, s.stderr)
		in.Close()
		s.ended <- status
	}()
	var ready struct{ URL string }
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil {
		stop()
		t.Fatalf("%v, exit status %d: %s", err, <-s.ended, s.stderr)
	}
	go io.Copy(io.Discard, out)
	s.url = ready.URL
	return s
}

// end stops it and checks that it ended well.
func (s *serving) end(t *testing.T) {
	t.Helper()
	s.stop()
	if status := <-s.ended; status != exitDone {
		t.Errorf("exit status %d: %s", status, s.stderr)
	}
}

// call sends an unsigned request to the control plane.
func (s *serving) call(t *testing.T, c *http.Client, operation, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonPersonalize."+operation)
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// jobEnd waits for the end of a deletion job and returns what the server says of it.
func (s *serving) jobEnd(t *testing.T, name string) string {
	t.Helper()
	for {
		status, body := s.call(t, http.DefaultClient, "DescribeDataDeletionJob", `{"dataDeletionJobArn":"arn:aws:personalize:us-east-1:000000000000:data-deletion-job/`+name+`"}`)
		if status != 200 || !strings.Contains(body, `"PENDING"`) && !strings.Contains(body, `"IN_PROGRESS"`) {
			return body
		}
		time.Sleep(10 * time.Millisecond)
	}
}

const anyRole = "arn:aws:iam::000000000000:role/lists"

// TestServeStopsAndGoesOn stops a server in the middle of a job: the next one has it, and takes it to its end.
func TestServeStopsAndGoesOn(t *testing.T) {
	store, list := newShop(t)
	buckets := filepath.Join(t.TempDir(), "buckets")
	if err := os.MkdirAll(filepath.Join(buckets, "gdpr"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(list, filepath.Join(buckets, "gdpr", "list.csv")); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--store", store, "--buckets", buckets)
	const group = "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop"
	status, body := s.call(t, http.DefaultClient, "CreateDataDeletionJob",
		`{"jobName":"june","datasetGroupArn":"`+group+`","dataSource":{"dataLocation":"s3://gdpr/list.csv"},"roleArn":"`+anyRole+`"}`)
	if status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	_, stderr := expect(t, exitFailed, "delete", "--store", store, "--group", "shop", "list.csv")
	if !strings.Contains(stderr, "One process at a time") {
		t.Errorf("a command beside the server says: %s", stderr)
	}
	s.end(t)

	s = serve(t, "--store", store, "--buckets", buckets)
	body = s.jobEnd(t, "june")
	if !strings.Contains(body, `"status":"COMPLETED","numDeleted":`) {
		t.Errorf("the job ended as %s", body)
	}
	s.end(t)
	if !strings.Contains(s.stderr.String(), "every program of this machine") {
		t.Errorf("it says at the start: %s", s.stderr)
	}
	expect(t, exitDone, "check", "--store", store)
}

// blocked are locations that are never read.
type blocked struct{ ingest.Locations }

func (blocked) Source(string, string, ingest.Walk) (ingest.Source, error) {
	return blockedSource{}, nil
}

type blockedSource struct{}

func (blockedSource) List(ctx context.Context) ([]ingest.File, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (blockedSource) Open(context.Context, ingest.File) (io.ReadCloser, error) { panic("not listed") }

// TestJobsOfTheServerAreLeftToIt has a job in S3 that was left unfinished: a command that has no S3 would make it fail.
func TestJobsOfTheServerAreLeftToIt(t *testing.T) {
	store := filepath.Join(t.TempDir(), "s.expunge")
	ctx := t.Context()
	e, err := engine.Open(ctx, store, engine.Options{Locations: blocked{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "shop"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Name: "june", Group: "shop", Source: "s3://gdpr/list.csv"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(list, []byte("USER_ID\nu1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"delete", "--store", store, "--group", "shop", list}, {"import", "--store", store, "--group", "shop", "--dataset", "users", list}} {
		if _, stderr := expect(t, exitFailed, args...); !strings.Contains(stderr, "june is unfinished and needs s3:// locations") {
			t.Errorf("%s: %s", args[0], stderr)
		}
	}
	if stdout, _ := expect(t, exitDone, "job", "--store", store, "june"); strings.Contains(stdout, "FAILED") {
		t.Errorf("the job failed: %s", stdout)
	}
}

func TestServeWithRoles(t *testing.T) {
	store, list := newShop(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "buckets", "gdpr"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(list, filepath.Join(dir, "buckets", "gdpr", "list.csv")); err != nil {
		t.Fatal(err)
	}
	roles := filepath.Join(dir, "roles.json")
	if err := os.WriteFile(roles, []byte(`{"arn:aws:iam::000000000000:role/other": {"read": ["s3://other"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--store", store, "--buckets", filepath.Join(dir, "buckets"), "--roles", roles)
	status, body := s.call(t, http.DefaultClient, "CreateDataDeletionJob", `{"jobName":"june","datasetGroupArn":"arn:aws:personalize:us-east-1:000000000000:dataset-group/shop",`+
		`"dataSource":{"dataLocation":"s3://gdpr/list.csv"},"roleArn":"arn:aws:iam::000000000000:role/other"}`)
	if status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	body = s.jobEnd(t, "june")
	if !strings.Contains(body, `"status":"FAILED"`) || !strings.Contains(body, "s3:GetObject") || !strings.Contains(body, "gdpr") {
		t.Errorf("the job ended as %s", body)
	}
	s.end(t)
	if strings.Contains(s.stderr.String(), "Roles are not checked") {
		t.Errorf("it says at the start: %s", s.stderr)
	}
}

func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	keys := "[a]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
	for name, mode := range map[string]os.FileMode{"open": 0o644, "keys": 0o600} {
		if err := os.WriteFile(path(name), []byte(keys), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"all addresses", []string{"--listen", ":0"}, exitFailed, "they could delete users"},
		{"all addresses of IPv4", []string{"--listen", "0.0.0.0:0"}, exitFailed, "they could delete users"},
		{"all addresses of IPv6", []string{"--listen", "[::]:0"}, exitFailed, "they could delete users"},
		{"another address", []string{"--listen", "192.0.2.1:0"}, exitFailed, "they could delete users"},
		{"no port", []string{"--listen", "127.0.0.1"}, exitUsage, "an address and a port"},
		{"a taken port", []string{"--listen", taken.Addr().String()}, exitFailed, "address already in use"},
		{"keys that others can read", []string{"--listen", "127.0.0.1:0", "--keys", path("open")}, exitFailed, "chmod 600"},
		{"keys that aren't there", []string{"--keys", path("none")}, exitFailed, "no such file"},
		{"half of TLS", []string{"--tls-cert", path("keys")}, exitUsage, "go together"},
		{"no certificate", []string{"--tls-cert", path("keys"), "--tls-key", path("keys")}, exitFailed, "read certificate"},
		{"no folder of buckets", []string{"--listen", "127.0.0.1:0", "--buckets", path("none")}, exitFailed, "no such file"},
		{"buckets twice", []string{"--buckets", dir, "--s3-endpoint", "http://localhost"}, exitUsage, "buckets"},
		{"an account that is none", []string{"--account", "12"}, exitUsage, "12 digits"},
		{"a region that is none", []string{"--region", "us/east"}, exitUsage, "us-east-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr := expect(t, c.status, append([]string{"serve", "--store", path("s.expunge")}, c.args...)...)
			if !strings.Contains(stderr, c.want) || stdout != "" || strings.Contains(stderr, "secret") {
				t.Errorf("it says %q and %q", stdout, stderr)
			}
			if _, err := os.Stat(path("s.expunge")); err == nil {
				t.Error("it made a store")
			}
		})
	}
}

func TestServeWithKeysAndTLS(t *testing.T) {
	dir := t.TempDir()
	keys, cert, key := filepath.Join(dir, "keys"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(keys, []byte("[a]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := certificate(t, cert, key)
	store := filepath.Join(dir, "s.expunge")
	// With keys it may be an address that others reach.
	s := serve(t, "--store", store, "--listen", "0.0.0.0:0", "--keys", keys, "--tls-cert", cert, "--tls-key", key, "--buckets", dir, "--account", "123456789012", "--region", "eu-west-1")
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}}
	defer c.CloseIdleConnections()
	if !strings.HasPrefix(s.url, "https://") {
		t.Fatalf("it is at %s", s.url)
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "https://"))
	s.url = "https://127.0.0.1:" + port
	if status, body := s.call(t, c, "ListSchemas", `{}`); status != 403 || !strings.Contains(body, "MissingAuthenticationToken") {
		t.Errorf("without a signature: %d %s", status, body)
	}
	response, err := c.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("health is %s", response.Status)
	}
	s.end(t)
	if text := s.stderr.String(); !strings.Contains(text, "1 access key in") || strings.Contains(text, "Not encrypted") || strings.Contains(text, "secret") {
		t.Errorf("it says at the start: %s", text)
	}
	_, stderr := expect(t, exitFailed, "serve", "--store", store, "--listen", "127.0.0.1:0", "--buckets", dir, "--region", "us-east-1")
	if !strings.Contains(stderr, "account 123456789012 in region eu-west-1, which is fixed") {
		t.Errorf("another region: %s", stderr)
	}
}

// certificate writes one for localhost, and its key.
func certificate(t *testing.T, certPath, keyPath string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certPath: {Type: "CERTIFICATE", Bytes: der}, keyPath: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return pool
}

// get sends a request of a browser, or of Prometheus.
func (s *serving) get(t *testing.T, path, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestServePage looks at what a browser gets, without keys and with them.
func TestServePage(t *testing.T) {
	store := filepath.Join(t.TempDir(), "s.expunge")
	s := serve(t, "--store", store)
	for _, path := range []string{"/", "/console/api/overview", "/metrics", "/healthz"} {
		if status, body := s.get(t, path, ""); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	s.end(t)

	dir := t.TempDir()
	keys, token := filepath.Join(dir, "keys"), filepath.Join(dir, "token")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keys, "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secretsecretsecretsecret\n")
	const secret = "0123456789abcdef"
	write(token, secret+"\n")
	s = serve(t, "--store", store, "--keys", keys, "--token-file", token)
	for _, path := range []string{"/", "/console/api/overview", "/metrics"} {
		for given, want := range map[string]int{secret: 200, "": 401, "0123456789abcdeg": 401} {
			if status, body := s.get(t, path, given); status != want || want == 401 && strings.Contains(body, "shop") {
				t.Errorf("%s with token %q: %d, want %d: %s", path, given, status, want, body)
			}
		}
	}
	if status, _ := s.get(t, "/healthz", ""); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
	s.end(t)

	refused := func(what, says string) {
		t.Helper()
		var stderr bytes.Buffer
		if status := run(t.Context(), []string{"serve", "--store", store, "--keys", keys, "--token-file", token}, io.Discard, &stderr); status == exitDone || !strings.Contains(stderr.String(), says) {
			t.Errorf("%s: %d %s", what, status, stderr.String())
		}
	}
	if err := os.Chmod(token, 0o640); err != nil {
		t.Fatal(err)
	}
	refused("a token that others can read", "chmod 600")
	if err := os.Chmod(token, 0o600); err != nil {
		t.Fatal(err)
	}
	write(token, "short")
	refused("a short token", "16 characters")
}
