package personalize

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// slow is a body that is sent up to its small part at once, and then waits.
type slow struct {
	io.Reader
	sent       int
	rest       <-chan struct{} // closed when the rest comes
	now, most  *atomic.Int32   // how many send their rest, and at most
	once, done sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	if s.sent >= smallBody {
		s.once.Do(func() {
			for n := s.now.Add(1); ; {
				if most := s.most.Load(); most >= n || s.most.CompareAndSwap(most, n) {
					return
				}
			}
		})
		<-s.rest
	} else {
		p = p[:min(len(p), smallBody-s.sent)]
	}
	n, err := s.Reader.Read(p)
	s.sent += n
	if err != nil {
		s.done.Do(func() { s.now.Add(-1) })
	}
	return n, err
}

func TestFewLargeBodiesAreReadAtOnce(t *testing.T) {
	h := New(&fake{}, Options{})
	input := `{"pad":"` + strings.Repeat("a", 2*smallBody) + `"}`
	rest := make(chan struct{})
	var now, most atomic.Int32
	var answered atomic.Int32
	var clients sync.WaitGroup
	for range 3 * maxLarge {
		clients.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/", &slow{Reader: strings.NewReader(input), rest: rest, now: &now, most: &most})
			r.Header = request("ListDatasetGroups", "").Header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code == http.StatusOK {
				answered.Add(1)
			}
		})
	}
	for len(h.large) < maxLarge {
		runtime.Gosched() // until all places are taken
	}
	if a := call(t, h, "ListDatasetGroups", "{}"); a.status != http.StatusOK {
		t.Errorf("a small request gets %d %s", a.status, a.body)
	}
	close(rest)
	clients.Wait()
	if answered.Load() != 3*maxLarge || most.Load() > maxLarge {
		t.Errorf("%d of %d were answered; %d were read at once, more than %d", answered.Load(), 3*maxLarge, most.Load(), maxLarge)
	}
	mustFail(t, call(t, h, "ListDatasetGroups", strings.Repeat(" ", DefaultMaxBody+1)), 413, "RequestEntityTooLargeException")
}
