package ingest

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"pgregory.net/rapid"
)

func mustSchema(t testing.TB, json []byte) *Schema {
	t.Helper()
	s, err := ParseSchema(json)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// allTypes has a field of every type, and all but the ID can be null.
func allTypes(t testing.TB) *Schema {
	return mustSchema(t, avroJSON("Items", itemID, `"name":"S","type":["null","string"]`, `"name":"I","type":["null","int"]`,
		`"name":"L","type":["null","long"]`, `"name":"F","type":["null","float"]`, `"name":"D","type":["null","double"]`,
		`"name":"B","type":["null","boolean"]`, `"name":"T","type":["null","string"],"textual":true`))
}

// rowsOf reads everything, as text with "-" for null.
func rowsOf(t testing.TB, r *DatasetReader) (rows []string, err error) {
	t.Helper()
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		if rec.NumRows() == 0 || rec.NumRows() > maxBatchRows {
			t.Errorf("record of %d rows", rec.NumRows())
		}
		if !rec.Schema().Equal(r.schema.Arrow()) {
			t.Error("record has another schema")
		}
		rows = append(rows, rowsOfRecord(rec)...)
	}
}

func rowsOfRecord(rec arrow.Record) (rows []string) {
	for i := range int(rec.NumRows()) {
		var row []string
		for _, c := range rec.Columns() {
			if c.IsNull(i) {
				row = append(row, "-")
			} else {
				row = append(row, c.ValueStr(i))
			}
		}
		rows = append(rows, strings.Join(row, "|"))
	}
	return rows
}

func readDataset(t testing.TB, src Source, s *Schema) ([]string, error) {
	t.Helper()
	r, err := NewDatasetReader(t.Context(), src, s)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := rowsOf(t, r)
	if _, again := r.Next(); err != nil && again != err {
		t.Errorf("after %v comes %v", err, again)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Next(); err == nil {
		t.Error("no error after Close")
	}
	return rows, err
}

func TestDataset(t *testing.T) {
	header := "ITEM_ID,S,I,L,F,D,B,T\n"
	src := inMemory(
		"a.csv", header+"a,x,-2147483648,9223372036854775807,1.5,-0.1,TRUE,\"long,\"\"text\"\"\"\n\nb,,,,,,,\n",
		"b.csv", "\xEF\xBB\xBF\"ITEM_ID\",\"S\",I,L,F,D,B,T\r\n"+strings.Repeat("é", 256)+","+strings.Repeat("日", 1000)+",+7,-0,1e3,.5,false,t",
		"c.csv.gz", gzipped(t, header+"c,,,,,,true,"),
		"d.CSV.ZST", zstded(t, header),
		"e.csv.zst", zstded(t, header+"e,-,0,0,0,0,False,\"\"\n"),
	)
	rows, err := readDataset(t, src, allTypes(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`a|x|-2147483648|9223372036854775807|1.5|-0.1|true|long,"text"`,
		`b|-|-|-|-|-|-|-`,
		strings.Repeat("é", 256) + "|" + strings.Repeat("日", 1000) + "|7|0|1000|0.5|false|t",
		`c|-|-|-|-|-|true|-`,
		`e|-|0|0|0|0|false|-`,
	}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("got %q; want %q", rows, want)
	}
}

// TestDatasetColumnOrder has the columns in another order than the schema.
func TestDatasetColumnOrder(t *testing.T) {
	s := mustSchema(t, avroJSON("Interactions", userID, itemID, timestamp))
	rows, err := readDataset(t, inMemory("a.csv", "TIMESTAMP,USER_ID,ITEM_ID\n1,u,i\n", "b.csv", "TIMESTAMP,USER_ID,ITEM_ID\n-2,v,j"), s)
	if err != nil || fmt.Sprint(rows) != "[u|i|1 v|j|-2]" {
		t.Errorf("got %v, %v", rows, err)
	}
}

func TestDatasetErrors(t *testing.T) {
	long := func(s string, n int) string { return strings.Repeat(s, n) }
	s := mustSchema(t, avroJSON("Interactions", userID, itemID, timestamp, `"name":"S","type":"string"`,
		`"name":"I","type":"int"`, `"name":"F","type":"float"`, `"name":"D","type":"double"`, `"name":"B","type":"boolean"`))
	const header = "USER_ID,ITEM_ID,TIMESTAMP,S,I,F,D,B\n"
	for _, tt := range []struct{ name, in, want string }{
		{"empty file", "", "a.csv: the file has no header line"},
		{"blank file", "\xEF\xBB\xBF\n\r\n", "a.csv: the file has no header line"},
		{"no header", "secret,secret,1,s,1,1,1,true\n", "line 1: Input CSV is missing the following columns: [USER_ID, ITEM_ID, TIMESTAMP, S, I, F, D, B]"},
		{"missing", "USER_ID,S,I,F,D,B\n", "Input CSV is missing the following columns: [ITEM_ID, TIMESTAMP]"},
		{"case", "user_id,ITEM_ID,TIMESTAMP,S,I,F,D,B\n", "missing the following columns: [USER_ID]"},
		{"extra", "USER_ID,secret,ITEM_ID,TIMESTAMP,S,I,F,D,B,\n", "line 1: column 2, 10 of the header is not in the schema"},
		{"twice", "USER_ID,ITEM_ID,TIMESTAMP,S,I,F,D,B,S\n", "line 1, column 37 (S): the header names this column twice"},
		{"too few", header + "secret,i,1,s,1,1,1\n", "line 2: row of 7 fields under a header of 8"},
		{"too many", header + "\n\nsecret,i,1,s,1,1,1,true,\n", "line 4: row of 9 fields under a header of 8"},
		{"empty user", header + ",i,1,s,1,1,1,true\n", "line 2, column 1 (USER_ID): empty ID"},
		{"quoted empty item", header + "u,\"\",1,s,1,1,1,true\n", "line 2, column 3 (ITEM_ID): empty ID"},
		{"long user", header + long("secret", 43)[:257] + ",i,1,s,1,1,1,true\n", "(USER_ID): ID of more than 256 characters"},
		{"long item", header + "u," + long("é", 257) + ",1,s,1,1,1,true\n", "(ITEM_ID): ID of more than 256 characters"},
		{"long string", header + "u,i,1," + long("é", 1001) + ",1,1,1,true\n", "line 2, column 7 (S): value of more than 1000 characters"},
		{"empty string", header + "u,i,1,,1,1,1,true\n", "(S): empty value"},
		{"empty timestamp", header + "u,i,,s,1,1,1,true\n", "(TIMESTAMP): empty value"},
		{"empty boolean", header + "u,i,1,s,1,1,1,\n", "line 2, column 15 (B): empty value"},
		{"timestamp", header + "u,i,2013-secret,s,1,1,1,true\n", "line 2, column 5 (TIMESTAMP): not a whole number"},
		{"real timestamp", header + "u,i,1.0,s,1,1,1,true\n", "(TIMESTAMP): not a whole number"},
		{"large int", header + "u,i,1,s,2147483648,1,1,true\n", "(I): not a whole number of 32 bits"},
		{"small int", header + "u,i,1,s,-2147483649,1,1,true\n", "(I): not a whole number of 32 bits"},
		{"float", header + "u,i,1,s,1,3.5e38,1,true\n", "(F): not a number that a float holds"},
		{"NaN", header + "u,i,1,s,1,1,NaN,true\n", "(D): not a number that a double holds"},
		{"double", header + "u,i,1,s,1,1,1e309,true\n", "(D): not a number that a double holds"},
		{"boolean", header + "u,i,1,s,1,1,1,secret\n", "(B): not a boolean"},
		{"after lines in quotes", header + "u,i,1,\"a\n\nb\",x,1,1,true\n", "line 4, column 4 (I): not a whole"},
		{"syntax", header + "u,i,1,\"secret\"x,1,1,1,true\n", "line 2, column 7: text after a closing quote"},
		{"open quote", header + "u,i,1,\"secret,1,1,1,true\n", "line 2, column 7: quote that is never closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readDataset(t, inMemory("a.csv", tt.in), s)
			wantError(t, err, "mem/a.csv: ", tt.want)
			if _, ok := isError(err); !ok {
				t.Errorf("%T is not an Error", err)
			}
		})
	}
	_, err := readDataset(t, inMemory("a.csv", header+"u,i,1,s,1,1,1,true\n", "b.csv", "ITEM_ID,USER_ID,TIMESTAMP,S,I,F,D,B\n"), s)
	wantError(t, err, "mem/b.csv: line 1: the columns are in another order than in mem/a.csv")
}

// TestDatasetLimits cuts textual values, in characters, and no others.
func TestDatasetLimits(t *testing.T) {
	s := mustSchema(t, avroJSON("Items", itemID, `"name":"T","type":["null","string"],"textual":true`))
	for _, tt := range []struct{ in, want string }{
		{strings.Repeat("é", 20000), strings.Repeat("é", 20000)},
		{strings.Repeat("日", 20001), strings.Repeat("日", 20000)},
		{strings.Repeat("a", 20001), strings.Repeat("a", 20000)},
		{strings.Repeat("a", 1001), strings.Repeat("a", 1001)},
	} {
		rows, err := readDataset(t, inMemory("a.csv", "ITEM_ID,T\ni,"+tt.in+"\n"), s)
		if err != nil || len(rows) != 1 || rows[0] != "i|"+tt.want {
			t.Errorf("%d bytes: %v", len(tt.in), err)
		}
	}
}

// TestDatasetBatches reads more than one batch and sees that nothing of an older
// one shines through where the buffers are used again.
func TestDatasetBatches(t *testing.T) {
	s := allTypes(t)
	var b strings.Builder
	b.WriteString("ITEM_ID,S,I,L,F,D,B,T\n")
	var want []string
	const n = 2*maxBatchRows + 100
	for i := range n {
		switch {
		case i/maxBatchRows == 1: // a batch with no null, after one with nulls
			fmt.Fprintf(&b, "i%d,s%d,%d,%d,%d.5,%d.25,%v,t\n", i, i, i, i, i, i, i%3 == 0)
			want = append(want, fmt.Sprintf("i%d|s%d|%d|%d|%d.5|%d.25|%v|t", i, i, i, i, i, i, i%3 == 0))
		case i%2 == 0:
			fmt.Fprintf(&b, "i%d,,,,,,,\n", i)
			want = append(want, fmt.Sprintf("i%d|-|-|-|-|-|-|-", i))
		default:
			fmt.Fprintf(&b, "i%d,s,1,2,3,4,true,t\n", i)
			want = append(want, fmt.Sprintf("i%d|s|1|2|3|4|true|t", i))
		}
	}
	src := inMemory("a.csv", b.String())
	rows, err := readDataset(t, src, s)
	if err != nil || len(rows) != n {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i := range rows {
		if rows[i] != want[i] {
			t.Fatalf("row %d: got %s; want %s", i, rows[i], want[i])
		}
	}

	r, err := NewDatasetReader(t.Context(), src, s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var total int64
	for i := range 3 {
		rec, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range rec.Columns()[1:] {
			hasBitmap := c.Data().Buffers()[0] != nil
			if hasBitmap != (i != 1) || hasBitmap != (c.NullN() > 0) {
				t.Errorf("batch %d: null bitmap %v, %d nulls", i, hasBitmap, c.NullN())
			}
		}
		if rec.Column(0).Data().Buffers()[0] != nil {
			t.Error("IDs have a null bitmap")
		}
		total += rec.NumRows()
		if p := r.Progress(); p.Rows != total || p.BytesTotal != int64(b.Len()) || p.BytesRead == 0 {
			t.Errorf("progress %+v after %d rows", p, total)
		}
	}
	if p := r.Progress(); p.Rows != n || p.BytesRead != int64(b.Len()) || p.File != "" {
		t.Errorf("progress %+v at the end", p)
	}
}

// TestDatasetLargeRows ends batches by size.
func TestDatasetLargeRows(t *testing.T) {
	s := mustSchema(t, avroJSON("Items", itemID, `"name":"T","type":"string","textual":true`))
	row := "i," + strings.Repeat("x", 19000) + "\n"
	r, err := NewDatasetReader(t.Context(), inMemory("a.csv", "ITEM_ID,T\n"+strings.Repeat(row, 1000)), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	total, batches := int64(0), 0
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if size := rec.Column(1).(*array.String).ValueOffset(int(rec.NumRows())); size > maxBatchBytes+20000 {
			t.Errorf("batch of %d bytes", size)
		}
		total += rec.NumRows()
		batches++
	}
	if total != 1000 || batches != 3 {
		t.Errorf("%d rows in %d batches", total, batches)
	}
}

func TestDatasetChanged(t *testing.T) {
	s := mustSchema(t, avroJSON("Users", userID, `"name":"A","type":"long"`))
	dir := folder(t, map[string]string{"a.csv": "USER_ID,A\nu,1\n", "b.csv": "USER_ID,A\nv,2\n"})
	r, err := NewDatasetReader(t.Context(), open(t, dir, FirstLevel), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Chtimes(filepath.Join(dir, "b.csv"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	_, err = r.Next()
	if !errors.Is(err, ErrChanged) {
		t.Errorf("got %v; want ErrChanged", err)
	}
	wantError(t, err, "b.csv: ")
}

func TestDatasetCancel(t *testing.T) {
	s := mustSchema(t, avroJSON("Users", userID, `"name":"A","type":"long"`))
	dir := folder(t, map[string]string{"a.csv": "USER_ID,A\n" + strings.Repeat("u,1\n", 5*maxBatchRows)})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := NewDatasetReader(ctx, open(t, dir, FirstLevel), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want Canceled", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadHeader(t *testing.T) {
	header, err := ReadHeader(t.Context(), inMemory("a.csv.gz", gzipped(t, "\xEF\xBB\xBFUSER_ID,\"A,B\"\nu,1\n"), "b.csv", "x"))
	if err != nil || fmt.Sprintf("%q", header) != `["USER_ID" "A,B"]` {
		t.Errorf("got %q, %v", header, err)
	}
	_, err = ReadHeader(t.Context(), inMemory("a.csv", ""))
	wantError(t, err, "mem/a.csv: the file has no header")
}

// TestDatasetOracle compares random tables with what encoding/csv and strconv
// make of them.
func TestDatasetOracle(t *testing.T) {
	s := mustSchema(t, avroJSON("Interactions", userID, itemID, timestamp, `"name":"S","type":["null","string"]`, `"name":"D","type":["double","null"]`))
	text := rapid.StringMatching(`[a-z,"\n é]{1,6}`)
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		var want []string
		w := csv.NewWriter(&b)
		w.Write([]string{"USER_ID", "ITEM_ID", "TIMESTAMP", "S", "D"})
		for range rapid.IntRange(0, 20).Draw(rt, "rows") {
			u, i, at := text.Draw(rt, "u"), text.Draw(rt, "i"), rapid.Int64().Draw(rt, "t")
			v, d := rapid.OneOf(rapid.Just(""), text).Draw(rt, "s"), ""
			f := rapid.Float64().Draw(rt, "d")
			if rapid.Bool().Draw(rt, "null") || math.IsInf(f, 0) {
				want = append(want, fmt.Sprint(u, "|", i, "|", at, "|", orNull(v), "|-"))
			} else {
				d = fmt.Sprint(f)
				want = append(want, fmt.Sprint(u, "|", i, "|", at, "|", orNull(v), "|", d))
			}
			w.Write([]string{u, i, fmt.Sprint(at), v, d})
		}
		w.Flush()
		src := inMemory("a.csv", b.String())
		src.chunk = rapid.IntRange(0, 9).Draw(rt, "chunk")
		rows, err := readDataset(t, src, s)
		if err != nil || fmt.Sprintf("%q", normal(rows)) != fmt.Sprintf("%q", normal(want)) {
			rt.Fatalf("got %q, %v; want %q", rows, err, want)
		}
	})
}

func orNull(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// normal rewrites the last column, a float, which Arrow prints in its own way.
func normal(rows []string) (out []string) {
	for _, r := range rows {
		cut := strings.LastIndexByte(r, '|') + 1
		var f float64
		if _, err := fmt.Sscan(r[cut:], &f); err == nil {
			r = fmt.Sprintf("%s%x", r[:cut], f)
		}
		out = append(out, r)
	}
	return out
}

func FuzzDataset(f *testing.F) {
	f.Add([]byte("ITEM_ID,S,I,L,F,D,B,T\na,x,1,2,3,4,true,t\n"))
	f.Add([]byte("ITEM_ID,S,I,L,F,D,B,T\r\n\"a\",,,,,,,\r\n"))
	s := allTypes(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewDatasetReader(t.Context(), inMemory("a.csv", string(in)), s)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for {
			rec, err := r.Next()
			if err != nil {
				if _, ok := isError(err); !ok && err != io.EOF {
					t.Fatalf("%T is not an Error", err)
				}
				return
			}
			for _, c := range rec.Columns() {
				if c.Len() != int(rec.NumRows()) || c.Data().Len() != c.Len() {
					t.Fatal("columns differ in length")
				}
				for i := range c.Len() {
					_ = c.ValueStr(i)
				}
			}
		}
	})
}
