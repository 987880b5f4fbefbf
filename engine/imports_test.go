package engine_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/expunge-db/expunge"

// mayImport says which of the module's packages the non-test code of each top-level folder may import, and what is
// below them. A package may import what is internal to it.
var mayImport = map[string][]string{
	"store":  {},
	"ingest": {"ingest"},
	"jobs":   {},
	"engine": {"store", "ingest", "jobs", "engine"},
	"bench":  {"engine"},
	"cmd":    {"engine", "ingest", "bench"}, // ingest: where the locations of jobs lie; bench: the generator
}

// embedded are the modules that a program which embeds package engine gets, and why.
var embedded = map[string]string{
	"go.etcd.io/bbolt":                  "the file",
	"github.com/apache/arrow/go/v15":    "rows at the borders",
	"github.com/RoaringBitmap/roaring":  "sets of users and rows",
	"github.com/klauspost/compress":     "gzip and zstd input",
	"github.com/zeebo/xxh3":             "hashes of IDs",
	"github.com/twmb/avro":              "schemas",
	"golang.org/x/sys":                  "locks, holes",
	"golang.org/x/sync":                 "groups of goroutines",
	"github.com/bits-and-blooms/bitset": "by roaring",
	"github.com/goccy/go-json":          "by arrow",
	"github.com/google/flatbuffers":     "by arrow",
	"github.com/klauspost/cpuid/v2":     "by xxh3",
	"golang.org/x/exp":                  "by arrow",
	"golang.org/x/xerrors":              "by arrow",
	"github.com/mschoch/smat":           "by roaring",
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
	Module     *struct{ Path string }
}

// top returns the top-level folder of a package of the module, or "".
func top(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	folder, _, _ := strings.Cut(rest, "/")
	return folder
}

func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps,Standard,Module", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no go command")
	}
	if err != nil {
		t.Fatal(err)
	}
	packages := make(map[string]goPackage)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	seen := make(map[string]bool)
	for _, p := range packages {
		from := top(p.ImportPath)
		if from == "" {
			continue
		}
		seen[from] = true
		allowed, known := mayImport[from]
		if !known {
			t.Errorf("package %s is in a folder that the rule doesn't know", p.ImportPath)
		}
		for _, imported := range p.Imports {
			to := top(imported)
			inside := to == from && (strings.Contains(imported, "/internal/") || from == "cmd")
			if to != "" && !inside && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
		// Only a program that asks for S3 or for signatures gets the SDK.
		if from == "cmd" || strings.HasPrefix(p.ImportPath, module+"/ingest/s3") || p.ImportPath == module+"/engine/personalize/sigv4" {
			continue
		}
		for _, dep := range p.Deps {
			if d := packages[dep]; !d.Standard && d.Module != nil && d.Module.Path != module && embedded[d.Module.Path] == "" {
				t.Errorf("%s depends on module %s by way of %s", p.ImportPath, d.Module.Path, dep)
			}
		}
	}
	for _, folder := range []string{"store", "ingest", "jobs", "engine", "bench"} {
		if !seen[folder] {
			t.Errorf("no package in %s: the test looks in the wrong place", folder)
		}
	}
}
