// Package conformance is the test of what package ingest asks of a Source and of a Sink, for every kind of location.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/expunge-db/expunge/ingest"
)

// Place is an empty place of some kind, to be filled by a test.
type Place struct {
	Locations ingest.Locations
	// Root is the location of a folder, with a slash at its end.
	Root string
	// Missing is the location of a folder whose bucket, or which itself, doesn't exist.
	Missing string
	// Put stores a file below Root, by its path, with the folders above it. It replaces one that is there.
	Put func(path string, data []byte) error
	// Delete removes one.
	Delete func(path string) error
}

func (p Place) source(t *testing.T, path string, walk ingest.Walk) ingest.Source {
	t.Helper()
	src, err := p.Locations.Source(p.Root+path, "", walk)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func (p Place) put(t *testing.T, files map[string]string) {
	t.Helper()
	for path, data := range files {
		if err := p.Put(path, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
}

// list returns the paths that a source lists.
func (p Place) list(t *testing.T, path string, walk ingest.Walk) (string, error) {
	t.Helper()
	files, err := p.source(t, path, walk).List(t.Context())
	var paths []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name, f.Path) || f.Version == "" {
			t.Errorf("file %+v", f)
		}
		paths = append(paths, f.Path)
	}
	return strings.Join(paths, " "), err
}

// listed is the one file of a location.
func listed(t *testing.T, src ingest.Source) ingest.File {
	t.Helper()
	files, err := src.List(t.Context())
	if err != nil || len(files) != 1 {
		t.Fatalf("got %+v, %v", files, err)
	}
	return files[0]
}

func wantError(t *testing.T, err error, is error, parts ...string) {
	t.Helper()
	var e *ingest.Error
	if !errors.Is(err, is) || !errors.As(err, &e) {
		t.Errorf("got %v; want an ingest.Error that is %v", err, is)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q; want it to contain %q", err, part)
		}
	}
}

// Run runs the tests. place is called for each.
func Run(t *testing.T, place func(t *testing.T) Place) {
	for name, test := range map[string]func(*testing.T, Place){
		"list": testList, "one file": testOneFile, "other files": testOtherFiles, "missing": testMissing,
		"many files": testMany, "changed": testChanged, "read": testRead, "cancelled": testCancelled,
		"compressed": testCompressed, "write": testWrite, "give up writing": testGiveUp,
	} {
		t.Run(name, func(t *testing.T) { test(t, place(t)) })
	}
}

func testList(t *testing.T, p Place) {
	p.put(t, map[string]string{
		"b.csv": "x", "a/c.csv.gz": "x", "a.csv": "xyz", "a-b.CSV": "", "a/b/d.Csv.ZST": "x", "_skip/x.txt": "x", ".hidden": "x",
		"a/_SUCCESS": "", "empty_$folder$": "", "a/.git/config": "x", "z.CSV.gz": "x", "é %2e+.csv": "x",
	})
	if got, err := p.list(t, "", ingest.Recursive); err != nil || got != "a-b.CSV a.csv a/b/d.Csv.ZST a/c.csv.gz b.csv z.CSV.gz é %2e+.csv" {
		t.Errorf("recursive: %q, %v", got, err)
	}
	if got, err := p.list(t, "", ingest.FirstLevel); err != nil || got != "a-b.CSV a.csv b.csv z.CSV.gz é %2e+.csv" {
		t.Errorf("first level: %q, %v", got, err)
	}
	if got, err := p.list(t, "a/b/", ingest.Recursive); err != nil || got != "d.Csv.ZST" {
		t.Errorf("folder below: %q, %v", got, err)
	}
	files, err := p.source(t, "", ingest.Recursive).List(t.Context())
	if err != nil || files[1].Name != p.Root+"a.csv" || files[1].Size != 3 {
		t.Errorf("got %+v, %v", files, err)
	}
}

func testOneFile(t *testing.T, p Place) {
	p.put(t, map[string]string{"some/list of users": "USER_ID\nu\n", "some/list of users.csv": "x"})
	src := p.source(t, "some/list of users", ingest.Recursive)
	f := listed(t, src)
	if f.Path != "list of users" || f.Name != p.Root+"some/list of users" || f.Size != 10 {
		t.Errorf("got %+v", f)
	}
	if got, err := read(t, src, f); err != nil || got != "USER_ID\nu\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func testOtherFiles(t *testing.T, p Place) {
	p.put(t, map[string]string{"a.csv": "x", "sub/b.txt": "x", "only/_a.csv": "x"})
	_, err := p.list(t, "", ingest.Recursive)
	var e *ingest.Error
	if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), p.Root+"sub/b.txt: not a .csv") {
		t.Errorf("got %v", err)
	}
	if got, err := p.list(t, "", ingest.FirstLevel); err != nil || got != "a.csv" {
		t.Errorf("first level: %q, %v", got, err)
	}
	_, err = p.list(t, "only/", ingest.Recursive)
	wantError(t, err, ingest.ErrNoFiles, p.Root+"only")
}

func testMissing(t *testing.T, p Place) {
	p.put(t, map[string]string{"a/b.csv": "x"})
	for _, location := range []string{p.Missing, p.Missing + "a.csv", p.Root + "nothing.csv", p.Root + "a/b.csv.gz"} {
		src, err := p.Locations.Source(location, "", ingest.Recursive)
		if err != nil {
			t.Fatal(err)
		}
		_, err = src.List(t.Context())
		wantError(t, err, fs.ErrNotExist, "there is no")
	}
}

func testMany(t *testing.T, p Place) {
	const n = 2500
	var want []string
	for i := range n {
		path := fmt.Sprintf("lists/%d.csv", i)
		p.put(t, map[string]string{path: fmt.Sprintf("USER_ID\nu%d\n", i)})
		want = append(want, fmt.Sprintf("%d.csv", i))
	}
	slices.Sort(want)
	for _, walk := range []ingest.Walk{ingest.FirstLevel, ingest.Recursive} {
		if got, err := p.list(t, "lists/", walk); err != nil || got != strings.Join(want, " ") {
			t.Errorf("%d files are listed, %v", strings.Count(got, " ")+1, err)
		}
	}
	r, err := ingest.NewListReader(t.Context(), p.source(t, "", ingest.Recursive))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ids ingest.IDs
	seen := make(map[string]bool)
	for {
		err := r.Read(&ids, 100)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range ids.Len() {
			seen[string(ids.At(i))] = true
		}
	}
	if len(seen) != n || r.Digest().Files != n {
		t.Errorf("%d IDs of %d files", len(seen), r.Digest().Files)
	}
}

// content is larger than what lies in buffers on the way.
var content = strings.Repeat("0123456789abcdef", 1<<18)

func testRead(t *testing.T, p Place) {
	p.put(t, map[string]string{"a.csv": content, "empty.csv": ""})
	src := p.source(t, "", ingest.Recursive)
	files, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, src, files[0]); err != nil || got != content {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if got, err := read(t, src, files[1]); err != nil || got != "" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	r, err := src.Open(t.Context(), files[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("close before the end: %v", err)
	}
}

func read(t *testing.T, src ingest.Source, f ingest.File) (string, error) {
	t.Helper()
	r, err := src.Open(t.Context(), f)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func testChanged(t *testing.T, p Place) {
	other := strings.Repeat("x", len(content))
	for name, change := range map[string]func() error{
		"replaced": func() error { return p.Put("a.csv", []byte(other)) },
		"grown":    func() error { return p.Put("a.csv", []byte(content+"x")) },
		"shrunk":   func() error { return p.Put("a.csv", []byte(content[:10])) },
		"removed":  func() error { return p.Delete("a.csv") },
	} {
		p.put(t, map[string]string{"a.csv": content})
		src := p.source(t, "a.csv", ingest.Recursive)
		f := listed(t, src)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		_, err := read(t, src, f)
		wantError(t, err, ingest.ErrChanged, "a.csv: the file was changed")

		p.put(t, map[string]string{"a.csv": content})
		f = listed(t, src)
		r, err := src.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 100)
		if _, err := io.ReadFull(r, first); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(r)
		err = errors.Join(err, r.Close())
		// A store of objects may go on with what was listed, and then to its end.
		if !errors.Is(err, ingest.ErrChanged) && (err != nil || string(first)+string(rest) != content) {
			t.Errorf("%s while it was read: %d bytes, %v", name, len(rest), err)
		}
	}
}

func testCancelled(t *testing.T, p Place) {
	p.put(t, map[string]string{"a.csv": content})
	src := p.source(t, "", ingest.Recursive)
	f := listed(t, src)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := src.Open(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := src.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v", err)
	}
}

func testCompressed(t *testing.T, p Place) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	if _, err := io.WriteString(w, "USER_ID\nb1\nb2\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer zw.Close()
	p.put(t, map[string]string{
		"a.csv": "USER_ID\na1\n", "b.csv.gz": gz.String(), "c.csv.zst": string(zw.EncodeAll([]byte("USER_ID\nc1\n"), nil)),
	})
	r, err := ingest.NewListReader(t.Context(), p.source(t, "", ingest.Recursive))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var ids ingest.IDs
	if err := r.Read(&ids, 10); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range ids.Len() {
		got = append(got, string(ids.At(i)))
	}
	if strings.Join(got, " ") != "a1 b1 b2 c1" {
		t.Errorf("got %q", got)
	}
}
