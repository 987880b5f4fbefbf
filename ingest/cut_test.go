package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// parseCut parses in chunks of a reader with a small buffer.
func parseCut(in []byte, buffer int) (records [][]cell, chunks int, err error) {
	whole := csvReader{buf: make([]byte, buffer+wordSize)}
	if err := whole.reset(bytes.NewReader(in), "a.csv"); err != nil {
		return nil, 0, err
	}
	var part csvReader
	for {
		if err := whole.cut(&part); err == io.EOF {
			return records, chunks, nil
		} else if err != nil {
			return records, chunks, err
		}
		chunks++
		for {
			err := part.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return records, chunks, err
			}
			var record []cell
			for i := range part.fields {
				at := part.place(i)
				record = append(record, cell{string(part.field(i)), at.line, at.column})
			}
			records = append(records, record)
		}
	}
}

// TestCut parses whatever there can be in a file whole and in chunks: records, places and errors are the same.
func TestCut(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "12345678", ",", "\n", "\n", "\r\n", "\"", "\"\"", "\r", "é", "\xFF", ",\"", "\",", "x,\"y\nz\"\n", "\"\"\"\n\""})
	if got, chunks, err := parseCut(bytes.Repeat([]byte("a,\"b\nc\"\n"), 50), 20); err != nil || len(got) != 50 || chunks < 20 {
		t.Errorf("%d records in %d chunks, %v", len(got), chunks, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(strings.Join(rapid.SliceOfN(part, 0, 300).Draw(t, "parts"), ""))
		want, wantErr := parseAll(bytes.NewReader(in))
		got, _, err := parseCut(in, rapid.IntRange(4, 40).Draw(t, "buffer"))
		if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%q: got %v, %v; want %v, %v", in, got, err, want, wantErr)
		}
	})
}

// TestCutTooBig has records that are too big, and mistakes that come before their end is found.
func TestCutTooBig(t *testing.T) {
	long := strings.Repeat("x", 2*maxRecordSize)
	for _, in := range []string{"a\n\"" + long, "a\nb," + long, "a\n\"b\"c" + long, "a\nb\"\n" + long, "a\n\"" + long + "\"\nb\n"} {
		_, wantErr := parseAll(strings.NewReader(in))
		_, _, err := parseCut([]byte(in), csvBufferSize)
		if wantErr == nil || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%.10q: got %v; want %v", in, err, wantErr)
		}
	}
}

// parseShared reads a source with several parsers, whose chunks have a few rows, and returns the rows in the order of chunks.
func parseShared(t *testing.T, src Source, s *Schema) ([]string, error) {
	t.Helper()
	r, err := NewDatasetReader(t.Context(), src, s)
	if err != nil {
		t.Fatal(err)
	}
	r.stream.csv.buf = make([]byte, 100+wordSize)
	var mu sync.Mutex
	chunks := map[int64][]string{}
	var working sync.WaitGroup
	for range 4 {
		p := r.NewParser()
		working.Go(func() {
			last := int64(0)
			for {
				rec, chunk, err := p.Next()
				if err != nil {
					return
				}
				rows := rowsOfRecord(rec)
				mu.Lock()
				if chunk < last {
					t.Errorf("chunk %d comes after %d", chunk, last)
				}
				last = chunk
				chunks[chunk] = append(chunks[chunk], rows...)
				mu.Unlock()
			}
		})
	}
	working.Wait()
	numbers := make([]int64, 0, len(chunks))
	for n := range chunks {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var rows []string
	for _, n := range numbers {
		rows = append(rows, chunks[n]...)
	}
	err = r.Err()
	if n := r.Progress().Rows; n != int64(len(rows)) {
		t.Errorf("progress says %d rows of %d", n, len(rows))
	}
	if closed := r.Close(); closed != nil {
		t.Error(closed)
	}
	return rows, err
}

func TestParsers(t *testing.T) {
	s := mustSchema(t, avroJSON("Interactions", userID, itemID, timestamp))
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var files []string
		for f := range 1 + rng.IntN(3) {
			var b strings.Builder
			b.WriteString("USER_ID,ITEM_ID,TIMESTAMP\n")
			for i := range rng.IntN(400) {
				switch {
				case rng.IntN(2000) == 0:
					b.WriteString("u,i,wrong\n")
				case rng.IntN(2000) == 0:
					b.WriteString("u,i\"\n")
				case rng.IntN(8) == 0:
					fmt.Fprintf(&b, "\"u\n%d\",\"\"\"\",%d\n", rng.IntN(9), i)
				default:
					fmt.Fprintf(&b, "u%d,i%d,%d\n", rng.IntN(9), rng.IntN(9), i)
				}
			}
			name := fmt.Sprintf("%d.csv", f)
			text := b.String()
			if rng.IntN(2) == 0 {
				name, text = name+".gz", gzipped(t, text)
			}
			files = append(files, name, text)
		}
		want, wantErr := readDataset(t, inMemory(files...), s)
		got, err := parseShared(t, inMemory(files...), s)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("got %v; want %v", err, wantErr)
		}
		if err == nil && !slices.Equal(got, want) {
			t.Fatalf("got %q; want %q", got, want)
		}
	}
}

// TestParsersEnd stops all parsers when one finds a mistake, and reports the source's.
func TestParsersEnd(t *testing.T) {
	s := mustSchema(t, avroJSON("Interactions", userID, itemID, timestamp))
	r, err := NewDatasetReader(t.Context(), inMemory("a.csv", "USER_ID,ITEM_ID,TIMESTAMP\nu,i,x\n"+strings.Repeat("u,i,1\n", 100)), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.stream.csv.buf = make([]byte, 100+wordSize)
	p, q := r.NewParser(), r.NewParser()
	_, _, first := p.Next()
	wantError(t, first, "a.csv: line 2, column 5 (TIMESTAMP): ")
	if _, _, err := q.Next(); !errors.Is(err, first) {
		t.Errorf("the other parser ends with %v", err)
	}
	if err := r.Err(); !errors.Is(err, first) {
		t.Errorf("the reader says %v", err)
	}
}

// TestFirstMistake has several wrong cells in rows that are parsed together: the first by row, and then by column, is named.
func TestFirstMistake(t *testing.T) {
	s := mustSchema(t, avroJSON("Interactions", userID, itemID, timestamp))
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		var b strings.Builder
		b.WriteString("TIMESTAMP,USER_ID,ITEM_ID\n")
		want := ""
		for line := 2; line < 2+rng.IntN(3*waitingRows); line++ {
			column := 1
			for i, cell := range []string{"1700000000", "user", "a longer item than most"} {
				quoted := rng.IntN(50) == 0
				if rng.IntN(300) == 0 {
					cell = []string{"17x0000000", "", ""}[i]
					if want == "" {
						want = fmt.Sprintf("line %d, column %d (%s): ", line, column, []string{"TIMESTAMP", "USER_ID", "ITEM_ID"}[i])
					}
				}
				if quoted {
					cell = "\"" + cell + "\""
				}
				b.WriteString(cell)
				b.WriteByte(",,\n"[i])
				column += len(cell) + 1
			}
		}
		_, err := readDataset(t, inMemory("a.csv", b.String()), s)
		if want == "" {
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		wantError(t, err, want)
	}
}
