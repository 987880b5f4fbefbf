package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring"
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
	_, _ = tx.EventTrackers()
	_, _, _ = tx.sessionsToPurge(nil)
	groups, _ := tx.Groups()
	for _, g := range groups {
		_, _ = (suppressed{tx, g}).has([]byte("someone"))
		datasets, _ := tx.Datasets(g.Name)
		for _, d := range datasets {
			_, _, _ = tx.journal(d, func(Put) (bool, error) { return false, nil })
			_, _ = tx.findSession(d.ID, tx.s.hashID([]byte("a session")), []byte("a session"))
			_ = tx.checkSessionsGone(d.ID, roaring.BitmapOf(1, 2))
		}
		for _, kind := range []dictKind{dictUsers, dictItems} {
			view, err := tx.dictView(dictID{g.ID, kind}, 0)
			if err != nil {
				continue
			}
			_, _, _ = tx.lookup(&view).ordinal(tx.s.hashID([]byte("someone")), []byte("someone"))
		}
	}
}

// FuzzPut reads an entry of a journal: what is read is what was encoded.
func FuzzPut(f *testing.F) {
	types := []DatasetType{Users, Items, Interactions}
	for i, typ := range types {
		rec := record(typ, fuzzRows[i])
		p, err := NewPut(Dataset{Type: typ, Fields: testFields[typ]}, rec, nil, false)
		rec.Release()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), p.encode())
	}
	f.Fuzz(func(t *testing.T, typ uint8, b []byte) {
		d := Dataset{Type: types[int(typ)%len(types)]}
		d.Fields = testFields[d.Type]
		l, err := d.layout()
		if err != nil {
			t.Fatal(err)
		}
		p, ok := decodePut(d.Type, b)
		if !ok || !p.fits(l) {
			return
		}
		p.dataset = d
		again, ok := decodePut(d.Type, p.encode())
		if !ok || !again.fits(l) || !slices.EqualFunc(p.rows, again.rows, sameRow) {
			t.Error("an entry isn't what it was")
		}
		for _, r := range p.rows {
			cols := l.newColumns()
			for range len(l.cols) - p.cols {
				r.rec = append(bytes.Clone(r.rec), 0)
			}
			l.appendRecords(cols, [][]byte{r.rec})
		}
	})
}

func sameRow(a, b putRow) bool {
	return bytes.Equal(a.key, b.key) && bytes.Equal(a.item, b.item) && bytes.Equal(a.rec, b.rec)
}

// fuzzRows are of Users, Items and Interactions.
var fuzzRows = [][]row{
	{{"ann", 9, "Oslo"}, {"bob", nil, nil}},
	{{"pen", 1.5, true}},
	{{"ann", "pen", "view", 2.5, 1}, {"bob", "ink", "view", nil, 2}},
}

// FuzzFold folds an entry with a right checksum and any content, and one that ties a session with any rows: that gives an
// error, or rows of a sound store.
func FuzzFold(f *testing.F) {
	s := fuzzStore(f)
	if _, err := s.Scrub(f.Context()); err != nil {
		f.Fatal(err)
	}
	data := readFile(f, s.path)
	err := s.View(f.Context(), func(tx *Tx) error {
		for i, name := range [][]byte{bucketJournal, bucketSessions} {
			err := tx.b.Bucket(name).ForEach(func(_, v []byte) error {
				f.Add(i == 1, bytes.Clone(v[:len(v)-sealSize]))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	rec := record(Interactions, fuzzRows[2])
	defer rec.Release()
	p, err := NewPut(Dataset{Type: Interactions, Fields: testFields[Interactions]}, rec, []byte("a session"), false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(false, p.encode())
	path := filepath.Join(f.TempDir(), "fold.expunge")
	f.Fuzz(func(t *testing.T, sessions bool, value []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openQuick(t, path, Options{}, defaultLimits)
		err := s.Update(t.Context(), func(tx *Tx) error {
			d, err := tx.Dataset("shop", Interactions)
			if err != nil {
				return err
			}
			if !sessions {
				return putSealed(tx.b.Bucket(bucketJournal), journalKey(d.ID, 7), bytes.Clone(value))
			}
			return putSealed(tx.b.Bucket(bucketSessions), sessionKey(d.ID, 0), bytes.Clone(value))
		})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, Interactions, "a session of nobody", false, row{"eve", "pen", "view", nil, 1})
		report, err := s.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = s.Fold(t.Context(), "shop", Interactions); err == nil && len(report.Problems) == 0 {
			mustCheck(t, s)
		}
	})
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
