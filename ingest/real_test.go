package ingest

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
)

func realData(t *testing.T) string {
	dir := os.Getenv("EXPUNGE_TEST_DATA")
	if dir == "" {
		t.Skip("EXPUNGE_TEST_DATA is unset; set it to the folder of the sample datasets")
	}
	return dir
}

// TestRealData reads the sample datasets and compares every cell with
// encoding/csv.
func TestRealData(t *testing.T) {
	dir := realData(t)
	for _, set := range []string{"movietweetings-100k", "online-retail"} {
		for _, kind := range []string{"users", "items", "interactions"} {
			t.Run(set+"/"+kind, func(t *testing.T) {
				json, err := os.ReadFile(filepath.Join(dir, set, kind+".schema.json"))
				if err != nil {
					t.Fatal(err)
				}
				s := mustSchema(t, json)
				if want, err := ParseDatasetType(kind); err != nil || s.Type != want {
					t.Errorf("type %s; want %s, %v", s.Type, want, err)
				}
				path := filepath.Join(dir, set, kind+".csv")
				src := open(t, path, FirstLevel)
				got, err := readDataset(t, src, s)
				if err != nil {
					t.Fatal(err)
				}
				compareWithOracle(t, path, s)

				header, err := ReadHeader(t.Context(), src)
				if err != nil {
					t.Fatal(err)
				}
				derived, err := DeriveSchema(s.Type, header)
				if err != nil {
					t.Fatal(err)
				}
				again, err := readDataset(t, src, derived)
				if err != nil || len(again) != len(got) {
					t.Errorf("with a derived schema: %d rows, %v; want %d", len(again), err, len(got))
				}
			})
		}
	}
}

func compareWithOracle(t *testing.T, path string, s *Schema) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header, want := want[0], want[1:]
	r, err := NewDatasetReader(t.Context(), open(t, path, FirstLevel), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for len(want) > 0 {
		rec, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		for j, f := range s.Fields {
			from := slices.Index(header, f.Name)
			for i := range int(rec.NumRows()) {
				cell := want[i][from]
				var got string
				switch c := rec.Column(j).(type) {
				case *array.String:
					got = c.Value(i)
				case *array.Int64:
					got = strconv.FormatInt(c.Value(i), 10)
				case *array.Int32:
					got = strconv.Itoa(int(c.Value(i)))
				case *array.Float32:
					v, err := strconv.ParseFloat(cell, 32)
					if err != nil && cell != "" {
						t.Fatal(err)
					}
					if float32(v) == c.Value(i) {
						got = cell
					}
				}
				if isNull := rec.Column(j).IsNull(i); isNull != (cell == "") || !isNull && got != cell {
					t.Fatalf("row %d, %s: got %q; want %q", i, f.Name, got, cell)
				}
			}
		}
		want = want[rec.NumRows():]
	}
}

func TestRealDataRejected(t *testing.T) {
	src := open(t, filepath.Join(realData(t), "online-retail", "rejected.csv"), FirstLevel)
	header, err := ReadHeader(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	s, err := DeriveSchema(Interactions, header)
	if err != nil {
		t.Fatal(err)
	}
	_, err = readDataset(t, src, s)
	e, ok := isError(err)
	if !ok || e.Line != 2 || e.Column != 1 || e.Field != "USER_ID" {
		t.Errorf("got %v; want an empty USER_ID in line 2", err)
	}
	wantError(t, err, "rejected.csv: line 2, column 1 (USER_ID): empty ID")
}
