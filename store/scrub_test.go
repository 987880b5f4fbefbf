package store

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/store/internal/pages"
)

// TestTrim: most of the free room in a file goes back to the file system, step by step, and no live row with it.
func TestTrim(t *testing.T) {
	s := testStore(t, Options{Codec: CodecNone})
	createGroup(t, s, "shop")
	var users []row
	for u := range 10 << 10 {
		users = append(users, row{fmt.Sprintf("%su%011d", mark, u), u, strings.Repeat("x", 4<<10)})
	}
	importRows(t, s, "shop", Users, ImportFull, users)
	importRows(t, s, "shop", Users, ImportFull, users[:50])
	if _, _, err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := scanSorted(t, s, "shop", Users)
	// Zeros in place of holes, as a file has them that was copied.
	info, err := s.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := pages.ReadMeta(s.file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	st, err := pages.Walk(s.file, info.Size(), meta)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, meta.PageSize)
	for _, r := range st.Free {
		for id := r.First; id < r.End(); id++ {
			if _, err := s.file.WriteAt(zeros, int64(id)*int64(meta.PageSize)); err != nil {
				t.Fatal(err)
			}
		}
	}
	full, _, err := s.FileSize()
	if err != nil || full < 40<<20 {
		t.Fatalf("the file takes %d bytes, %v", full, err)
	}
	steps, last := 0, full
	for more := true; more; steps++ {
		if more, err = s.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		allocated, _, err := s.FileSize()
		if err != nil || allocated > last {
			t.Fatalf("the file takes %d bytes, before %d: %v", allocated, last, err)
		}
		last = allocated
	}
	if last == full {
		t.Skip("the file system makes no holes")
	}
	if used := s.used.Load(); steps < 2 || last > used+used/4+shortRuns {
		t.Errorf("after %d steps the file takes %d bytes, and %d are in use", steps, last, used)
	}
	if got := scanSorted(t, s, "shop", Users); !slices.Equal(got, before) {
		t.Error("rows changed")
	}
	mustCheck(t, s)
}

// shortRuns is more than the room of all free runs that are too short to be given back.
const shortRuns = 1 << 20

// TestScrubAfterFailure: when zeros may not have reached the disk, all free pages are written, also those that read as zeros.
func TestScrubAfterFailure(t *testing.T) {
	s := filledStore(t, Options{Codec: CodecNone, BlockRows: 9}, defaultLimits)
	_, _, inter := oneOfEach()
	deleteUsers(t, s, "shop", 9, inter[0][0].(string), inter[40][0].(string))
	finishDeletion(t, s, "shop", 9)
	report, err := s.Scrub(t.Context())
	if err != nil || report.PagesZeroed == 0 || report.PagesZeroed >= report.PagesFree {
		t.Fatalf("%+v, %v: want some of the free pages to be zeroed", report, err)
	}
	file := s.file
	if s.file, err = os.Open(s.path); err != nil { // which can't be written
		t.Fatal(err)
	}
	if _, err := s.Scrub(t.Context()); err == nil {
		t.Fatal("a scrub that can't write succeeds")
	}
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	s.file = file
	all, err := s.Scrub(t.Context())
	if err != nil || all.PagesZeroed < all.PagesFree {
		t.Errorf("%+v, %v: want all free pages to be zeroed", all, err)
	}
	again, err := s.Scrub(t.Context())
	if err != nil || again.PagesZeroed >= again.PagesFree {
		t.Errorf("%+v, %v: want some of the free pages to be zeroed", again, err)
	}
	mustCheck(t, s)
}
