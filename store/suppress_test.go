package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// suppressedIDs says which of n IDs an import would leave out.
func suppressedIDs(t *testing.T, s *Store, n int) (out []int) {
	t.Helper()
	err := s.View(t.Context(), func(tx *Tx) error {
		g, err := tx.Group("shop")
		if err != nil {
			return err
		}
		for i := range n {
			has, err := (suppressed{tx, g}).has(numbered(i))
			if err != nil {
				return err
			}
			if has {
				out = append(out, i)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func numbered(i int) []byte { return fmt.Appendf(nil, "%su%07d", mark, i) }

// stageList stages a list in batches of some hundred, and returns how many there were.
func stageList(t *testing.T, s *Store, job uint64, list []int) (batches uint32) {
	t.Helper()
	for some := range slices.Chunk(list, 700) {
		at := func(i int) []byte { return numbered(some[i]) }
		err := s.StageUsers(t.Context(), "shop", job, batches, len(some), at, func(*Tx, Staged) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		batches++
	}
	return batches
}

// TestSuppression compares the set with a map, over lists that end in a deletion, lists that fail, and lifting.
func TestSuppression(t *testing.T) {
	const ids = 6000
	ctx, r := context.Background(), rand.New(rand.NewPCG(3, 9))
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	var known []row
	for i := 0; i < ids; i += 3 {
		known = append(known, row{string(numbered(i)), 1, nil})
	}
	importRows(t, s, "shop", Users, ImportFull, known)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	none := func(*Tx, Deleted) error { return nil }
	job := uint64(1)
	off := stageList(t, s, job, []int{1, 2, 3})
	suppress := func(batches uint32, want bool) {
		t.Helper()
		on, err := s.Suppress(ctx, "shop", job, batches)
		if must(err); on != want {
			t.Errorf("suppressed: %t", on)
		}
	}
	suppress(off, false)
	must(s.Tombstone(ctx, "shop", job, off, none))
	must(s.Update(ctx, func(tx *Tx) error { return tx.SetSuppression("shop", true) }))
	want := make(map[int]uint64)
	for range 24 {
		job++
		list := make([]int, r.IntN(2500))
		for i := range list {
			list[i] = r.IntN(ids)
		}
		switch r.IntN(4) {
		case 0: // fails, before or after it was added
			n := stageList(t, s, job, list)
			if r.IntN(2) == 0 {
				suppress(n, true)
			}
			must(s.DropFailed(ctx, "shop", job))
			if staged, err := s.StagedJobs(ctx); err != nil || slices.Contains(staged, job) {
				t.Errorf("job %d is still staged: %v", job, err)
			}
			if n, _, err := s.HashDigest(ctx, job); n != 0 || err != nil {
				t.Errorf("%d hashes of job %d are left: %v", n, job, err)
			}
		case 1:
			n := 0
			for i := range want {
				if slices.Contains(list, i) {
					n++
				}
			}
			lifted, err := s.LiftSuppression(ctx, "shop", len(list), func(i int) []byte { return numbered(list[i]) })
			if err != nil || lifted != int64(n) {
				t.Errorf("lifted %d, want %d: %v", lifted, n, err)
			}
			for _, i := range list {
				delete(want, i)
			}
		default:
			n := stageList(t, s, job, list)
			for range 1 + r.IntN(2) { // also as after a crash
				suppress(n, true)
			}
			var before []int
			for i := range want {
				before = append(before, i)
			}
			slices.Sort(before)
			if got := suppressedIDs(t, s, ids); !slices.Equal(got, before) {
				t.Errorf("before the tombstone commit %d users are suppressed, want %d", len(got), len(before))
			}
			must(s.Tombstone(ctx, "shop", job, n, none))
			must(s.DropStaged(ctx, job, nil))
			for _, i := range list {
				if _, ok := want[i]; !ok {
					want[i] = job
				}
			}
		}
		var all []int
		counts := make(map[uint64]int64)
		for i, j := range want {
			all = append(all, i)
			counts[j]++
		}
		slices.Sort(all)
		if got := suppressedIDs(t, s, ids); !slices.Equal(got, all) {
			t.Fatalf("job %d: %d users are suppressed, want %d", job, len(got), len(all))
		}
		got, err := s.Suppressed(ctx, "shop")
		if err != nil || fmt.Sprint(got) != fmt.Sprint(counts) {
			t.Fatalf("job %d: counts %v, want %v: %v", job, got, counts, err)
		}
		mustCheck(t, s)
	}
	// Imports leave them out, and the items that they alone had.
	var inter []row
	left := 0
	for i := range ids {
		item := "both"
		if _, out := want[i]; out {
			item = "theirs"
		} else {
			left++
		}
		inter = append(inter, row{string(numbered(i)), item, "view", nil, i})
	}
	res := importRows(t, s, "shop", Interactions, ImportIncremental, inter)
	if res.Suppressed != int64(len(want)) || res.Added != int64(left) || res.Read != ids || res.Duplicate != 0 {
		t.Errorf("import: %+v, want %d left out", res, len(want))
	}
	if got := len(scanSorted(t, s, "shop", Interactions)); got != left {
		t.Errorf("%d rows, want %d", got, left)
	}
	must(s.Sweep(ctx, "shop"))
	_, _, err := s.Clean(ctx)
	must(err)
	mustCheck(t, s)
	if n, err := s.LiftAllSuppression(ctx, "shop"); err != nil || n != int64(len(want)) {
		t.Errorf("lifted %d, want %d: %v", n, len(want), err)
	}
	if got := suppressedIDs(t, s, ids); len(got) > 0 {
		t.Errorf("%d users are suppressed after all were let back", len(got))
	}
	mustCheck(t, s)
}

// TestKey: hashes need the same key each time.
func TestKey(t *testing.T) {
	for _, c := range []struct{ create, open []byte }{
		{nil, []byte("0123456789abcdef")}, {[]byte("0123456789abcdef"), nil}, {[]byte("0123456789abcdef"), []byte("0123456789abcdeF")},
	} {
		s := testStore(t, Options{IDKey: c.create})
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), s.path, Options{IDKey: c.open}); !errors.Is(err, ErrKey) {
			t.Errorf("created with %q, opened with %q: %v", c.create, c.open, err)
		}
		again := reopen(t, s.path, Options{IDKey: c.create})
		a, err := again.HashIDs("g", 1, func(int) []byte { return []byte("ann") })
		if err != nil {
			t.Fatal(err)
		}
		b, err := again.HashIDs("h", 1, func(int) []byte { return []byte("ann") })
		if err != nil || a[0] == b[0] || a[0] == (IDHash{}) {
			t.Errorf("hashes of one ID in two groups: %x, %x, %v", a, b, err)
		}
	}
}

// TestStoppedSuppression: what a job that was stopped has suppressed so far neither counts nor can be lifted, and goes when
// suppression is off by the time that the job goes on.
func TestStoppedSuppression(t *testing.T) {
	ctx := context.Background()
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	set := func(on bool) {
		t.Helper()
		if err := s.Update(ctx, func(tx *Tx) error { return tx.SetSuppression("shop", on) }); err != nil {
			t.Fatal(err)
		}
	}
	list := []int{1, 2, 3}
	suppress := func(job uint64, batches uint32, want bool) {
		t.Helper()
		if on, err := s.Suppress(ctx, "shop", job, batches); err != nil || on != want {
			t.Fatalf("suppressed: %t, %v", on, err)
		}
	}
	end := func(job uint64, batches uint32, want ...int) {
		t.Helper()
		if err := s.Tombstone(ctx, "shop", job, batches, func(*Tx, Deleted) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if got := suppressedIDs(t, s, 9); !slices.Equal(got, want) {
			t.Errorf("after job %d %v are suppressed, want %v", job, got, want)
		}
	}
	lifted := func(want int64) {
		t.Helper()
		n, err := s.LiftSuppression(ctx, "shop", len(list), func(i int) []byte { return numbered(list[i]) })
		if err != nil || n != want {
			t.Errorf("lifted %d, want %d: %v", n, want, err)
		}
	}
	set(true)
	n := stageList(t, s, 1, list)
	suppress(1, n, true)
	lifted(0)
	if all, err := s.LiftAllSuppression(ctx, "shop"); err != nil || all != 0 {
		t.Errorf("lifted %d: %v", all, err)
	}
	end(1, n, list...)
	lifted(3)

	n = stageList(t, s, 2, list)
	suppress(2, n, true)
	set(false)
	suppress(2, n, false)
	end(2, n)
	if by, err := s.Suppressed(ctx, "shop"); err != nil || len(by) > 0 {
		t.Errorf("suppressed by job: %v, %v", by, err)
	}
}
