package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// deletedMark is in every value that the test files delete, and in no other.
const deletedMark = "DELETED-VALUE-MARK"

// fatal is the part of testing.TB that rapid's T has too.
type fatal interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

type fileKind struct {
	name     string
	pageSize int
	noSync   bool // of the freelist
	fill     func(tx *bolt.Tx) error
	commits  []func(tx *bolt.Tx) error // after fill, each its own transaction
}

func (k fileKind) options() *bolt.Options {
	return &bolt.Options{
		PageSize:       k.pageSize,
		FreelistType:   bolt.FreelistMapType,
		NoFreelistSync: k.noSync,
		NoSync:         true,
	}
}

// build writes a file with bbolt and closes it.
func (k fileKind) build(t fatal, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "file.db")
	db, err := bolt.Open(path, 0o600, k.options())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range append([]func(*bolt.Tx) error{k.fill}, k.commits...) {
		if step == nil {
			continue
		}
		if err := db.Update(step); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func key(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }

func put(bucket string, n, valueSize int, mark string) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		if err != nil {
			return err
		}
		value := bytes.Repeat([]byte("v"), valueSize)
		copy(value, mark)
		for i := range n {
			if err := b.Put(key(i), value); err != nil {
				return err
			}
		}
		return nil
	}
}

func remove(bucket string, from, to, step int) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		for i := from; i < to; i += step {
			if err := b.Delete(key(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

// inSequence makes one transaction of several steps.
func inSequence(steps ...func(*bolt.Tx) error) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		for _, step := range steps {
			if err := step(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

func nested(depth int) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("nest"))
		for i := range depth {
			if err != nil {
				return err
			}
			if err := b.Put([]byte("value"), make([]byte, 50*i)); err != nil {
				return err
			}
			if _, err := b.CreateBucketIfNotExists(fmt.Appendf(nil, "inline %d", i)); err != nil {
				return err
			}
			b, err = b.CreateBucketIfNotExists([]byte("nest"))
		}
		return err
	}
}

// behindLargeValues puts buckets, one inline and one not, where reading a
// page's first bytes doesn't find them.
func behindLargeValues(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte("behind"))
	if err != nil {
		return err
	}
	if err := b.Put([]byte("a"), make([]byte, 300_000)); err != nil {
		return err
	}
	for name, n := range map[string]int{"b inline": 3, "c tree": 500} {
		child, err := b.CreateBucket([]byte(name))
		if err != nil {
			return err
		}
		for i := range n {
			if err := child.Put(key(i), key(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func longKeys(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte("long"))
	if err != nil {
		return err
	}
	for i := range 40 {
		k := bytes.Repeat([]byte{byte('a' + i)}, bolt.MaxKeySize)
		if err := b.Put(k, key(i)); err != nil {
			return err
		}
	}
	return nil
}

func fileKinds() []fileKind {
	var churn []func(*bolt.Tx) error
	for i := range 60 {
		churn = append(churn,
			put(fmt.Sprint("churn", i%7), 10+37*i%200, 20+i*13%900, deletedMark),
			remove(fmt.Sprint("churn", i%7), 0, 210, 1))
	}
	var kinds []fileKind
	for _, pageSize := range []int{1024, 4096, 16384, 65536} {
		for _, noSync := range []bool{false, true} {
			suffix := fmt.Sprintf("/%d/freelist=%t", pageSize, !noSync)
			add := func(name string, fill func(*bolt.Tx) error, commits ...func(*bolt.Tx) error) {
				kinds = append(kinds, fileKind{name + suffix, pageSize, noSync, fill, commits})
			}
			add("empty", nil)
			add("one bucket", put("b", 3, 10, ""))
			add("many keys", put("b", 5000, 20, ""), remove("b", 0, 5000, 3), remove("b", 1000, 3000, 1))
			add("large values", put("b", 12, 200_000, ""), remove("b", 0, 12, 2), put("c", 5, 300, ""))
			add("nested", nested(9), put("b", 100, 100, ""), nested(12))
			add("behind large values", behindLargeValues)
			add("long keys", longKeys)
			add("churn", put("live", 300, 100, ""), churn...)
			add("emptied", put("b", 2000, 50, deletedMark), remove("b", 0, 2000, 1))
		}
	}
	return kinds
}

func load(t fatal, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func walkBytes(b []byte) (*Structure, error) {
	r := bytes.NewReader(b)
	meta, err := ReadMeta(r, r.Size())
	if err != nil {
		return nil, err
	}
	return Walk(r, r.Size(), meta)
}

// compareWithBolt checks meta and structure against what bbolt says itself.
func compareWithBolt(t fatal, path string) *Structure {
	t.Helper()
	b := load(t, path)
	r := bytes.NewReader(b)
	meta, err := ReadMeta(r, r.Size())
	if err != nil {
		t.Fatalf("ReadMeta: %v", err)
	}
	s, err := Walk(r, r.Size(), meta)
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	checkFree(t, r, meta, s)

	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Fatalf("bbolt's own check: %v", err)
		}
		root := tx.Cursor().Bucket().Root()
		if uint64(tx.ID()) != meta.TxID || PageID(root) != meta.Root ||
			tx.Size() != int64(meta.HighWater)*int64(meta.PageSize) || db.Info().PageSize != meta.PageSize {
			t.Fatalf("meta %+v; bbolt has tx %d, root %d, size %d, page size %d",
				meta, tx.ID(), root, tx.Size(), db.Info().PageSize)
		}

		var reachable []Run
		var freelist Run
		var free []Run
		for id := 2; id < int(meta.HighWater); {
			info, err := tx.Page(id)
			if err != nil {
				return err
			}
			run := Run{First: PageID(id), Pages: uint64(info.OverflowCount) + 1}
			switch info.Type {
			case "branch", "leaf":
				reachable = append(reachable, run)
			case "freelist":
				freelist = run
			case "free":
				run.Pages = 1
				free = append(free, run)
			default:
				t.Fatalf("page %d of type %q", id, info.Type)
			}
			id = int(run.End())
		}
		if !slices.Equal(reachable, s.Reachable) {
			t.Fatalf("reachable\n%v, bbolt has\n%v", s.Reachable, reachable)
		}
		if freelist != s.Freelist || meta.FreelistSynced != (freelist.Pages > 0) {
			t.Fatalf("freelist %v, synced %t; bbolt has %v", s.Freelist, meta.FreelistSynced, freelist)
		}
		if free = normalize(free); !slices.Equal(free, s.Free) {
			t.Fatalf("free %v, bbolt has %v", s.Free, free)
		}
		if n := db.Stats().FreePageN; CountPages(s.Free) != uint64(n) {
			t.Fatalf("%d free pages, bbolt counts %d", CountPages(s.Free), n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// randomBytes are the same for the same seed.
func randomBytes(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
