package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// oneOfEach has more rows than fit a transaction with small limits.
func oneOfEach() (users, items, inter []row) {
	for u := range 12 {
		id := fmt.Sprintf("%su%011d", mark, u)
		users = append(users, row{id, u, fmt.Sprintf("%sc%011d", mark, u)})
		for e := range 6 + 20*(u%3/2) {
			inter = append(inter, row{id, fmt.Sprintf("%si%011d", mark, (e*u+u)%29), "view", nil, e})
		}
	}
	for i := range 5 {
		items = append(items, row{fmt.Sprintf("%si%011d", mark, i), 1.5, true})
	}
	return users, items, inter
}

func filledStore(t testing.TB, opts Options, limits limits) *Store {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "crash.expunge"), opts, limits)
	createGroup(t, s, "shop")
	users, items, inter := oneOfEach()
	importRows(t, s, "shop", Users, ImportFull, users)
	importRows(t, s, "shop", Items, ImportFull, items)
	importRows(t, s, "shop", Interactions, ImportFull, inter[:len(inter)/2])
	importRows(t, s, "shop", Interactions, ImportIncremental, inter[len(inter)/3:])
	return s
}

// contents returns all rows that a store shows of a group, sorted.
func contents(t testing.TB, s *Store, group string) (out []string) {
	t.Helper()
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		err := s.View(t.Context(), func(tx *Tx) error {
			_, err := tx.Dataset(group, typ)
			return err
		})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		out = append(out, scanSorted(t, s, group, typ)...)
	}
	return out
}

// TestCrash looks at the file as it is after each commit of an operation: each is what a crash leaves. It must open, be
// sound, and show what was there before the operation or after it.
func TestCrash(t *testing.T) {
	limits := smallLimits(rand.New(rand.NewPCG(7, 7)))
	limits.stageBytes, limits.compactBytes, limits.pageRows, limits.mergeRows = 400, 200, 4, 1<<20
	limits.resolveBatch, limits.removeBudget, limits.dropPerTx = 5, 40, 2
	limits.unitBytes, limits.pieceBytes = 300, 500
	limits.foldEntries, limits.foldBytes, limits.sessionBytes = 1000, 1<<20, 100
	_, _, inter := oneOfEach()
	more := func(mode ImportMode, end func(im *Import) error) func(t *testing.T, s *Store) {
		return func(t *testing.T, s *Store) {
			im, err := s.BeginImport(t.Context(), "shop", Interactions, mode)
			if err != nil {
				t.Fatal(err)
			}
			rec := record(Interactions, append(slices.Clone(inter[:30]),
				row{mark + "user-new-000001", mark + "item-new-000001", "click", 2.5, 17}, row{mark + "user-new-000002", mark + "item-new-000001", "click", 2.5, 17}))
			defer rec.Release()
			if err := errors.Join(im.Append(rec), end(im)); err != nil {
				t.Fatal(err)
			}
		}
	}
	finish := func(im *Import) error {
		_, err := im.Finish(context.Background(), nil, func(*Tx, ImportResult) error { return nil })
		return err
	}
	delete4 := func(t *testing.T, s *Store) {
		deleteUsers(t, s, "shop", 9, inter[0][0].(string), inter[40][0].(string), "nobody", "noone", "none", inter[90][0].(string))
	}
	ops := []struct {
		name       string
		setup, run func(*testing.T, *Store)
		commits    int // at least
	}{
		{"full import", nil, more(ImportFull, finish), 6},
		{"incremental import", nil, more(ImportIncremental, finish), 4},
		{"aborted import", nil, more(ImportFull, func(im *Import) error {
			stop := errors.New("stop")
			_, err := im.Finish(context.Background(), nil, func(*Tx, ImportResult) error { return stop })
			if !errors.Is(err, stop) {
				return err
			}
			return im.Abort(context.Background())
		}), 10},
		{"deletion", nil, delete4, 3},
		{"clean after deletion", delete4, func(t *testing.T, s *Store) { finishDeletion(t, s, "shop", 9) }, 11},
		{"clean after full import", more(ImportFull, finish), func(t *testing.T, s *Store) {
			if err := s.Sweep(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
			finishDeletion(t, s, "shop", 9)
		}, 15},
		{"merge of layers", more(ImportIncremental, finish), func(t *testing.T, s *Store) {
			if merged, err := s.MergeLayers(t.Context()); err != nil || !merged {
				t.Fatalf("merged: %v, %v", merged, err)
			}
		}, 5},
		{"removal of a dataset", delete4, func(t *testing.T, s *Store) {
			removeDataset(t, s, "shop", Interactions)
			finishDeletion(t, s, "shop", 9)
		}, 10},
		{"removal of a group", func(t *testing.T, s *Store) {
			for _, typ := range []DatasetType{Users, Items, Interactions} {
				removeDataset(t, s, "shop", typ)
			}
		}, func(t *testing.T, s *Store) {
			if err := s.Update(t.Context(), func(tx *Tx) error { return tx.DeleteGroup("shop") }); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, 10},
		{"put", nil, func(t *testing.T, s *Store) { putEvents(t, s) }, 4},
		{"fold", putEvents, func(t *testing.T, s *Store) {
			if _, more, err := s.Fold(t.Context(), "shop", Interactions); err != nil || more {
				t.Fatalf("more %t: %v", more, err)
			}
		}, 5},
		{"clean after deletion of a user with sessions", func(t *testing.T, s *Store) {
			putEvents(t, s)
			foldAll(t, s, "shop")
			deleteUsers(t, s, "shop", 9, mark+"user-put-000001")
		}, func(t *testing.T, s *Store) { finishDeletion(t, s, "shop", 9) }, 8},
		{"removal of a dataset with a journal", func(t *testing.T, s *Store) {
			putEvents(t, s)
			foldAll(t, s, "shop")
			putEvents(t, s)
		}, func(t *testing.T, s *Store) {
			removeDataset(t, s, "shop", Interactions)
			if _, _, err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, 8},
		{"update of a dataset", nil, func(t *testing.T, s *Store) { updateUsers(t, s, "shop") }, 1},
	}
	for _, op := range ops {
		t.Run(op.name, func(t *testing.T) {
			s := filledStore(t, Options{BlockRows: 9}, limits)
			if op.setup != nil {
				op.setup(t, s)
			}
			before := contents(t, s, "shop")
			var copies []string
			s.committed = func() {
				data, err := os.ReadFile(s.path)
				if err != nil {
					t.Fatal(err)
				}
				copies = append(copies, filepath.Join(t.TempDir(), "copy.expunge"))
				if err := os.WriteFile(copies[len(copies)-1], data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			op.run(t, s)
			s.committed = nil
			after := contents(t, s, "shop")
			if len(copies) < op.commits {
				t.Errorf("%d commits, want %d at least", len(copies), op.commits)
			}
			var folded []string
			if op.name == "fold" {
				foldAll(t, s, "shop")
				folded = contents(t, s, "shop")
			}
			for i, path := range copies {
				checkCopy(t, i, path, limits, before, after, folded)
			}
		})
	}
}

func checkCopy(t *testing.T, i int, path string, limits limits, before, after, folded []string) {
	// Sound as it lies there, and again once what was in flight is rolled back.
	for _, ro := range []bool{true, false} {
		s, err := open(t.Context(), path, Options{BlockRows: 9, ReadOnly: ro}, limits)
		if err != nil {
			t.Fatalf("copy %d, read-only %t: %v", i, ro, err)
		}
		mustCheck(t, s)
		if got := contents(t, s, "shop"); !slices.Equal(got, before) && !slices.Equal(got, after) {
			t.Errorf("copy %d, read-only %t: shows neither what was before nor what is after", i, ro)
		}
		if !ro {
			recs := 0
			err := s.View(t.Context(), func(tx *Tx) error {
				found, err := tx.importRecords()
				recs = len(found)
				return err
			})
			if err != nil || recs > 0 {
				t.Errorf("copy %d: %d imports in flight after opening: %v", i, recs, err)
			}
			// Cleaning goes on from wherever it was.
			if _, _, err := s.Clean(t.Context()); err != nil {
				t.Errorf("copy %d: %v", i, err)
			}
			mustCheck(t, s)
			// What was put before the operation is there, and once.
			foldAll(t, s, "shop")
			if got := contents(t, s, "shop"); folded != nil && !slices.Equal(got, folded) {
				t.Errorf("copy %d: what was put isn't there", i)
			}
			mustCheck(t, s)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("copy %d: %v", i, err)
		}
	}
	os.Remove(path)
}
