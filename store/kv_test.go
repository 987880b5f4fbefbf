package store

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestKV compares the caller's records with a map, among keys at the ends of prefixes.
func TestKV(t *testing.T) {
	s := testStore(t, Options{})
	key := rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xfe, 0xff}), 0, 3).Draw(t, "key"))
	})
	rapid.Check(t, func(t *rapid.T) {
		want := make(map[string]string)
		err := s.Update(t.Context(), func(tx *Tx) error {
			kv := tx.KV()
			for range rapid.IntRange(0, 20).Draw(t, "changes") {
				k := "x" + key.Draw(t, "key")
				if rapid.Bool().Draw(t, "short") {
					k = strings.TrimPrefix(k, "x") + "\xff"
				}
				if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
					delete(want, k)
					if err := kv.Delete([]byte(k)); err != nil {
						return err
					}
					continue
				}
				value := []byte(key.Draw(t, "value"))
				want[k] = string(value)
				if err := kv.Put([]byte(k), value); err != nil {
					return err
				}
				clear(value) // it was copied
			}
			for k, v := range want {
				if got := kv.Get([]byte(k)); got == nil || string(got) != v {
					t.Fatalf("%q is %q, want %q", k, got, v)
				}
			}
			for range 5 {
				prefix := key.Draw(t, "prefix")
				var keys, up, down []string
				for k := range want {
					if strings.HasPrefix(k, prefix) {
						keys = append(keys, k)
					}
				}
				slices.Sort(keys)
				err := errors.Join(
					kv.Ascend([]byte(prefix), func(k, _ []byte) error { up = append(up, string(k)); return nil }),
					kv.Descend([]byte(prefix), func(k, _ []byte) error { down = append(down, string(k)); return nil }))
				slices.Reverse(down)
				if err != nil || !slices.Equal(up, keys) || !slices.Equal(down, keys) {
					t.Fatalf("prefix %q: %q up, %q down, want %q: %v", prefix, up, down, keys, err)
				}
			}
			return errRollback
		})
		if !errors.Is(err, errRollback) {
			t.Fatal(err)
		}
	})
}

func TestCatalog(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	createGroup(t, s, "shop/b") // its datasets' keys begin with those of the other
	err := s.Update(t.Context(), func(tx *Tx) error {
		for _, group := range []string{"shop", "shop/b"} {
			datasets, err := tx.Datasets(group)
			if err != nil || len(datasets) != len(testFields) {
				t.Errorf("%d datasets in %s: %v", len(datasets), group, err)
			}
		}
		_, group := tx.CreateGroup(Group{Name: "shop"})
		schema := tx.CreateSchema(Schema{Name: "shop-USERS"})
		_, dataset := tx.CreateDataset(Dataset{Group: "shop", Type: Users, Schema: "shop-USERS"})
		for what, err := range map[string]error{"group": group, "schema": schema, "dataset": dataset} {
			if !errors.Is(err, ErrExists) {
				t.Errorf("%s again: %v", what, err)
			}
		}
		_, group = tx.Group("other")
		_, schema = tx.Schema("other")
		_, dataset = tx.CreateDataset(Dataset{Group: "other", Type: Users, Schema: "shop-USERS"})
		_, dataset2 := tx.CreateDataset(Dataset{Group: "shop", Type: Users, Schema: "other"})
		for what, err := range map[string]error{"group": group, "schema": schema, "group of a dataset": dataset, "schema of a dataset": dataset2} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("missing %s: %v", what, err)
			}
		}
		for typ, fields := range testFields {
			got, err := FieldsOf(arrowSchema(fields))
			if err != nil || len(got) != len(fields) {
				t.Errorf("%s: %v, %v", typ, got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := s.Stats(t.Context())
	if err != nil || len(groups.Groups) != 2 {
		t.Errorf("stats: %+v, %v", groups, err)
	}
}

// TestSweepWaitsForImport: an import in flight may refer to what nothing else refers to any more.
func TestSweepWaitsForImport(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	finish := func(im *Import, rows []row) {
		rec := record(Interactions, rows)
		defer rec.Release()
		err := im.Append(rec)
		if err == nil {
			_, err = im.Finish(t.Context(), nil, func(*Tx, ImportResult) error { return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	begin := func(mode ImportMode) *Import {
		im, err := s.BeginImport(t.Context(), "shop", Interactions, mode)
		if err != nil {
			t.Fatal(err)
		}
		return im
	}
	sweep := func() (left bool) {
		err := s.Sweep(t.Context(), "shop")
		if err == nil {
			err = s.View(t.Context(), func(tx *Tx) error {
				g, err := tx.Group("shop")
				left = g.Sweep
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	finish(begin(ImportFull), []row{{"ann", "pen", "view", nil, 1}})
	finish(begin(ImportFull), []row{{"bob", "cap", "view", nil, 1}})
	im := begin(ImportIncremental)
	if !sweep() {
		t.Error("a sweep ran while an import was in flight")
	}
	finish(im, []row{{"cy", "pen", "view", nil, 2}})
	if sweep() {
		t.Error("a sweep is still due")
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.Groups[0].Users != 2 || st.Groups[0].Datasets[0].Rows != 2 {
		t.Errorf("stats: %+v, %v", st, err)
	}
	if n := deleteUsers(t, s, "shop", 1, "ann", "bob"); n != 1 {
		t.Errorf("%d rows deleted", n)
	}
	finishDeletion(t, s, "shop", 1)
}
