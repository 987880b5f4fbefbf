package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

// TestRowsOf reads users of one row and of thousands, over several blocks and layers, with dead rows and without, and
// compares them with what a scan shows. Their memory is used again from one to the next.
func TestRowsOf(t *testing.T) {
	limits := defaultLimits
	limits.pageRows = 100
	s := openQuick(t, filepath.Join(t.TempDir(), "test.expunge"), Options{BlockRows: 900}, limits)
	createGroup(t, s, "shop")
	r := rand.New(rand.NewPCG(1, 2))
	user := func(i int) string { return fmt.Sprintf("user-%d", i) } // of several lengths
	for layer := range 3 {
		var rows []row
		for i := range 200 {
			for range map[int]int{7: 3 * sortedItems, 8: sortedItems + 1, 9: sortedItems / 3}[i] + i%3 {
				rows = append(rows, row{user(i), fmt.Sprintf("item-%d", r.IntN(3000)), "view", float64(layer), r.IntN(1000)})
			}
		}
		importRows(t, s, "shop", Interactions, ImportIncremental, rows)
	}
	compare := func() {
		t.Helper()
		sn, err := s.Snapshot(t.Context(), "shop")
		if err != nil {
			t.Fatal(err)
		}
		defer sn.Release()
		want := make(map[string][]row)
		for _, row := range scanAll(t, sn, Interactions) {
			want[row[0].(string)] = append(want[row[0].(string)], row)
		}
		for _, i := range append(r.Perm(202), 7, 3, 8) {
			rec, err := sn.RowsOf(t.Context(), Interactions, []byte(user(i)))
			if err != nil {
				t.Fatal(err)
			}
			now, err := s.RowsOf(t.Context(), "shop", Interactions, []byte(user(i)))
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range [][]row{rowsAndRelease(rec), rowsAndRelease(now)} {
				if !slices.EqualFunc(got, want[user(i)], slices.Equal) {
					t.Errorf("%s has %d rows, want %d, or others", user(i), len(got), len(want[user(i)]))
				}
			}
		}
	}
	compare()
	deleteUsers(t, s, "shop", 1, user(8), user(10), user(11), user(150))
	compare()
	finishDeletion(t, s, "shop", 1)
	compare()
	mustCheck(t, s)
}

// TestRowsOfShortKey: a key of fences that was cut off, as damage behind bbolt's bounds can leave it, is an error.
func TestRowsOfShortKey(t *testing.T) {
	for n := 8; n < 16; n++ {
		s := openQuick(t, filepath.Join(t.TempDir(), "test.expunge"), Options{}, defaultLimits)
		createGroup(t, s, "shop")
		importRows(t, s, "shop", Users, ImportFull, []row{{"user-1", 1, nil}})
		err := s.Update(t.Context(), func(tx *Tx) error {
			d, err := tx.Dataset("shop", Users)
			if err != nil {
				return err
			}
			key := fenceKey(d.ID, d.Layers[0], 0, 0)
			return tx.b.Bucket(bucketFences).Put(key[:n], tx.b.Bucket(bucketFences).Get(key))
		})
		if err != nil {
			t.Fatal(err)
		}
		rec, err := s.RowsOf(t.Context(), "shop", Users, []byte("user-1"))
		if rec != nil {
			rec.Release()
		}
		var corrupt *CorruptError
		if err != nil && !errors.As(err, &corrupt) || n == 8 && err == nil {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}
