package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte) {
		if err := os.WriteFile(at(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change := func(name string, fn func(*bolt.Tx) error) {
		db, err := bolt.Open(at(name), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(fn), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	create := func(name string) {
		s, err := Open(t.Context(), at(name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write("empty", nil)
	write("text", []byte(strings.Repeat("USER_ID,ITEM_ID\n", 1000)))
	change("bolt", func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
	change("bolt-meta", func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("meta")); return err })
	create("format")
	change("format", func(tx *bolt.Tx) error {
		return putSealed(tx.Bucket(bucketMeta), keyInfo, []byte(`{"format":1}`))
	})
	create("state")
	change("state", func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyState) })
	create("bucket")
	change("bucket", func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketTombs) })

	corrupt := new(*CorruptError)
	for _, tc := range []struct {
		name string
		is   error
		as   any
		text string
	}{
		{name: "empty", is: ErrNotStore}, {name: "text", is: ErrNotStore},
		{name: "bolt", is: ErrNotStore, text: "another program"}, {name: "bolt-meta", is: ErrNotStore, text: "another program"},
		{name: "format", is: ErrNotStore, text: fmt.Sprint("its format is 1 and this version reads ", formatVersion)},
		{name: "state", as: corrupt}, {name: "bucket", as: corrupt, text: "tombs"},
	} {
		for _, ro := range []bool{true, false} {
			s, err := Open(t.Context(), at(tc.name), Options{ReadOnly: ro})
			if err == nil {
				_ = s.Close(t.Context())
			}
			switch {
			case tc.is != nil && !errors.Is(err, tc.is), tc.as != nil && !errors.As(err, tc.as), err == nil:
				t.Errorf("%s: %v", tc.name, err)
			case !strings.Contains(err.Error(), tc.text):
				t.Errorf("%s: %v doesn't say %q", tc.name, err, tc.text)
			}
		}
	}
	if _, err := Open(t.Context(), at("missing"), Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(at("missing")); err == nil {
		t.Error("opening read-only made a file")
	}
	_, err := Open(t.Context(), at("options"), Options{Codec: "lzw", BlockRows: -1, MaxSize: -1})
	for _, part := range []string{"codec", "block rows", "maximum size"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("options: %v doesn't tell of %s", err, part)
		}
	}
	left, err := filepath.Glob(at(".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.expunge")
	open := func(ro bool) (*Store, error) {
		return Open(t.Context(), path, Options{ReadOnly: ro, LockTimeout: -1})
	}
	mustOpen := func(ro bool) *Store {
		s, err := open(ro)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	mustFail := func(ro bool) {
		if _, err := open(ro); !errors.Is(err, ErrLocked) {
			t.Errorf("read-only %t: %v", ro, err)
		}
	}
	s := mustOpen(false)
	mustFail(false)
	mustFail(true)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, two := mustOpen(true), mustOpen(true)
	mustFail(false)
	if err := errors.Join(one.Close(t.Context()), two.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	// Whoever waits gets it when it is let go.
	s = mustOpen(false)
	closed := make(chan error)
	go func() {
		time.Sleep(30 * time.Millisecond)
		closed <- s.Close(context.Background())
	}()
	s2, err := Open(t.Context(), path, Options{LockTimeout: time.Minute})
	if err := errors.Join(err, <-closed); err != nil {
		t.Fatal(err)
	}
	if err := s2.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	s := filledStore(t, Options{}, defaultLimits)
	sn, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, ErrLeased) || !errors.Is(err, context.Canceled) {
		t.Errorf("close with a snapshot: %v", err)
	}
	if rows := scanAll(t, sn, Users); len(rows) != 12 {
		t.Errorf("after a failed close a scan gives %d rows", len(rows))
	}
	ended := s.LeaseEnded()
	sn.Release()
	sn.Release()
	<-ended
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close again: %v", err)
	}
	calls := everyCall(s)
	calls["scan"] = func(ctx context.Context) error {
		for _, err := range sn.Scan(ctx, Users) {
			return err
		}
		return nil
	}
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%s on a closed store: %v", name, err)
		}
	}
}

// everyCall returns the calls that touch the file.
func everyCall(s *Store) map[string]func(context.Context) error {
	at := func(int) []byte { return []byte("x") }
	none := func(*Tx) error { return nil }
	return map[string]func(context.Context) error{
		"view": func(ctx context.Context) error { return s.View(ctx, none) },
		"snapshot": func(ctx context.Context) error {
			sn, err := s.Snapshot(ctx, "shop")
			if err == nil {
				sn.Release()
			}
			return err
		},
		"stats": func(ctx context.Context) error { _, err := s.Stats(ctx); return err },
		"check": func(ctx context.Context) error { _, err := s.Check(ctx); return err },
		"dry run": func(ctx context.Context) error {
			d, err := s.BeginDryRun(ctx, "shop")
			if err == nil {
				err = d.Abort()
			}
			return err
		},
		"gone":   func(ctx context.Context) error { _, err := s.CheckGone(ctx, "shop", 1); return err },
		"update": func(ctx context.Context) error { return s.Update(ctx, none) },
		"scrub":  func(ctx context.Context) error { _, err := s.Scrub(ctx); return err },
		"clean":  func(ctx context.Context) error { _, _, err := s.Clean(ctx); return err },
		"drop":   func(ctx context.Context) error { return s.DropStaged(ctx, 1, nil) },
		"import": func(ctx context.Context) error { _, err := s.BeginImport(ctx, "shop", Users, ImportFull); return err },
		"stage": func(ctx context.Context) error {
			return s.StageUsers(ctx, "shop", 1, 0, 1, at, func(*Tx, Staged) error { return nil })
		},
		"tombstone": func(ctx context.Context) error {
			return s.Tombstone(ctx, "shop", 1, 0, func(*Tx, Deleted) error { return nil })
		},
	}
}

func TestCancelled(t *testing.T) {
	s := filledStore(t, Options{}, defaultLimits)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range everyCall(s) {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that ended: %v", name, err)
		}
	}
	mustCheck(t, s)
}

func TestReadOnly(t *testing.T) {
	s := filledStore(t, Options{}, defaultLimits)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s.path, Options{ReadOnly: true})
	writes := []string{"update", "scrub", "clean", "drop", "import", "stage", "tombstone"}
	for name, call := range everyCall(s) {
		err := call(t.Context())
		if slices.Contains(writes, name) != errors.Is(err, ErrReadOnly) {
			t.Errorf("%s on a read-only store: %v", name, err)
		}
	}
	after, err := os.ReadFile(s.path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed: %v", err)
	}
}

func TestUpdatePanics(t *testing.T) {
	s := testStore(t, Options{})
	func() {
		defer func() { _ = recover() }()
		_ = s.Update(t.Context(), func(*Tx) error { panic("in fn") })
	}()
	if err := s.Update(t.Context(), func(*Tx) error { return nil }); err != nil {
		t.Error(err)
	}
}

// TestFull lets an import and a deletion run into the maximum size at any moment.
func TestFull(t *testing.T) {
	limits := smallLimits(rand.New(rand.NewPCG(3, 3)))
	limits.stageBytes, limits.resolveBatch, limits.unitBytes, limits.pieceBytes, limits.itemBytes = 20000, 100, 10000, 20000, 1<<20
	limits.partBuffer = 1000
	limits.resolveBytes, limits.forwardEntries, limits.removeBudget = 1<<20, 64, 4096
	var big []row
	for i := range 800 {
		big = append(big, row{string(rune('a'+i%26)) + strings.Repeat("x", 500), i, strings.Repeat("y", 2000+i)})
	}
	full, fits := 0, 0
	for size := int64(2*allocSize + 50<<10); fits == 0; size += 100 << 10 {
		s := openQuick(t, filepath.Join(t.TempDir(), "full.expunge"), Options{MaxSize: size, Codec: CodecNone, BlockRows: 40}, limits)
		createGroup(t, s, "shop")
		before := []string{}
		err := tryImport(s, big)
		if err == nil {
			fits++
			before = sortedStrings(big)
		} else if full++; !errors.Is(err, ErrFull) {
			t.Fatalf("size %d: %v", size, err)
		}
		mustCheck(t, s)
		if got := scanSorted(t, s, "shop", Users); !slices.Equal(got, before) {
			t.Errorf("size %d: %d rows after %v", size, len(got), err)
		}
		if _, err := s.Scrub(t.Context()); err != nil && !errors.Is(err, ErrFull) {
			t.Errorf("size %d: %v", size, err)
		}
		deleteWhenFull(t, s, before)
		if err := s.Close(t.Context()); err != nil && !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		if full > 100 {
			t.Fatal("it never fits")
		}
	}
	if full < 5 {
		t.Errorf("an import that doesn't fit was tried with %d sizes", full)
	}
}

func tryImport(s *Store, rows []row) error {
	ctx := context.Background()
	im, err := s.BeginImport(ctx, "shop", Users, ImportFull)
	if err != nil {
		return err
	}
	rec := record(Users, rows)
	defer rec.Release()
	err = im.Append(rec)
	if err == nil {
		_, err = im.Finish(ctx, nil, func(*Tx, ImportResult) error { return nil })
	}
	return errors.Join(err, im.Abort(ctx))
}

// deleteWhenFull deletes a user; if that finds no space it has deleted nothing.
func deleteWhenFull(t *testing.T, s *Store, before []string) {
	id := []byte("b" + strings.Repeat("x", 500))
	err := s.StageUsers(t.Context(), "shop", 1, 0, 1, func(int) []byte { return id }, func(*Tx, Staged) error { return nil })
	if err == nil {
		err = s.Tombstone(t.Context(), "shop", 1, 1, func(*Tx, Deleted) error { return nil })
	}
	want := before
	if err == nil {
		want = slices.DeleteFunc(slices.Clone(before), func(r string) bool { return bytes.HasPrefix([]byte(r), id) })
		if _, _, err := s.Clean(t.Context()); err != nil && !errors.Is(err, ErrFull) {
			t.Error(err)
		}
	} else if !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	mustCheck(t, s)
	if got := scanSorted(t, s, "shop", Users); !slices.Equal(got, want) {
		t.Errorf("%d rows after deletion, want %d", len(got), len(want))
	}
}
