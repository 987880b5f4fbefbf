package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder writes files (by path) into a new folder and returns its path.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, location string, walk Walk) Source {
	t.Helper()
	src, err := Open(location, walk)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, s string, opts ...zstd.EOption) string {
	t.Helper()
	w, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(s), nil))
}

// wantError checks that err has all the parts in its text, and that no part of
// a cell got into it: test data that must not leak has "secret" in it.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q; want it to contain %q", err, p)
		}
	}
	if strings.Contains(strings.ToLower(err.Error()), "secret") {
		t.Errorf("error %q holds a value", err)
	}
}

// memorySource is a Source in memory, which a test may change between calls.
type memorySource struct {
	files []File
	data  map[string]string
	chunk int // bytes a Read at most, or 0
}

func inMemory(files ...string) *memorySource {
	s := &memorySource{data: make(map[string]string)}
	for i := 0; i < len(files); i += 2 {
		s.files = append(s.files, File{Name: "mem/" + files[i], Path: files[i], Size: int64(len(files[i+1])), Version: "1"})
		s.data[files[i]] = files[i+1]
	}
	return s
}

func (s *memorySource) List(context.Context) ([]File, error) { return s.files, nil }

func (s *memorySource) Open(_ context.Context, f File) (io.ReadCloser, error) {
	data, ok := s.data[f.Path]
	if !ok {
		return nil, ChangedError(f.Name)
	}
	var r io.Reader = strings.NewReader(data)
	if s.chunk > 0 {
		r = &chunkReader{r, s.chunk}
	}
	return io.NopCloser(r), nil
}

// chunkReader reads a few bytes at a time.
type chunkReader struct {
	r    io.Reader
	most int
}

func (c *chunkReader) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.most)]) }

func isError(err error) (e *Error, ok bool) {
	ok = errors.As(err, &e)
	return e, ok
}
