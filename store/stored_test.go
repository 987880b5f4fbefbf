package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	bolt "go.etcd.io/bbolt"

	"github.com/expunge-db/expunge/store/internal/pages"
)

// storedEntry is where a key and its value lie in a file.
type storedEntry struct {
	bucket     string
	parent     string // key of the bucket that it is in, if that is in another
	key, value [2]int // offsets, the end exclusive
}

// storedEntries returns all that is in the buckets of a file.
func storedEntries(t *testing.T, path string) (out []storedEntry) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	data := readFile(t, path)
	used := usedPages(t, path)
	var walk func(name, parent string, b *bolt.Bucket) error
	walk = func(name, parent string, b *bolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			off := int(uintptr(unsafe.Pointer(&k[0])) - db.Info().Data)
			if off < 0 || off >= len(data) { // bbolt copies a bucket that lies in a page of another one's
				for off = 0; ; off++ {
					i := bytes.Index(data[off:], slices.Concat(k, v))
					if i < 0 {
						t.Fatalf("an entry of %s isn't in the file", name)
					}
					if off += i; used[off/os.Getpagesize()] {
						break
					}
				}
			}
			e := storedEntry{name, parent, [2]int{off, off + len(k)}, [2]int{off + len(k), off + len(k) + len(v)}}
			if !bytes.Equal(data[e.key[0]:e.key[1]], k) || !bytes.Equal(data[e.value[0]:e.value[1]], v) {
				t.Fatalf("an entry of %s isn't where it should be", name)
			}
			out = append(out, e)
			if v == nil && b.Bucket(k) != nil {
				return walk(name, string(k), b.Bucket(k))
			}
			return nil
		})
	}
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return walk(string(name), "", b) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// usedPages says which pages of a file hold something.
func usedPages(t *testing.T, path string) map[int]bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := pages.ReadMeta(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	st, err := pages.Walk(f, info.Size(), meta)
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[int]bool)
	for _, r := range append(st.Reachable, st.Freelist) {
		for p := r.First; p < r.End(); p++ {
			used[int(p)] = true
		}
	}
	return used
}

// TestStoredBytes flips a bit in each byte of each entry: a check finds it, and names the block and the dataset where it is
// in one. Entries of retired blocks are left out, which nothing reads but a snapshot of that time, and which goes with it.
func TestStoredBytes(t *testing.T) {
	inMemory(t)
	step := 23
	if os.Getenv("EXPUNGE_TEST_LONG") != "" {
		step = 1
	}
	data, want, before := smallFile(t, CodecPacked)
	path := filepath.Join(t.TempDir(), "copy.expunge")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	flips := make(map[string]int)
	at := 0 // of all bytes
	entries := storedEntries(t, path)
	retired := make(map[string]bool)
	for _, e := range entries {
		if e.bucket == string(bucketRetired) {
			retired[string(data[e.key[1]-8:e.key[1]])] = true
		}
	}
	for _, e := range entries {
		if retired[e.parent] || e.bucket == string(bucketJobs) { // whose checksums are the caller's
			continue
		}
		for off := e.key[0]; off < e.value[1]; off++ {
			if at++; at%step != 0 && flips[e.bucket] > 0 {
				continue
			}
			data[off] ^= 1 << (off % 8)
			err := readCopy(t, path, data, want, before)
			data[off] ^= 1 << (off % 8)
			flips[e.bucket]++
			switch text := fmt.Sprint(err); {
			case err == nil:
				t.Errorf("a flip at %d, in byte %d of an entry of %s, isn't found", off, off-e.key[0], e.bucket)
			case e.bucket == string(bucketBlocks) && off >= e.value[0] && !(strings.Contains(text, "block ") && strings.Contains(text, "dataset ")):
				t.Errorf("a flip at %d, in %s: %v doesn't name the block and the dataset", off, e.bucket, err)
			}
		}
	}
	for _, name := range allBuckets {
		if flips[string(name)] == 0 && !slices.Contains([]string{"jobs", "imports"}, string(name)) {
			t.Errorf("nothing of bucket %s is in the store", name)
		}
	}
	t.Logf("flips: %v", flips)
}
