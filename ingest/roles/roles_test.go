package roles

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/buckets"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

const (
	erasure = "arn:aws:iam::123456789012:role/erasure"
	nightly = "arn:aws:iam::123456789012:role/nightly-import"
	unknown = "arn:aws:iam::123456789012:role/unknown"
)

const example = `{
  "arn:aws:iam::123456789012:role/erasure": {
    "read":  ["s3://gdpr/lists/", "s3://catalog/items.csv"],
    "write": ["s3://exports/"]
  },
  "arn:aws:iam::123456789012:role/nightly-import": {
    "read": ["s3://catalog"]
  }
}
`

func mustParse(t testing.TB, data string) *File {
	t.Helper()
	f, err := parse("roles.json", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCheck(t *testing.T) {
	f := mustParse(t, example)
	for _, tt := range []struct {
		role, location string
		do             action
		want           string // "" is allowed
	}{
		{erasure, "s3://gdpr/lists/", read, ""},
		{erasure, "s3://gdpr/lists/2026/", read, ""},
		{erasure, "s3://gdpr/lists/a.csv", read, ""},
		{erasure, "s3://gdpr/lists//a.csv", read, ""},
		{erasure, "s3://catalog/items.csv", read, ""},
		{erasure, "s3://exports/out/a.csv", write, ""},
		{nightly, "s3://catalog/", read, ""},
		{nightly, "s3://catalog", read, ""},
		{nightly, "s3://catalog/any/thing.csv", read, ""},

		{erasure, "s3://gdpr/", read, "role " + erasure + " lacks s3:ListBucket and s3:GetObject on gdpr/. Add it to the roles file."},
		{erasure, "s3://gdpr/lists", read, "lacks s3:GetObject on gdpr/lists."},
		{erasure, "s3://gdpr/lists-old/a.csv", read, "lacks s3:GetObject on gdpr/lists-old/a.csv."},
		{erasure, "s3://gdpr/Lists/a.csv", read, "lacks"},
		{erasure, "s3://gdpr//lists/a.csv", read, "lacks"},
		{erasure, "s3://gdpr/list", read, "lacks"},
		{erasure, "s3://gdpr-2/lists/a.csv", read, "lacks"},
		{erasure, "s3://catalog/items.csv2", read, "lacks"},
		{erasure, "s3://catalog/items.csv/", read, "lacks"},
		{erasure, "s3://catalog/", read, "lacks s3:ListBucket and s3:GetObject on catalog/."},
		{erasure, "s3://exports/out/a.csv", read, "lacks s3:GetObject"},
		{erasure, "s3://gdpr/lists/a.csv", write, "lacks s3:PutObject on gdpr/lists/a.csv."},
		{nightly, "s3://catalog/a.csv", write, "lacks s3:PutObject"},
		{unknown, "s3://catalog/a.csv", read, "role " + unknown + " is not in the roles file. Add it, with s3:GetObject on catalog/a.csv."},
		{"", "s3://catalog/", read, "the job names no role, and needs one with s3:ListBucket and s3:GetObject on catalog/."},
		{"", "s3://exports/a.csv", write, "the job names no role, and needs one with s3:PutObject"},
	} {
		u, err := s3url.Parse(tt.location)
		if err != nil {
			t.Fatal(err)
		}
		err = f.check(tt.role, tt.do, u)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%v", err)
			}
			continue
		}
		want := u.String() + ": Insufficient privileges for accessing data in S3: "
		if err == nil || !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v; want %q", tt.location, err, tt.want)
		}
	}
}

func TestParseProblems(t *testing.T) {
	role := func(s string) string { return `{"` + erasure + `": ` + s + `}` }
	for data, want := range map[string][]string{
		"":                                  {"line 1, column 1: the file ends too early"},
		"{":                                 {"line 1, column 2: the file ends too early"},
		`["x", {"y": []}]`:                  {"line 1, column 1: the file must be an object"},
		"{} {}":                             {"line 1, column 4: there is something behind the object"},
		"{} x":                              {"line 1, column 4: there is something behind the object"},
		role("{}"):                          nil,
		role(`{"read": []}`):                nil,
		role("[]"):                          {"line 1, column 44: what a role may do must be an object"},
		role("null"):                        {"what a role may do must be an object"},
		role(`{"read": "s3://lists/"}`):     {"line 1, column 53: this must be a list of s3:// locations"},
		role(`{"read": [1, [["x"]], {}]}`):  {"column 54: this must be an s3://", "column 57: this must be", "column 66: this must be"},
		role(`{"read": ["s3://lists/", ]}`): {"it is no JSON here"},
		"{\n\"arn:x\": {\"raed\": [\"s3://lists/\"]},\n  \"" + erasure + "\": {\"read\": [\"lists/\",\n\"s3://Lists/\", \"s3://lists/../x\"], \"read\": []},\n" +
			"  \"" + erasure + "\": {}\n}": {
			`line 2, column 1: "arn:x" is no role ARN`, `line 2, column 11: there is no "raed"`, "line 3, column 55: it is no s3:// URL",
			"line 4, column 1: the bucket's name must be", "line 4, column 16: the key has . or ..", `line 4, column 36: "read" is given twice`,
			"line 5, column 3: this role is in the file twice",
		},
	} {
		_, err := parse("roles.json", []byte(data))
		var got []string
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %q; want %q", data, got, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], "roles.json: line ") || !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: got %q; want %q", data, got[i], want[i])
			}
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roles.json")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Load(path)
	if err != nil || len(f.roles) != 2 || len(f.roles[erasure].read) != 2 {
		t.Errorf("got %+v, %v", f, err)
	}
}

// TestLocations reads and writes folders of this machine with and without the right to.
func TestLocations(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{"gdpr/lists/a.csv", "gdpr/lists-old/a.csv", "exports/x/_"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte("USER_ID\nu\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	inner, err := buckets.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := Locations(inner, mustParse(t, example))

	for _, location := range []string{dir, "file://" + dir, "s3://gdpr/lists/../lists-old/", ""} {
		if _, err := l.Source(location, erasure, ingest.Recursive); err == nil {
			t.Errorf("source %q", location)
		}
		if _, err := l.Sink(location, erasure); err == nil {
			t.Errorf("sink %q", location)
		}
	}
	for location, allowed := range map[string]bool{"s3://gdpr/lists/": true, "s3://gdpr/lists-old/": false, "s3://gdpr/": false} {
		src, err := l.Source(location, erasure, ingest.Recursive)
		if err != nil {
			t.Fatal(err)
		}
		files, err := src.List(t.Context())
		if errors.Is(err, fs.ErrPermission) == allowed {
			t.Errorf("list %s: %v", location, err)
		}
		if !allowed {
			files = []ingest.File{{Name: location + "a.csv", Path: "a.csv"}}
		}
		r, err := src.Open(t.Context(), files[0])
		if errors.Is(err, fs.ErrPermission) == allowed {
			t.Errorf("open %s: %v", location, err)
		}
		if err == nil {
			io.Copy(io.Discard, r)
			r.Close()
		}
	}
	for location, allowed := range map[string]bool{"s3://exports/x": true, "s3://gdpr/lists/": false} {
		sink, err := l.Sink(location, erasure)
		if err != nil {
			t.Fatal(err)
		}
		f, err := sink.Create(context.Background(), "new.csv")
		if errors.Is(err, fs.ErrPermission) == allowed {
			t.Errorf("create in %s: %v", location, err)
		}
		if err == nil {
			if err := f.Commit(); err != nil {
				t.Error(err)
			}
		}
		if _, err := sink.Create(context.Background(), "../new.csv"); err == nil {
			t.Error("a file above the folder was created")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(`{"` + erasure + `": {"read": [1, "s3://lists/"]}, "x": []}`)
	f.Fuzz(func(t *testing.T, data string) {
		file, err := parse("roles.json", []byte(data))
		if (file == nil) != (err != nil) {
			t.Fatalf("%v, %v", file, err)
		}
	})
}

// FuzzCovers compares with a rule that is written otherwise: a grant that is no folder is for one key, and every key that
// a folder covers stays inside when paths are cleaned.
func FuzzCovers(f *testing.F) {
	f.Add("s3://gdpr/lists/", "s3://gdpr/lists/a.csv")
	f.Add("s3://gdpr/lists", "s3://gdpr/lists/../other")
	f.Add("s3://gdpr", "s3://gdpr-2/x")
	f.Fuzz(func(t *testing.T, grant, location string) {
		g, err := s3url.Parse(grant)
		if err != nil {
			return
		}
		u, err := s3url.Parse(location)
		if err != nil {
			return
		}
		if !covers(g, u) {
			if g == u {
				t.Errorf("%q doesn't cover %q", grant, location)
			}
			return
		}
		inside := func(s string) []string { return strings.Split(strings.TrimSuffix(s, "/"), "/") }
		parts, of := inside(u.String()), inside(g.String())
		for i, part := range of {
			if i >= len(parts) || parts[i] != part {
				t.Errorf("%q covers %q", grant, location)
			}
		}
		if !g.IsFolder() && u != g {
			t.Errorf("%q covers %q", grant, location)
		}
	})
}
