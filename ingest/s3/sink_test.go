package s3

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/expunge-db/expunge/ingest/s3/s3test"
)

// uploads is how many incomplete ones lie in the bucket exports.
func uploads(t *testing.T, l *Locations) int {
	t.Helper()
	bucket := "exports"
	out, err := l.client.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if code(err) == "NoSuchUpload" { // the test server's word for none
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

var part = make([]byte, 17<<20)

// TestUploadRefused has writing refused at each of its requests.
func TestUploadRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		parts  int
		refuse func(r s3test.Request) bool
		want   string
	}{
		"small":       {0, func(r s3test.Request) bool { return r.Method == http.MethodPut }, "lack s3:PutObject on exports/out/a.csv. Fix the bucket policy on exports."},
		"begin":       {2, func(r s3test.Request) bool { return r.Method == http.MethodPost && r.Upload == "" }, "lack s3:PutObject"},
		"part":        {3, func(r s3test.Request) bool { return r.Method == http.MethodPut }, "lack s3:PutObject"},
		"end":         {2, func(r s3test.Request) bool { return r.Method == http.MethodPost && r.Upload != "" }, "lack s3:PutObject"},
		"not removed": {2, func(r s3test.Request) bool { return r.Upload != "" }, "lack s3:AbortMultipartUpload"},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := serve(t)
			s.OnRequest(func(r s3test.Request) s3test.Fault {
				if tt.refuse(r) {
					return s3test.Fault{Code: "AccessDenied"}
				}
				return s3test.Fault{}
			})
			sink, err := l.Sink("s3://exports/out", "")
			if err != nil {
				t.Fatal(err)
			}
			f, err := sink.Create(t.Context(), "a.csv")
			if err != nil {
				t.Fatal(err)
			}
			for range tt.parts {
				if _, err = f.Write(part); err != nil {
					wantError(t, err, nil, "s3://exports/out/a.csv: Insufficient privileges")
				}
			}
			wantError(t, strip(f.Commit()), nil, "s3://exports/out/a.csv: ", tt.want)
			s.OnRequest(nil)
			left := 0
			if name == "not removed" {
				left = 1
			}
			if n := uploads(t, l); n != left {
				t.Errorf("%d incomplete uploads", n)
			}
			if err := s.Delete("exports", "out/a.csv"); err != nil {
				t.Error(err)
			}
		})
	}
}

// joined is one line of several errors.
type joined struct{ error }

func (j joined) Error() string { return strings.ReplaceAll(j.error.Error(), "\n", "; ") }
func (j joined) Unwrap() error { return j.error }

func strip(err error) error {
	if err == nil {
		return nil
	}
	return joined{err}
}

// TestAbortTriesAgain has the first request to remove an upload refused.
func TestAbortTriesAgain(t *testing.T) {
	s, l := serve(t)
	var n, parts atomic.Int64
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			parts.Add(1)
		}
		if r.Method == http.MethodDelete && n.Add(1) == 1 {
			return s3test.Fault{Code: "AccessDenied"}
		}
		return s3test.Fault{}
	})
	sink, err := l.Sink("s3://exports/out/", "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := sink.Create(t.Context(), "a.csv")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Abort(); err != nil {
		t.Error(err)
	}
	if left := uploads(t, l); left != 0 || n.Load() != 2 || parts.Load() == 0 {
		t.Errorf("%d incomplete uploads, %d requests to remove one, %d parts", left, n.Load(), parts.Load())
	}
}

// TestUploadThrottled has every second request refused for the moment.
func TestUploadThrottled(t *testing.T) {
	s, l := serve(t)
	var n atomic.Int64
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		if n.Add(1)%2 == 1 {
			return s3test.Fault{Code: "SlowDown"}
		}
		return s3test.Fault{}
	})
	sink, err := l.Sink("s3://exports/out/", "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := sink.Create(t.Context(), "a.csv")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); err != nil {
		t.Error(err)
	}
}
