package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func noJobs(*Tx) (uint64, error) { return 100, nil }

// TestBackup: a copy holds what is live at its moment, and no byte of what isn't, even while a snapshot still sees that.
func TestBackup(t *testing.T) {
	ctx := context.Background()
	s := testStore(t, Options{Codec: CodecNone, BlockRows: 9})
	createGroup(t, s, "shop")
	createGroup(t, s, "other")
	users, items, inter := oneOfEach()
	for _, g := range []string{"shop", "other"} {
		importRows(t, s, g, Users, ImportFull, users)
		importRows(t, s, g, Items, ImportFull, items)
		importRows(t, s, g, Interactions, ImportFull, append(slices.Clone(inter), inter[0], inter[0])) // exact repeats stay
	}
	if err := s.Update(ctx, func(tx *Tx) error { return tx.SetSuppression("other", true) }); err != nil {
		t.Fatal(err)
	}
	sn, err := s.Snapshot(ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	gone := fmt.Sprintf("%su%011d", mark, 2)
	at := func(i int) []byte { return []byte([]string{gone, mark + "nobody-knows"}[i]) }
	if err := s.StageUsers(ctx, "other", 7, 0, 2, at, func(*Tx, Staged) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if on, err := s.Suppress(ctx, "other", 7, 1); err != nil || !on {
		t.Fatal(on, err)
	}
	if err := s.Tombstone(ctx, "other", 7, 1, func(*Tx, Deleted) error { return nil }); err != nil {
		t.Fatal(err)
	}
	// Of a job under way, and of one after the moment.
	if err := s.StageUsers(ctx, "shop", 8, 0, 1, func(int) []byte { return []byte(mark + "staged") }, func(*Tx, Staged) error { return nil }); err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "copy.expunge")
	report, err := s.Backup(ctx, dest, noJobs)
	if err != nil {
		t.Fatal(err)
	}
	if report.Datasets != 6 || report.Bytes == 0 {
		t.Errorf("%+v", report)
	}
	if _, err := s.Backup(ctx, dest, noJobs); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second backup to the same place: %v", err)
	}
	c := reopen(t, dest, Options{})
	for _, g := range []string{"shop", "other"} {
		if !slices.Equal(contents(t, c, g), contents(t, s, g)) {
			t.Errorf("group %s differs", g)
		}
	}
	if n, digest, err := c.HashDigest(ctx, 7); err != nil || n != 1 {
		t.Errorf("%d hashes, %s, %v", n, digest, err)
	}
	if by, err := c.Suppressed(ctx, "other"); err != nil || by[7] != 2 {
		t.Errorf("suppressed: %v, %v", by, err)
	}
	if res := importRows(t, c, "other", Users, ImportIncremental, []row{{gone, 1, nil}, {mark + "nobody-knows", 1, nil}}); res.Suppressed != 2 {
		t.Errorf("import into the copy: %+v", res)
	}
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(dest)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte(mark+"staged")) + bytes.Count(data, []byte(mark+"nobody")); n > 0 {
		t.Errorf("%d places of staged IDs in the copy", n)
	}
	entries, err := os.ReadDir(filepath.Dir(dest))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d entries, %v", len(entries), err)
	}
	// One at a time to one place; what a killed one left is replaced.
	_, err = s.Backup(ctx, dest+"1", func(tx *Tx) (uint64, error) {
		if _, err := s.Backup(ctx, dest+"1", noJobs); !errors.Is(err, ErrLocked) {
			t.Errorf("a second backup to one place meanwhile: %v", err)
		}
		return 100, nil
	})
	if err := errors.Join(err, os.Rename(dest+"1", filepath.Join(filepath.Dir(dest), "."+filepath.Base(dest)+"1.partial"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(ctx, dest+"1", noJobs); err != nil {
		t.Errorf("after a killed one: %v", err)
	}
	if err := os.Remove(dest + "1"); err != nil {
		t.Error(err)
	}
	// Stopped halfway it leaves nothing.
	stopped, cancel := context.WithCancel(ctx)
	_, err = s.Backup(stopped, dest+"2", func(tx *Tx) (uint64, error) { cancel(); return 100, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(dest)); err != nil || len(entries) != 1 {
		t.Errorf("after a stop the folder has %d entries, %v", len(entries), err)
	}
}
