package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/expunge-db/expunge/bench"
)

// TestByteSums: Expunge's strings are summed by another loop than the rivals'.
func TestByteSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "bytes")
		if got, want := int64(bench.SumBytes(b)), byteSum(b); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	})
	b := bytes.Repeat([]byte{0xff}, 1<<16+7) // as full as the lanes get
	if got, want := int64(bench.SumBytes(b)), byteSum(b); got != want {
		t.Fatalf("got %d, want %d", got, want)
	}
}

func TestParseRow(t *testing.T) {
	r, err := parseRow([]byte("q2k6gp3swm6b4rrc,i0004047,view,0.67,1704067205"))
	if err != nil {
		t.Fatal(err)
	}
	if string(r.user) != "q2k6gp3swm6b4rrc" || string(r.item) != "i0004047" || string(r.event) != "view" || r.value != 0.67 || r.time != 1704067205 {
		t.Fatalf("got %+v", r)
	}
	for _, line := range []string{"", "a,b,c,1", "a,b,c,x,1", "a,b,c,1,x", "a,b,c,1,2,3"} {
		if _, err := parseRow([]byte(line)); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}

// testCSV writes a file of n rows of some users, with lines of different lengths, and returns its lines.
func testCSV(t *testing.T, n, users int) (path string, lines []string) {
	t.Helper()
	for i := range n {
		lines = append(lines, fmt.Sprintf("user%012d,i%07d,%s,%d.%02d,%d", i*7919%users, i%100, strings.Repeat("e", i%13+1), i%1000, i%100, 1_000_000-i/3))
	}
	path = filepath.Join(t.TempDir(), "interactions.csv")
	text := "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, lines
}

// TestEachChunk has a file of several chunks: every line comes once, whole, and in the order of the chunks' numbers.
func TestEachChunk(t *testing.T) {
	path, want := testCSV(t, 300_000, 1000)
	chunks := make([][]string, 100)
	err := eachChunk(t.Context(), path, func(_, chunk int, lines []byte) error {
		return eachLine(lines, func(line []byte) error { chunks[chunk] = append(chunks[chunk], string(line)); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(chunks[1]) == 0 {
		t.Fatal("the file has one chunk only")
	}
	if !slices.Equal(slices.Concat(chunks...), want) {
		t.Fatal("the lines are not those of the file")
	}
}

func TestEachChunkEndsOnError(t *testing.T) {
	path, _ := testCSV(t, 300_000, 1000)
	if err := eachChunk(t.Context(), path, func(int, int, []byte) error { return os.ErrInvalid }); err != os.ErrInvalid {
		t.Fatalf("got %v", err)
	}
}

func TestSortRows(t *testing.T) {
	path, lines := testCSV(t, 5000, 70)
	s, err := sortRows(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	type key struct {
		user string
		time int64
		line int
	}
	var want []key
	for i, l := range lines {
		r, err := parseRow([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, key{string(r.user), r.time, i})
	}
	slices.SortFunc(want, func(a, b key) int {
		if c := strings.Compare(a.user, b.user); c != 0 {
			return c
		}
		if a.time != b.time {
			return int(a.time - b.time)
		}
		return a.line - b.line
	})
	if len(s.refs) != len(want) {
		t.Fatalf("got %d rows, want %d", len(s.refs), len(want))
	}
	for i, k := range want {
		line := s.data[s.refs[i].at:]
		if got := string(line[:bytes.IndexByte(line, '\n')]); got != lines[k.line] {
			t.Fatalf("row %d is another line than expected", i)
		}
	}
}

func TestFilterLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gone := map[string]struct{}{"user000000000001": {}, "user000000000003": {}}
		var all, kept strings.Builder
		for _, u := range rapid.SliceOfN(rapid.IntRange(0, 4), 0, 30).Draw(t, "users") {
			line := fmt.Sprintf("user%012d,x,%s\n", u, strings.Repeat("y", u))
			all.WriteString(line)
			if u != 1 && u != 3 {
				kept.WriteString(line)
			}
		}
		if got := string(filterLines([]byte(all.String()), gone)); got != kept.String() {
			t.Fatalf("got %q, want %q", got, kept.String())
		}
	})
}

// TestIDSearch puts IDs at the ends of the search's buffer, across two of them and at the end of a file.
func TestIDSearch(t *testing.T) {
	ids := []string{"aaaaaaaaaaaaaaa2", "bbbbbbbbbbbbbbb3", "ccccccccccccccc4", "ddddddddddddddd5", "eeeeeeeeeeeeeee6"}
	const buffer = 4 << 20
	data := bytes.Repeat([]byte{'x'}, 2*buffer+100)
	copy(data, ids[0])
	copy(data[buffer-5:], ids[1])
	copy(data[2*buffer-20:], ids[2])
	copy(data[len(data)-userIDLen:], ids[3])
	copy(data[1000:], ids[4][:15]) // not whole
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "file"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	n, names, err := newIDSearch(ids).count(dir)
	if err != nil || n != 4 || !slices.Equal(names, []string{"file"}) {
		t.Fatalf("got %d in %v (%v), want 4", n, names, err)
	}
}

func TestCopyTree(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	data := make([]byte, 5<<20)
	copy(data[3<<20:], "something")
	if err := os.WriteFile(filepath.Join(from, "file"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(from, to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "file")); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("the copy differs (%v)", err)
	}
}
