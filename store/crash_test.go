package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	for i := range 9 {
		items = append(items, row{fmt.Sprintf("%si%011d", mark, i), 1.5, true})
	}
	return users, items, inter
}

func filledStore(t testing.TB, opts Options, limits limits) *Store {
	t.Helper()
	s := openQuick(t, filepath.Join(t.TempDir(), "crash.expunge"), opts, limits)
	setSeed(t, s, 7)
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
		out = append(out, scanSorted(t, s, group, typ)...)
	}
	return out
}

// crashLimits make of little data many transactions.
func crashLimits() limits {
	limits := smallLimits(rand.New(rand.NewPCG(7, 7)))
	limits.stageBytes, limits.compactBytes, limits.pageRows, limits.mergeRows = 400, 200, 4, 1<<20
	limits.resolveBatch, limits.removeBudget, limits.dropPerTx = 5, 40, 2
	limits.unitBytes, limits.pieceBytes = 300, 500
	return limits
}

// crashOp is an operation on a [filledStore] with at least three blocks in each dataset. Its deletion is job 9.
type crashOp struct {
	name       string
	setup, run func(*testing.T, *Store)
	commits    int // at least
}

func crashOps() []crashOp {
	_, _, inter := oneOfEach()
	begin := func(t *testing.T, s *Store, mode ImportMode) *Import {
		im, err := s.BeginImport(t.Context(), "shop", Interactions, mode)
		if err != nil {
			t.Fatal(err)
		}
		rec := record(Interactions, append(slices.Clone(inter[:30]),
			row{mark + "user-new-000001", mark + "item-new-000001", "click", 2.5, 17}, row{mark + "user-new-000002", mark + "item-new-000001", "click", 2.5, 17}))
		defer rec.Release()
		if err := im.Append(rec); err != nil {
			t.Fatal(err)
		}
		return im
	}
	imports := func(mode ImportMode) func(t *testing.T, s *Store) {
		return func(t *testing.T, s *Store) {
			if _, err := begin(t, s, mode).Finish(t.Context(), nil, func(*Tx, ImportResult) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	delete4 := func(t *testing.T, s *Store) {
		deleteUsers(t, s, "shop", 9, inter[0][0].(string), inter[40][0].(string), mark+"nobody-00001", mark+"nobody-00002", mark+"nobody-00003", inter[90][0].(string))
	}
	finish := func(t *testing.T, s *Store) { finishDeletion(t, s, "shop", 9) }
	return []crashOp{
		{"full import", nil, imports(ImportFull), 6},
		{"incremental import", nil, imports(ImportIncremental), 4},
		{"aborted import", nil, func(t *testing.T, s *Store) {
			stop, im := errors.New("stop"), begin(t, s, ImportFull)
			_, err := im.Finish(t.Context(), nil, func(*Tx, ImportResult) error { return stop })
			if !errors.Is(err, stop) {
				t.Fatal(err)
			}
			if err := im.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, 10},
		{"deletion", nil, delete4, 3},
		{"deletion with suppression", func(t *testing.T, s *Store) {
			if err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSuppression("shop", true) }); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, s *Store) {
			ids := []string{inter[0][0].(string), inter[40][0].(string), mark + "nobody-00001"}
			err := s.StageUsers(t.Context(), "shop", 9, 0, len(ids), func(i int) []byte { return []byte(ids[i]) }, func(*Tx, Staged) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Suppress(t.Context(), "shop", 9, 1); err != nil {
				t.Fatal(err)
			}
			if err := s.Tombstone(t.Context(), "shop", 9, 1, func(*Tx, Deleted) error { return nil }); err != nil {
				t.Fatal(err)
			}
			finish(t, s)
		}, 10},
		{"clean and scrub after deletion", delete4, finish, 11},
		{"clean around a lease", nil, func(t *testing.T, s *Store) {
			sn, err := s.Snapshot(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer sn.Release()
			delete4(t, s)
			if _, waitsFor, err := s.Clean(t.Context()); err != nil || waitsFor == 0 {
				t.Fatalf("clean waits for epoch %d: %v", waitsFor, err)
			}
			if _, err := s.Scrub(t.Context()); err != nil {
				t.Fatal(err)
			}
			sn.Release()
			finish(t, s)
		}, 15},
		{"clean after full import", imports(ImportFull), func(t *testing.T, s *Store) {
			if err := s.Sweep(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
			finish(t, s)
		}, 15},
		{"merge of layers", imports(ImportIncremental), func(t *testing.T, s *Store) {
			if merged, err := s.MergeLayers(t.Context()); err != nil || !merged {
				t.Fatalf("merged: %v, %v", merged, err)
			}
		}, 5},
		{"close", delete4, func(t *testing.T, s *Store) {
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.committed() // Close ends with a scrub that commits nothing
		}, 3},
	}
}

// TestCrash looks at the file as it is after each commit of an operation, and at what a power loss in the middle of that
// commit, and of the zeroing before it, can leave: see [powerLoss]. It must open, be sound, show what was there before the
// operation or after it, and hold no byte of a deleted user once what was begun is ended.
func TestCrash(t *testing.T) {
	inMemory(t)
	most := 1
	if os.Getenv("EXPUNGE_TEST_LONG") != "" {
		most = 100
	}
	limits, opts := crashLimits(), Options{BlockRows: 3, Codec: CodecNone}
	for _, op := range crashOps() {
		t.Run(op.name, func(t *testing.T) {
			s := filledStore(t, opts, limits)
			if op.setup != nil {
				op.setup(t, s)
			}
			before := contents(t, s, "shop")
			last, commits, images, kinds := readFile(t, s.path), 0, []image(nil), make(map[string]int)
			r := rand.New(rand.NewPCG(11, 3))
			s.committed = func() {
				now := readFile(t, s.path)
				images = append(images, image{fmt.Sprintf("commit %d, whole", commits), now})
				lost := powerLoss(last, now, r, most > 1)
				r.Shuffle(len(lost), func(i, j int) { lost[i], lost[j] = lost[j], lost[i] })
				for _, im := range lost[:min(most, len(lost))] {
					kinds[im.what]++
					images = append(images, image{fmt.Sprintf("commit %d, %s", commits, im.what), im.data})
				}
				last = now
				commits++
			}
			op.run(t, s)
			s.committed = nil
			path := filepath.Join(t.TempDir(), "image.expunge")
			if err := os.WriteFile(path, last, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(t.Context(), path, Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			after := contents(t, s, "shop")
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if commits < op.commits {
				t.Errorf("%d commits, want %d at least", commits, op.commits)
			}
			for _, im := range images {
				if checkImage(t, path, im, opts, limits, before, after); t.Failed() {
					t.Fatalf("image of %s", im.what)
				}
			}
			t.Logf("%d commits, %d images: %v", commits, len(images), kinds)
		})
	}
}

func checkImage(t *testing.T, path string, im image, opts Options, limits limits, before, after []string) {
	t.Helper()
	ctx := t.Context()
	if err := os.WriteFile(path, im.data, 0o600); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	// Sound as it lies there, and again once what was in flight is rolled back.
	for _, ro := range []bool{true, false} {
		opts.ReadOnly = ro
		s, err := open(ctx, path, opts, limits)
		if err != nil {
			t.Errorf("read-only %t: %v", ro, err)
			return
		}
		mustCheck(t, s)
		got := contents(t, s, "shop")
		if !slices.Equal(got, before) && !slices.Equal(got, after) {
			t.Errorf("read-only %t: shows neither what was before nor what is after", ro)
		}
		if !ro {
			s.db.NoSync = true
			must(s.View(ctx, func(tx *Tx) error {
				found, err := tx.importRecords()
				if len(found) > 0 {
					t.Errorf("%d imports in flight after opening", len(found))
				}
				return err
			}))
			endAll(t, s, got)
			if now := contents(t, s, "shop"); !slices.Equal(now, got) {
				t.Error("ending what was begun changed the rows")
			}
			mustCheck(t, s)
			want := make(map[string]bool)
			collectTokens([]byte(strings.Join(got, "\n")), want)
			sameTokens(t, tokens(t, path), want)
		}
		must(s.Close(ctx))
	}
}

// endAll ends what a crash interrupted, as an engine does.
func endAll(t *testing.T, s *Store, rows []string) {
	t.Helper()
	ctx := t.Context()
	_, _, inter := oneOfEach()
	deleted := !strings.Contains(strings.Join(rows, "\n"), inter[0][0].(string))
	staged, err := s.StagedJobs(ctx)
	if err != nil {
		t.Error(err)
	}
	if !deleted {
		for _, job := range staged {
			if err := s.DropFailed(ctx, "shop", job); err != nil {
				t.Error(err)
			}
		}
	}
	if err := s.Sweep(ctx, "shop"); err != nil {
		t.Error(err)
	}
	if _, waitsFor, err := s.Clean(ctx); err != nil || waitsFor != 0 {
		t.Errorf("clean waits for epoch %d: %v", waitsFor, err)
	}
	if deleted {
		for _, job := range staged {
			if _, err := s.CheckGone(ctx, "shop", job); err != nil {
				t.Error(err)
			}
			if err := s.DropStaged(ctx, job); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := s.Scrub(ctx); err != nil {
		t.Error(err)
	}
}
