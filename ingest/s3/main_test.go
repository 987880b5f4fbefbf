package s3

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/conformance"
	"github.com/expunge-db/expunge/ingest/s3/s3test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with the buckets lists and exports, and returns the locations on it.
func serve(t *testing.T) (*s3test.Server, *Locations) {
	t.Helper()
	s := s3test.New("lists", "exports")
	t.Cleanup(s.Close)
	return s, connect(t, s.URL)
}

func connect(t *testing.T, endpoint string) *Locations {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	l, err := New(t.Context(), Options{
		Endpoint: endpoint, PathStyle: true, pauses: pauses{retry: 2 * time.Millisecond, stall: 30 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Place {
		s, l := serve(t)
		return conformance.Place{
			Locations: l, Root: "s3://lists/root/", Missing: "s3://nothing/",
			Put:    func(path string, data []byte) error { return s.Put("lists", "root/"+path, data) },
			Delete: func(path string) error { return s.Delete("lists", "root/"+path) },
		}
	})
}

var _ ingest.Locations = (*Locations)(nil)
