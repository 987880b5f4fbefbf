package engine_test

import (
	"bytes"
	"context"
	"os"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/expunge-db/expunge/engine"
)

// TestFlippedJobs flips a bit in each byte of each record of jobs and of the ledger: a check finds it.
func TestFlippedJobs(t *testing.T) {
	ctx := context.Background()
	path := storePath(t)
	e := open(t, path, engine.Options{})
	users := importSmall(t, e)
	deleteUsers(t, e, "g", users[0])
	deleteUsers(t, e, "g", users[1])
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	job := create(t, e, "g", users[2])
	waitFor(t, e, job, "waited for the snapshot", isWaiting)
	path = copyFile(t, path) // of a store with a job under way
	sn.Release()
	must[engine.Job](t)(e.Wait(ctx, job))

	type entry struct{ key, value []byte }
	var entries []entry
	jobs := []byte("jobs")
	db := must[*bolt.DB](t)(bolt.Open(path, 0o600, nil))
	update := func(fn func(b *bolt.Bucket) error) {
		t.Helper()
		if err := db.Update(func(tx *bolt.Tx) error { return fn(tx.Bucket(jobs)) }); err != nil {
			t.Fatal(err)
		}
	}
	update(func(b *bolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			entries = append(entries, entry{bytes.Clone(k), bytes.Clone(v)})
			return nil
		})
	})
	step := 61
	if os.Getenv("EXPUNGE_TEST_LONG") != "" {
		step = 2
	}
	flips, at := 0, 0
	for _, was := range entries {
		for off := range len(was.key) + len(was.value) {
			if at++; at%step != 0 {
				continue
			}
			now := entry{bytes.Clone(was.key), bytes.Clone(was.value)}
			if off < len(now.key) {
				now.key[off] ^= 1 << (off % 8)
			} else {
				now.value[off-len(now.key)] ^= 1 << (off % 8)
			}
			update(func(b *bolt.Bucket) error {
				if err := b.Delete(was.key); err != nil {
					return err
				}
				return b.Put(now.key, now.value)
			})
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			e := must[*engine.Engine](t)(engine.Open(ctx, path, engine.Options{ReadOnly: true}))
			if report := must[engine.CheckReport](t)(e.Check(ctx)); len(report.Problems) == 0 {
				t.Errorf("a flip in byte %d of entry %q, which has %d bytes, isn't found", off, was.key, len(was.key)+len(was.value))
			}
			mustClose(t, e)
			flips++
			db = must[*bolt.DB](t)(bolt.Open(path, 0o600, nil))
			update(func(b *bolt.Bucket) error {
				if err := b.Delete(now.key); err != nil {
					return err
				}
				return b.Put(was.key, was.value)
			})
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d flips in %d entries", flips, len(entries))
}
