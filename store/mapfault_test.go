package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cutCopies calls fn with stores whose file another program cuts short while they are open: a page of the memory map that
// lies behind the file's end is a fault.
func cutCopies(t *testing.T, fn func(s *Store, size int64)) (cuts int) {
	whole, _, _ := smallFile(t, CodecPacked)
	path := filepath.Join(t.TempDir(), "cut.expunge")
	for size := 0; size < len(whole); size += os.Getpagesize() {
		for _, rest := range []int64{0, 1000} { // a page of which a part is left reads as zeros behind it
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := open(t.Context(), path, Options{}, defaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			s.db.NoSync, s.db.NoGrowSync = true, true
			if err := os.Truncate(path, int64(size)+rest); err != nil {
				t.Fatal(err)
			}
			fn(s, int64(size)+rest)
			cuts++
			_ = s.Close(context.Background()) // which can't scrub
			if err := s.Close(context.Background()); err != nil {
				t.Errorf("cut to %d: closed again: %v", size, err)
			}
		}
	}
	return cuts
}

// TestCutWhileOpen: what can't be read is an error, never the end of the process, nor another content. Of a page that was cut
// in the middle the rest reads as zeros, which only a walk over all pages tells: a check's, or that of closing or of opening.
func TestCutWhileOpen(t *testing.T) {
	_, want, _ := smallFile(t, CodecPacked)
	failed := 0
	cuts := cutCopies(t, func(s *Store, size int64) {
		got, err := readAll(t.Context(), s)
		var corrupt *CorruptError
		switch {
		case size%int64(os.Getpagesize()) > 0:
		case err != nil && !errors.As(err, &corrupt):
			t.Errorf("cut to %d: scan: %v", size, err)
		case err == nil && !slices.Equal(got, want):
			t.Errorf("cut to %d: the content is another one and nobody noticed", size)
		case err != nil:
			failed++
		}
		report, checkErr := s.Check(t.Context())
		if err != nil && checkErr == nil && len(report.Problems) == 0 {
			t.Errorf("cut to %d: the scan fails and the check finds nothing", size)
		}
		for name, call := range everyCall(s) {
			if err := call(t.Context()); size < 2*4096 && err == nil && name != "check" { // which reports it
				t.Errorf("cut to %d: %s succeeds", size, name)
			}
		}
	})
	if failed == 0 {
		t.Errorf("of %d scans none failed", cuts)
	}
	t.Logf("%d cuts, %d scans failed", cuts, failed)
}

// TestCutBeforeWrite: writes to a file that was cut short fail or leave one that is found to be damaged.
func TestCutBeforeWrite(t *testing.T) {
	_, want, _ := smallFile(t, CodecPacked)
	failed := 0
	cuts := cutCopies(t, func(s *Store, size int64) {
		ctx := t.Context()
		at := func(int) []byte { return []byte(mark + "u00000000005") }
		err := s.StageUsers(ctx, "shop", 7, 0, 1, at, func(*Tx, Staged) error { return nil })
		if err == nil {
			err = s.Tombstone(ctx, "shop", 7, 1, func(*Tx, Deleted) error { return nil })
		}
		if err == nil {
			_, err = s.Clean(ctx)
		}
		if err == nil {
			_, err = s.Scrub(ctx)
		}
		if err != nil {
			failed++
			return
		}
		after := slices.DeleteFunc(slices.Clone(want), func(r string) bool { return strings.HasPrefix(r, string(at(0))) })
		if got, err := readAll(ctx, s); err == nil && !slices.Equal(got, after) {
			t.Errorf("cut to %d: %d rows after the deletion, want %d", size, len(got), len(after))
		}
	})
	if failed == 0 {
		t.Errorf("of %d deletions none failed", cuts)
	}
	t.Logf("%d cuts, %d deletions failed", cuts, failed)
}

// TestBrokenMetas: both meta pages are damaged behind their marks while a transaction is under way. The next reader meets
// bbolt's panic; neither the first one nor Close waits for the locks that it left.
func TestBrokenMetas(t *testing.T) {
	for _, writes := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "test.expunge")
		s, err := open(t.Context(), path, Options{}, defaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		page := int64(s.db.Info().PageSize)
		none := func(*Tx) error { return nil }
		var whole []byte
		first := s.View
		if writes {
			first = s.Update
		}
		err = first(t.Context(), func(*Tx) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			if whole, err = os.ReadFile(path); err != nil {
				return err
			}
			for _, at := range []int64{56, page + 56} { // their high-water marks
				if _, err := f.WriteAt([]byte("damaged"), at); err != nil {
					return err
				}
			}
			met := make(chan error)
			go func() { met <- s.View(context.Background(), none) }()
			var corrupt *CorruptError
			if err := <-met; !errors.As(err, &corrupt) {
				t.Errorf("the next reader: %v", err)
			}
			return f.Close()
		})
		if writes != errors.Is(err, ErrPoisoned) || !writes && err != nil {
			t.Errorf("writes %t: %v", writes, err)
		}
		if err := s.View(t.Context(), none); !errors.Is(err, ErrPoisoned) {
			t.Errorf("a later reader: %v", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		// The file isn't locked any more, by the map that stays, say.
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err = open(t.Context(), path, Options{}, defaultLimits); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestPanicsThatAreNoFaults go on: they are bugs.
func TestPanicsThatAreNoFaults(t *testing.T) {
	s := testStore(t, Options{})
	for name, fn := range map[string]func(*Tx) error{
		"value":       func(*Tx) error { panic("in fn") },
		"nil pointer": func(*Tx) error { var p *Store; p.path = ""; return nil },
		"index":       func(tx *Tx) error { return []error{nil}[tx.Epoch()+5] },
	} {
		for way, call := range map[string]func(context.Context, func(*Tx) error) error{"view": s.View, "update": s.Update} {
			panicked := func() (r any) {
				defer func() { r = recover() }()
				_ = call(t.Context(), fn)
				return nil
			}()
			if panicked == nil {
				t.Errorf("%s in %s: no panic", name, way)
			}
		}
	}
}

// TestShortened: no commit goes through on a file that is shorter than it was, also if only room that nothing uses is gone:
// what lay behind the end would be there again after the next commits, as zeros.
func TestShortened(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	importRows(t, s, "shop", Users, ImportFull, []row{{"user-1", 1, nil}})
	_, length, err := s.FileSize()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.Path(), length-int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if err := s.Update(t.Context(), func(*Tx) error { return nil }); !errors.As(err, &corrupt) {
		t.Errorf("commit to a shortened file: %v", err)
	}
	if err := os.Truncate(s.Path(), length); err != nil { // so that the store can be closed
		t.Fatal(err)
	}
}
