package jobs

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// memDB is a DB in memory that keeps to the letter of the contracts: what fn fails isn't seen, what a View writes
// panics, and every slice that is handed out is overwritten when its time is over.
type memDB struct {
	mu   sync.Mutex
	data map[string]string
	// fault, if set, is asked at each commit: commit says whether it happens, err is what Update returns.
	fault func() (commit bool, err error)
	views int
	slow  time.Duration // what the next View takes
}

func newMemDB() *memDB { return &memDB{data: map[string]string{}} }

func (db *memDB) View(ctx context.Context, fn func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	db.views++
	data := maps.Clone(db.data)
	slow := db.slow
	db.slow = 0
	db.mu.Unlock()
	tx := &memTx{data: data, readOnly: true}
	defer tx.end()
	defer time.Sleep(slow)
	return fn(tx)
}

func (db *memDB) Update(ctx context.Context, fn func(Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &memTx{data: maps.Clone(db.data)}
	defer tx.end()
	if err := fn(tx); err != nil {
		return err
	}
	if db.fault != nil {
		if commit, err := db.fault(); err != nil {
			if commit {
				db.data = tx.data
			}
			return err
		}
	}
	db.data = tx.data
	return nil
}

func (db *memDB) setFault(f func() (bool, error)) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.fault = f
}

func (db *memDB) slowNextView(d time.Duration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.slow = d
}

type memTx struct {
	data     map[string]string
	readOnly bool
	walking  bool
	given    [][]byte
}

func (tx *memTx) end() {
	for _, b := range tx.given {
		clobber(b)
	}
}

func clobber(b []byte) {
	for i := range b {
		b[i] = 0xFF
	}
}

func (tx *memTx) writable() {
	if tx.readOnly || tx.walking {
		panic("write in a View or in a walk")
	}
}

func (tx *memTx) Get(key []byte) []byte {
	v, ok := tx.data[string(key)]
	if !ok {
		return nil
	}
	b := append([]byte{}, v...)
	tx.given = append(tx.given, b)
	return b
}

func (tx *memTx) Put(key, value []byte) error {
	tx.writable()
	tx.data[string(key)] = string(value)
	return nil
}

func (tx *memTx) Delete(key []byte) error {
	tx.writable()
	delete(tx.data, string(key))
	return nil
}

func (tx *memTx) Ascend(prefix []byte, fn func(key, value []byte) error) error {
	return tx.walk(prefix, slices.Sorted(maps.Keys(tx.data)), fn)
}

func (tx *memTx) Descend(prefix []byte, fn func(key, value []byte) error) error {
	keys := slices.Sorted(maps.Keys(tx.data))
	slices.Reverse(keys)
	return tx.walk(prefix, keys, fn)
}

func (tx *memTx) walk(prefix []byte, keys []string, fn func(key, value []byte) error) error {
	tx.walking = true
	defer func() { tx.walking = false }()
	for _, k := range keys {
		if !strings.HasPrefix(k, string(prefix)) {
			continue
		}
		key, value := []byte(k), []byte(tx.data[k])
		err := fn(key, value)
		clobber(key)
		clobber(value)
		if errors.Is(err, ErrStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Fixtures.

var testTime = time.Date(2026, 3, 4, 5, 6, 7, 891_000_000, time.UTC)

func groupARN(name string) string { return DefaultAccount().ARN("dataset-group", name) }

func deletion(name, group string) Spec {
	return Spec{Kind: KindDeletion, Name: name, GroupARN: groupARN(group), Source: "lists/" + name + ".csv"}
}

func importing(name, group string) Spec {
	return Spec{Kind: KindImport, Name: name, GroupARN: groupARN(group), Source: "data/" + name + ".csv",
		DatasetARN: DefaultAccount().ARN("dataset", group+"/INTERACTIONS"), Mode: ModeFull}
}

func (db *memDB) create(t testing.TB, spec Spec) Job {
	t.Helper()
	var j Job
	db.update(t, func(tx Tx) (err error) {
		j, err = Create(tx, DefaultAccount(), spec, time.Now())
		return err
	})
	return j
}

func (db *memDB) update(t testing.TB, fn func(Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func (db *memDB) job(t testing.TB, seq uint64) Job {
	t.Helper()
	var j Job
	err := db.View(context.Background(), func(tx Tx) (err error) {
		j, err = GetSeq(tx, seq)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (db *memDB) check(t testing.TB) {
	t.Helper()
	if err := db.View(context.Background(), Check); err != nil {
		t.Error(err)
	}
}

func TestMemDBRollsBack(t *testing.T) {
	db := newMemDB()
	boom := errors.New("boom")
	err := db.Update(t.Context(), func(tx Tx) error {
		if err := tx.Put([]byte("k"), []byte("v")); err != nil {
			return err
		}
		if !bytes.Equal(tx.Get([]byte("k")), []byte("v")) {
			t.Error("a transaction doesn't see its own write")
		}
		return boom
	})
	if !errors.Is(err, boom) || len(db.data) != 0 {
		t.Fatalf("error %v, %d keys; want boom and none", err, len(db.data))
	}
}

func (tx *memTx) snapshot() map[string]string { return maps.Clone(tx.data) }

func exporting(name, group string) Spec {
	return Spec{Kind: KindExport, Name: name, GroupARN: groupARN(group), DatasetARN: importing(name, group).DatasetARN,
		Ingestion: IngestionAll, Destination: "out/" + name, KMSKeyARN: "arn:aws:kms:us-east-1:000000000000:key/k"}
}

// setTags and removeTags change a job's tags as the engine does those of all resources.
func setTags(tx Tx, seq uint64, tags []Tag) (Job, error) {
	return EditTags(tx, seq, func(have []Tag) ([]Tag, error) { return MergeTags(have, tags) })
}

func removeTags(tx Tx, seq uint64, keys []string) (Job, error) {
	return EditTags(tx, seq, func(have []Tag) ([]Tag, error) { return WithoutTags(have, keys) })
}
