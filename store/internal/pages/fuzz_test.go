package pages

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// checkResult checks what holds for any file.
func checkResult(t *testing.T, s *Structure, err error) {
	if (s == nil) == (err == nil) {
		t.Fatalf("structure %v and error %v", s, err)
	}
	if err != nil {
		onlyCorrupt(t, err)
		if n := len(joined(err)); n > maxProblems+1 {
			t.Fatalf("%d problems kept", n)
		}
		return
	}
	all := []Run{{0, 2}}
	if s.Freelist.Pages > 0 {
		all = append(all, s.Freelist)
	}
	all = append(append(all, s.Reachable...), s.Free...)
	if whole := normalize(all); len(whole) != 1 || whole[0] != (Run{0, uint64(s.Meta.HighWater)}) || CountPages(all) != uint64(s.Meta.HighWater) {
		t.Fatalf("runs %v don't cover [0, %d) once", all, s.Meta.HighWater)
	}
}

// checkFree compares the list of free pages with what a walk found, if it did.
func checkFree(t fatal, r *bytes.Reader, meta Meta, s *Structure) {
	t.Helper()
	free, err := FreePages(r, r.Size(), meta)
	if err != nil {
		onlyCorrupt(t, err)
	}
	if s != nil && s.Meta.FreelistSynced && (err != nil || !slices.Equal(free, s.Free)) {
		t.Fatalf("free are %v, %v, and a walk finds %v", free, err, s.Free)
	}
	if !meta.FreelistSynced && err == nil {
		t.Fatal("free pages of a file without a freelist")
	}
}

// FuzzWalk walks any bytes, from their own meta page where there is one.
func FuzzWalk(f *testing.F) {
	f.Add(smallFile(f, f.TempDir()), uint64(2), uint64(3), uint64(20))
	for _, kind := range fileKinds() {
		if kind.pageSize == 1024 {
			if b := load(f, kind.build(f, f.TempDir())); len(b) <= 1<<16 {
				f.Add(b, uint64(3), uint64(2), uint64(len(b)/1024))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, root, freelist, highWater uint64) {
		r := bytes.NewReader(b)
		meta, err := ReadMeta(r, r.Size())
		if err == nil {
			s, err := Walk(r, r.Size(), meta)
			checkResult(t, s, err)
			checkFree(t, r, meta, s)
		}
		meta = Meta{PageSize: 1024, Root: PageID(root), Freelist: PageID(freelist), HighWater: PageID(highWater)}
		for _, meta.FreelistSynced = range []bool{true, false} {
			s, err := Walk(r, r.Size(), meta)
			checkResult(t, s, err)
			checkFree(t, r, meta, s)
		}
	})
}

// FuzzWalkPatched walks a file that bbolt wrote with some bytes overwritten:
// the damage is in the midst of what is otherwise right.
func FuzzWalkPatched(f *testing.F) {
	files := [][]byte{smallFile(f, f.TempDir())}
	for _, noSync := range []bool{false, true} {
		kind := fileKind{
			pageSize: 1024,
			noSync:   noSync,
			fill:     inSequence(put("b", 300, 40, ""), nested(4), behindLargeValues),
			commits:  []func(*bolt.Tx) error{remove("b", 10, 200, 1)},
		}
		files = append(files, load(f, kind.build(f, f.TempDir())))
	}
	f.Add(byte(0), uint32(4*1024), []byte{1, 2, 3})
	f.Add(byte(1), uint32(5*1024+10), []byte{0xFF, 0xFF})
	f.Add(byte(2), uint32(3*1024+16), bytes.Repeat([]byte{0xFF}, 16))
	f.Fuzz(func(t *testing.T, file byte, off uint32, patch []byte) {
		good := files[int(file)%len(files)]
		meta, err := readMeta(good)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(good)
		copy(b[int(off)%len(b):], patch)
		s, err := Walk(bytes.NewReader(b), int64(len(b)), meta)
		checkResult(t, s, err)
	})
}

func FuzzReadMeta(f *testing.F) {
	f.Add(smallFile(f, f.TempDir())[:2048])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Fuzzing won't guess a checksum.
		for _, at := range []int{0, 1024, 4096} {
			if len(b) >= at+headerSize+metaSize {
				resum(b[at:])
			}
		}
		m, err := readMeta(b)
		var c *CorruptError
		switch {
		case err == nil && !validPageSize(m.PageSize):
			t.Fatalf("meta %+v", m)
		case err == nil && !m.FreelistSynced && m.Freelist != 0:
			t.Fatalf("meta %+v", m)
		case err != nil && !errors.Is(err, ErrNotBolt) && !errors.As(err, &c):
			t.Fatalf("error %v", err)
		}
	})
}
