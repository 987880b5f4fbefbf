package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// fuzzStore opens a store that has something in every bucket, with few rows, so that a check is quick.
func fuzzStore(f *testing.F) *Store {
	data, _, _ := smallFile(f, CodecPacked)
	path := filepath.Join(f.TempDir(), "fuzz.expunge")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := open(f.Context(), path, Options{}, defaultLimits)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.closeFiles(); err != nil {
			f.Error(err)
		}
	})
	return s
}

// FuzzEntries puts an entry with a right checksum and any content into a store, in the place of another or beside it: what
// reads it gives an error, or takes it, and neither panics nor runs out of memory.
func FuzzEntries(f *testing.F) {
	s := fuzzStore(f)
	sealed := slices.DeleteFunc(slices.Clone(allBuckets), func(name []byte) bool {
		return bytes.Equal(name, bucketBlocks) || bytes.Equal(name, bucketJobs)
	})
	err := s.View(f.Context(), func(tx *Tx) error {
		for i, name := range sealed {
			if k, v := tx.b.Bucket(name).Cursor().First(); len(v) >= sealSize {
				f.Add(uint8(i), bytes.Clone(k), bytes.Clone(v[:len(v)-sealSize]))
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	undo := errors.New("undo")
	f.Fuzz(func(t *testing.T, bucket uint8, key, value []byte) {
		name := sealed[int(bucket)%len(sealed)]
		if len(key) == 0 || len(key) > bolt.MaxKeySize {
			return
		}
		err := s.Update(t.Context(), func(tx *Tx) error {
			if err := putSealed(tx.b.Bucket(name), key, bytes.Clone(value)); err != nil {
				return err
			}
			c := &checker{ctx: t.Context(), tx: tx}
			_ = c.all()
			readEntries(tx)
			return undo
		})
		if !errors.Is(err, undo) {
			t.Error(err)
		}
	})
}

// readEntries reads what a check doesn't decode.
func readEntries(tx *Tx) {
	if v, err := getSealed(tx.b.Bucket(bucketMeta), "counters", keyState); err == nil {
		_, _ = decodeState(v)
	}
	_, _ = loadIDKey(tx.b.Bucket(bucketMeta), nil, false)
	_, _ = tx.Schemas()
	groups, _ := tx.Groups()
	for _, g := range groups {
		_, _ = (suppressed{tx, g}).has([]byte("someone"))
		_, _ = tx.Datasets(g.Name)
		for _, kind := range []dictKind{dictUsers, dictItems} {
			view, err := tx.dictView(dictID{g.ID, kind}, 0)
			if err != nil {
				continue
			}
			_, _, _ = tx.lookup(&view).ordinal(tx.s.hashID([]byte("someone")), []byte("someone"))
		}
	}
}

// FuzzParsePages reads a block whose directory has a right checksum and any content, as the pages have.
func FuzzParsePages(f *testing.F) {
	s := fuzzStore(f)
	var id uint64
	var layout *rowLayout
	var x *rowIndex
	err := s.View(f.Context(), func(tx *Tx) error {
		d, err := tx.Dataset("shop", Interactions)
		if err != nil {
			return err
		}
		if layout, err = d.layout(); err != nil {
			return err
		}
		return tx.eachFence(d.ID, d.Layers[0], func(_ []byte, fe fence) error {
			id = fe.Block
			if x, err = tx.readIndex(id); err != nil {
				return err
			}
			v := tx.b.Bucket(bucketBlocks).Bucket(uint64Key(id)).Get(keyData)
			v = bytes.Clone(v[:len(v)-sealSize])
			dir := len(v) - 4 - pageEntrySize*int(binary.LittleEndian.Uint32(v[len(v)-4:]))
			f.Add(v[:dir], v[dir:])
			return nil
		})
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data, dir []byte) {
		stored := append(bytes.Clone(data), seal(dataSeal(id), bytes.Clone(dir))...)
		p, err := parsePages(id, stored, layout, x)
		if err != nil {
			return
		}
		cols := layout.newColumns()
		if err := p.read(0, x.rows(), cols); err == nil && cols[0].Len() != int(x.rows()) {
			t.Errorf("%d rows, want %d", cols[0].Len(), x.rows())
		}
	})
}
