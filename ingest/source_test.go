package ingest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func list(t testing.TB, location string, walk Walk) (string, error) {
	t.Helper()
	files, err := open(t, location, walk).List(t.Context())
	var paths []string
	for _, f := range files {
		if !strings.HasSuffix(f.Name, f.Path) || f.Version == "" {
			t.Errorf("file %+v", f)
		}
		paths = append(paths, f.Path)
	}
	return strings.Join(paths, " "), err
}

func TestList(t *testing.T) {
	dir := folder(t, map[string]string{
		"b.csv": "x", "a/c.csv.gz": "x", "a.csv": "xyz", "a-b.CSV": "", "a/b/d.Csv.ZST": "x", "_skip/x.txt": "x", ".hidden": "x",
		"a/_SUCCESS": "", "empty_$folder$": "", "a/.git/config": "x", "z.CSV.gz": "x",
	})
	if got, err := list(t, dir, Recursive); err != nil || got != "a-b.CSV a.csv a/b/d.Csv.ZST a/c.csv.gz b.csv z.CSV.gz" {
		t.Errorf("recursive: %q, %v", got, err)
	}
	if got, err := list(t, dir+"/", FirstLevel); err != nil || got != "a-b.CSV a.csv b.csv z.CSV.gz" {
		t.Errorf("first level: %q, %v", got, err)
	}
	if got, err := list(t, filepath.Join(dir, "a.csv"), Recursive); err != nil || got != "a.csv" {
		t.Errorf("one file: %q, %v", got, err)
	}
	files, err := open(t, dir, Recursive).List(t.Context())
	if err != nil || files[1].Name != filepath.ToSlash(dir)+"/a.csv" || files[1].Size != 3 {
		t.Errorf("got %+v, %v", files, err)
	}
}

func TestListErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"other file":         {map[string]string{"a.csv": "x", "sub/b.txt": "x"}, "sub/b.txt: not a .csv"},
		"no extension":       {map[string]string{"a.csv": "x", "b": ""}, "/b: not a .csv"},
		"other compression":  {map[string]string{"a.csv.bz2": "x"}, "a.csv.bz2: not"},
		"compressed, no csv": {map[string]string{"a.gz": "x"}, "a.gz: not"},
		"marker with data":   {map[string]string{"a_$folder$": "x"}, "a_$folder$: not"},
	} {
		_, err := list(t, folder(t, tt.files), Recursive)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want %q", name, err, tt.want)
		}
	}
	for name, files := range map[string]map[string]string{"empty": {}, "skipped only": {"_a.csv": "x"}, "nested": {"sub/_b/c.csv": "x"}} {
		_, err := list(t, folder(t, files), Recursive)
		if !errors.Is(err, ErrNoFiles) {
			t.Errorf("%s: got %v; want ErrNoFiles", name, err)
		}
	}
	_, err := list(t, filepath.Join(t.TempDir(), "nothing"), Recursive)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v; want ErrNotExist", err)
	}
	wantError(t, err, "nothing: there is no such file")

	pipe := filepath.Join(t.TempDir(), "pipe.csv")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = list(t, pipe, Recursive)
	wantError(t, err, "not a regular file")
	_, err = list(t, filepath.Dir(pipe), Recursive)
	wantError(t, err, "pipe.csv: not a regular file")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, t.TempDir(), Recursive).List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want Canceled", err)
	}
}

func TestListUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := folder(t, map[string]string{"a.csv": "x"})
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	_, err := list(t, dir, Recursive)
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v; want ErrPermission", err)
	}
}

func TestListLinks(t *testing.T) {
	outside := folder(t, map[string]string{"far.csv": "x", "deep/away.csv": "x"})
	dir := folder(t, map[string]string{"a.csv": "x", "sub/b.csv": "x"})
	for link, to := range map[string]string{
		"sub/loop": dir, "self": "sub", "out": outside, "also": outside, "link.csv": filepath.Join(outside, "far.csv"),
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	// Each folder is read once, under the first of its names.
	if got, err := list(t, dir, Recursive); err != nil || got != "a.csv also/deep/away.csv also/far.csv link.csv self/b.csv" {
		t.Errorf("recursive: %q, %v", got, err)
	}
	if got, err := list(t, dir, FirstLevel); err != nil || got != "a.csv link.csv" {
		t.Errorf("first level: %q, %v", got, err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "broken.csv")); err != nil {
		t.Fatal(err)
	}
	_, err := list(t, dir, FirstLevel)
	wantError(t, err, "broken.csv: there is no such file")
}

func TestOpenLocation(t *testing.T) {
	dir := folder(t, map[string]string{"a b%.csv": "x"})
	for _, location := range []string{
		"file://" + dir + "/a%20b%25.csv", "file://localhost" + dir + "/a%20b%25.csv", "FILE://LOCALHOST" + dir, filepath.Join(dir, "a b%.csv"),
	} {
		if got, err := list(t, location, Recursive); err != nil || got != "a b%.csv" {
			t.Errorf("%s: %q, %v", location, got, err)
		}
	}
	for location, want := range map[string]string{
		"": "empty", "s3://bucket/a.csv": `scheme "s3" is not supported`, "https://host/x": "not supported", "file://host/a.csv": "host",
		"file:///a.csv?x": "query", "file:///a.csv?": "query", "file:///a.csv#x": "fragment", "file:///a%2": "valid URL", "file://": "no path", "file://me@localhost/a": "host",
	} {
		if _, err := Open(location, Recursive); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v; want %q", location, err, want)
		}
	}
	if _, err := Open("odd name://x", Recursive); err != nil {
		t.Errorf("a path that is no URL: %v", err)
	}
}

// TestOpenChanged changes a file in every way, before it is opened, while it is
// read, and before it is closed.
func TestOpenChanged(t *testing.T) {
	content := strings.Repeat("x", 1000)
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	changes := map[string]func(t *testing.T, path string){
		"removed": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"grown":   func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte(content+"x"), 0o600)) },
		"shrunk":  func(t *testing.T, path string) { must(t, os.Truncate(path, 10)) },
		"touched": func(t *testing.T, path string) { must(t, os.Chtimes(path, time.Time{}, time.Unix(1, 0))) },
		"replaced": func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", []byte(strings.Repeat("y", 1000)), 0o600))
			must(t, os.Chtimes(path+".new", time.Time{}, time.Unix(1, 0)))
			must(t, os.Rename(path+".new", path))
		},
	}
	for name, change := range changes {
		for _, when := range []string{"never", "before open", "before the end", "before close"} {
			t.Run(name+" "+when, func(t *testing.T) {
				path := filepath.Join(folder(t, map[string]string{"a.csv": content}), "a.csv")
				src := open(t, path, Recursive)
				files, err := src.List(t.Context())
				must(t, err)
				if when == "before open" {
					change(t, path)
				}
				r, err := src.Open(t.Context(), files[0])
				if err == nil {
					_, err = io.ReadFull(r, make([]byte, 10))
					must(t, err)
					if when == "before the end" || when == "before close" {
						change(t, path)
					}
					if when != "before close" {
						_, err = io.Copy(io.Discard, r)
					}
					if cerr := r.Close(); err == nil {
						err = cerr
					}
				}
				if errors.Is(err, ErrChanged) != (when != "never") {
					t.Errorf("got %v", err)
				}
				if when != "never" {
					wantError(t, err, "a.csv: the file was changed")
				}
			})
		}
	}
}

// TestReplacedInTime replaces a file by one of the same size and time, which
// only shows while the first is open.
func TestReplacedInTime(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": "one", "b.csv": "two"})
	for _, name := range []string{"a.csv", "b.csv"} {
		if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	src := open(t, filepath.Join(dir, "a.csv"), Recursive)
	files, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "b.csv"), filepath.Join(dir, "a.csv")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v; want ErrChanged", err)
	}
	if err := r.Close(); !errors.Is(err, ErrChanged) {
		t.Errorf("close: got %v; want ErrChanged", err)
	}
}

func TestOpenCancel(t *testing.T) {
	src := open(t, folder(t, map[string]string{"a.csv": "x"}), Recursive)
	files, err := src.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := src.Open(ctx, files[0])
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want Canceled", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestWanted(t *testing.T) {
	for _, tt := range []struct {
		path string
		size int64
		want bool
	}{
		{"a.csv", 0, true}, {"x/a.CSV.Gz", 1, true}, {"x/y/a.csv.zst", 1, true},
		{"_a.csv", 1, false}, {".a", 1, false}, {"_x/a.txt", 1, false}, {"x/.y/a.csv", 1, false},
		{"x/", 0, false}, {"x_$folder$", 0, false},
	} {
		if got, err := Wanted(tt.path, tt.size); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.path, got, err)
		}
	}
	for _, path := range []string{"a", "x/", "csv", "a.csv.gz.zst", "a.csv.zst.gz", "a.csv.gz/", "a.csv.zip", ""} {
		_, err := Wanted(path, 1)
		wantError(t, err, path+": not a .csv")
	}
}
