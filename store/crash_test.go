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

// contentsOf returns the rows that a file shows of the group.
func contentsOf(t *testing.T, path string) []string {
	t.Helper()
	s, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := contents(t, s, "shop")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rows
}

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
				if err := op.setup(t.Context(), s); err != nil {
					t.Fatal(err)
				}
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
			if err := op.run(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.committed() // Close ends with a scrub that commits nothing
			path := filepath.Join(t.TempDir(), "image.expunge")
			if err := os.WriteFile(path, last, 0o600); err != nil {
				t.Fatal(err)
			}
			after := contentsOf(t, path)
			if op.name == "fold" {
				s := openQuick(t, path, opts, limits)
				foldAll(t, s, "shop")
				op.folded = contents(t, s, "shop")
				if err := s.closeFiles(); err != nil {
					t.Fatal(err)
				}
			}
			if commits < op.commits {
				t.Errorf("%d commits, want %d at least", commits, op.commits)
			}
			for _, im := range images {
				if checkImage(t, path, im, op, opts, limits, before, after); t.Failed() {
					t.Fatalf("image of %s", im.what)
				}
			}
			t.Logf("%d commits, %d images: %v", commits, len(images), kinds)
		})
	}
}

func checkImage(t *testing.T, path string, im image, op crashOp, opts Options, limits limits, before, after []string) {
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
			if !op.puts {
				want := make(map[string]bool)
				collectTokens([]byte(strings.Join(got, "\n")), want)
				sameTokens(t, tokens(t, path), want)
			} else if gone := op.gone; slices.Equal(got, after) && gone != "" && tokens(t, path)[gone] {
				t.Errorf("%s is still in the file", gone)
			}
			// What was put before the operation is there, and once.
			foldAll(t, s, "shop")
			if now := contents(t, s, "shop"); op.folded != nil && !slices.Equal(now, op.folded) {
				t.Error("what was put isn't there")
			}
			mustCheck(t, s)
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
	if err := s.Sweep(ctx, "shop"); err != nil && !errors.Is(err, ErrNotFound) {
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
