package buckets

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place returns a folder of buckets with these files, and another folder beside it.
func place(t *testing.T, files ...string) (l *Locations, dir, outside string) {
	t.Helper()
	top := t.TempDir()
	dir, outside = filepath.Join(top, "buckets"), filepath.Join(top, "outside")
	for _, f := range append(files, "../outside/secret.csv", "../outside/deep/secret.csv") {
		write(t, filepath.Join(dir, f), "USER_ID\nsecret\n")
	}
	l, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, dir, outside
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Place {
		l, dir, _ := place(t, "lists/root/_keep")
		at := func(path string) string { return filepath.Join(dir, "lists/root", path) }
		return conformance.Place{
			Locations: l, Root: "s3://lists/root/", Missing: "s3://nothing/",
			Put: func(path string, data []byte) error {
				return errors.Join(os.MkdirAll(filepath.Dir(at(path)), 0o755), os.WriteFile(at(path), data, 0o644))
			},
			Delete: func(path string) error { return os.Remove(at(path)) },
		}
	})
}

func list(t *testing.T, l *Locations, location string) (string, error) {
	t.Helper()
	src, err := l.Source(location, "", ingest.Recursive)
	if err != nil {
		return "", err
	}
	files, err := src.List(t.Context())
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
		r, err := src.Open(t.Context(), f)
		if err != nil {
			t.Errorf("open %s: %v", f.Name, err)
			continue
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	return strings.Join(paths, " "), err
}

// TestEscape tries to get out of the folder of the buckets, and out of a bucket, by reading and by writing. What is out
// there is a copy of what is inside, so that whatever is reached shows.
func TestEscape(t *testing.T) {
	l, dir, outside := place(t, "lists/f/a.csv", "lists/a.csv", "other/secret.csv", "file.txt")
	link(t, outside, filepath.Join(dir, "linked"))
	link(t, "other", filepath.Join(dir, "inside"))
	link(t, outside, filepath.Join(dir, "lists/out"))
	link(t, "../../outside", filepath.Join(dir, "lists/up"))
	link(t, "../other", filepath.Join(dir, "lists/across"))
	link(t, "f", filepath.Join(dir, "lists/here"))
	link(t, filepath.Join(outside, "secret.csv"), filepath.Join(dir, "lists/secret.csv"))
	link(t, "/proc/self/root", filepath.Join(dir, "lists/proc"))
	abs := strings.TrimPrefix(filepath.ToSlash(outside), "/")

	for location, want := range map[string]string{
		"s3://..":                                "bucket's name",
		"s3://../outside/":                       "bucket's name",
		"s3://.../a.csv":                         "begin and end with a letter",
		"s3:///outside/secret.csv":               "bucket's name",
		"s3://lists/../../outside/":              ". or ..",
		"s3://lists/..":                          ". or ..",
		"s3://lists/../other/secret.csv":         ". or ..",
		"s3://lists/f/../../../outside/":         ". or ..",
		"s3://lists/f/..":                        ". or ..",
		"s3://lists/./a.csv":                     ". or ..",
		"s3://lists//" + abs + "/secret.csv":     "empty part",
		"s3://lists//etc/passwd":                 "empty part",
		"s3://lists/f//a.csv":                    "empty part",
		"s3://lists/f//":                         "empty part",
		"s3://lists//":                           "empty part",
		"s3://lists/a.csv\x00/../secret":         "NUL",
		"s3://lists/\xff\xfe":                    "UTF-8",
		"s3://lists/" + strings.Repeat("a", 2e3): "longer than 1024 bytes",
		"s3://Lists/a.csv":                       "lower-case",
		"s3://li/a.csv":                          "3 to 63",
		"s3://li_sts/a.csv":                      "lower-case",
		"s3://lists%2f..%2fother/secret.csv":     "lower-case",
		"s3://lists\\..\\other/secret.csv":       "lower-case",
		"s3://127.0.0.1/a.csv":                   "IP address",
		"s3://a..b/a.csv":                        "two dots",
		"file://" + filepath.ToSlash(outside):    "no s3:// URL",
		filepath.ToSlash(outside):                "no s3:// URL",
		"":                                       "no s3:// URL",

		"s3://lists/%2e%2e/other/secret.csv":     "no such object",
		"s3://lists/%2e%2e%2fother/secret.csv":   "no such object",
		"s3://lists/..%2fother%2fsecret.csv":     "no such object",
		"s3://lists/..\\other\\secret.csv":       "no such object",
		"s3://lists/%252e%252e/secret.csv":       "no such object",
		"s3://lists/\uff0e\uff0e/secret.csv":     "no such object",
		"s3://lists/a.csv%00":                    "no such object",
		"s3://lists/f/a.csv/x":                   "no such object",
		"s3://lists/" + strings.Repeat("a", 1e3): "file name too long",
		"s3://file.txt/":                         "no bucket file.txt",

		"s3://linked/":                 "s3://linked: symbolic link",
		"s3://linked/secret.csv":       "s3://linked: symbolic link",
		"s3://inside/secret.csv":       "s3://inside: symbolic link",
		"s3://lists/":                  "symbolic link",
		"s3://lists/out/":              "s3://lists/out: symbolic link",
		"s3://lists/out/secret.csv":    "s3://lists/out: symbolic link",
		"s3://lists/out/deep/":         "s3://lists/out: symbolic link",
		"s3://lists/up/secret.csv":     "s3://lists/up: symbolic link",
		"s3://lists/across/":           "s3://lists/across: symbolic link",
		"s3://lists/across/secret.csv": "s3://lists/across: symbolic link",
		"s3://lists/here/a.csv":        "s3://lists/here: symbolic link",
		"s3://lists/secret.csv":        "s3://lists/secret.csv: symbolic link",
		"s3://lists/proc/etc/passwd":   "s3://lists/proc: symbolic link",
	} {
		got, err := list(t, l, location)
		if err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v; want %q", location, got, err, want)
		}
		sink, err := l.Sink(location, "")
		if err != nil {
			continue
		}
		if f, err := sink.Create(t.Context(), "new.csv"); err == nil {
			// Names that are odd, and inside. Everything else has to be refused.
			if err := f.Abort(); err != nil {
				t.Error(err)
			}
			if !strings.Contains(want, "no such object") && location != "s3://lists/" { // only listing that one finds a link
				t.Errorf("%q was written to", location)
			}
		}
	}
	if got, err := list(t, l, "s3://lists/f/"); err != nil || got != "a.csv" {
		t.Errorf("inside: %q, %v", got, err)
	}
	wantFiles(t, outside, "deep/secret.csv secret.csv")
	wantFiles(t, filepath.Join(dir, "other"), "secret.csv")

	sink, err := l.Sink("s3://lists/f/", "")
	if err != nil {
		t.Fatal(err)
	}
	link(t, outside, filepath.Join(dir, "lists/f/out"))
	for _, name := range []string{"../new.csv", "/new.csv", "..", "out/new.csv", "x/../../new.csv", "a\x00.csv"} {
		if f, err := sink.Create(t.Context(), name); err == nil {
			t.Errorf("%q was created: %v", name, f.Abort())
		}
	}
	wantFiles(t, outside, "deep/secret.csv secret.csv")
}

// wantFiles checks which files lie in a folder.
func wantFiles(t *testing.T, dir, want string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil || strings.Join(got, " ") != want {
		t.Errorf("%s has %q, %v", dir, got, err)
	}
}

// TestSwapped puts links where files, folders and buckets were when they were listed.
func TestSwapped(t *testing.T) {
	for name, swap := range map[string]func(dir, outside string) error{
		"file": func(dir, outside string) error {
			at := filepath.Join(dir, "lists/f/a.csv")
			return errors.Join(os.Remove(at), os.Symlink("../../other/f/a.csv", at))
		},
		"file by one outside": func(dir, outside string) error {
			at := filepath.Join(dir, "lists/f/a.csv")
			return errors.Join(os.Remove(at), os.Symlink(filepath.Join(outside, "secret.csv"), at))
		},
		"folder": func(dir, outside string) error {
			at := filepath.Join(dir, "lists/f")
			return errors.Join(os.Rename(at, at+"-away"), os.Symlink("../other/f", at))
		},
		"bucket": func(dir, outside string) error {
			at := filepath.Join(dir, "lists")
			return errors.Join(os.Rename(at, at+"-away"), os.Symlink("other", at))
		},
	} {
		l, dir, outside := place(t, "lists/f/a.csv", "other/f/a.csv")
		src, err := l.Source("s3://lists/f/", "", ingest.Recursive)
		if err != nil {
			t.Fatal(err)
		}
		files, err := src.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sink, err := l.Sink("s3://lists/f/", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := swap(dir, outside); err != nil {
			t.Fatal(err)
		}
		r, err := src.Open(t.Context(), files[0])
		if err == nil {
			t.Errorf("%s: opened: %v", name, r.Close())
		}
		if f, err := sink.Create(t.Context(), "new.csv"); err == nil {
			if err := f.Commit(); err != nil {
				t.Error(err)
			}
		}
		wantFiles(t, filepath.Join(dir, "other"), "f/a.csv")
		wantFiles(t, outside, "deep/secret.csv secret.csv")
	}
}

func TestNewMissing(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestSinkLeavings writes a file that a killed process had begun, and one that two write at once.
func TestSinkLeavings(t *testing.T) {
	l, dir, _ := place(t, "exports/out/.a.csv.partial-X", "exports/out/.b.csv.partial-X")
	sink, err := l.Sink("s3://exports/out", "")
	if err != nil {
		t.Fatal(err)
	}
	first, err := sink.Create(t.Context(), "a.csv")
	if err != nil {
		t.Fatal(err)
	}
	second, err := sink.Create(t.Context(), "a.csv")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(); err == nil {
		t.Error("the first of two was committed")
	}
	if err := second.Commit(); err != nil {
		t.Error(err)
	}
	wantFiles(t, filepath.Join(dir, "exports/out"), ".b.csv.partial-X a.csv")
	if missing, err := l.Sink("s3://nothing/out/", ""); err != nil {
		t.Error(err)
	} else if _, err := missing.Create(t.Context(), "a.csv"); err == nil || !strings.Contains(err.Error(), "s3://nothing/out/: there is no bucket nothing") {
		t.Errorf("got %v", err)
	}
}
