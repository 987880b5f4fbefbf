package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReverseChunk(t *testing.T) {
	s := openQuick(t, filepath.Join(t.TempDir(), "ids.expunge"), Options{}, defaultLimits)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 5), 0, reverseSlots).Draw(t, "ids")
		if rapid.Bool().Draw(t, "same length") {
			for i := range ids {
				ids[i] = []byte{byte(i), byte(i >> 8)}
			}
		}
		var c reverseChunk
		for _, id := range ids {
			c.append(id)
		}
		got, ok := decodeReverse(c.encode(nil))
		if !ok || got.slots() != len(ids) {
			t.Fatalf("decoded %t with %d slots, want %d", ok, got.slots(), len(ids))
		}
		for i, id := range ids {
			if !bytes.Equal(got.id(i), id) || len(id) == 0 && got.id(i) != nil {
				t.Fatalf("slot %d holds %x, want %x", i, got.id(i), id)
			}
		}
		if got.id(len(ids)) != nil {
			t.Fatal("a slot behind the last holds something")
		}

		// The same, one by one, and with a flipped bit: what is read then is right.
		d := dictID{1, dictUsers}
		key := reverseKey(d, 7)
		stored := seal(key, c.encode(key))
		read := func(want string) {
			err := s.Update(context.Background(), func(tx *Tx) error {
				if err := tx.b.Bucket(bucketReverse).Put(key, stored); err != nil {
					return err
				}
				var r partReader
				for i, id := range slices.Concat(ids, [][]byte{nil}) {
					got, problem := r.id(tx, d, 7*reverseSlots+uint32(i))
					if problem == "" && !bytes.Equal(got, id) || problem != "" && want == "" {
						t.Fatalf("slot %d holds %x, want %x: %s", i, got, id, problem)
					}
				}
				return errRollback
			})
			if !errors.Is(err, errRollback) {
				t.Fatal(err)
			}
		}
		read("")
		stored[rapid.IntRange(0, len(stored)-1).Draw(t, "flipped")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		read("a problem, or the right ID")
	})
}

func FuzzDecodeReverse(f *testing.F) {
	var same, mixed reverseChunk
	for i := range 5 {
		same.append([]byte{byte(i), 1})
		mixed.append(bytes.Repeat([]byte{'x'}, i))
	}
	f.Add(same.encode(nil))
	f.Add(mixed.encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := decodeReverse(b)
		if !ok {
			return
		}
		n := 0
		for i := range c.slots() {
			n += len(c.id(i))
		}
		if n != len(c.heap) {
			t.Errorf("IDs have %d bytes and the chunk %d", n, len(c.heap))
		}
	})
}

// TestForward puts entries of chosen hashes into a dictionary and takes some out again: chunks are halved, hold the right
// ranges, and every entry is found in the one of its hash.
func TestForward(t *testing.T) {
	limits := defaultLimits
	limits.forwardEntries = 4
	s := openQuick(t, t.TempDir()+"/dict.expunge", Options{}, limits)
	group := uint32(0)
	const top = 1<<hashBits - 1
	rapid.Check(t, func(t *rapid.T) {
		group += 2
		d := dictID{group, dictUsers}
		hash := rapid.OneOf(rapid.Uint64Range(0, top), rapid.SampledFrom([]uint64{0, 1, 1 << 39, 1<<39 - 1, top - 1, top}))
		want := make(map[string]bool)
		next := uint32(0)
		err := s.Update(t.Context(), func(tx *Tx) error {
			for _, other := range []dictID{{group - 1, dictItems}, {group, dictItems}} { // its neighbours
				if err := tx.addForward(other, slices.Concat(appendHash(nil, 5), []byte{0, 0, 0, 1})); err != nil {
					return err
				}
			}
			for range rapid.IntRange(1, 4).Draw(t, "batches") {
				var batch []string
				for range rapid.IntRange(1, 30).Draw(t, "entries") {
					next++
					e := string(appendUint32s(appendHash(nil, hash.Draw(t, "hash")), next))
					batch = append(batch, e)
					want[e] = true
				}
				slices.Sort(batch)
				if err := tx.addForward(d, []byte(strings.Join(batch, ""))); err != nil {
					return err
				}
			}
			var gone []byte
			for e := range want {
				if ordinalAt([]byte(e))%3 == 0 {
					gone = append(gone, e...)
					delete(want, e)
				}
			}
			return tx.removeForward(d, gone)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = s.View(t.Context(), func(tx *Tx) error {
			found := 0
			low := uint64(0)
			for low < 1<<hashBits {
				c, err := readForward(tx.b.Bucket(bucketForward).Cursor(), d, low)
				if err != nil {
					return err
				}
				if c.low != low || c.up <= low {
					return fmt.Errorf("hash %d lies in [%d, %d)", low, c.low, c.up)
				}
				if last, err := readForward(tx.b.Bucket(bucketForward).Cursor(), d, c.up-1); err != nil || last.low != c.low {
					return fmt.Errorf("the last hash of [%d, %d) lies in one from %d: %v", c.low, c.up, last.low, err)
				}
				for e := range slices.Chunk(c.entries, entrySize) {
					if h := hashAt(e); !want[string(e)] || h < c.low || h >= c.up {
						return fmt.Errorf("entry %x lies in [%d, %d)", e, c.low, c.up)
					}
					found++
				}
				low = c.up
			}
			if found != len(want) {
				return fmt.Errorf("%d entries, want %d", found, len(want))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestDictionary adds IDs, of which many have equal hashes, at the borders of chunks, and removes some.
func TestDictionary(t *testing.T) {
	s := testStore(t, Options{})
	createGroup(t, s, "shop")
	d := dictID{1, dictUsers}
	const n = 700
	first := uint32(reverseSlots - 3)
	hashOf := func(i int) uint64 { return uint64(i / 5) } // not their true hashes
	id := func(i int) []byte { return fmt.Appendf(nil, "id-%d", i) }
	err := s.Update(t.Context(), func(tx *Tx) error {
		if err := tx.putDictState(d, dictState{Next: first}); err != nil {
			return err
		}
		for from := 0; from < n; from += 100 {
			var batch newIDs
			for i := from; i < from+100; i++ {
				batch.add(hashOf(i), id(i))
			}
			ordinal, err := tx.reserve(d, 7, 100)
			if err != nil {
				return err
			}
			if ordinal != first+uint32(from) {
				t.Errorf("reserved from %d, want %d", ordinal, first+uint32(from))
			}
			if err := tx.addIDs(d, ordinal, &batch); err != nil {
				return err
			}
		}
		for _, own := range []uint32{0, 7} {
			view, err := tx.dictView(d, own)
			if err != nil {
				return err
			}
			l := tx.lookup(&view)
			for i := range n {
				ordinal, ok, err := l.ordinal(hashOf(i), id(i))
				if err != nil || ok != (own == 7) || ok && ordinal != first+uint32(i) {
					t.Errorf("import %d: ID %d has ordinal %d, %t, %v", own, i, ordinal, ok, err)
				}
			}
			if _, ok, err := l.ordinal(hashOf(3), []byte("nobody")); ok || err != nil {
				t.Errorf("an ID of nobody is there: %v", err)
			}
		}
		st, err := tx.dictState(d)
		if err != nil || len(st.Staged) != 1 {
			t.Errorf("%v reserved: %v", st.Staged, err)
		}
		if tx.removeForward(d, appendUint32s(appendHash(nil, 1<<39), 1)) == nil {
			t.Error("an entry that isn't there was removed")
		}
		return errRollback
	})
	if !errors.Is(err, errRollback) {
		t.Fatal(err)
	}
}

var errRollback = errors.New("roll back")
