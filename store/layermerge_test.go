package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring"
)

// layersOf returns how many layers a dataset has.
func layersOf(t testing.TB, s *Store, typ DatasetType) (n int) {
	t.Helper()
	err := s.View(context.Background(), func(tx *Tx) error {
		d, err := tx.Dataset("shop", typ)
		n = len(d.Layers)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// layeredStore has a dataset of several layers, with users in many of them, some with more rows than fit a block.
func layeredStore(t *testing.T) (s *Store, inter []row) {
	limits := defaultLimits
	limits.pageRows, limits.stageBytes = 5, 3000
	s = openQuick(t, filepath.Join(t.TempDir(), "test.expunge"), Options{BlockRows: 13, Codec: CodecNone}, limits)
	createGroup(t, s, "shop")
	for n := range 6 {
		var rows []row
		for i := range 40 + 5*n {
			rows = append(rows, row{fmt.Sprintf("%suser-%07d", mark, i*i%(7+n)), fmt.Sprintf("%sitem-%07d", mark, (n+i)%19), "view", float64(n), i % 11})
		}
		importRows(t, s, "shop", Interactions, ImportIncremental, rows)
		inter = append(inter, rows...)
	}
	return s, inter
}

func TestMergeLayers(t *testing.T) {
	s, _ := layeredStore(t)
	if n := layersOf(t, s, Interactions); n != 6 {
		t.Fatalf("%d layers before the merge", n)
	}
	before := scanSorted(t, s, "shop", Interactions)
	old, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Release()
	if more, err := s.MergeLayers(t.Context()); err != nil || !more {
		t.Fatalf("merged: %v, %v", more, err)
	}
	if more, err := s.MergeLayers(t.Context()); err != nil || more {
		t.Fatalf("merged again: %v, %v", more, err)
	}
	if n := layersOf(t, s, Interactions); n != 1 {
		t.Errorf("%d layers after the merge", n)
	}
	mustCheck(t, s)
	if got := scanSorted(t, s, "shop", Interactions); !slices.Equal(got, before) {
		t.Errorf("a scan gave %d rows, want %d", len(got), len(before))
	}
	if got := sortedStrings(scanAll(t, old, Interactions)); !slices.Equal(got, before) {
		t.Errorf("an older snapshot gave %d rows, want %d", len(got), len(before))
	}
	old.Release()
	rows := deleteUsers(t, s, "shop", 1, mark+"user-0000000", mark+"user-0000001")
	if rows == 0 {
		t.Error("no row was deleted")
	}
	finishDeletion(t, s, "shop", 1)
	mustCheck(t, s)
	if left := tokens(t, s.path); left[mark+"user-0000000"] || left[mark+"user-0000001"] {
		t.Error("a deleted user is still in the file")
	}
}

// TestMergeLost deletes a user while a merge has copied their rows: the merge must leave nothing, and be done again without.
func TestMergeLost(t *testing.T) {
	s, inter := layeredStore(t)
	sn, err := s.Snapshot(t.Context(), "shop", Interactions)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	m := &layerMerge{s: s, sn: sn, view: sn.datasets[Interactions]}
	if err := m.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := inter[0][0].(string)
	if n := deleteUsers(t, s, "shop", 1, id); n == 0 {
		t.Fatal("no row was deleted")
	}
	if err := m.run(t.Context()); !errors.Is(err, errMergeLost) {
		t.Fatalf("merge: %v", err)
	}
	if err := s.rollbackImport(t.Context(), m.rec); err != nil {
		t.Fatal(err)
	}
	sn.Release()
	mustCheck(t, s)
	if more, err := s.MergeLayers(t.Context()); err != nil || more {
		t.Errorf("merged layers with dead rows: %v, %v", more, err)
	}
	finishDeletion(t, s, "shop", 1)
	if tokens(t, s.path)[id] {
		t.Error("the user is still in the file")
	}
	if more, err := s.MergeLayers(t.Context()); err != nil || !more {
		t.Errorf("merged: %v, %v", more, err)
	}
	mustCheck(t, s)
}

// TestMergeEnded ends the context of a merge at each of its commits.
func TestMergeEnded(t *testing.T) {
	for stop := 1; ; stop++ {
		s, _ := layeredStore(t)
		before := scanSorted(t, s, "shop", Interactions)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		s.committed = func() {
			if n++; n == stop {
				cancel()
			}
		}
		more, err := s.MergeLayers(ctx)
		s.committed = nil
		if err == nil {
			if stop < 5 || !more {
				t.Errorf("merged after %d commits: %v", n, more)
			}
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		mustCheck(t, s)
		err = s.View(t.Context(), func(tx *Tx) error {
			recs, err := tx.importRecords()
			if len(recs) > 0 {
				t.Errorf("%d merges are still in flight", len(recs))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := scanSorted(t, s, "shop", Interactions); !slices.Equal(got, before) || layersOf(t, s, Interactions) != 6 {
			t.Errorf("a scan gave %d rows, want %d", len(got), len(before))
		}
	}
}

func TestPickLayers(t *testing.T) {
	for _, test := range []struct {
		rows  []uint32 // of the layers, oldest first
		dead  int      // the layer with dead rows, or -1
		most  int64
		first int
		ok    bool
	}{
		{[]uint32{10}, -1, 1000, 0, false},
		{[]uint32{10, 10}, -1, 1000, 0, true},
		{[]uint32{1000, 10}, -1, 5000, 0, false},
		{[]uint32{1000, 10, 10}, -1, 5000, 1, true},
		{[]uint32{320, 10, 10}, -1, 5000, 0, true},
		{[]uint32{320, 10, 10}, -1, 300, 1, true},
		{[]uint32{320, 10, 10}, 0, 5000, 1, true},
		{[]uint32{320, 10, 10}, 2, 5000, 0, false},
		{[]uint32{0, 0}, -1, 5000, 0, true},
	} {
		var layers [][]blockRef
		for i, n := range test.rows {
			ref := blockRef{rows: n}
			if i == test.dead {
				ref.dead = roaring.BitmapOf(0)
			}
			layers = append(layers, []blockRef{ref})
		}
		if first, ok := pickLayers(layers, test.most); ok != test.ok || ok && first != test.first {
			t.Errorf("layers of %d rows, dead in %d: from %d on (%v), want %d (%v)", test.rows, test.dead, first, ok, test.first, test.ok)
		}
	}
}

// TestMergeEmptyLayers merges layers all of whose rows were deleted: nothing of them is left.
func TestMergeEmptyLayers(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	for i := range 3 {
		importRows(t, s, "shop", Interactions, ImportIncremental, []row{{"ann", "pen", "view", nil, i}})
	}
	deleteUsers(t, s, "shop", 1, "ann")
	finishDeletion(t, s, "shop", 1)
	for more := true; more; {
		var err error
		if more, err = s.MergeLayers(t.Context()); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, s)
	}
}
