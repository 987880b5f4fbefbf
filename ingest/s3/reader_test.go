package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/s3/s3test"
)

const lineLength = 16

// madeList is a list of user IDs of size bytes that is made when it is read.
type madeList struct{ size, at int64 }

func (m *madeList) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += m.at
	case io.SeekEnd:
		offset += m.size
	}
	m.at = offset
	return offset, nil
}

func (m *madeList) Read(p []byte) (n int, err error) {
	for n < len(p) && m.at < m.size {
		c := copy(p[n:min(int64(len(p)), int64(n)+m.size-m.at)], madeLine(m.at / lineLength)[m.at%lineLength:])
		n, m.at = n+c, m.at+int64(c)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func madeLine(i int64) string {
	if i == 0 {
		return "USER_ID\n\n\n\n\n\n\n\n\n"
	}
	s := strconv.FormatInt(i, 10)
	return "user" + strings.Repeat("0", lineLength-5-len(s)) + s + "\n"
}

func hashOf(t *testing.T, r io.Reader, every func()) string {
	t.Helper()
	h := sha256.New()
	buf := make([]byte, 256<<10)
	for i := 0; ; i++ {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return sum(h)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%64 == 0 {
			every()
		}
	}
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// TestConnectionCut reads a list of 200 MB whose connection is cut in several places.
func TestConnectionCut(t *testing.T) {
	const size = 200 << 20
	s, l := serve(t)
	s.Generate("lists", "large.csv", "v1", func() io.ReadSeeker { return &madeList{size: size} })
	var mu sync.Mutex
	var ranges []string
	// Bytes of each answer. One that breaks off at once is followed by others, up to as many as are given at one place.
	cuts := []int64{1, 4095, 1, 70 << 20, 1, 1, 1, 1, 1, 1, 50<<20 + 7, 33, 70 << 20, 10481616}
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodGet {
			return s3test.Fault{}
		}
		ranges = append(ranges, r.Range)
		if len(ranges) > len(cuts) {
			return s3test.Fault{}
		}
		return s3test.Fault{After: cuts[len(ranges)-1]}
	})
	src, err := l.Source("s3://lists/large.csv", "", ingest.Recursive)
	if err != nil {
		t.Fatal(err)
	}
	files, err := src.List(t.Context())
	if err != nil || files[0].Size != size {
		t.Fatalf("got %+v, %v", files, err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	r, err := src.Open(t.Context(), files[0])
	if err != nil {
		t.Fatal(err)
	}
	got := hashOf(t, r, func() {
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if want := hashOf(t, &madeList{size: size}, func() {}); got != want {
		t.Errorf("got other bytes")
	}
	if len(ranges) != len(cuts)+1 || ranges[0] != "" || ranges[1] != "bytes=1-" || ranges[2] != "bytes=4096-" || ranges[len(ranges)-1] != "bytes=209715199-" {
		t.Errorf("%d requests: %q", len(ranges), ranges)
	}
	if grown := int64(most) - int64(before); grown > 32<<20 {
		t.Errorf("%d MiB of memory", grown>>20)
	}
}

// open opens the object lists/a.csv of size bytes.
func open(t *testing.T, s *s3test.Server, l *Locations, size int64) io.ReadCloser {
	t.Helper()
	s.Generate("lists", "a.csv", "v1", func() io.ReadSeeker { return &madeList{size: size} })
	src, err := l.Source("s3://lists/a.csv", "", ingest.Recursive)
	if err != nil {
		t.Fatal(err)
	}
	files, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), files[0])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCutForEver(t *testing.T) {
	s, l := serve(t)
	n := 0
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		if r.Method == http.MethodGet {
			n++
			return s3test.Fault{After: 1000}
		}
		return s3test.Fault{}
	})
	r := open(t, s, l, 10<<20)
	defer r.Close()
	got, err := io.ReadAll(r)
	wantError(t, err, nil, "s3://lists/a.csv: reading broke off at byte 8000 of 10485760: the connection was closed, 8 times; check the network")
	if len(got) != 8000 || n != 8 {
		t.Errorf("%d bytes, %d requests", len(got), n)
	}
	if _, again := r.Read(make([]byte, 1)); again != err {
		t.Errorf("then %v", again)
	}
}

func TestStalled(t *testing.T) {
	s, l := serve(t)
	l.stall = 200 * time.Millisecond
	n := 0
	s.OnRequest(func(r s3test.Request) s3test.Fault {
		if n++; r.Method == http.MethodGet && n < 4 {
			return s3test.Fault{After: 1000, Stall: true}
		}
		return s3test.Fault{}
	})
	const size = 1 << 20
	r := open(t, s, l, size)
	defer r.Close()
	if hashOf(t, r, func() {}) != hashOf(t, &madeList{size: size}, func() {}) {
		t.Error("got other bytes")
	}
}

// TestReplacedAfterCut replaces, removes or locks an object while its connection is cut.
func TestReplacedAfterCut(t *testing.T) {
	for name, change := range map[string]func(s *s3test.Server) string{
		"replaced": func(s *s3test.Server) string {
			s.Generate("lists", "a.csv", "v2", func() io.ReadSeeker { return &madeList{size: 1 << 20} })
			return "the file was changed after it was listed"
		},
		"removed": func(s *s3test.Server) string {
			s.OnRequest(func(s3test.Request) s3test.Fault { return s3test.Fault{Code: "NoSuchKey"} })
			return "the file was changed after it was listed"
		},
		"locked": func(s *s3test.Server) string {
			s.OnRequest(func(s3test.Request) s3test.Fault { return s3test.Fault{Code: "AccessDenied"} })
			return "lack s3:GetObject on lists/a.csv"
		},
	} {
		s, l := serve(t)
		s.OnRequest(func(r s3test.Request) s3test.Fault { return s3test.Fault{After: 1000} })
		r := open(t, s, l, 1<<20)
		want := change(s)
		got, err := io.ReadAll(r)
		wantError(t, err, nil, want)
		if len(got) != 1000 || errors.Is(err, ingest.ErrChanged) != (name != "locked") {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUnconditional reads from servers that take no notice of If-Match or of Range.
func TestUnconditional(t *testing.T) {
	for name, tt := range map[string]struct {
		second func(w http.ResponseWriter)
		want   string
	}{
		"whole":      {func(w http.ResponseWriter) { w.Write(make([]byte, 2000)) }, "broke off at byte 1000 of 2000: the server doesn't go on from there"},
		"other ETag": {func(w http.ResponseWriter) { w.Header().Set("ETag", `"v2"`) }, "the file was changed"},
		"other range": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 1001-1999/2000")
			w.WriteHeader(http.StatusPartialContent)
		}, "the server doesn't go on from there"},
	} {
		n := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			if n++; n == 3 {
				tt.second(w)
				return
			}
			w.Header().Set("Content-Length", "2000")
			if r.Method == http.MethodGet {
				w.Write(make([]byte, 1000))
			}
		}))
		l := connect(t, s.URL)
		src, err := l.Source("s3://lists/a.csv", "", ingest.Recursive)
		if err != nil {
			t.Fatal(err)
		}
		files, err := src.List(t.Context())
		if err != nil {
			t.Fatal(name, err)
		}
		r, err := src.Open(t.Context(), files[0])
		if err != nil {
			t.Fatal(name, err)
		}
		_, err = io.ReadAll(r)
		wantError(t, err, nil, "s3://lists/a.csv: ", tt.want)
		r.Close()
		s.Close()
	}
}

// TestChecksum reads an object whose bytes aren't those that S3 has the checksum of.
func TestChecksum(t *testing.T) {
	for sum, want := range map[string]string{"BgsXgA==": "", "AAAAAA==": "reading broke off at byte 1000 of 1000: its end could not be confirmed"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			w.Header().Set("x-amz-checksum-crc32", sum)
			w.Header().Set("x-amz-checksum-type", "FULL_OBJECT")
			w.Header().Set("Content-Length", "1000")
			if r.Method == http.MethodGet {
				w.Write(make([]byte, 1000))
			}
		}))
		src, err := connect(t, s.URL).Source("s3://lists/a.csv", "", ingest.Recursive)
		if err != nil {
			t.Fatal(err)
		}
		files, err := src.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := src.Open(t.Context(), files[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if want == "" && (err != nil || len(got) != 1000) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if want != "" {
			wantError(t, err, nil, want)
		}
		r.Close()
		s.Close()
	}
}
