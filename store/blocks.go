package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/RoaringBitmap/roaring"
	bolt "go.etcd.io/bbolt"
)

// Keys in a block's bucket.
var (
	keyIndex = []byte("i")
	keyData  = []byte("d")
)

// encodedBlock is a block ready to be stored.
type encodedBlock struct {
	least, greatest uint32
	rows            uint32
	index           []byte
	pages           []pageEntry
	data            []byte // of the pages, from the pool
}

func (e *encodedBlock) size() int { return len(e.index) + len(e.data) }

// encodeBlock makes a block of the rows that w has taken since begin, and of their index.
func encodeBlock(w *pageWriter, x *rowIndex) (*encodedBlock, error) {
	if err := w.flush(); err != nil {
		return nil, fmt.Errorf("encode block: %w", err)
	}
	index, err := x.encode()
	if err != nil {
		return nil, fmt.Errorf("encode block: %w", err)
	}
	e := &encodedBlock{
		least: x.ordinals[0], greatest: x.ordinals[len(x.ordinals)-1], rows: x.rows(),
		index: index, pages: w.pages, data: w.data,
	}
	if e.size() > math.MaxInt32 {
		return nil, fmt.Errorf("encode block: it takes more than 2 GiB")
	}
	return e, nil
}

// free gives the memory of a block back to the pool, once its transaction has ended.
func (e *encodedBlock) free() {
	buffers.put(e.data)
	e.data = nil
}

// indexSeal binds an index to its block.
func indexSeal(id uint64) []byte { return append(uint64Key(id), 'i') }

func blockName(id uint64) string { return fmt.Sprintf("block %d", id) }

// putBlock stores a block and its fence under key. The block's slices must stay unchanged until the transaction ends.
func (tx *Tx) putBlock(key []byte, e *encodedBlock) error {
	id := tx.newBlockID()
	b, err := tx.b.Bucket(bucketBlocks).CreateBucket(uint64Key(id))
	if err != nil {
		return fmt.Errorf("store block: %w", err)
	}
	if err := b.Put(keyIndex, seal(indexSeal(id), e.index)); err != nil {
		return fmt.Errorf("store block: %w", err)
	}
	if err := b.Put(keyData, appendDirectory(e.data, id, e.pages)); err != nil {
		return fmt.Errorf("store block: %w", err)
	}
	f := fence{Block: id, Greatest: e.greatest, Rows: e.rows, Bytes: uint32(e.size())}
	return putSealed(tx.b.Bucket(bucketFences), key, f.encode())
}

// storedBlock returns the sealed index and the data of a block, aliasing the transaction's memory.
func (tx *Tx) storedBlock(id uint64) (index, data []byte, err error) {
	b := tx.cursor(bucketBlocks).Bucket().Bucket(uint64Key(id))
	if b == nil {
		return nil, nil, &CorruptError{What: blockName(id), Problem: "is missing"}
	}
	c := b.Cursor()
	k, data := c.First()
	if !bytes.Equal(k, keyData) {
		return nil, nil, &CorruptError{What: blockName(id), Problem: "has no data"}
	}
	if k, index = c.Next(); !bytes.Equal(k, keyIndex) {
		return nil, nil, &CorruptError{What: blockName(id), Problem: "has no index"}
	}
	return index, data, nil
}

// readIndex returns a copy of the index of a block.
func (tx *Tx) readIndex(id uint64) (*rowIndex, error) {
	sealed, _, err := tx.storedBlock(id)
	if err != nil {
		return nil, err
	}
	v, err := openIndex(id, sealed)
	if err != nil {
		return nil, err
	}
	x, ok := decodeRowIndex(v)
	if !ok {
		return nil, errIndex(id, unreadable)
	}
	return x, nil
}

const unreadable = "can't be read"

func errIndex(id uint64, problem string) error {
	return &CorruptError{What: "index of " + blockName(id), Problem: problem}
}

// openIndex checks the seal of an index.
func openIndex(id uint64, sealed []byte) ([]byte, error) {
	v, problem := checkSeal(indexSeal(id), sealed)
	if problem != "" {
		return nil, errIndex(id, problem)
	}
	return v, nil
}

// readData returns the rows of a block, aliasing the transaction's memory.
func (tx *Tx) readData(id uint64, layout *rowLayout, x *rowIndex) (*pagedRows, error) {
	p := new(pagedRows)
	return p, tx.readDataInto(p, id, layout, x.rows())
}

// readDataInto is readData that uses the memory of p again. rows is how many the block has.
func (tx *Tx) readDataInto(p *pagedRows, id uint64, layout *rowLayout, rows uint32) error {
	_, data, err := tx.storedBlock(id)
	if err != nil {
		return err
	}
	return p.parse(id, data, layout, rows)
}

// dropBlock removes a block. Its fence is the caller's.
func (tx *Tx) dropBlock(id uint64) error {
	if err := tx.b.Bucket(bucketBlocks).DeleteBucket(uint64Key(id)); err != nil {
		return &CorruptError{What: blockName(id), Problem: "can't be removed", Err: err}
	}
	return nil
}

// retire leaves a block that nothing refers to any more to the snapshots of its group older than epoch; see
// [Store.reclaim].
func (tx *Tx) retire(group uint32, epoch, id uint64) error {
	return putSealed(tx.b.Bucket(bucketRetired), append(uint64Key(epoch), uint64Key(id)...), appendUint32s(nil, group))
}

// tombstone returns the dead rows of the block under a fence key, or nil.
func (tx *Tx) tombstone(key []byte) (*roaring.Bitmap, error) {
	sealed := tx.get(bucketTombs, key)
	if sealed == nil {
		return nil, nil
	}
	what := fmt.Sprintf("tombstone of dataset %d, layer %d", uint32At(key, 0), uint32At(key, 1))
	v, err := unseal(what, key, sealed)
	if err != nil {
		return nil, err
	}
	bm, ok := decodeBitmap(v)
	if !ok {
		return nil, &CorruptError{What: what, Problem: "can't be read"}
	}
	return bm, nil
}

// eachFence calls fn for every block of a layer, in the order of ordinals. key is valid until the transaction ends.
func (tx *Tx) eachFence(dataset, layer uint32, fn func(key []byte, f fence) error) error {
	prefix := layerKey(dataset, layer)
	c := tx.b.Bucket(bucketFences).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		f, err := decodeFence(k, v)
		if err != nil {
			return err
		}
		if err := fn(k, f); err != nil {
			return err
		}
	}
	return nil
}

// eachFenceOf calls fn for every block of a layer whose fences don't rule out the ordinals of set. It leaps from one to
// the next, so a small set costs a few seeks.
func (tx *Tx) eachFenceOf(dataset, layer uint32, set *roaring.Bitmap, fn func(key []byte, f fence) error) error {
	prefix := layerKey(dataset, layer)
	c := tx.b.Bucket(bucketFences).Cursor()
	it := set.Iterator()
	for it.HasNext() {
		want := it.PeekNext()
		k, v := seekFence(c, prefix, want)
		for ; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			f, err := decodeFence(k, v)
			if err != nil {
				return err
			}
			if f.Greatest < want {
				continue
			}
			least := uint32At(k, 2)
			if it.AdvanceIfNeeded(max(least, want)); !it.HasNext() {
				return nil
			}
			if want = it.PeekNext(); want > f.Greatest {
				break // leap
			}
			if err := fn(k, f); err != nil {
				return err
			}
		}
		if k == nil || !bytes.HasPrefix(k, prefix) {
			return nil
		}
	}
	return nil
}

// seekFence places c at the first block of a layer that can hold the ordinal: the last one whose least ordinal is below
// it, since a user can begin in the middle of a block and go on in the next.
func seekFence(c *bolt.Cursor, prefix []byte, ordinal uint32) (k, v []byte) {
	seek := binary.BigEndian.AppendUint32(bytes.Clone(prefix), ordinal)
	if k, _ = c.Seek(seek); k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if k == nil || !bytes.HasPrefix(k, prefix) {
		return c.Seek(seek)
	}
	return k, v
}
