package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// smallFile returns the bytes of a store that holds something in every bucket that outlives a job and whose process was
// killed, what readers see in it, and what they saw before the last commit.
func smallFile(t testing.TB, codec Codec) (data []byte, want, before []string) {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "small.expunge"), Options{Codec: codec, BlockRows: 20}, defaultLimits)
	setSeed(t, s, 1)
	createGroup(t, s, "shop")
	users, items, inter := oneOfEach()
	importRows(t, s, "shop", Users, ImportFull, users)
	importRows(t, s, "shop", Items, ImportFull, items)
	importRows(t, s, "shop", Interactions, ImportFull, inter[:len(inter)/2])
	mustPut(t, s, Interactions, "a session of nobody", true, row{"", mark + "i00000000001", "view", nil, 1})
	mustPut(t, s, Interactions, "a session of eve", false, row{"eve", mark + "i00000000001", "view", nil, 1})
	foldAll(t, s, "shop")
	mustPut(t, s, Users, "", false, row{"eve", 5, nil})
	err := s.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.CreateEventTracker(EventTracker{Name: "clicks", TrackingID: "0123456789abcdef", Group: "shop"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sn, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	deleteUsers(t, s, "shop", 1, inter[0][0].(string))
	if _, err := s.Clean(t.Context()); err != nil { // the snapshot keeps retired blocks
		t.Fatal(err)
	}
	importRows(t, s, "shop", Items, ImportFull, items[1:]) // and a discarded layer
	suppressOne(t, s)
	before = contents(t, s, "shop")
	deleteUsers(t, s, "shop", 2, inter[30][0].(string), "nobody") // its last commit is the only one that readers can tell
	sn.Release()
	want = contents(t, s, "shop")
	if err := s.closeFiles(); err != nil { // Close would clean up
		t.Fatal(err)
	}
	if data, err = os.ReadFile(s.path); err != nil {
		t.Fatal(err)
	}
	return data, want, before
}

// suppressOne lets a job that goes no further suppress a user.
func suppressOne(t testing.TB, s *Store) {
	t.Helper()
	err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSuppression("shop", true) })
	if err == nil {
		err = s.StageUsers(t.Context(), "shop", 3, 0, 1, func(int) []byte { return []byte("stranger") }, func(*Tx, Staged) error { return nil })
	}
	if err == nil {
		_, err = s.Suppress(t.Context(), "shop", 3, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBytes damages a store byte by byte: whatever reads it reports an error or shows what was there. A damaged
// newest meta page can't be told from a commit that was cut short, and gives the state before that commit.
func TestFlippedBytes(t *testing.T) {
	step := 31
	if os.Getenv("EXPUNGE_TEST_LONG") != "" {
		step = 1
	}
	for _, codec := range []Codec{CodecNone, CodecPacked} {
		t.Run(string(codec), func(t *testing.T) {
			data, want, before := smallFile(t, codec)
			path := filepath.Join(t.TempDir(), "copy.expunge")
			found := 0
			for off := 0; off < len(data); off += step {
				if data[off] == 0 && off%(8*step) != 0 { // most are free pages
					continue
				}
				bad := bytes.Clone(data)
				bad[off] ^= 1 << (off % 8)
				states := [][]string{want}
				if off < 2*os.Getpagesize() {
					states = append(states, before)
				}
				err := readCopy(t, path, bad, states...)
				if err != nil {
					found++
				}
				if t.Failed() {
					t.Fatalf("after a flip of bit %d at %d", off%8, off)
				}
			}
			if found < 50 {
				t.Errorf("only %d flips were found out", found)
			}
		})
	}
}

// TestTruncated cuts a store at many lengths.
func TestTruncated(t *testing.T) {
	data, want, _ := smallFile(t, CodecPacked)
	path := filepath.Join(t.TempDir(), "copy.expunge")
	for n := 0; n < len(data); n += 1021 {
		if err := readCopy(t, path, data[:n], want); err == nil && n < len(data)/2 {
			t.Errorf("cut at %d of %d: no error", n, len(data))
		}
		if t.Failed() {
			t.Fatalf("cut at %d of %d", n, len(data))
		}
	}
}

// readCopy opens, checks and reads a damaged store, and returns the first error. Without one the content must be one of
// the given states.
func readCopy(t *testing.T, path string, data []byte, states ...[]string) error {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := Open(ctx, path, Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() {
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	report, checkErr := s.Check(ctx)
	checkErr = errors.Join(checkErr, errors.Join(report.Problems...))
	got, err := readAll(ctx, s)
	same := func(want []string) bool { return slices.Equal(got, want) }
	if err == nil && checkErr == nil && !slices.ContainsFunc(states, same) {
		t.Errorf("the content is another one and nobody noticed")
	}
	return errors.Join(checkErr, err)
}

// readAll is contents with an error.
func readAll(ctx context.Context, s *Store) (out []string, err error) {
	sn, err := s.Snapshot(ctx, "shop")
	if err != nil {
		return nil, err
	}
	defer sn.Release()
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		var rows []row
		for rec, err := range sn.Scan(ctx, typ) {
			if err != nil {
				return nil, err
			}
			rows = append(rows, rowsOf(rec)...)
			rec.Release()
		}
		out = append(out, sortedStrings(rows)...)
	}
	return out, nil
}

// TestFlippedWrites opens damaged copies for writing and cleans them: that may fail, but must not panic.
func TestFlippedWrites(t *testing.T) {
	data, _, _ := smallFile(t, CodecPacked)
	path := filepath.Join(t.TempDir(), "copy.expunge")
	for off := 5; off < len(data); off += 397 {
		if data[off] == 0 {
			continue
		}
		bad := bytes.Clone(data)
		bad[off] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("flip at %d: %s", off, fmt.Sprint(r))
				}
			}()
			s, err := open(t.Context(), path, Options{}, defaultLimits)
			if err != nil {
				return
			}
			s.db.NoSync = true
			_, _ = s.Clean(t.Context())
			_ = s.Close(t.Context())
		}()
	}
}

// TestMisfits stores what has a right checksum and doesn't fit its dataset: a check finds it, and a fold gives an error.
func TestMisfits(t *testing.T) {
	rec := record(Interactions, []row{{"eve", "pen", "view", nil, 1}})
	defer rec.Release()
	good, err := NewPut(Dataset{Type: Interactions, Fields: testFields[Interactions]}, rec, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Put)) []byte {
		p := *good
		p.rows = slices.Clone(p.rows)
		change(&p)
		return p.encode()
	}
	pending := func(s *Store, row []byte) []byte {
		ses := session{hash: s.hashID([]byte("a")), id: []byte("a"), pending: [][]byte{row}}
		return ses.appendTo(nil)
	}
	hasher := testStore(t, Options{})
	setSeed(t, hasher, 1)
	for name, tc := range map[string]struct {
		bucket, value []byte
		sound         bool
	}{
		"sound entry":          {bucketJournal, good.encode(), true},
		"no user":              {bucketJournal, with(func(p *Put) { p.rows[0].key = nil }), false},
		"no item":              {bucketJournal, with(func(p *Put) { p.rows[0].item = nil }), false},
		"long user":            {bucketJournal, with(func(p *Put) { p.rows[0].key = make([]byte, maxIDBytes+1) }), false},
		"short record":         {bucketJournal, with(func(p *Put) { p.rows[0].rec = p.rows[0].rec[:len(p.rows[0].rec)-1] }), false},
		"long record":          {bucketJournal, with(func(p *Put) { p.rows[0].rec = append(p.rows[0].rec, 0) }), false},
		"more columns":         {bucketJournal, with(func(p *Put) { p.cols++ }), false},
		"no columns":           {bucketJournal, with(func(p *Put) { p.cols = 0 }), false},
		"cut entry":            {bucketJournal, good.encode()[:9], false},
		"no record":            {bucketSessions, pending(hasher, appendBytes(nil, []byte("pen"))), false},
		"sound session":        {bucketSessions, pending(hasher, good.rows[0].pending()), true},
		"no item of a session": {bucketSessions, pending(hasher, append(appendBytes(nil, nil), good.rows[0].rec...)), false},
		"cut session":          {bucketSessions, pending(hasher, nil)[:9], false},
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t, Options{})
			setSeed(t, s, 1)
			createGroup(t, s, "shop")
			err := s.Update(t.Context(), func(tx *Tx) error {
				d, err := tx.Dataset("shop", Interactions)
				if err != nil {
					return err
				}
				key := sessionKey(d.ID, 0)
				if bytes.Equal(tc.bucket, bucketJournal) {
					key = journalKey(d.ID, 1)
				}
				return putSealed(tx.b.Bucket(tc.bucket), key, tc.value)
			})
			if err != nil {
				t.Fatal(err)
			}
			if report, err := s.Check(t.Context()); err != nil || (len(report.Problems) == 0) != tc.sound {
				t.Errorf("a check finds %v, %v", report.Problems, err)
			}
			if bytes.Equal(tc.bucket, bucketJournal) {
				if _, _, err = s.Fold(t.Context(), "shop", Interactions); (err == nil) != tc.sound {
					t.Errorf("a fold: %v", err)
				}
			}
			err = s.Update(t.Context(), func(tx *Tx) error { // so that the store is sound at the end
				c := tx.b.Bucket(tc.bucket).Cursor()
				if k, _ := c.First(); k == nil {
					return nil
				}
				return c.Delete()
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
