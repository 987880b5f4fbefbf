package pages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

func TestWalkAgreesWithBolt(t *testing.T) {
	for _, kind := range fileKinds() {
		t.Run(kind.name, func(t *testing.T) {
			compareWithBolt(t, kind.build(t, t.TempDir()))
		})
	}
}

// A freelist of 65,535 pages and more stores its length in another place.
func TestWalkLongFreelist(t *testing.T) {
	kind := fileKind{
		pageSize: 1024,
		fill:     put("b", 70, 1<<20, ""),
		commits:  []func(*bolt.Tx) error{remove("b", 0, 70, 1), put("c", 1, 1, "")},
	}
	s := compareWithBolt(t, kind.build(t, t.TempDir()))
	if n := CountPages(s.Free); n < countInFirst {
		t.Fatalf("%d free pages are too few for this test", n)
	}
}

func TestWalkAgreesWithBoltOnRandomFiles(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "file.db")
		kind := fileKind{
			pageSize: rapid.SampledFrom([]int{1024, 4096}).Draw(t, "pageSize"),
			noSync:   rapid.Bool().Draw(t, "noFreelistSync"),
		}
		db, err := bolt.Open(path, 0o600, kind.options())
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		for range rapid.IntRange(1, 12).Draw(t, "commits") {
			err := db.Update(func(tx *bolt.Tx) error {
				for range rapid.IntRange(1, 8).Draw(t, "operations") {
					if err := randomOperation(t, tx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		compareWithBolt(t, path)
	})
}

func randomOperation(t *rapid.T, tx *bolt.Tx) error {
	b := tx.Cursor().Bucket()
	for range rapid.IntRange(1, 4).Draw(t, "depth") {
		child, err := b.CreateBucketIfNotExists([]byte{'b', byte(rapid.IntRange(0, 3).Draw(t, "bucket"))})
		if err != nil {
			return err
		}
		b = child
	}
	from := rapid.IntRange(0, 300).Draw(t, "from")
	to := from + rapid.IntRange(0, 200).Draw(t, "keys")
	size := rapid.SampledFrom([]int{0, 1, 30, 500, 9000}).Draw(t, "size")
	put := rapid.Bool().Draw(t, "put")
	for i := from; i < to; i++ {
		if put {
			if err := b.Put(key(i), make([]byte, size)); err != nil {
				return err
			}
		} else if err := b.Delete(key(i)); err != nil {
			return err
		}
	}
	return nil
}

// countingReader tells how much is read.
type countingReader struct {
	io.ReaderAt
	reads int
	bytes int
}

func (r *countingReader) ReadAt(b []byte, off int64) (int, error) {
	r.reads++
	r.bytes += len(b)
	return r.ReaderAt.ReadAt(b, off)
}

func TestWalkDoesNotReadValues(t *testing.T) {
	kind := fileKind{pageSize: 4096, fill: put("b", 40, 1<<20, "")}
	b := load(t, kind.build(t, t.TempDir()))
	r := &countingReader{ReaderAt: bytes.NewReader(b)}
	meta, err := ReadMeta(r, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	r.reads, r.bytes = 0, 0
	s, err := Walk(r, int64(len(b)), meta)
	if err != nil {
		t.Fatal(err)
	}
	// Twice for each meta page, the freelist's header and its ids.
	if limit := len(s.Reachable) + 6; r.reads > limit || r.bytes > limit*meta.PageSize {
		t.Errorf("%d reads of %d bytes for %d runs", r.reads, r.bytes, len(s.Reachable))
	}
}

// smallFile has of everything the walk distinguishes, in few pages.
func smallFile(t fatal, dir string) []byte {
	kind := fileKind{
		pageSize: 1024,
		fill:     inSequence(put("b", 150, 20, ""), nested(3), put("large", 3, 3000, "")),
		commits:  []func(*bolt.Tx) error{remove("b", 20, 100, 1), put("c", 2, 7, ""), behindOne},
	}
	return load(t, kind.build(t, dir))
}

func behindOne(tx *bolt.Tx) error {
	if err := tx.Bucket([]byte("large")).Delete(key(1)); err != nil {
		return err
	}
	b, err := tx.Bucket([]byte("large")).CreateBucket([]byte{0, 0, 0, 1})
	if err != nil {
		return err
	}
	return b.Put([]byte("inline"), []byte("value"))
}

// Every changed byte is reported or changes nothing of the structure; a byte
// of a header or an element is reported, with the exceptions named below.
func TestWalkReportsEveryFlip(t *testing.T) {
	b := smallFile(t, t.TempDir())
	r := bytes.NewReader(b)
	meta, err := ReadMeta(r, r.Size())
	if err != nil {
		t.Fatal(err)
	}
	want, err := Walk(r, r.Size(), meta)
	if err != nil {
		t.Fatal(err)
	}
	must := structuralBytes(t, b, want)
	reported := 0
	for at := range b {
		for _, mask := range []byte{0x01, 0x80, 0xFF} {
			b[at] ^= mask
			got, err := Walk(r, r.Size(), meta)
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("byte %d of page %d ^ %#x: not reported, and the structure differs", at%1024, at/1024, mask)
			}
			if err == nil && must[at] {
				t.Errorf("byte %d of page %d ^ %#x: not reported", at%1024, at/1024, mask)
			}
			if err != nil {
				reported++
				onlyCorrupt(t, err)
			}
			b[at] ^= mask
		}
	}
	t.Logf("%d bytes, %d flips, %d reported", len(b), 3*len(b), reported)
}

// structuralBytes marks the bytes of which a change must be found. Left out
// are the sizes in a page's last element, which end where nothing else begins,
// and the flag that makes an inline bucket of a value.
func structuralBytes(t *testing.T, b []byte, s *Structure) []bool {
	must := make([]bool, len(b))
	mark := func(off, n int) {
		for i := range n {
			must[off+i] = true
		}
	}
	mark(0, 10) // of a meta page, id and flags
	mark(1024, 10)
	branches, leaves, buckets, inline := 0, 0, 0, 0
	for _, run := range s.Reachable {
		page := b[run.First*1024 : run.End()*1024]
		base := int(run.First) * 1024
		h := decodeHeader(page)
		mark(base, int(h.elementsEnd()))
		last := base + int(h.elementsEnd()) - elementSize
		if h.count == 0 {
			last = base
		}
		if h.flags == flagBranch {
			branches++
			for i := range 4 {
				must[last+4+i] = false
			}
			continue
		}
		leaves++
		for i := range 8 {
			must[last+8+i] = false
		}
		for i := range int(h.count) {
			at := headerSize + i*elementSize
			e := decodeLeafElement(page[at:])
			if e.flags != elementIsBucket {
				continue
			}
			value := at + int(e.pos+e.ksize)
			if order.Uint64(page[value:]) != 0 {
				buckets++
				mark(base+value, idSize)
			} else {
				inline++
				must[base+at] = false
				mark(base+value, idSize)
				mark(base+value+bucketHeaderSize, headerSize)
			}
		}
	}
	fl := int(s.Freelist.First) * 1024
	mark(fl, headerSize+idSize*int(decodeHeader(b[fl:]).count))
	if branches == 0 || leaves == 0 || buckets == 0 || inline == 0 || len(s.Free) == 0 {
		t.Fatalf("the file has %d branches, %d leaves, %d buckets, %d inline, %d free runs: too little",
			branches, leaves, buckets, inline, len(s.Free))
	}
	return must
}

// onlyCorrupt checks that err joins *CorruptError values alone and tells
// nothing of the file's content.
func onlyCorrupt(t fatal, err error) {
	t.Helper()
	for _, e := range joined(err) {
		if _, ok := e.(*CorruptError); !ok && !strings.HasPrefix(e.Error(), "and ") {
			t.Fatalf("error %T %v", e, e)
		}
	}
}

func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, joined(e)...)
		}
		return all
	}
	return []error{err}
}

func TestWalkTruncatedFile(t *testing.T) {
	b := smallFile(t, t.TempDir())
	want, err := walkBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	end := int(want.Meta.HighWater) * want.Meta.PageSize
	for n := range b {
		s, err := walkBytes(b[:n])
		switch {
		case n < end && err == nil:
			t.Errorf("cut to %d of %d bytes: no error", n, end)
		case n >= end && err != nil:
			t.Errorf("cut to %d bytes, after the end of the last page: %v", n, err)
		case n >= end && !reflect.DeepEqual(s, want):
			t.Errorf("cut to %d bytes: the structure differs", n)
		}
	}
}

// failingReader fails on one page.
type failingReader struct {
	io.ReaderAt
	page, pageSize int64
}

var errInjected = errors.New("injected")

func (r failingReader) ReadAt(b []byte, off int64) (int, error) {
	if off < (r.page+1)*r.pageSize && off+int64(len(b)) > r.page*r.pageSize {
		return 0, errInjected
	}
	return r.ReaderAt.ReadAt(b, off)
}

func TestWalkReadError(t *testing.T) {
	b := smallFile(t, t.TempDir())
	s, err := walkBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range append([]Run{s.Freelist}, s.Reachable...) {
		r := failingReader{bytes.NewReader(b), int64(run.First), 1024}
		got, err := Walk(r, int64(len(b)), s.Meta)
		if got != nil || !errors.Is(err, errInjected) || !strings.Contains(err.Error(), fmt.Sprintf("read page %d: ", run.First)) {
			t.Errorf("page %d can't be read: %v, error %v", run.First, got, err)
		}
	}
}

func TestWalkReportsAllProblems(t *testing.T) {
	b := smallFile(t, t.TempDir())
	s, err := walkBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	broken := map[PageID]bool{}
	for _, run := range s.Reachable {
		if h := decodeHeader(b[run.First*1024:]); h.flags == flagLeaf && run.First != s.Meta.Root {
			b[run.First*1024] ^= 0xFF // its id
			broken[run.First] = true
		}
		if len(broken) == 3 {
			break
		}
	}
	_, err = walkBytes(b)
	for _, e := range joined(err) {
		var c *CorruptError
		if !errors.As(e, &c) || !broken[c.Page] {
			t.Errorf("unexpected problem: %v", e)
			continue
		}
		delete(broken, c.Page)
	}
	if len(broken) > 0 {
		t.Errorf("not reported: pages %v; error: %v", broken, err)
	}
}

func TestWalkBoundsProblems(t *testing.T) {
	kind := fileKind{pageSize: 1024, fill: put("b", 400, 600, "")}
	b := load(t, kind.build(t, t.TempDir()))
	s, err := walkBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, run := range s.Reachable {
		if h := decodeHeader(b[run.First*1024:]); h.flags == flagLeaf && run.First != s.Meta.Root {
			b[run.First*1024] ^= 0xFF
			broken++
		}
	}
	_, err = walkBytes(b)
	all := joined(err)
	if len(all) != maxProblems+1 {
		t.Fatalf("%d errors", len(all))
	}
	if want := fmt.Sprintf("and %d more problems", broken-maxProblems); all[maxProblems].Error() != want {
		t.Errorf("last error %q, want %q", all[maxProblems], want)
	}
}

// Damage that a flipped byte can't make: references in circles, and two owners.
func TestWalkHandmadeDamage(t *testing.T) {
	good := smallFile(t, t.TempDir())
	s, err := walkBytes(good)
	if err != nil {
		t.Fatal(err)
	}
	var branch, leaf PageID
	for _, run := range s.Reachable {
		switch h := decodeHeader(good[run.First*1024:]); {
		case h.flags == flagBranch:
			branch = run.First
		case run.Pages == 1 && h.count > 4:
			leaf = run.First
		}
	}
	element := func(b []byte, page PageID, i int) []byte {
		return b[int(page)*1024+headerSize+i*elementSize:]
	}
	tests := []struct {
		name   string
		damage func(b []byte, m *Meta)
		want   string
	}{
		{"branch is its own child", func(b []byte, m *Meta) { order.PutUint64(element(b, branch, 0)[8:], uint64(branch)) }, "in use already"},
		{"one child twice", func(b []byte, m *Meta) { copy(element(b, branch, 1)[8:16], element(b, branch, 0)[8:16]) }, "in use already"},
		{"child is a meta page", func(b []byte, m *Meta) { order.PutUint64(element(b, branch, 0)[8:], 1) }, "outside of [2, "},
		{"child beyond the file", func(b []byte, m *Meta) { order.PutUint64(element(b, branch, 0)[8:], 1<<60) }, "outside of [2, "},
		{"child is the freelist", func(b []byte, m *Meta) { order.PutUint64(element(b, branch, 0)[8:], uint64(m.Freelist)) }, "used as a branch or leaf"},
		{"branch without elements", func(b []byte, m *Meta) { order.PutUint16(b[branch*1024+10:], 0) }, "without elements"},
		{"keys of a branch not in order", func(b []byte, m *Meta) {
			e := element(b, branch, 1)
			e[order.Uint32(e)] = 0xFF // the first byte of its key
		}, "has a key"},
		{"key too long", func(b []byte, m *Meta) { order.PutUint32(element(b, leaf, 0)[8:], maxKeySize+1) }, "longer than bbolt allows"},
		{"empty key", func(b []byte, m *Meta) { order.PutUint32(element(b, leaf, 0)[8:], 0) }, "has no key"},
		{"value beyond the page", func(b []byte, m *Meta) { order.PutUint32(element(b, leaf, 0)[12:], 1<<31-1) }, "beyond its page"},
		{"leaf lost its elements", func(b []byte, m *Meta) { order.PutUint16(b[leaf*1024+10:], 0) }, "aren't zeros"},
		{"residue in a live page", func(b []byte, m *Meta) { b[(leaf+1)*1024-1] = 'x' }, "aren't zeros"},
		{"overflow beyond the file", func(b []byte, m *Meta) { order.PutUint32(b[leaf*1024+12:], 1<<32-1) }, "beyond page"},
		{"more elements than room", func(b []byte, m *Meta) { order.PutUint16(b[leaf*1024+10:], 0xFFFF) }, "don't fit"},
		{"free page in use", func(b []byte, m *Meta) { order.PutUint64(b[m.Freelist*1024+headerSize:], 2) }, ""},
		{"freelist too long", func(b []byte, m *Meta) { order.PutUint16(b[m.Freelist*1024+10:], 5000) }, "with room for"},
		{"freelist far too long", func(b []byte, m *Meta) {
			order.PutUint16(b[m.Freelist*1024+10:], countInFirst)
			order.PutUint64(b[m.Freelist*1024+headerSize:], 1<<63)
		}, "with room for"},
		{"freelist in the wrong format", func(b []byte, m *Meta) { order.PutUint16(b[m.Freelist*1024+10:], countInFirst) }, "format for more"},
		{"no page size", func(b []byte, m *Meta) { m.PageSize = 0 }, "page size 0"},
		{"root is page 0", func(b []byte, m *Meta) { m.Root = 0 }, "outside of [2, "},
		{"root beyond the file", func(b []byte, m *Meta) { m.Root = 1 << 63 }, "outside of [2, "},
		{"freelist beyond the file", func(b []byte, m *Meta) { m.Freelist = m.HighWater }, "the freelist is page"},
		{"high-water mark beyond the file", func(b []byte, m *Meta) { m.HighWater = 1 << 62 }, "the file ends here"},
		{"high-water mark too low", func(b []byte, m *Meta) { m.HighWater-- }, ""},
		{"high-water mark zero", func(b []byte, m *Meta) { m.HighWater = 0 }, "outside of [2, 0)"},
		{"high-water mark too high", func(b []byte, m *Meta) { m.HighWater++ }, "neither in use nor free"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bytes.Clone(good)
			b = append(b, make([]byte, 1024)...)
			meta := s.Meta
			tt.damage(b, &meta)
			got, err := Walk(bytes.NewReader(b), int64(len(b)), meta)
			if got != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Walk = %v, error %v; want one with %q", got, err, tt.want)
			}
		})
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, size := range []int{900, 20_000} {
		kind := fileKind{pageSize: 4096, fill: put("b", 100_000*900/size, size, "")}
		path := kind.build(b, b.TempDir())
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("value=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			runs := 0
			for b.Loop() {
				meta, err := ReadMeta(f, info.Size())
				if err != nil {
					b.Fatal(err)
				}
				s, err := Walk(f, info.Size(), meta)
				if err != nil {
					b.Fatal(err)
				}
				runs = len(s.Reachable)
			}
			b.ReportMetric(float64(runs), "runs")
		})
	}
}
