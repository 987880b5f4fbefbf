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

// put puts rows into the journal.
func put(ctx context.Context, s *Store, group string, typ DatasetType, session string, anonymous bool, rows ...row) (leftOut int, err error) {
	rec := record(typ, rows)
	defer rec.Release()
	err = s.Update(ctx, func(tx *Tx) error {
		d, err := tx.Dataset(group, typ)
		if err != nil {
			return err
		}
		p, err := NewPut(d, rec, []byte(session), anonymous)
		if err == nil {
			leftOut, err = tx.Put(p)
		}
		return err
	})
	return leftOut, err
}

func mustPut(t testing.TB, s *Store, typ DatasetType, session string, anonymous bool, rows ...row) {
	t.Helper()
	if _, err := put(t.Context(), s, "shop", typ, session, anonymous, rows...); err != nil {
		t.Fatal(err)
	}
}

// foldAll folds the whole journal of a group.
func foldAll(t testing.TB, s *Store, group string) (all FoldResult) {
	t.Helper()
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		for more := true; more; {
			var res FoldResult
			var err error
			if res, more, err = s.Fold(t.Context(), group, typ); err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			all.Add(res)
		}
	}
	return all
}

// TestFold looks at what readers see of events before and after they become a layer.
func TestFold(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	importRows(t, s, "shop", Users, ImportFull, []row{{"ann", 1, "Rome"}, {"bob", 2, nil}})
	importRows(t, s, "shop", Interactions, ImportFull, []row{{"ann", "pen", "view", nil, 1}})
	mustPut(t, s, Users, "", false, row{"ann", 9, "Oslo"}, row{"cy", 3, nil})
	mustPut(t, s, Users, "", false, row{"cy", 4, nil})
	mustPut(t, s, Interactions, "", false, row{"ann", "pen", "view", nil, 1}, row{"ann", "pen", "view", nil, 2}, row{"ann", "pen", "view", nil, 2})
	mustCheck(t, s)
	if got := scanSorted(t, s, "shop", Users); len(got) != 2 {
		t.Errorf("rows of the journal are seen: %v", got)
	}
	res := foldAll(t, s, "shop")
	want := FoldResult{ImportResult: ImportResult{Read: 6, Added: 3, Replaced: 1, Duplicate: 3}, Last: 2}
	if res != want {
		t.Errorf("fold gave %+v, want %+v", res, want)
	}
	if got, want := scanSorted(t, s, "shop", Users), sortedStrings([]row{{"ann", 9, "Oslo"}, {"bob", 2, nil}, {"cy", 4, nil}}); !slices.Equal(got, want) {
		t.Errorf("users are %v, want %v", got, want)
	}
	// A full import replaces what imports brought, and nothing else.
	if res := importRows(t, s, "shop", Users, ImportFull, []row{{"deb", 5, nil}}); res.Replaced != 1 {
		t.Errorf("a full import replaced %d rows, want 1", res.Replaced)
	}
	if got, want := scanSorted(t, s, "shop", Users), sortedStrings([]row{{"ann", 9, "Oslo"}, {"cy", 4, nil}, {"deb", 5, nil}}); !slices.Equal(got, want) {
		t.Errorf("after a full import users are %v, want %v", got, want)
	}
	if res, more, err := s.Fold(t.Context(), "shop", Users); err != nil || more || res != (FoldResult{}) {
		t.Errorf("folding nothing: %+v, %t, %v", res, more, err)
	}
}

// TestMergeKinds makes small layers of both kinds in turns: each kind is merged by itself.
func TestMergeKinds(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	for i := range 6 {
		importRows(t, s, "shop", Interactions, ImportIncremental, []row{{"ann", "pen", "view", nil, i}})
		mustPut(t, s, Interactions, "", false, row{"bob", "pen", "view", nil, i})
		foldAll(t, s, "shop")
	}
	before := scanSorted(t, s, "shop", Interactions)
	for more := true; more; {
		var err error
		if more, err = s.MergeLayers(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, s)
	}
	var d Dataset
	err := s.View(t.Context(), func(tx *Tx) (err error) {
		d, err = tx.Dataset("shop", Interactions)
		return err
	})
	if err != nil || len(d.Layers) != 2 || len(d.Put) != 1 {
		t.Errorf("layers %v, individual %v: %v", d.Layers, d.Put, err)
	}
	if got := scanSorted(t, s, "shop", Interactions); !slices.Equal(got, before) {
		t.Errorf("rows %v, want %v", got, before)
	}
	if res := importRows(t, s, "shop", Interactions, ImportFull, nil); res.Replaced != 6 {
		t.Errorf("a full import replaced %d rows, want 6", res.Replaced)
	}
}

// TestSessions ties sessions to users, and deletes these: their sessions go with everything in them, off the disk, and
// nobody else's.
func TestSessions(t *testing.T) {
	limits := defaultLimits
	limits.sessionBytes, limits.sessionRows = 200, 3
	s := openQuick(t, filepath.Join(t.TempDir(), "sessions.expunge"), Options{Codec: CodecNone}, limits)
	createGroup(t, s, "shop")
	id := func(kind string, i int) string { return fmt.Sprintf("%s%s%08d", mark, kind, i) }
	const n = 40
	for i := range n {
		for k := range 4 { // one too many to wait
			mustPut(t, s, Interactions, id("sess", i), true, row{"", id("item", i), "view", nil, k})
		}
	}
	if res := foldAll(t, s, "shop"); res.Waiting != 4*n || res.Dropped != n || res.Added != 0 {
		t.Errorf("%+v", res)
	}
	mustCheck(t, s)
	if got := scanSorted(t, s, "shop", Interactions); len(got) > 0 {
		t.Errorf("rows of nobody are seen: %v", got)
	}
	for i := range n / 2 {
		mustPut(t, s, Interactions, id("sess", i), false, row{id("user", i), id("item", i), "buy", nil, 9})
		mustPut(t, s, Interactions, id("sess", i), true, row{"", id("item", i), "view", nil, 10})
	}
	if res := foldAll(t, s, "shop"); res.Added != 5*n/2 || res.Waiting != 0 {
		t.Errorf("%+v", res)
	}
	mustPut(t, s, Interactions, id("sess", 3), true, row{"", id("item", 3), "view", nil, 11})
	if res := foldAll(t, s, "shop"); res.Added != 1 {
		t.Errorf("a later event of a session: %+v", res)
	}
	mustCheck(t, s)

	var gone []string
	for i := range n / 4 {
		gone = append(gone, id("user", i))
	}
	if rows := deleteUsers(t, s, "shop", 1, gone...); rows != 5*n/4+1 {
		t.Errorf("%d rows deleted, want %d", rows, 5*n/4+1)
	}
	// A session of a deleted user is nobody's, also before its record is gone.
	mustPut(t, s, Interactions, id("sess", 1), true, row{"", id("item", 1), "view", nil, 12})
	if res := foldAll(t, s, "shop"); res.Added != 0 || res.Waiting != 1 {
		t.Errorf("an event of a deleted user's session: %+v", res)
	}
	mustCheck(t, s)
	finishDeletion(t, s, "shop", 1)
	mustCheck(t, s)
	got := tokens(t, s.path)
	for i := range n {
		for kind, want := range map[string]bool{"sess": i >= n/4 || i == 1, "item": i >= n/4 || i == 1, "user": i >= n/4 && i < n/2} {
			if got[id(kind, i)[:tokenSize]] != want {
				t.Errorf("%s %d in the file: %t, want %t", kind, i, !want, want)
			}
		}
	}
}

// TestPutSuppressed puts rows of suppressed users: they are left out, and what waits in their sessions goes.
func TestPutSuppressed(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "suppressed.expunge"), Options{Codec: CodecNone}, defaultLimits)
	createGroup(t, s, "shop")
	if err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSuppression("shop", true) }); err != nil {
		t.Fatal(err)
	}
	err := s.StageUsers(t.Context(), "shop", 1, 0, 1, func(int) []byte { return []byte("secret-ann") }, func(*Tx, Staged) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, Users, "", false, row{"secret-ann", 1, nil}) // before it counts: the fold leaves it out
	if _, err := s.Suppress(t.Context(), "shop", 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Tombstone(t.Context(), "shop", 1, 1, func(*Tx, Deleted) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if res := foldAll(t, s, "shop"); res.Suppressed != 1 || res.Added != 0 {
		t.Errorf("%+v", res)
	}
	mustPut(t, s, Interactions, "session-1", true, row{"", "secret-pen", "view", nil, 1})
	if out, err := put(t.Context(), s, "shop", Users, "", false, row{"secret-ann", 1, nil}, row{"bob", 1, nil}); err != nil || out != 1 {
		t.Errorf("%d rows left out: %v", out, err)
	}
	if out, err := put(t.Context(), s, "shop", Interactions, "session-1", false, row{"secret-ann", "ink", "view", nil, 2}); err != nil || out != 1 {
		t.Errorf("%d rows left out: %v", out, err)
	}
	if res := foldAll(t, s, "shop"); res.Added != 1 || res.Suppressed != 0 {
		t.Errorf("%+v", res)
	}
	mustCheck(t, s)
	finishDeletion(t, s, "shop", 1)
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("secret")) {
		t.Error("something of a suppressed user is in the file")
	}
}

func TestPutRefused(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	var d Dataset
	err := s.View(t.Context(), func(tx *Tx) (err error) {
		d, err = tx.Dataset("shop", Users)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := record(Users, []row{{"ann", 1, nil}})
	defer rec.Release()
	p, err := NewPut(d, rec, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	removeDataset(t, s, Users)
	if err := s.Update(t.Context(), func(tx *Tx) error { _, err := tx.Put(p); return err }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a removed dataset: %v", err)
	}
	err = s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.CreateDataset(d); err != nil {
			return err
		}
		_, err := tx.Put(p)
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("another dataset of the name: %v", err)
	}
	for what, fn := range map[string]func() error{
		"anonymous users": func() error { _, err := NewPut(d, rec, []byte("s"), true); return err },
		"empty ID": func() error {
			_, err := put(t.Context(), s, "shop", Interactions, "", false, row{"", "pen", "v", nil, 1})
			return err
		},
		"empty item": func() error {
			_, err := put(t.Context(), s, "shop", Interactions, "", false, row{"a", "", "v", nil, 1})
			return err
		},
		"no session": func() error {
			_, err := put(t.Context(), s, "shop", Interactions, "", true, row{"", "pen", "v", nil, 1})
			return err
		},
	} {
		if fn() == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestEventsBackup backs up what is in the journal and in sessions, and rows of both kinds.
func TestEventsBackup(t *testing.T) {
	limits := defaultLimits
	limits.sessionBytes, limits.stageBytes = 100, 100
	s := openQuick(t, filepath.Join(t.TempDir(), "from.expunge"), Options{}, limits)
	createGroup(t, s, "shop")
	err := s.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.CreateEventTracker(EventTracker{Name: "clicks", TrackingID: "0123456789", Group: "shop"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	importRows(t, s, "shop", Interactions, ImportFull, []row{{"zed", "pen", "view", nil, 1}, {"ann", "pen", "view", nil, 1}})
	for i := range 20 {
		session := fmt.Sprint("session-", i)
		mustPut(t, s, Interactions, session, true, row{"", "ink", "view", nil, i})
		if i%2 == 0 {
			mustPut(t, s, Interactions, session, false, row{fmt.Sprint("user-", i), "ink", "buy", nil, i})
		}
	}
	foldAll(t, s, "shop")
	deleteUsers(t, s, "shop", 1, "user-4", "zed")
	for i := range 20 {
		mustPut(t, s, Interactions, fmt.Sprint("session-", i), true, row{"", "ink", "later", nil, i})
	}
	path := filepath.Join(t.TempDir(), "copy.expunge")
	if _, err := s.Backup(t.Context(), path, func(*Tx) (uint64, error) { return 0, nil }); err != nil {
		t.Fatal(err)
	}
	c := openQuick(t, path, Options{}, limits)
	for _, s := range []*Store{s, c} {
		mustCheck(t, s)
		foldAll(t, s, "shop")
		mustPut(t, s, Interactions, "session-3", false, row{"late", "ink", "buy", nil, 3})
		mustPut(t, s, Interactions, "session-4", false, row{"later", "ink", "buy", nil, 3})
		foldAll(t, s, "shop")
		mustCheck(t, s)
		importRows(t, s, "shop", Interactions, ImportFull, nil)
	}
	if got, want := scanSorted(t, c, "shop", Interactions), scanSorted(t, s, "shop", Interactions); !slices.Equal(got, want) || len(got) != 9*3+3+2 {
		t.Errorf("the copy has %d rows, want %d: %v", len(got), len(want), got)
	}
	err = c.View(t.Context(), func(tx *Tx) error {
		_, err := tx.EventTrackerOf("shop")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestEventsVerify looks for users whose events are on their way.
func TestEventsVerify(t *testing.T) {
	s := testStore(t, Options{Codec: CodecNone})
	createGroup(t, s, "shop")
	verify := func(id string) VerifyReport {
		t.Helper()
		var r VerifyReport
		if err := s.VerifyAbsent(t.Context(), "shop", 1, func(int) []byte { return []byte(id) }, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	createGroup(t, s, "other")
	if _, err := put(t.Context(), s, "other", Interactions, "", false, row{"of-another-group", "pen", "view", nil, 1}); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, Interactions, "session-of-nobody", true, row{"", "a-user-as-item", "view", nil, 1})
	mustPut(t, s, Interactions, "session-of-ann", false, row{"ann-by-name", "a-user-as-item", "view", nil, 1})
	for _, folded := range []bool{false, true} {
		if folded {
			foldAll(t, s, "shop")
		}
		if _, err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]bool{"ann-by-name": true, "session-of-nobody": true, "a-user-as-item": false, "of-another-group": false, "somebody-else": false} {
			if r := verify(id); (r.Found > 0) != want {
				t.Errorf("%s, folded %t: %+v", id, folded, r)
			}
		}
	}
}
