package pages

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// After zeroing what the newest commit doesn't use, the file has all its keys,
// passes bbolt's check, takes further commits, and holds nothing deleted.
func TestZeroFreePagesOfBoltFile(t *testing.T) {
	for _, pageSize := range []int{1024, 4096, 16384} {
		for _, noSync := range []bool{false, true} {
			zeroFreePages(t, pageSize, noSync)
		}
	}
}

func zeroFreePages(t *testing.T, pageSize int, noSync bool) {
	kind := fileKind{
		pageSize: pageSize,
		noSync:   noSync,
		fill:     inSequence(put("live", 500, 200, ""), put("gone", 3000, 150, deletedMark), put("gone large", 4, 1<<20, deletedMark)),
		commits: []func(*bolt.Tx) error{
			nested(5),
			remove("gone", 0, 3000, 1),
			remove("gone large", 0, 4, 1),
			put("later", 20, 50, ""),
		},
	}
	path := kind.build(t, t.TempDir())
	before := contents(t, path)
	if !bytes.Contains(load(t, path), []byte(deletedMark)) {
		t.Fatal("the file holds no deleted values: the test shows nothing")
	}

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := ReadMeta(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Walk(f, info.Size(), meta)
	if err != nil {
		t.Fatal(err)
	}
	dirty, err := Dirty(f, pageSize, s.Free)
	if err != nil || len(dirty) == 0 {
		t.Fatal(dirty, err)
	}
	// Nothing of the tail, so that it has something to find.
	if _, err := f.WriteAt([]byte(deletedMark), info.Size()-100); err != nil {
		t.Fatal(err)
	}
	rep, err := Zero(f, pageSize, dirty)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Pages != int64(CountPages(dirty)) || rep.BytesWritten+rep.BytesPunched != rep.Pages*int64(pageSize) || rep.Method == "none" {
		t.Errorf("report %+v for %d pages", rep, CountPages(dirty))
	}
	if dirty, err = Dirty(f, pageSize, s.Free); err != nil || len(dirty) > 0 {
		t.Errorf("still dirty: %v, %v", dirty, err)
	}
	if rep, err = ZeroTail(f, pageSize, meta.HighWater); err != nil || rep.Pages != 1 {
		t.Errorf("ZeroTail = %+v, %v", rep, err)
	}
	if rep, err = ZeroTail(f, pageSize, meta.HighWater); err != nil || rep != (Report{Method: "none"}) {
		t.Errorf("second ZeroTail = %+v, %v", rep, err)
	}

	b := load(t, path)
	if int64(len(b)) != info.Size() {
		t.Errorf("file of %d bytes, was %d", len(b), info.Size())
	}
	for _, run := range s.Free {
		if !isZero(b[int(run.First)*pageSize : int(run.End())*pageSize]) {
			t.Errorf("pages %v aren't zeros", run)
		}
	}
	if bytes.Contains(b, []byte(deletedMark)) {
		t.Error("a deleted value is still in the file")
	}
	if after := contents(t, path); !slices.Equal(before, after) {
		t.Errorf("%d keys and values, were %d", len(after), len(before))
	}
	compareWithBolt(t, path)

	db, err := bolt.Open(path, 0o600, kind.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(put("after", 5000, 100, "")); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	compareWithBolt(t, path)
}

// contents returns all keys and values of a file, buckets included.
func contents(t *testing.T, path string) []string {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all []string
	var visit func(b *bolt.Bucket) error
	visit = func(b *bolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			all = append(all, string(k)+"="+string(v))
			if v == nil {
				return visit(b.Bucket(k))
			}
			return nil
		})
	}
	err = db.View(func(tx *bolt.Tx) error { return visit(tx.Cursor().Bucket()) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fakeFile records what is done to it, and fails at its failAt-th operation.
type fakeFile struct {
	ops      []string
	failAt   int
	noPunch  bool
	data     []byte
	lastSync int // operations up to the last sync
}

func (f *fakeFile) step(op string) error {
	f.ops = append(f.ops, op)
	if len(f.ops)-1 == f.failAt {
		return errInjected
	}
	return nil
}

func (f *fakeFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.step("write"); err != nil {
		return 0, err
	}
	return copy(f.data[off:], b), nil
}

func (f *fakeFile) Punch(off, n int64) error {
	if err := f.step("punch"); err != nil {
		return err
	}
	if f.noPunch {
		return errors.ErrUnsupported
	}
	clear(f.data[off : off+n])
	return nil
}

func (f *fakeFile) Sync() error {
	if err := f.step("sync"); err != nil {
		return err
	}
	f.lastSync = len(f.ops)
	return nil
}

func testExtents() ([]extent, []byte) {
	data := bytes.Repeat([]byte{1}, 4<<20)
	return []extent{
		{4096, 8192},
		{16384, 16384 + punchBytes - 4096},
		{1 << 20, 1<<20 + punchBytes},
		{2 << 20, 2<<20 + 3*punchBytes + 4096},
	}, data
}

func TestZeroEachOperationFails(t *testing.T) {
	for _, noPunch := range []bool{false, true} {
		for k := 0; ; k++ {
			extents, data := testExtents()
			f := &fakeFile{failAt: k, noPunch: noPunch, data: data}
			rep, err := zero(f, 4096, extents)
			if err != nil {
				if !errors.Is(err, errInjected) || len(f.ops) != k+1 {
					t.Fatalf("failing operation %d: %v after %v", k, err, f.ops)
				}
				continue
			}
			want := []string{"write", "write", "punch", "punch", "sync"}
			report := Report{Pages: 1 + 63 + 64 + 193, BytesWritten: punchBytes, BytesPunched: 4*punchBytes + 4096, Method: "write+punch"}
			if noPunch {
				want = []string{"write", "write", "punch", "write", "write", "write", "write", "write", "sync"}
				report.BytesWritten, report.BytesPunched, report.Method = 5*punchBytes+4096, 0, "write"
			}
			if !slices.Equal(f.ops, want) || f.lastSync != len(want) {
				t.Errorf("operations %v, want %v", f.ops, want)
			}
			if rep != report {
				t.Errorf("report %+v, want %+v", rep, report)
			}
			for _, e := range extents {
				if !isZero(data[e.off:e.end]) || data[e.off-1] == 0 || data[e.end] == 0 {
					t.Errorf("extent %v: not zeros, or more than that", e)
				}
			}
			break
		}
	}
}

func TestZeroSyncsWithoutRuns(t *testing.T) {
	f := &fakeFile{failAt: -1}
	if rep, err := zero(f, 4096, nil); err != nil || f.lastSync != 1 || rep != (Report{Method: "none"}) {
		t.Errorf("%+v, %v, operations %v", rep, err, f.ops)
	}
}

func TestZeroRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte{1}, 10*4096+5)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tests := []struct {
		name     string
		pageSize int
		run      Run
	}{
		{"first meta page", 4096, Run{0, 1}},
		{"second meta page", 4096, Run{1, 5}},
		{"beyond the end", 4096, Run{9, 2}},
		{"far beyond the end", 4096, Run{1 << 63, 1}},
		{"length that wraps", 4096, Run{2, 1<<64 - 1}},
		{"page size", 1000, Run{2, 1}},
	}
	for _, tt := range tests {
		runs := []Run{{3, 1}, tt.run}
		if rep, err := Zero(f, tt.pageSize, runs); err == nil {
			t.Errorf("%s: zeroed %+v", tt.name, rep)
		}
		if runs, err := Dirty(f, tt.pageSize, runs); err == nil {
			t.Errorf("%s: dirty %v", tt.name, runs)
		}
	}
	for _, highWater := range []PageID{0, 1} {
		if rep, err := ZeroTail(f, 4096, highWater); err == nil {
			t.Errorf("tail from page %d: %+v", highWater, rep)
		}
	}
	for _, highWater := range []PageID{11, 1 << 63, 1<<64 - 1} {
		if rep, err := ZeroTail(f, 4096, highWater); err != nil || rep.Pages != 0 {
			t.Errorf("tail from page %d: %+v, %v", highWater, rep, err)
		}
	}
	if !bytes.Equal(load(t, path), content) {
		t.Error("the file was changed")
	}
	// The high-water mark is inside the file: five bytes are a page of the report.
	if rep, err := ZeroTail(f, 4096, 10); err != nil || rep != (Report{Pages: 1, BytesWritten: 5, Method: "write"}) {
		t.Errorf("tail: %+v, %v", rep, err)
	}
	if b := load(t, path); len(b) != len(content) || !bytes.Equal(b[:40960], content[:40960]) || !isZero(b[40960:]) {
		t.Error("the tail isn't zeros, or more than the tail")
	}
}

// unknownHoles is a file on a file system that can't tell its holes.
type unknownHoles struct{ osFile }

func (unknownHoles) Data(off, end int64) (extent, bool, error) {
	return extent{}, false, errors.ErrUnsupported
}

// Files with data, zeros and holes; what Dirty and Zero say is compared with a
// plain reading of the file.
func TestDirtyAndZeroOnRandomFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	rapid.Check(t, func(t *rapid.T) {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		pageSize := rapid.SampledFrom([]int{1024, 4096, 65536}).Draw(t, "pageSize")
		count := rapid.IntRange(3, 3<<20/pageSize).Draw(t, "pages")
		if err := f.Truncate(int64(count * pageSize)); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 10).Draw(t, "writes") {
			off := rapid.IntRange(0, count*pageSize-1).Draw(t, "offset")
			n := min(count*pageSize-off, rapid.SampledFrom([]int{1, 100, 70_000, 600_000}).Draw(t, "bytes"))
			b := make([]byte, n)
			if rapid.Bool().Draw(t, "data") {
				b = randomBytes(uint64(off), n)
			}
			if _, err := f.WriteAt(b, int64(off)); err != nil {
				t.Fatal(err)
			}
		}
		var runs []Run
		inRuns := make([]bool, count)
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			first := rapid.IntRange(2, count-1).Draw(t, "first")
			n := rapid.IntRange(0, count-first).Draw(t, "length")
			runs = append(runs, Run{PageID(first), uint64(n)})
			for i := range n {
				inRuns[first+i] = true
			}
		}

		before := load(t, path)
		var want []Run
		for id := range count {
			page := before[id*pageSize : (id+1)*pageSize]
			if inRuns[id] && len(bytes.Trim(page, "\x00")) > 0 {
				want = append(want, Run{PageID(id), 1})
			}
		}
		want = normalize(want)
		got, err := Dirty(f, pageSize, runs)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("Dirty = %v, %v; want %v", got, err, want)
		}
		extents, err := extentsOf(f, pageSize, runs)
		if err != nil {
			t.Fatal(err)
		}
		known, err := scan(osFile{f}, pageSize, extents)
		if err != nil {
			t.Fatal(err)
		}
		unknown, err := scan(unknownHoles{osFile{f}}, pageSize, extents)
		if err != nil || !slices.Equal(known, unknown) {
			t.Fatalf("with holes %v, without %v, %v", known, unknown, err)
		}

		rep, err := Zero(f, pageSize, got)
		if err != nil || rep.Pages != int64(CountPages(got)) {
			t.Fatalf("Zero = %+v, %v", rep, err)
		}
		for _, r := range want {
			clear(before[int(r.First)*pageSize : int(r.End())*pageSize])
		}
		if !bytes.Equal(load(t, path), before) {
			t.Fatal("the file isn't what it was with the dirty pages cleared")
		}
	})
}

func TestScanReadError(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := scan(unknownHoles{osFile{f}}, 4096, []extent{{8192, 12288}}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if dirty, err := scan(osFile{f}, 4096, []extent{{8192, 12288}}); err == nil {
		t.Errorf("dirty %v in a closed file", dirty)
	}
}

func BenchmarkDirty(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const size = 64 << 20
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:], off); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(size)
	for b.Loop() {
		if dirty, err := Dirty(f, 4096, []Run{{2, size/4096 - 2}}); err != nil || len(dirty) > 0 {
			b.Fatal(dirty, err)
		}
	}
}

func BenchmarkZero(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(128 << 20); err != nil {
		b.Fatal(err)
	}
	var scattered []Run
	for i := range 2000 {
		scattered = append(scattered, Run{PageID(2 + 10*i), 1})
	}
	for name, runs := range map[string][]Run{"scattered2000": scattered, "one80MB": {{2, 80 << 20 / 4096}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Zero(f, 4096, runs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Trim gives back the room of long runs only, whatever they hold, and touches nothing else.
func TestTrim(t *testing.T) {
	const page, count = 4096, 64
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(bytes.Repeat([]byte{7}, page*count)); err != nil {
		t.Fatal(err)
	}
	punched, err := Trim(f, page, []Run{{First: 10, Pages: 20}, {First: 40, Pages: 2}}, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	if punched == 0 {
		t.Skip("the file system makes no holes")
	}
	if punched != 20*page {
		t.Errorf("punched %d bytes, want %d", punched, 20*page)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil || len(b) != page*count {
		t.Fatalf("%d bytes are left: %v", len(b), err)
	}
	for i := range count {
		want := byte(7)
		if i >= 10 && i < 30 {
			want = 0
		}
		if !bytes.Equal(b[i*page:(i+1)*page], bytes.Repeat([]byte{want}, page)) {
			t.Errorf("page %d has changed, or hasn't", i)
		}
	}
	if again, err := Trim(f, page, []Run{{First: 10, Pages: 20}}, math.MaxInt64); err != nil || again != 0 {
		t.Errorf("punched %d bytes of a hole: %v", again, err)
	}
	if some, err := Trim(f, page, []Run{{First: 30, Pages: 8}, {First: 40, Pages: 8}}, page); err != nil || some != 8*page {
		t.Errorf("punched %d bytes, want those of one run: %v", some, err)
	}
	if _, err := Trim(f, page, []Run{{First: 60, Pages: 20}}, math.MaxInt64); err == nil {
		t.Error("a run beyond the end is no error")
	}
}
