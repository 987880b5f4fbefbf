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

// crashState is what a store shows, and what it shows once all that was begun is ended.
type crashState struct{ rows, ended []string }

// stateOf returns the state of a file, and removes it.
func (op *crashOp) stateOf(t *testing.T, path string, opts Options, limits limits) (st crashState) {
	t.Helper()
	st.rows = contentsOf(t, path)
	s := openQuick(t, path, opts, limits)
	op.endAll(t, s, st.rows)
	st.ended = contents(t, s, "shop")
	if err := errors.Join(s.Close(t.Context()), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	return st
}

// states returns those of two images, of before an operation and of after it.
func (op *crashOp) states(t *testing.T, opts Options, limits limits, images ...[]byte) (out []crashState) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.expunge")
	for _, data := range images {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out = append(out, op.stateOf(t, path, opts, limits))
	}
	if op.hidden && slices.Equal(out[0].ended, out[1].ended) {
		t.Error("nobody can tell whether something was put")
	}
	return out
}

// TestCrash looks at the file as it is after each commit of an operation, and at what a power loss in the middle of that
// commit, and of the zeroing before it, can leave: see [powerLoss]. It must open, be sound, show what was there before the
// operation or after it, and hold no byte of a deleted user once what was begun is ended. What was put before the operation
// is there then, and once.
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
			first := readFile(t, s.path)
			last, commits, images, kinds := first, 0, []image(nil), make(map[string]int)
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
			if commits < op.commits {
				t.Errorf("%d commits, want %d at least", commits, op.commits)
			}
			states := op.states(t, opts, limits, first, last)
			path := filepath.Join(t.TempDir(), "image.expunge")
			for _, im := range images {
				if op.checkImage(t, path, im, opts, limits, states); t.Failed() {
					t.Fatalf("image of %s", im.what)
				}
			}
			t.Logf("%d commits, %d images: %v", commits, len(images), kinds)
		})
	}
}

func (op *crashOp) checkImage(t *testing.T, path string, im image, opts Options, limits limits, states []crashState) {
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
		if !slices.ContainsFunc(states, func(st crashState) bool { return slices.Equal(got, st.rows) }) {
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
			op.endAll(t, s, got)
			ended := contents(t, s, "shop")
			if !slices.ContainsFunc(states, func(st crashState) bool { return slices.Equal(got, st.rows) && slices.Equal(ended, st.ended) }) {
				t.Error("once what was begun is ended, the rows are others than without a crash")
			}
			mustCheck(t, s)
			want := make(map[string]bool)
			collectTokens([]byte(strings.Join(ended, "\n")), want)
			sessionTokens(t, s, want)
			sameTokens(t, tokens(t, path), want)
		}
		must(s.Close(ctx))
	}
}

// endAll ends what a crash interrupted, as an engine does.
func (op *crashOp) endAll(t *testing.T, s *Store, rows []string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	deleted := !strings.Contains(strings.Join(rows, "\n"), op.deleted)
	staged, err := s.StagedJobs(ctx)
	must(err)
	if !deleted {
		for _, job := range staged {
			must(s.DropFailed(ctx, "shop", job))
		}
	}
	foldAll(t, s, "shop")
	if err := s.Sweep(ctx, "shop"); !errors.Is(err, ErrNotFound) { // the group was removed
		must(err)
	}
	if _, waitsFor, err := s.Clean(ctx); err != nil || waitsFor != 0 {
		t.Errorf("clean waits for epoch %d: %v", waitsFor, err)
	}
	if deleted {
		for _, job := range staged {
			_, err := s.CheckGone(ctx, "shop", job)
			must(err)
			must(s.DropStaged(ctx, job, nil))
		}
	}
	_, err = s.Scrub(ctx)
	must(err)
}

// sessionTokens adds those of sessions, which are all of users who are there or of nobody known.
func sessionTokens(t *testing.T, s *Store, out map[string]bool) {
	t.Helper()
	err := s.View(t.Context(), func(tx *Tx) error {
		g, err := tx.Group("shop")
		if errors.Is(err, ErrNotFound) { // a check finds sessions that belong to nothing
			return nil
		}
		if err != nil {
			return err
		}
		users, err := tx.dictView(dictID{g.ID, dictUsers}, 0)
		if err != nil {
			return err
		}
		return tx.b.Bucket(bucketSessions).ForEach(func(k, v []byte) error {
			chunk, err := readSessions(k, v)
			for _, ses := range chunk.sessions {
				if ses.user > 0 && !users.visible(ses.user-1) {
					t.Error("a session of a user who isn't there is left")
				}
				collectTokens(ses.id, out)
				for _, row := range ses.pending {
					collectTokens(row, out)
				}
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
}
