package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// TestAppenderOrder has several appenders take rows of equal times: within a user and a time the rows stay in the order of
// the input, whoever took them, in memory, from the spill file, or sorted in pieces.
func TestAppenderOrder(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			limits := defaultLimits
			if seed > 0 {
				limits = smallLimits(r)
			}
			s := openQuick(t, filepath.Join(t.TempDir(), "order.expunge"), Options{Codec: CodecNone, BlockRows: 1 + r.IntN(40)}, limits)
			createGroup(t, s, "shop")
			var rows []row
			for i := range 1 + r.IntN(1000) {
				user := fmt.Sprintf("user-%020d", r.IntN(5))
				rows = append(rows, row{user, fmt.Sprint("item-", r.IntN(50)), fmt.Sprintf("%06d", i), nil, r.IntN(3)})
			}
			im, err := s.BeginImport(t.Context(), "shop", Interactions, ImportFull)
			if err != nil {
				t.Fatal(err)
			}
			appendParts(t, r, im, Interactions, rows, 1+r.IntN(4))
			res, err := im.Finish(t.Context(), nil, func(*Tx, ImportResult) error { return nil })
			if err != nil || res.Read != int64(len(rows)) || res.Added != res.Read {
				t.Fatalf("%+v, %v; want %d rows", res, err, len(rows))
			}
			sn, err := s.Snapshot(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer sn.Release()
			got := scanAll(t, sn, Interactions)
			if len(got) != len(rows) {
				t.Fatalf("%d rows, want %d", len(got), len(rows))
			}
			for i := 1; i < len(got); i++ {
				a, b := got[i-1], got[i]
				if a[0] == b[0] && (a[4].(int) > b[4].(int) || a[4] == b[4] && a[2].(string) >= b[2].(string)) {
					t.Fatalf("%v comes after %v", b, a)
				}
			}
		})
	}
}

// TestAppenderChunks refuses chunks in the wrong order.
func TestAppenderChunks(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	im, err := s.BeginImport(t.Context(), "shop", Interactions, ImportFull)
	if err != nil {
		t.Fatal(err)
	}
	a := im.NewAppender()
	rec := record(Interactions, []row{{"u", "i", "view", nil, 1}})
	defer rec.Release()
	if err := a.Append(2, rec); err != nil {
		t.Fatal(err)
	}
	if err := a.Append(1, rec); err == nil {
		t.Error("a chunk may come after one with a greater number")
	}
	if err := im.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestManyShortItems: a table of items is full by their number too, since each takes more room than a short ID.
func TestManyShortItems(t *testing.T) {
	limits := defaultLimits
	limits.unitBytes, limits.itemBytes = 64, 16*itemOverhead
	s := openQuick(t, filepath.Join(t.TempDir(), "large.expunge"), Options{}, limits)
	createGroup(t, s, "shop")
	var rows []row
	for i := range 1000 {
		rows = append(rows, row{"user", fmt.Sprint(i), "view", nil, i})
	}
	im, err := s.BeginImport(t.Context(), "shop", Interactions, ImportFull)
	if err != nil {
		t.Fatal(err)
	}
	rec := record(Interactions, rows)
	defer rec.Release()
	if err := im.NewAppender().Append(0, rec); err != nil {
		t.Fatal(err)
	}
	if n := len(im.appenders[0].rows.items.full); n < 2 {
		t.Errorf("%d tables of items were written", n)
	}
	res, err := im.Finish(t.Context(), nil, func(*Tx, ImportResult) error { return nil })
	if err != nil || res.Added != int64(len(rows)) {
		t.Errorf("%+v, %v", res, err)
	}
}
