package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// readList reads in batches of at most max.
func readList(t testing.TB, r *ListReader, max int) (ids []string, err error) {
	t.Helper()
	dst := IDs{Data: []byte("left over"), Ends: []uint32{9}}
	for {
		err := r.Read(&dst, max)
		if err != nil && dst.Len() != 0 {
			t.Errorf("%d IDs with %v", dst.Len(), err)
		}
		if err == io.EOF {
			return ids, nil
		}
		if err != nil {
			return ids, err
		}
		if dst.Len() == 0 || dst.Len() > max {
			t.Errorf("batch of %d; want 1 to %d", dst.Len(), max)
		}
		for i := range dst.Len() {
			ids = append(ids, string(dst.At(i)))
		}
	}
}

func newList(t testing.TB, src Source) *ListReader {
	t.Helper()
	r, err := NewListReader(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestListRead(t *testing.T) {
	src := inMemory(
		"a.csv", "USER_ID\nu1\n\n u2 \n\"u,3\"\n\"u\"\"4\"\r\nu1\n",
		"b.csv", "USER_ID",
		"c.csv.gz", gzipped(t, "\xEF\xBB\xBF\"USER_ID\"\r\nU1\r\n\"line\nend\"\r\n"),
		"d.csv.zst", zstded(t, "\nUSER_ID\n"+strings.Repeat("é", 256)),
	)
	want := []string{"u1", " u2 ", "u,3", `u"4`, "u1", "U1", "line\nend", strings.Repeat("é", 256)}
	for max := 1; max < 10; max++ {
		r := newList(t, src)
		ids, err := readList(t, r, max)
		if err != nil || fmt.Sprintf("%q", ids) != fmt.Sprintf("%q", want) {
			t.Errorf("by %d: got %q, %v; want %q", max, ids, err, want)
		}
		p := r.Progress()
		if p.Rows != int64(len(want)) || p.BytesRead != p.BytesTotal || p.BytesTotal == 0 || p.File != "" {
			t.Errorf("progress %+v", p)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	r := newList(t, src)
	if err := r.Read(new(IDs), 0); err == nil {
		t.Error("no error for a batch of 0")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Read(new(IDs), 1); err == nil || err == io.EOF {
		t.Errorf("after Close: %v", err)
	}
}

func TestListFileErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty file", "", "b.csv: the file has no header line"},
		{"blank file", "\n\n", "b.csv: the file has no header line"},
		{"no header", "secret\n", "b.csv: line 1, column 1: header is not exactly USER_ID"},
		{"case", "user_id\nsecret", "header is not exactly"},
		{"blank in the header", "USER_ID \n", "header is not exactly"},
		{"second column in the header", "USER_ID,SECRET\n", "header is not exactly"},
		{"second column", "USER_ID\na\nsecret,x\n", "b.csv: line 3, column 8: second column"},
		{"comma at the end", "USER_ID\nsecret,\n", "line 2, column 8: second column"},
		{"empty ID", "USER_ID\na\n\n\"\"\n", "b.csv: line 4, column 1 (USER_ID): empty ID"},
		{"long ID", "USER_ID\n" + strings.Repeat("é", 257), "line 2, column 1 (USER_ID): ID of more than 256"},
		{"not UTF-8", "USER_ID\nsecret\xFF\n", "line 2, column 1: bytes that are not UTF-8"},
		{"lone CR", "USER_ID\rsecret\r", "line 1, column 1: carriage return"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newList(t, inMemory("a.csv", "USER_ID\nx\n", "b.csv", tt.in))
			defer r.Close()
			_, err := readList(t, r, 100)
			wantError(t, err, "mem/", tt.want)
			if again := r.Read(new(IDs), 1); again != err {
				t.Errorf("after %v comes %v", err, again)
			}
			if p := r.Position(); p.IDs != 0 {
				t.Errorf("position after the failed batch: %+v", p)
			}
		})
	}
}

// TestResume stops after every batch, and goes on from the position's JSON.
func TestResume(t *testing.T) {
	files := []string{
		"a.csv", "USER_ID\nu1\nu2\n\"u\n3\"\n", "b.csv", "USER_ID\n", "c.csv.gz", gzipped(t, "USER_ID\nu4\nu5\n"), "d.csv", "USER_ID\nu6",
	}
	want := []string{"u1", "u2", "u\n3", "u4", "u5", "u6"}
	digest, lines := Digest{Files: 4}, ""
	for i := 0; i < len(files); i += 2 {
		lines += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(files[i+1])), files[i])
		digest.Bytes += int64(len(files[i+1]))
	}
	digest.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(lines)))
	for size := 1; size < 8; size++ {
		for stop := 0; stop <= len(want); stop++ {
			r := newList(t, inMemory(files...))
			var ids []string
			var dst IDs
			for range stop {
				if err := r.Read(&dst, size); err != nil && err != io.EOF {
					t.Fatal(err)
				}
				for i := range dst.Len() {
					ids = append(ids, string(dst.At(i)))
				}
			}
			stored, err := json.Marshal(r.Position())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}

			var p Position
			if err := json.Unmarshal(stored, &p); err != nil {
				t.Fatal(err)
			}
			resumed, err := ResumeListReader(t.Context(), inMemory(files...), p)
			if err != nil {
				t.Fatalf("%s: %v", stored, err)
			}
			if resumed.Position() != p || p.IDs != int64(len(ids)) || resumed.Progress().Rows != p.IDs {
				t.Errorf("resumed at %+v; want %+v", resumed.Position(), p)
			}
			rest, err := readList(t, resumed, size)
			if err != nil || fmt.Sprintf("%q", append(ids, rest...)) != fmt.Sprintf("%q", want) {
				t.Errorf("by %d, after %d: got %q and %q, %v", size, stop, ids, rest, err)
			}
			if q := resumed.Position(); q.IDs != 6 || q.File != 4 {
				t.Errorf("position at the end: %+v", q)
			}
			if q := resumed.Progress(); q.BytesRead != q.BytesTotal {
				t.Errorf("progress at the end: %+v", q)
			}
			if d := resumed.Digest(); d != digest {
				t.Errorf("by %d, after %d: digest %+v, want %+v", size, stop, d, digest)
			}
			if err := resumed.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestResumeChanged(t *testing.T) {
	start := func() *memorySource {
		return inMemory("a.csv", "USER_ID\nu0\n", "b.csv", "USER_ID\nu1\nu2\nu3\n", "c.csv", "USER_ID\nu4\n")
	}
	r := newList(t, start())
	defer r.Close()
	if err := r.Read(new(IDs), 3); err != nil {
		t.Fatal(err)
	}
	p := r.Position()
	if p.File != 1 || p.Records != 2 || p.IDs != 3 || p.Name != "b.csv" {
		t.Fatalf("position %+v", p)
	}
	for name, tt := range map[string]struct {
		change func(*memorySource)
		want   string // "": nothing that a position covers
	}{
		"nothing":          {func(s *memorySource) {}, ""},
		"later record":     {func(s *memorySource) { s.data["b.csv"] = "USER_ID\nu1\nu2\nuX\n" }, ""},
		"record":           {func(s *memorySource) { s.data["b.csv"] = "USER_ID\nu1\nuX\nu3\n" }, "mem/b.csv: "},
		"border":           {func(s *memorySource) { s.data["b.csv"] = "USER_ID\nu1u\n2\nu3\n" }, "mem/b.csv: "},
		"fewer records":    {func(s *memorySource) { s.data["b.csv"] = "USER_ID\nu1\n\n\n" }, "mem/b.csv: "},
		"bad record":       {func(s *memorySource) { s.data["b.csv"] = "USER_ID\nu1\n\xFF\nu3\n" }, "mem/b.csv: "},
		"header":           {func(s *memorySource) { s.data["b.csv"] = "USERID_\nu1\nu2\nu3\n" }, "mem/b.csv: "},
		"vanished on open": {func(s *memorySource) { delete(s.data, "b.csv") }, "mem/b.csv: "},
		"vanished":         {func(s *memorySource) { s.files = append(s.files[:1:1], s.files[2]) }, "b.csv: the file was removed"},
		"other size":       {func(s *memorySource) { s.files[1].Size++ }, "mem/b.csv: "},
		"other version":    {func(s *memorySource) { s.files[0].Version = "2" }, "mem/b.csv: this file, or one listed with it"},
		"new file":         {func(s *memorySource) { s.files = append(s.files, File{Name: "mem/d.csv", Path: "d.csv"}) }, "mem/b.csv: this file, or"},
		"renamed":          {func(s *memorySource) { s.files[2].Path = "d.csv" }, "mem/b.csv: this file, or"},
	} {
		src := start()
		tt.change(src)
		r, err := ResumeListReader(t.Context(), src, p)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if err := r.Close(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, ErrChanged) || r != nil {
			t.Errorf("%s: got %v; want ErrChanged", name, err)
		} else {
			wantError(t, err, tt.want)
		}
	}

	for name, damage := range map[string]func(*Position){
		"file":             func(p *Position) { p.File = 4 },
		"negative file":    func(p *Position) { p.File = -1 },
		"negative records": func(p *Position) { p.Records = -1 },
		"records at end":   func(p *Position) { p.File = 3 },
		"ids":              func(p *Position) { p.IDs = 1 },
		"digest":           func(p *Position) { p.Digest = "" },
		"too many records": func(p *Position) { p.Records, p.IDs = 4, 4 },
		"all records":      func(p *Position) { p.Records, p.IDs = 99, 99 },
		"listing":          func(p *Position) { p.Listing = "" },
	} {
		q := p
		damage(&q)
		if _, err := ResumeListReader(t.Context(), start(), q); err == nil {
			t.Errorf("%s: damaged position is accepted", name)
		}
	}
}

func TestListChanged(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": "USER_ID\n" + strings.Repeat("u\n", csvBufferSize), "sub/b.csv": "USER_ID\nv\n"})
	src := open(t, dir, Recursive)
	r := newList(t, src)
	if err := r.Read(new(IDs), 10); err != nil {
		t.Fatal(err)
	}
	p := r.Position()
	if err := os.Chtimes(filepath.Join(dir, "a.csv"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := readList(t, r, 1000); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v; want ErrChanged", err)
	}
	if err := r.Close(); !errors.Is(err, ErrChanged) {
		t.Errorf("close before the end: got %v; want ErrChanged", err)
	}
	if _, err := ResumeListReader(t.Context(), src, p); !errors.Is(err, ErrChanged) {
		t.Errorf("resume: got %v; want ErrChanged", err)
	}
	if err := os.Remove(filepath.Join(dir, "a.csv")); err != nil {
		t.Fatal(err)
	}
	_, err := ResumeListReader(t.Context(), src, p)
	if !errors.Is(err, ErrChanged) {
		t.Errorf("resume: got %v; want ErrChanged", err)
	}
	wantError(t, err, "a.csv: the file was removed")
}

// TestListCancel stops a reader and goes on from where its last batch ended.
func TestListCancel(t *testing.T) {
	dir := folder(t, map[string]string{"a.csv": "USER_ID\n" + strings.Repeat("user\n", csvBufferSize), "b.csv": "USER_ID\nv\n"})
	src := open(t, dir, Recursive)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := NewListReader(ctx, src)
	if err != nil {
		t.Fatal(err)
	}
	var dst IDs
	total := 0
	for err == nil {
		total += dst.Len()
		if total > csvBufferSize/2 {
			cancel()
		}
		err = r.Read(&dst, 5000)
	}
	cancel()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want Canceled", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	resumed, err := ResumeListReader(t.Context(), src, r.Position())
	if err != nil {
		t.Fatal(err)
	}
	rest, err := readList(t, resumed, 5000)
	if err != nil || total+len(rest) != csvBufferSize+1 {
		t.Errorf("%d and %d IDs, %v; want %d", total, len(rest), err, csvBufferSize+1)
	}
	if err := resumed.Close(); err != nil {
		t.Error(err)
	}
}

func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.String()).Draw(t, "ids")
		var ids IDs
		ids.Append([]byte("x"))
		ids.Reset()
		for _, id := range want {
			ids.Append([]byte(id))
		}
		if ids.Len() != len(want) {
			t.Fatalf("%d IDs; want %d", ids.Len(), len(want))
		}
		for i, id := range want {
			if string(ids.At(i)) != id || cap(ids.At(i)) != len(id) {
				t.Fatalf("ID %d: got %q, want %q", i, ids.At(i), id)
			}
		}
	})
}

func FuzzPosition(f *testing.F) {
	src := inMemory("a.csv", "USER_ID\nu1\nu2\n", "b.csv", "USER_ID\nu3\n")
	r := newList(f, src)
	for range 4 {
		b, err := json.Marshal(r.Position())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if err := r.Read(new(IDs), 1); err != nil && err != io.EOF {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var p Position
		if json.Unmarshal(in, &p) != nil {
			return
		}
		r, err := ResumeListReader(t.Context(), src, p)
		if err != nil {
			return
		}
		if p.Records > 2 || p.File > 2 || p.Records > 0 && p.Digest == "" {
			t.Errorf("position %+v is accepted", p)
		}
		if _, err := readList(t, r, 10); err != nil {
			t.Error(err)
		}
		r.Close()
	})
}

func TestDigestOfOneFile(t *testing.T) {
	const text = "USER_ID\nu1\n"
	r := newList(t, inMemory("a.csv", text))
	if _, err := readList(t, r, 1); err != nil {
		t.Fatal(err)
	}
	want := Digest{Files: 1, Bytes: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
	if d := r.Digest(); d != want {
		t.Errorf("%+v, want %+v", d, want)
	}
}
