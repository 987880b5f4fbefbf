package store

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// removeDataset removes a dataset and what only it needs.
func removeDataset(t testing.TB, s *Store, typ DatasetType) {
	t.Helper()
	if err := removeOf(typ)(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// storedKeys counts the entries of the catalog, and of dictionaries.
func storedKeys(t testing.TB, s *Store) (n int) {
	t.Helper()
	err := s.View(t.Context(), func(tx *Tx) error {
		for _, bucket := range [][]byte{bucketCatalog, bucketDicts, bucketForward, bucketReverse, bucketSuppressed, bucketGarbage} {
			err := tx.b.Bucket(bucket).ForEach(func(_, _ []byte) error {
				n++
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRemoveGroup removes a group while a snapshot sees it: the snapshot reads on, and once it ends nothing of the group
// is left, neither a key nor a byte.
func TestRemoveGroup(t *testing.T) {
	s := testStore(t, Options{Codec: CodecNone, BlockRows: 9})
	before := storedKeys(t, s)
	createGroup(t, s, "shop")
	if err := s.Update(t.Context(), func(tx *Tx) error { return tx.SetSuppression("shop", true) }); err != nil {
		t.Fatal(err)
	}
	users, items, inter := oneOfEach()
	importRows(t, s, "shop", Users, ImportFull, users)
	importRows(t, s, "shop", Items, ImportFull, items)
	importRows(t, s, "shop", Interactions, ImportFull, inter)
	deleteUsers(t, s, "shop", 1, users[0][0].(string))
	if _, err := s.Suppress(t.Context(), "shop", 1, 1); err != nil {
		t.Fatal(err)
	}
	sn, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	rows := len(scanAll(t, sn, Interactions))
	deleteUsers(t, s, "shop", 2, users[1][0].(string)) // its rows are dead in a layer that is removed
	err = s.Update(t.Context(), func(tx *Tx) error {
		for _, typ := range []DatasetType{Users, Items, Interactions} {
			schema := "shop-" + string(typ)
			if err := tx.DeleteSchema(schema); !errors.Is(err, ErrInUse) {
				t.Errorf("removing a schema that a dataset has: %v", err)
			}
			if err := tx.DeleteDataset("shop", typ); err != nil {
				return err
			}
			if err := tx.DeleteSchema(schema); err != nil {
				return err
			}
		}
		return tx.DeleteGroup("shop")
	})
	if err != nil {
		t.Fatal(err)
	}
	mustCheck(t, s)
	if _, err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, s)
	if got := len(scanAll(t, sn, Interactions)); got != rows {
		t.Errorf("the snapshot reads %d rows, want %d", got, rows)
	}
	sn.Release()
	if _, err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := storedKeys(t, s); after != before {
		t.Errorf("%d keys are left, want %d", after, before)
	}
	for _, job := range []uint64{1, 2} {
		if err := s.DropStaged(t.Context(), job, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(mark)) {
		t.Error("the file still holds IDs of the group")
	}
}
