package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring"
	"github.com/apache/arrow/go/v15/arrow"
)

// ImportMode says what becomes of the rows that are there.
type ImportMode string

const (
	// ImportFull replaces all bulk rows of the dataset; the new ones are kept as given, exact repeats too.
	ImportFull ImportMode = "FULL"
	// ImportIncremental adds rows. A Users or Items row replaces all those of its key, and within one import the last
	// one counts. An interaction that is equal to one that is there in every column is dropped.
	ImportIncremental ImportMode = "INCREMENTAL"
)

// ImportResult counts what an import did.
type ImportResult struct {
	Read      int64 // rows given
	Added     int64 // rows that are new
	Replaced  int64 // rows that were there and are no longer: by key, or all bulk rows in a full import
	Duplicate int64 // rows dropped because they are there already, or come again later with the same key

	// Suppressed counts rows left out because their user was deleted from a group that suppresses deleted users. Of rows of
	// which the last one counts, those before it are duplicates also here.
	Suppressed int64
}

// Import is an import in flight. Nothing of it is visible until Finish, and after an error nothing of it stays. It is
// used by one goroutine, but for its appenders. A group has one at a time: the caller takes care of that.
type Import struct {
	s         *Store
	rec       importRecord
	dataset   Dataset
	layout    *rowLayout
	spill     *spillFile
	rows      *rowDivider // of Append
	appenders []*Appender
	itemCodes atomic.Uint32 // given by the tables of all dividers
	flushing  sync.Mutex    // held to write one of these
	result    ImportResult
	ended     bool
}

// Appender takes a share of the rows of an import. It is for one goroutine.
type Appender struct{ rows *rowDivider }

// importRecord is what has to be known to roll an import back after a crash.
type importRecord struct {
	ID      uint32      `json:"id"`
	Group   string      `json:"group"`
	Type    DatasetType `json:"type"`
	Layer   uint32      `json:"layer"`
	GroupID uint32      `json:"groupId"`
	Dataset uint32      `json:"dataset"`
	Mode    ImportMode  `json:"mode"`
	Put     bool        `json:"put,omitempty"` // it makes an individual layer
}

// BeginImport starts an import into a dataset. The caller must end it with Finish or Abort.
func (s *Store) BeginImport(ctx context.Context, group string, t DatasetType, mode ImportMode) (*Import, error) {
	return s.beginImport(ctx, group, t, mode, false)
}

// beginImport starts an import of individual rows if put is set: then a full one replaces those.
func (s *Store) beginImport(ctx context.Context, group string, t DatasetType, mode ImportMode, put bool) (*Import, error) {
	if mode != ImportFull && mode != ImportIncremental {
		return nil, fmt.Errorf("import mode %q is unknown: use %s or %s", mode, ImportFull, ImportIncremental)
	}
	im := &Import{s: s}
	err := s.Update(ctx, func(tx *Tx) error {
		var err error
		if im.dataset, err = tx.Dataset(group, t); err != nil {
			return err
		}
		im.rec = importRecord{
			ID: tx.newID(), Group: group, Type: t, Layer: tx.newID(), GroupID: im.dataset.GroupID,
			Dataset: im.dataset.ID, Mode: mode, Put: put,
		}
		v, err := json.Marshal(im.rec)
		if err != nil {
			return err
		}
		key := appendUint32s(nil, im.rec.ID)
		return putSealed(tx.b.Bucket(bucketImports), key, v)
	})
	if err != nil {
		return nil, fmt.Errorf("begin import: %w", err)
	}
	im.layout, err = im.dataset.layout()
	if err == nil {
		im.spill, err = newSpillFile(s.path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin import: %w", err), im.Abort(ctx))
	}
	im.rows = im.newDivider()
	return im, nil
}

func (im *Import) newDivider() *rowDivider {
	s := im.s
	return &rowDivider{
		layout: im.layout, hash: s.hashID, parts: newPartitions(im.spill, 1<<hashBits, s.limits.partBuffer),
		items: itemTable{spill: im.spill, hash: s.hashID, limit: s.limits.itemBytes, given: &im.itemCodes, one: &im.flushing},
	}
}

// dividers returns all that took rows.
func (im *Import) dividers() []*rowDivider {
	all := []*rowDivider{im.rows}
	for _, a := range im.appenders {
		all = append(all, a.rows)
	}
	return all
}

// NewAppender returns an appender, for one of several goroutines that each take a share of the rows in place of Append. All
// are made before the first of them takes any. Each takes some 10 MB once the rows are many, and more where items are.
func (im *Import) NewAppender() *Appender {
	a := &Appender{rows: im.newDivider()}
	im.appenders = append(im.appenders, a)
	return a
}

// Append takes rows as [Import.Append] does. chunk tells their place among those that other appenders take: rows of a chunk
// come before rows of chunks with greater numbers. An appender takes its own chunks in their order, from 0 on, and no
// other takes rows of these. After an error the import can only be aborted.
func (a *Appender) Append(chunk int64, rec arrow.Record) error { return a.rows.append(chunk, rec) }

// Append takes the rows of a record, whose columns are those of the dataset's schema in its order. It doesn't keep the
// record or its buffers. IDs have 1 to 4096 bytes; other values are the caller's to check. After an error the
// import can only be aborted.
func (im *Import) Append(rec arrow.Record) error {
	return im.rows.append(0, rec)
}

// Finish sorts and stores the rows and makes them visible, all in one commit, which also runs commit, so that the
// caller's record of the import is in it. progress, which may be nil, is called now and then with the rows stored so
// far. When the final commit fails its outcome is unknown, and the caller has to look at its own record.
func (im *Import) Finish(ctx context.Context, progress func(rows int64), commit func(*Tx, ImportResult) error) (ImportResult, error) {
	for _, r := range im.dividers() {
		im.result.Read += r.read
	}
	w := newLayerWriter(im, progress)
	if err := w.write(ctx); err != nil {
		return im.result, err
	}
	err := im.s.Update(ctx, func(tx *Tx) error {
		if err := im.publish(ctx, tx, w); err != nil {
			return err
		}
		return commit(tx, im.result)
	})
	if err != nil {
		return im.result, err
	}
	im.ended = true
	im.s.pins.unpin(im.rec.ID)
	return im.result, im.spill.close()
}

// publish makes the layer and the new ordinals visible.
func (im *Import) publish(ctx context.Context, tx *Tx, w *layerWriter) error {
	im.result.Added, im.result.Duplicate, im.result.Replaced = w.rows, w.duplicates.Load()+w.keys.repeats, 0
	d, err := tx.Dataset(im.rec.Group, im.rec.Type)
	if err != nil {
		return err
	}
	epoch := tx.nextEpoch()
	switch {
	case im.rec.Mode == ImportFull:
		replaced := d.layersOf(im.rec.Put)
		for _, layer := range replaced {
			n, err := tx.liveRows(d.ID, layer)
			if err != nil {
				return err
			}
			im.result.Replaced += n
			if err := tx.discardLayer(epoch, d.ID, layer); err != nil {
				return err
			}
		}
		d.removeLayers(replaced)
		if err := tx.setSweep(im.rec.Group); err != nil {
			return err
		}
	case !im.layout.time:
		keys, err := tx.layerKeys(d.ID, im.rec.Layer)
		if err != nil {
			return err
		}
		if im.result.Replaced, err = tx.killRows(ctx, &d, epoch, keys); err != nil {
			return err
		}
	}
	if im.result.Suppressed > 0 {
		if err := tx.setSweep(im.rec.Group); err != nil { // items that came with these rows alone
			return err
		}
	}
	if w.rows > 0 {
		d.insertLayer(len(d.Layers), im.rec.Layer, im.rec.Put)
	}
	if err := tx.putDataset(d); err != nil {
		return err
	}
	if im.layout.items || im.layout.dict == dictItems {
		items := w.out.refs.items()
		if im.layout.dict == dictItems {
			if items, err = tx.layerKeys(d.ID, im.rec.Layer); err != nil {
				return err
			}
		}
		if err := tx.keepItems(dictID{im.rec.GroupID, dictItems}, items); err != nil {
			return err
		}
	}
	for _, kind := range []dictKind{dictUsers, dictItems} {
		sorted := ordinalRange{}
		if kind == im.layout.dict {
			sorted = ordinalRange{From: w.keys.base, To: w.keys.next}
		}
		if err := tx.release(dictID{im.rec.GroupID, kind}, im.rec.ID, sorted); err != nil {
			return err
		}
	}
	return tx.b.Bucket(bucketImports).Delete(appendUint32s(nil, im.rec.ID))
}

// Abort removes what the import wrote. Calling it after Finish succeeded does nothing. The pages that it frees are
// scrubbed by the next [Store.Scrub].
func (im *Import) Abort(ctx context.Context) error {
	if im.ended {
		return nil
	}
	im.ended = true
	err := im.spill.close()
	if rerr := im.s.rollbackImport(ctx, im.rec); rerr != nil {
		im.ended = false // so that it can be tried again
		return errors.Join(err, fmt.Errorf("roll back import: %w", rerr))
	}
	im.s.pins.unpin(im.rec.ID)
	return err
}

// EndImports removes what imports into a group wrote that could not be rolled back when they failed, as on a full disk: until
// then they count as in flight, and nobody can be deleted from the group. It must have none that is.
func (s *Store) EndImports(ctx context.Context, group string) error {
	_, err := s.rollbackImports(ctx, func(rec importRecord) bool { return rec.Group == group && rec.Mode != modeMerge })
	return err
}

// rollbackImports removes what those imports wrote that of says, and returns how many there were.
func (s *Store) rollbackImports(ctx context.Context, of func(importRecord) bool) (n int, err error) {
	var recs []importRecord
	err = s.View(ctx, func(tx *Tx) (err error) {
		recs, err = tx.importRecords()
		return err
	})
	for _, rec := range recs {
		if err != nil || !of(rec) {
			continue
		}
		if err = s.rollbackImport(ctx, rec); err == nil {
			s.pins.unpin(rec.ID)
			n++
		}
	}
	return n, err
}

func (tx *Tx) importRecords() (recs []importRecord, err error) {
	err = tx.b.Bucket(bucketImports).ForEach(func(k, v []byte) error {
		b, err := unseal("import record", k, v)
		if err != nil {
			return err
		}
		var rec importRecord
		if err := json.Unmarshal(b, &rec); err != nil {
			return &CorruptError{What: "import record", Problem: "can't be read", Err: err}
		}
		recs = append(recs, rec)
		return nil
	})
	return recs, err
}

// rollbackImport is repeated from its beginning if it is interrupted, since the record goes last.
func (s *Store) rollbackImport(ctx context.Context, rec importRecord) error {
	published := false
	err := s.View(ctx, func(tx *Tx) error {
		published = tx.b.Bucket(bucketImports).Get(appendUint32s(nil, rec.ID)) == nil
		return nil
	})
	if err != nil || published {
		return err
	}
	for done := false; !done && err == nil; {
		err = s.Update(ctx, func(tx *Tx) (err error) {
			done, err = tx.dropLayer(rec.Dataset, rec.Layer)
			return err
		})
	}
	for _, kind := range []dictKind{dictUsers, dictItems} {
		for done := false; !done && err == nil; {
			err = s.Update(ctx, func(tx *Tx) (err error) {
				done, err = tx.dropStaged(dictID{rec.GroupID, kind}, rec.ID)
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	return s.Update(ctx, func(tx *Tx) error {
		return tx.b.Bucket(bucketImports).Delete(appendUint32s(nil, rec.ID))
	})
}

// dropStaged removes IDs that an import added, as many as fit a transaction, and says whether it removed the last.
func (tx *Tx) dropStaged(d dictID, imp uint32) (done bool, err error) {
	st, err := tx.dictState(d)
	if err != nil {
		return false, err
	}
	ords := roaring.New()
	for _, r := range st.Staged {
		if r.Import == imp {
			ords.AddRange(uint64(r.From), uint64(r.To))
		}
	}
	removed, err := tx.removeIDs(d, ords)
	if err != nil {
		return false, err
	}
	ords.AndNot(removed)
	if ords.IsEmpty() {
		return true, tx.release(d, imp, ordinalRange{})
	}
	rest := ords.Minimum() // the ordinals go from the least on
	staged := st.Staged[:0]
	for _, r := range st.Staged {
		if r.Import == imp {
			if r.To <= rest {
				continue
			}
			r.From = max(r.From, rest)
		}
		staged = append(staged, r)
	}
	st.Staged = staged
	return false, tx.putDictState(d, st)
}

// layerKeys returns the ordinals that have rows in a layer.
func (tx *Tx) layerKeys(dataset, layer uint32) (*roaring.Bitmap, error) {
	keys := roaring.New()
	err := tx.eachFence(dataset, layer, func(_ []byte, f fence) error {
		x, err := tx.readIndex(f.Block)
		if err == nil {
			keys.AddMany(x.ordinals)
		}
		return err
	})
	return keys, err
}

// liveKeys returns the ordinals that have rows in a layer that aren't dead, and whether any are.
func (tx *Tx) liveKeys(dataset, layer uint32) (keys *roaring.Bitmap, dead bool, err error) {
	keys = roaring.New()
	err = tx.eachFence(dataset, layer, func(key []byte, f fence) error {
		x, err := tx.readIndex(f.Block)
		if err != nil {
			return err
		}
		gone, err := tx.tombstone(key)
		if err != nil {
			return err
		}
		if gone != nil {
			x, dead = x.without(gone), true
		}
		keys.AddMany(x.ordinals)
		return nil
	})
	return keys, dead, err
}

// liveRows counts the rows of a layer that aren't dead.
func (tx *Tx) liveRows(dataset, layer uint32) (int64, error) {
	var n int64
	err := tx.eachFence(dataset, layer, func(_ []byte, f fence) error {
		n += int64(f.Rows)
		return nil
	})
	if err != nil {
		return 0, err
	}
	prefix := layerKey(dataset, layer)
	c := tx.b.Bucket(bucketTombs).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		dead, err := tx.tombstone(k)
		if err == nil && dead == nil {
			err = errStrayTombstone
		}
		if err != nil {
			return 0, err
		}
		n -= int64(dead.GetCardinality())
	}
	return n, nil
}
