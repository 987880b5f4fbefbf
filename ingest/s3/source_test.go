package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/s3/s3test"
)

func put(t *testing.T, s *s3test.Server, bucket string, objects map[string]string) {
	t.Helper()
	for key, data := range objects {
		if err := s.Put(bucket, key, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, l *Locations, location string, walk ingest.Walk) (string, error) {
	t.Helper()
	src, err := l.Source(location, "", walk)
	if err != nil {
		t.Fatal(err)
	}
	files, err := src.List(t.Context())
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return strings.Join(paths, " "), err
}

// wantError checks an error and that nothing of an object's content is in it: content that must not leak has "secret"
// in it.
func wantError(t *testing.T, err, is error, parts ...string) {
	t.Helper()
	var e *ingest.Error
	if !errors.As(err, &e) || is != nil && !errors.Is(err, is) {
		t.Fatalf("got %v; want an ingest.Error that is %v", err, is)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q; want it to contain %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q", err)
	}
}

func TestListPages(t *testing.T) {
	s, l := serve(t)
	for i := range 2500 {
		put(t, s, "lists", map[string]string{fmt.Sprintf("f/%d.csv", i): "USER_ID\n"})
	}
	var pages atomic.Int64
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		if r.List && pages.Add(1) == 2 {
			return s3test.Fault{Code: "SlowDown"} // and again
		}
		return s3test.Fault{}
	})
	got, err := list(t, l, "s3://lists/f/", ingest.Recursive)
	if err != nil || strings.Count(got, " ") != 2499 || pages.Load() != 4 {
		t.Errorf("%d files in %d requests, %v", strings.Count(got, " ")+1, pages.Load(), err)
	}
}

func TestFolderMarkers(t *testing.T) {
	s, l := serve(t)
	put(t, s, "lists", map[string]string{"f/": "", "f/sub/": "", "f/sub/a.csv": "x", "f/b.csv": "x", "f//c.csv": "x", "g/": "x", "h/": "", "fa.csv": "x"})
	for location, want := range map[string]string{"s3://lists/f/": "/c.csv b.csv sub/a.csv", "s3://lists/f/sub/": "a.csv"} {
		if got, err := list(t, l, location, ingest.Recursive); err != nil || got != want {
			t.Errorf("%s: %q, %v", location, got, err)
		}
	}
	if got, err := list(t, l, "s3://lists/f/", ingest.FirstLevel); err != nil || got != "b.csv" {
		t.Errorf("first level: %q, %v", got, err)
	}
	_, err := list(t, l, "s3://lists/g/", ingest.Recursive)
	wantError(t, err, nil, "s3://lists/g/: not a .csv")
	_, err = list(t, l, "s3://lists", ingest.Recursive)
	wantError(t, err, nil, "s3://lists/g/: not a .csv")
	_, err = list(t, l, "s3://lists/h/", ingest.Recursive)
	wantError(t, err, ingest.ErrNoFiles, "s3://lists/h/: the folder has no .csv")
}

func TestRefused(t *testing.T) {
	s, l := serve(t)
	put(t, s, "lists", map[string]string{"f/a.csv": "secret"})
	for location, want := range map[string]string{
		"s3://nothing/f/":     "s3://nothing/f/: there is no bucket nothing; check the location",
		"s3://nothing/a.csv":  "s3://nothing/a.csv: there is no bucket nothing; check the location",
		"s3://lists/a.csv":    "s3://lists/a.csv: there is no such object; check the location, and end it with / if it is a folder",
		"s3://lists/f":        "s3://lists/f: there is no such object",
		"s3://lists/f/a.csv/": "s3://lists/f/a.csv/: the folder has no .csv",
	} {
		_, err := list(t, l, location, ingest.Recursive)
		wantError(t, err, nil, want)
		if errors.Is(err, fs.ErrNotExist) == errors.Is(err, ingest.ErrNoFiles) {
			t.Errorf("%s: %v", location, err)
		}
	}
	src, err := l.Source("s3://lists/f/", "", ingest.Recursive)
	if err != nil {
		t.Fatal(err)
	}
	files, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{
		"AccessDenied": "Insufficient privileges for accessing data in S3: the server's credentials lack %s. Fix the bucket policy on lists.",
		"SlowDown":     "S3 answers SlowDown: as the test wants; put it right and start again", "InternalError": "S3 answers InternalError",
		"InvalidObjectState": "the object is archived; restore it",
	} {
		s.OnRequest(func(s3test.Request) s3test.Fault { return s3test.Fault{Code: code} })
		sprintf := func(what string) string { return strings.Replace(want, "%s", what, 1) }
		_, err := list(t, l, "s3://lists/f/", ingest.Recursive)
		wantError(t, err, nil, "s3://lists/f/: ", sprintf("s3:ListBucket on lists/f/"))
		_, err = list(t, l, "s3://lists/f/a.csv", ingest.Recursive)
		wantError(t, err, nil, "s3://lists/f/a.csv: ", sprintf("s3:GetObject on lists/f/a.csv"))
		_, err = src.Open(t.Context(), files[0])
		wantError(t, err, nil, "s3://lists/f/a.csv: ", sprintf("s3:GetObject on lists/f/a.csv"))
		if errors.Is(err, fs.ErrPermission) != (code == "AccessDenied") {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestThrottled has every request refused some times before it is served.
func TestThrottled(t *testing.T) {
	s, l := serve(t)
	put(t, s, "lists", map[string]string{"f/a.csv": "USER_ID\na\n", "f/b.csv": "USER_ID\nb\n"})
	var n atomic.Int64
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		if n.Add(1)%4 != 0 {
			return s3test.Fault{Code: "SlowDown"}
		}
		return s3test.Fault{}
	})
	src, err := l.Source("s3://lists/f/", "", ingest.Recursive)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ingest.NewListReader(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ids ingest.IDs
	if err := r.Read(&ids, 10); err != nil || ids.Len() != 2 || n.Load() != 12 {
		t.Errorf("%d IDs in %d requests, %v", ids.Len(), n.Load(), err)
	}
}

// TestListings serves listings that the test server doesn't make.
func TestListings(t *testing.T) {
	object := func(key string) string {
		return "<Contents><Key>" + key + "</Key><Size>1</Size><ETag>\"e\"</ETag></Contents>"
	}
	for name, tt := range map[string]struct{ body, want, err string }{
		"encoded":       {"<EncodingType>url</EncodingType>" + object("f/b+c%25%0D.csv") + object("f/a%2B.csv"), "a+.csv b c%\r.csv", ""},
		"not encoded":   {object("f/b+c%25.csv"), "b+c%25.csv", ""},
		"out of order":  {object("f/b.csv") + object("f/a.csv"), "a.csv b.csv", ""},
		"bad encoding":  {"<EncodingType>url</EncodingType>" + object("f/%zz"), "", "can't be decoded"},
		"no token":      {"<IsTruncated>true</IsTruncated>" + object("f/a.csv"), "", "more objects and doesn't list them"},
		"the same page": {"<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>" + object("f/a.csv"), "", "more objects and doesn't list them"},
		"elsewhere":     {object("g/a.csv"), "", "s3://lists/g/a.csv: the server lists it below s3://lists/f/"},
		"no ETag":       {"<Contents><Key>f/a.csv</Key><Size>1</Size></Contents>", "", "gives no ETag"},
		"no XML":        {"secret", "", "no listing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/xml")
				if tt.body == "secret" {
					w.Write([]byte(tt.body))
					return
				}
				more := ""
				if !strings.Contains(tt.body, "IsTruncated") {
					more = "<IsTruncated>false</IsTruncated>"
				}
				w.Write([]byte("<ListBucketResult>" + tt.body + more + "</ListBucketResult>"))
			}))
			defer s.Close()
			got, err := list(t, connect(t, s.URL), "s3://lists/f/", ingest.Recursive)
			if tt.err == "" && (err != nil || got != tt.want) {
				t.Errorf("got %q, %v", got, err)
			}
			if tt.err != "" {
				wantError(t, err, nil, tt.err)
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	s, _ := serve(t)
	s.Close()
	_, err := list(t, connect(t, s.URL), "s3://lists/f/", ingest.Recursive)
	wantError(t, err, nil, "s3://lists/f/: list: dial tcp 127.0.0.1:", "connection refused; put it right")
}

func TestNoCredentials(t *testing.T) {
	s, l := serve(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	l, err := New(t.Context(), Options{Endpoint: s.URL, PathStyle: true, pauses: pauses{retry: 1, stall: l.stall}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = list(t, l, "s3://lists/f/", ingest.Recursive)
	wantError(t, err, nil, "s3://lists/f/: list: get identity: get credentials")
}

func TestOptions(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	for want, opts := range map[string]Options{
		"no region": {}, "no http:// or https:// URL": {Endpoint: "localhost:9000"}, "with a host": {Endpoint: "http://"},
	} {
		if _, err := New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
	if _, err := New(t.Context(), Options{Region: "eu-west-1"}); err != nil {
		t.Error(err)
	}
	_, l := serve(t)
	for _, location := range []string{"", "s3://", "s3://b", "a.csv", "http://lists/a", "s3://Lists/a", "s3://lists/../a"} {
		if _, err := l.Source(location, "", ingest.Recursive); err == nil {
			t.Errorf("source %q", location)
		}
		if _, err := l.Sink(location, ""); err == nil {
			t.Errorf("sink %q", location)
		}
	}
}
