package ingest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

type cell struct {
	value        string
	line, column int64
}

func (c cell) String() string { return fmt.Sprintf("%s@%d:%d", c.value, c.line, c.column) }

func parseAll(src io.Reader) (records [][]cell, err error) {
	var c csvReader
	return parseWith(&c, src)
}

func parseWith(c *csvReader, src io.Reader) (records [][]cell, err error) {
	if err := c.reset(src, "a.csv"); err != nil {
		return nil, err
	}
	for {
		err := c.next()
		if err == io.EOF {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		var record []cell
		for i := range c.fields {
			at := c.place(i)
			record = append(record, cell{string(c.field(i)), at.line, at.column})
		}
		records = append(records, record)
	}
}

func TestCSV(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     [][]cell
	}{
		{"nothing", "", nil},
		{"byte order mark only", "\xEF\xBB\xBF", nil},
		{"empty lines only", "\n\r\n\n", nil},
		{"one field", "a", [][]cell{{{"a", 1, 1}}}},
		{"LF", "a,bc\nd,e\n", [][]cell{{{"a", 1, 1}, {"bc", 1, 3}}, {{"d", 2, 1}, {"e", 2, 3}}}},
		{"CRLF", "a,bc\r\nd,e\r\n", [][]cell{{{"a", 1, 1}, {"bc", 1, 3}}, {{"d", 2, 1}, {"e", 2, 3}}}},
		{"CR at the end", "a\r", [][]cell{{{"a", 1, 1}}}},
		{"lone CR as last line", "a\n\r", [][]cell{{{"a", 1, 1}}}},
		{"no line end", "a,bc\nd,e", [][]cell{{{"a", 1, 1}, {"bc", 1, 3}}, {{"d", 2, 1}, {"e", 2, 3}}}},
		{"empty fields", ",\n,,", [][]cell{{{"", 1, 1}, {"", 1, 2}}, {{"", 2, 1}, {"", 2, 2}, {"", 2, 3}}}},
		{"empty lines", "\na\n\n\r\nb\n\n", [][]cell{{{"a", 2, 1}}, {{"b", 5, 1}}}},
		{"byte order mark", "\xEF\xBB\xBFa,b\n", [][]cell{{{"a", 1, 1}, {"b", 1, 3}}}},
		{"byte order mark and quote", "\xEF\xBB\xBF\"a\",b\n", [][]cell{{{"a", 1, 1}, {"b", 1, 5}}}},
		{"byte order mark twice", "\xEF\xBB\xBF\xEF\xBB\xBFa", [][]cell{{{"\uFEFFa", 1, 1}}}},
		{"blanks", " a , b\n ", [][]cell{{{" a ", 1, 1}, {" b", 1, 5}}, {{" ", 2, 1}}}},
		{"NUL", "a\x00b,\x00\n", [][]cell{{{"a\x00b", 1, 1}, {"\x00", 1, 5}}}},
		{"quoted", "\"a,b\",\"c\"\"d\"\n", [][]cell{{{"a,b", 1, 1}, {"c\"d", 1, 7}}}},
		{"quoted empty", "\"\"\n\"\",\"\"", [][]cell{{{"", 1, 1}}, {{"", 2, 1}, {"", 2, 4}}}},
		{"only quotes", "\"\"\"\"\"\"", [][]cell{{{"\"\"", 1, 1}}}},
		{"quoted line ends", "x\n\"a\nb\r\nc\",d,\"\n\"\r\ne", [][]cell{
			{{"x", 1, 1}}, {{"a\nb\r\nc", 2, 1}, {"d", 4, 4}, {"\n", 4, 6}}, {{"e", 6, 1}}}},
		{"quoted lone CR", "\"a\rb\"", [][]cell{{{"a\rb", 1, 1}}}},
		{"quote after plain", "a,\"b\",c,\nd", [][]cell{{{"a", 1, 1}, {"b", 1, 3}, {"c", 1, 7}, {"", 1, 9}}, {{"d", 2, 1}}}},
		{"quoted CRLF at the end", "\"a\"\r\n", [][]cell{{{"a", 1, 1}}}},
		{"quoted CR at the end", "\"a\"\r", [][]cell{{{"a", 1, 1}}}},
		{"plain CR at the end after quotes", "\"a\",b\r", [][]cell{{{"a", 1, 1}, {"b", 1, 5}}}},
		{"UTF-8", "é,日本\n\"ü\"", [][]cell{{{"é", 1, 1}, {"日本", 1, 4}}, {{"ü", 2, 1}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for chunk := 1; chunk < 20; chunk++ {
				got, err := parseAll(&chunkReader{strings.NewReader(tt.in), chunk})
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Fatalf("in chunks of %d: got %q, %v; want %q", chunk, got, err, tt.want)
				}
			}
		})
	}
}

func TestCSVErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in     string
		line, column int64
		problem      string
	}{
		{"bare quote", "a,b\nc,sec\"ret\n", 2, 3, bareQuote},
		{"bare quote after quoted", "\"a\",sec\"ret\n", 1, 5, bareQuote},
		{"text after quote", "a\n\"secret\"x,b\n", 2, 1, afterQuote},
		{"blank after quote", "\"secret\" ,b", 1, 1, afterQuote},
		{"open quote", "a,b\n\nx,\"secret\n\n", 3, 3, openQuote},
		{"open quote at the end", "a,\"", 1, 3, openQuote},
		{"open quote, doubled at the end", "\"a\"\"", 1, 1, openQuote},
		{"lone CR", "a\nb,sec\rret\n", 2, 3, loneCR},
		{"two CRs", "a\r\r\n", 1, 1, loneCR},
		{"lone CR after quotes", "\"a\"\rb", 1, 1, loneCR},
		{"lone CR in a record with quotes", "\"a\",b\rc", 1, 5, loneCR},
		{"not UTF-8", "a\nsecret,\xFF,b\n", 2, 8, invalidUTF8},
		{"not UTF-8 at the end", "a\nb,secret\xE2\x82", 2, 3, invalidUTF8},
		{"not UTF-8, split by a comma", "\xC3,\xA9", 1, 1, invalidUTF8},
		{"not UTF-8, quoted", "\"a\n\",\"secret\xC0\"\n", 2, 3, invalidUTF8},
		{"UTF-16", "\xFF\xFEa\x00\n\x00", 1, 1, invalidUTF8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for chunk := 1; chunk < 20; chunk++ {
				_, err := parseAll(&chunkReader{strings.NewReader(tt.in), chunk})
				wantError(t, err)
				want := Error{File: "a.csv", Line: tt.line, Column: tt.column, Problem: tt.problem}
				if e, ok := isError(err); !ok || *e != want {
					t.Fatalf("got %v; want %v", err, &want)
				}
			}
		})
	}
}

func TestCSVLongRecords(t *testing.T) {
	long := strings.Repeat("x", 3*csvBufferSize)
	for _, in := range []string{
		"a\n" + long + ",b\nc",
		"a\n\"" + strings.Repeat("\n", 3*csvBufferSize) + "\",b\nc",
		long + "\n" + long + long + "\n",
	} {
		got, err := parseAll(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		want, err := csv.NewReader(strings.NewReader(in)).ReadAll()
		if err != nil && !errors.Is(err, csv.ErrFieldCount) {
			t.Fatal(err)
		}
		if err == nil && !reflect.DeepEqual(values(got), want) {
			t.Error("long record came out different")
		}
	}

	_, err := parseAll(io.MultiReader(strings.NewReader("a\n\""), io.LimitReader(endless('x'), 40<<20)))
	if e, ok := isError(err); !ok || e.Line != 2 || e.Problem != recordTooBig {
		t.Errorf("got %v; want a record that is too big in line 2", err)
	}
	if _, err := parseAll(io.LimitReader(endless('x'), maxRecordSize-1)); err != nil {
		t.Errorf("record just below the limit: %v", err)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// TestCSVBufferEnd moves every kind of record across the buffer's end.
func TestCSVBufferEnd(t *testing.T) {
	body := "ab,\"c\"\"d\"\r\n\"e\nf\",g\nhé,i\r\n\r\n\"\",j\n"
	want, err := parseAll(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for shift := range len(body) + 2*wordSize {
		head := strings.Repeat("x", csvBufferSize-shift-1) + "\n"
		got, err := parseAll(strings.NewReader(head + body))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(values(got[1:]), values(want)) {
			t.Fatalf("shifted by %d: got %q; want %q", shift, got[1:], want)
		}
	}
}

func TestCSVReadErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := parseAll(io.MultiReader(strings.NewReader("a,b\n"), errReader{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("got %v; want %v", err, broken)
	}
	// What a decompressor says about a file that is cut off is not its end.
	if _, err = parseAll(io.MultiReader(strings.NewReader("a,b\n"), errReader{io.ErrUnexpectedEOF})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v; want %v", err, io.ErrUnexpectedEOF)
	}
	if _, err = parseAll(errReader{nil}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v; want %v", err, io.ErrNoProgress)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func values(records [][]cell) (vs [][]string) {
	for _, r := range records {
		var v []string
		for _, c := range r {
			v = append(v, c.value)
		}
		vs = append(vs, v)
	}
	return vs
}

// checkAgainstOracle compares with encoding/csv where both accept: it takes lone
// CRs and bytes that aren't UTF-8, keeps byte order marks, and reads CRLF inside
// quotes as LF.
func checkAgainstOracle(t interface{ Fatalf(string, ...any) }, in []byte) {
	got, err := parseAll(bytes.NewReader(in))
	chunked, cerr := parseAll(&chunkReader{bytes.NewReader(in), 3})
	if !reflect.DeepEqual(got, chunked) || (err == nil) != (cerr == nil) {
		t.Fatalf("%q: %q, %v at once, and %q, %v in chunks", in, got, err, chunked, cerr)
	}
	oracle := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(in, byteOrderMark)))
	oracle.FieldsPerRecord = -1
	var want [][]string
	var places [][]place
	for {
		record, oerr := oracle.Read()
		if oerr == io.EOF {
			break
		}
		if oerr != nil {
			if err == nil {
				t.Fatalf("%q: got %q; encoding/csv says %v", in, got, oerr)
			}
			return
		}
		var at []place
		for i := range record {
			line, column := oracle.FieldPos(i)
			at = append(at, place{int64(line), int64(column)})
		}
		want, places = append(want, record), append(places, at)
	}
	if err != nil {
		if e, ok := isError(err); !ok || e.Problem != loneCR && e.Problem != invalidUTF8 {
			t.Fatalf("%q: got %v; encoding/csv reads %q", in, err, want)
		}
		return
	}
	if !utf8.Valid(in) {
		t.Fatalf("%q: accepted, and is not UTF-8", in)
	}
	if len(got) != len(want) {
		t.Fatalf("%q: got %q; encoding/csv reads %q", in, got, want)
	}
	for i, r := range got {
		if len(r) != len(want[i]) {
			t.Fatalf("%q: got %q; encoding/csv reads %q", in, got, want)
		}
		for j, c := range r {
			if strings.ReplaceAll(c.value, "\r\n", "\n") != want[i][j] {
				t.Fatalf("%q: got %q; encoding/csv reads %q", in, got, want)
			}
			if (place{c.line, c.column}) != places[i][j] {
				t.Fatalf("%q: field %q is at %d:%d; encoding/csv says %v", in, c.value, c.line, c.column, places[i][j])
			}
		}
	}
}

func TestCSVOracle(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "12345678", ",", ",", "\n", "\r\n", "\"", "\"\"", "\r", " ", "é", "\xFF", "\x00", "xyz", ",\"", "\","})
	rapid.Check(t, func(t *rapid.T) {
		checkAgainstOracle(t, []byte(strings.Join(rapid.SliceOfN(part, 0, 30).Draw(t, "parts"), "")))
	})
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\nc,d\n", "\"a\"\"b\",c\r\n\r\n\"\n\"", "\xEF\xBB\xBFa\rb", "\"a\"b", "a\"", "\"", "é,\xFF\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkAgainstOracle(t, in) })
}

// TestCSVRoundTrip writes records with encoding/csv and reads them back, with a
// reader that was used before.
func TestCSVRoundTrip(t *testing.T) {
	var c csvReader
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", ",", "\"", "\n", "é", " ", "日", "0123456789"}
	for range 200 {
		var want [][]string
		for range rng.IntN(50) {
			record := make([]string, 2)
			for i := range record {
				for range rng.IntN(12) {
					record[i] += alphabet[rng.IntN(len(alphabet))]
				}
			}
			want = append(want, record)
		}
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		if err := w.WriteAll(want); err != nil {
			t.Fatal(err)
		}
		got, err := parseWith(&c, &b)
		if err != nil || !reflect.DeepEqual(values(got), want) {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}
