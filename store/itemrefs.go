package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring"
)

// refSlots is how many items share a chunk of reference counts.
const refSlots = 1024

// itemCounts counts rows by the ordinal of their item.
type itemCounts map[uint32]*[refSlots]uint32 // by ordinal / refSlots

func (c itemCounts) add(ordinal uint32) { c.addRows(ordinal, 1) }

func (c itemCounts) addRows(ordinal, rows uint32) {
	chunk := c[ordinal/refSlots]
	if chunk == nil {
		chunk = new([refSlots]uint32)
		c[ordinal/refSlots] = chunk
	}
	chunk[ordinal%refSlots] += rows
}

func (c itemCounts) chunks() []uint32 {
	nums := make([]uint32, 0, len(c))
	for n := range c {
		nums = append(nums, n)
	}
	slices.Sort(nums)
	return nums
}

// items returns the items that are counted.
func (c itemCounts) items() *roaring.Bitmap {
	bm := roaring.New()
	for num, chunk := range c {
		for slot, n := range chunk {
			if n > 0 {
				bm.Add(num*refSlots + uint32(slot))
			}
		}
	}
	return bm
}

func refKey(dataset, layer, chunk uint32) []byte {
	return appendUint32s(make([]byte, 0, 12), dataset, layer, chunk)
}

func encodeRefs(c *[refSlots]uint32) []byte {
	b := make([]byte, 0, refSlots*2+sealSize)
	for _, n := range c {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func decodeRefs(b []byte) (*[refSlots]uint32, bool) {
	c := new([refSlots]uint32)
	for i := range c {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > 1<<32-1 {
			return nil, false
		}
		c[i] = uint32(n)
		b = b[used:]
	}
	return c, len(b) == 0
}

// itemRefs returns the counts of one chunk in one layer; nil if it has none.
func (tx *Tx) itemRefs(dataset, layer, chunk uint32) (*[refSlots]uint32, error) {
	what := refsName(dataset, layer)
	key := refKey(dataset, layer, chunk)
	v, err := getSealed(tx.b.Bucket(bucketItemRefs), what, key)
	if err != nil || v == nil {
		return nil, err
	}
	c, ok := decodeRefs(v)
	if !ok {
		return nil, &CorruptError{What: what, Problem: "can't be read"}
	}
	return c, nil
}

// dropRefs takes rows that are gone out of a layer's counts. Items whose count comes to zero leave the dictionary, unless
// a row of another layer or an Items row refers to them.
func (tx *Tx) dropRefs(epoch uint64, group Group, dataset, layer uint32, gone itemCounts) error {
	if len(gone) == 0 {
		return nil
	}
	orphans := roaring.New()
	for _, num := range gone.chunks() {
		refs, err := tx.itemRefs(dataset, layer, num)
		if err != nil {
			return err
		}
		for slot, n := range gone[num] {
			if n == 0 {
				continue
			}
			if refs == nil || refs[slot] < n {
				return &CorruptError{What: refsName(dataset, layer), Problem: "are too low"}
			}
			if refs[slot] -= n; refs[slot] == 0 {
				orphans.Add(num*refSlots + uint32(slot))
			}
		}
		if err := putSealed(tx.b.Bucket(bucketItemRefs), refKey(dataset, layer, num), encodeRefs(refs)); err != nil {
			return err
		}
	}
	if orphans.IsEmpty() {
		return nil
	}
	referred, err := tx.referredItems(group, orphans)
	if err != nil {
		return err
	}
	orphans.AndNot(referred)
	return tx.addLeaving(dictID{group.ID, dictItems}, epoch, orphans)
}

// referredItems returns those of candidates that a row refers to, or that have an Items row.
func (tx *Tx) referredItems(group Group, candidates *roaring.Bitmap) (*roaring.Bitmap, error) {
	referred := roaring.New()
	datasets, err := tx.Datasets(group.Name)
	if err != nil {
		return nil, err
	}
	for _, d := range datasets {
		if d.GroupID != group.ID { // one of a group that came after, with the name of one that was removed
			continue
		}
		switch d.Type {
		case Items:
			for _, layer := range d.Layers {
				err := tx.eachFenceOf(d.ID, layer, candidates, func(_ []byte, f fence) error {
					x, err := tx.readIndex(f.Block)
					if err != nil {
						return err
					}
					for _, ordinal := range x.ordinals {
						if candidates.Contains(ordinal) {
							referred.Add(ordinal)
						}
					}
					return nil
				})
				if err != nil {
					return nil, err
				}
			}
		case Interactions:
			if err := tx.countedItems(d, candidates, referred); err != nil {
				return nil, err
			}
		}
	}
	return referred, nil
}

// countedItems adds to referred the candidates that have a count above zero in a layer of a dataset.
func (tx *Tx) countedItems(d Dataset, candidates, referred *roaring.Bitmap) error {
	for _, layer := range d.Layers {
		err := tx.eachRefs(d.ID, layer, func(num uint32, value func() (*[refSlots]uint32, error)) error {
			low := num * refSlots
			if countRange(candidates, low, low+refSlots) == 0 {
				return nil
			}
			refs, err := value()
			if err != nil {
				return err
			}
			for slot, n := range refs {
				if ordinal := low + uint32(slot); n > 0 && candidates.Contains(ordinal) {
					referred.Add(ordinal)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachRefs calls fn for each chunk of counts that a layer has; value decodes it.
func (tx *Tx) eachRefs(dataset, layer uint32, fn func(num uint32, value func() (*[refSlots]uint32, error)) error) error {
	what := refsName(dataset, layer)
	prefix := layerKey(dataset, layer)
	c := tx.b.Bucket(bucketItemRefs).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(k) != len(prefix)+4 {
			return &CorruptError{What: what, Problem: "a key has the wrong length"}
		}
		err := fn(uint32At(k, 2), func() (*[refSlots]uint32, error) {
			b, err := unseal(what, k, v)
			if err != nil {
				return nil, err
			}
			refs, ok := decodeRefs(b)
			if !ok {
				return nil, &CorruptError{What: what, Problem: "can't be read"}
			}
			return refs, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func refsName(dataset, layer uint32) string {
	return fmt.Sprintf("item counts of dataset %d, layer %d", dataset, layer)
}

// itemPins are items that imports in flight found in the dictionary: their rows will refer to them, so they must not be
// purged although nothing does yet.
type itemPins struct {
	// finding is held for reading from looking items up to pinning them, and for writing while items are purged.
	// Lock order: finding, then [Store.writer].
	finding sync.RWMutex
	mu      sync.Mutex
	pinned  map[uint32]*roaring.Bitmap // by import; guarded by mu
}

func (p *itemPins) pin(imp uint32, ordinals []uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pinned == nil {
		p.pinned = make(map[uint32]*roaring.Bitmap)
	}
	bm := p.pinned[imp]
	if bm == nil {
		bm = roaring.New()
		p.pinned[imp] = bm
	}
	bm.AddMany(ordinals)
}

func (p *itemPins) unpin(imp uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pinned, imp)
}

// all returns the pinned items of every import: an ordinal of another group in it only delays that group's purge.
func (p *itemPins) all() *roaring.Bitmap {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := roaring.New()
	for _, bm := range p.pinned {
		out.Or(bm)
	}
	return out
}
