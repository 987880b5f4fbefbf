package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// TestReadersAndWriters scans snapshots while an importer, a deleter, and a cleaner with scrubs change the store. Every
// user has one Users row and rowsEach interactions, imported and deleted together, so that each state is easy to judge.
func TestReadersAndWriters(t *testing.T) {
	const rounds, rowsEach = 12, 30
	limits := defaultLimits
	limits.stageBytes, limits.resolveBatch, limits.dropPerTx, limits.removeBudget = 2000, 7, 3, 2000
	s := openQuick(t, filepath.Join(t.TempDir(), "test.expunge"), Options{BlockRows: 11}, limits)
	createGroup(t, s, "shop")
	user := func(n int) string { return fmt.Sprintf("user-%d", n) }
	ctx, cancel := context.WithCancel(context.Background())
	var readers, writers sync.WaitGroup
	imported := make(chan int, rounds)
	var group sync.Mutex // imports and deletions of a group take turns

	writers.Go(func() {
		defer close(imported)
		for round := range rounds {
			var inter []row
			for u := range 4 {
				for e := range rowsEach {
					inter = append(inter, row{user(4*round + u), fmt.Sprint("item-", (e+u)%17), "view", nil, e})
				}
			}
			group.Lock()
			importRows(t, s, "shop", Interactions, ImportIncremental, inter)
			group.Unlock()
			imported <- round
		}
	})
	writers.Go(func() {
		for round := range imported {
			group.Lock()
			if n := deleteUsers(t, s, "shop", uint64(round+1), user(4*round), user(4*round+2)); n != 2*rowsEach {
				t.Errorf("round %d: deleted %d rows", round, n)
			}
			group.Unlock()
		}
	})
	readers.Go(func() { // the eraser
		for ctx.Err() == nil {
			_, err := s.Clean(ctx)
			if err == nil {
				_, err = s.MergeLayers(ctx)
			}
			if err == nil {
				_, err = s.Scrub(ctx)
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				readOnce(t, s, rowsEach)
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	ctx = context.Background()
	for range 2 {
		if cleaned, err := s.Clean(ctx); err != nil || cleaned.Waits() {
			t.Errorf("clean: %+v %v", cleaned, err)
		}
	}
	for round := range rounds {
		if _, err := s.CheckGone(ctx, "shop", uint64(round+1)); err != nil {
			t.Error(err)
		}
	}
	mustCheck(t, s)
	if n := readOnce(t, s, rowsEach); n != 2*rounds*rowsEach {
		t.Errorf("%d rows are left", n)
	}
}

// readOnce scans a snapshot twice and looks one user up: each user is there whole, or not at all, and both scans agree.
func readOnce(t *testing.T, s *Store, rowsEach int) int {
	ctx := context.Background()
	sn, err := s.Snapshot(ctx, "shop")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer sn.Release()
	var total [2]int
	for i := range total {
		counts := make(map[string]int)
		for rec, err := range sn.Scan(ctx, Interactions) {
			if err != nil {
				t.Error(err)
				return 0
			}
			for _, r := range rowsOf(rec) {
				counts[r[0].(string)]++
			}
			rec.Release()
		}
		for u, n := range counts {
			if n != rowsEach {
				t.Errorf("%s has %d rows, want %d", u, n, rowsEach)
			}
			total[i] += n
		}
		for u := range counts {
			rec, err := sn.RowsOf(ctx, Interactions, []byte(u))
			if err != nil || rec == nil || rec.NumRows() != int64(rowsEach) {
				t.Errorf("rows of %s: %v, %v", u, rec, err)
			}
			if rec != nil {
				rec.Release()
			}
			break // one is enough
		}
	}
	if total[0] != total[1] || int64(total[0]) != sn.Rows(Interactions) {
		t.Errorf("scans of one snapshot give %v rows, it says %d", total, sn.Rows(Interactions))
	}
	return total[0]
}

// TestTombstoneDuringCompaction lets a deletion commit between the moment at which a compaction read a block and that at
// which it replaces it.
func TestTombstoneDuringCompaction(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "test.expunge"), Options{}, defaultLimits)
	createGroup(t, s, "shop")
	_, _, inter := oneOfEach()
	importRows(t, s, "shop", Interactions, ImportFull, inter)
	deleteUsers(t, s, "shop", 1, inter[0][0].(string))
	var stale []candidate
	layouts := make(map[uint32]layoutOf)
	err := s.View(t.Context(), func(tx *Tx) (err error) {
		stale, _, err = tx.candidates([]byte{}, 10)
		return errors.Join(err, tx.layouts(layouts))
	})
	if err != nil || len(stale) != 1 {
		t.Fatal(len(stale), err)
	}
	deleteUsers(t, s, "shop", 2, inter[20][0].(string))
	compact := func(batch []candidate) ([]candidate, error) {
		out, err := s.rewriteBatch(t.Context(), batch, layouts)
		if err != nil {
			return nil, err
		}
		return s.replaceBatch(t.Context(), out, layouts)
	}
	changed, err := compact(stale)
	if err != nil || len(changed) != 1 {
		t.Fatalf("%d changed: %v", len(changed), err)
	}
	if changed, err = compact(changed); err != nil || len(changed) != 0 {
		t.Fatalf("%d changed: %v", len(changed), err)
	}
	finishDeletion(t, s, "shop", 1)
	finishDeletion(t, s, "shop", 2)
	mustCheck(t, s)
}

// TestItemsOfOldSnapshots makes an item lose its rows, get some again, and lose these too: a snapshot of the time between
// must still find its ID.
func TestItemsOfOldSnapshots(t *testing.T) {
	for _, second := range []string{"deletion", "full import"} {
		t.Run(second, func(t *testing.T) {
			s := openQuick(t, filepath.Join(t.TempDir(), "test.expunge"), Options{}, defaultLimits)
			createGroup(t, s, "shop")
			rows := func(user string) []row { return []row{{user, "the-item", "view", nil, 1}} }
			importRows(t, s, "shop", Interactions, ImportFull, append(rows("first"), row{"other", "item", "view", nil, 2}))
			old, err := s.Snapshot(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			deleteUsers(t, s, "shop", 1, "first")
			if _, err := s.Clean(t.Context()); err != nil { // old keeps the ID
				t.Fatal(err)
			}
			importRows(t, s, "shop", Interactions, ImportIncremental, rows("second"))
			between, err := s.Snapshot(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer between.Release()
			old.Release()
			if second == "deletion" {
				deleteUsers(t, s, "shop", 2, "second")
			} else {
				importRows(t, s, "shop", Interactions, ImportFull, []row{{"third", "item", "view", nil, 3}})
			}
			for range 2 {
				if _, err := s.Clean(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(scanAll(t, between, Interactions)); n != 2 {
				t.Errorf("%d rows", n)
			}
			mustCheck(t, s)
		})
	}
}
