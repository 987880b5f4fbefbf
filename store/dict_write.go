package store

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring"
)

// errOrdinals is what taking the last of 4 billion ordinals gives.
var errOrdinals = &CorruptError{What: "dictionary", Problem: "all 4,294,967,295 ordinals of the group were given"}

// newIDs collects IDs that a dictionary doesn't hold yet, in ascending order of their hashes.
type newIDs struct {
	hashes []uint64
	ids    packedIDs
}

func (n *newIDs) len() int { return len(n.hashes) }

func (n *newIDs) add(hash uint64, id []byte) {
	n.hashes = append(n.hashes, hash)
	n.ids.append(id)
}

func (n *newIDs) reset() {
	n.hashes = n.hashes[:0]
	n.ids.reset()
}

// packedIDs is a list of IDs in two slices.
type packedIDs struct {
	data []byte
	ends []uint32
}

func (p *packedIDs) len() int { return len(p.ends) }

func (p *packedIDs) at(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.data[start:p.ends[i]:p.ends[i]]
}

func (p *packedIDs) append(id []byte) {
	p.data = append(p.data, id...)
	p.ends = append(p.ends, uint32(len(p.data)))
}

func (p *packedIDs) reset() { p.data, p.ends = p.data[:0], p.ends[:0] }

// reserve takes n ordinals for an import and returns the first. Nobody else sees them until the import is published.
func (tx *Tx) reserve(d dictID, imp uint32, n int) (uint32, error) {
	st, err := tx.dictState(d)
	if err != nil {
		return 0, err
	}
	if uint64(st.Next)+uint64(n) > math.MaxUint32 {
		return 0, errOrdinals
	}
	from := st.Next
	st.Next += uint32(n)
	if last := len(st.Staged) - 1; last >= 0 && st.Staged[last].Import == imp && st.Staged[last].To == from {
		st.Staged[last].To = st.Next
	} else {
		st.Staged = append(st.Staged, ordinalRange{Import: imp, From: from, To: st.Next})
	}
	return from, tx.putDictState(d, st)
}

// release makes what an import took visible to all. sorted is what it gave in the order of hashes.
func (tx *Tx) release(d dictID, imp uint32, sorted ordinalRange) error {
	st, err := tx.dictState(d)
	if err != nil {
		return err
	}
	st.Staged = slices.DeleteFunc(st.Staged, func(r ordinalRange) bool { return r.Import == imp })
	if sorted.To-sorted.From > st.Sorted.To-st.Sorted.From {
		st.Sorted = sorted
	}
	return tx.putDictState(d, st)
}

// addIDs adds entries for n under the ordinals from first on, in its order.
func (tx *Tx) addIDs(d dictID, first uint32, n *newIDs) error {
	if err := tx.addReverse(d, first, &n.ids); err != nil {
		return err
	}
	entries := make([]byte, 0, n.len()*entrySize)
	for i, h := range n.hashes {
		entries = binary.BigEndian.AppendUint32(appendHash(entries, h), first+uint32(i))
	}
	return tx.addForward(d, entries)
}

func (tx *Tx) addReverse(d dictID, first uint32, ids *packedIDs) error {
	b := tx.b.Bucket(bucketReverse)
	for i := 0; i < ids.len(); {
		ordinal := first + uint32(i)
		num, slot := ordinal/reverseSlots, int(ordinal%reverseSlots)
		old, err := tx.readReverse(d, num)
		if err != nil {
			return err
		}
		var c reverseChunk
		for s := range slot {
			c.append(old.id(s))
		}
		for ; slot < reverseSlots && i < ids.len(); slot, i = slot+1, i+1 {
			c.append(ids.at(i))
		}
		key := reverseKey(d, num)
		if err := putSealed(b, key, c.encode(key)); err != nil {
			return err
		}
	}
	return nil
}

// addForward merges sorted entries into the chunks of their hash ranges and halves those that grow too large.
func (tx *Tx) addForward(d dictID, entries []byte) error {
	b := tx.b.Bucket(bucketForward)
	for len(entries) > 0 {
		c, err := readForward(b.Cursor(), d, hashAt(entries))
		if err != nil {
			return err
		}
		n := len(entries)
		if c.up < 1<<hashBits {
			n = searchEntries(entries, appendHash(nil, c.up))
		}
		merged := mergeEntries(c.entries, entries[:n])
		if err := tx.putForward(d, c.low, c.up, merged); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func mergeEntries(a, b []byte) []byte {
	out := make([]byte, 0, len(a)+len(b)+sealSize)
	for len(a) > 0 && len(b) > 0 {
		if bytes.Compare(a[:entrySize], b[:entrySize]) <= 0 {
			out, a = append(out, a[:entrySize]...), a[entrySize:]
		} else {
			out, b = append(out, b[:entrySize]...), b[entrySize:]
		}
	}
	return append(append(out, a...), b...)
}

// putForward stores the entries of hashes [low, up). Ranges are halved in the middle and not between two entries, so
// that no key says anything of an ID; a half without entries is stored too, since it is where its range ends.
func (tx *Tx) putForward(d dictID, low, up uint64, entries []byte) error {
	if len(entries) <= tx.s.limits.forwardEntries*entrySize || up-low < 2 {
		return putSealed(tx.b.Bucket(bucketForward), appendHash(d.prefix(), low), slices.Clone(entries))
	}
	mid := low + (up-low)/2
	at := searchEntries(entries, appendHash(nil, mid))
	if err := tx.putForward(d, low, mid, entries[:at]); err != nil {
		return err
	}
	return tx.putForward(d, mid, up, entries[at:])
}

// removeIDs takes entries out of a dictionary, from the least ordinal of ords on, until about limits.removeBudget bytes were
// rewritten. It returns the ordinals that it took care of. Ordinals that aren't there are passed over.
func (tx *Tx) removeIDs(d dictID, ords *roaring.Bitmap) (*roaring.Bitmap, error) {
	rev := tx.b.Bucket(bucketReverse)
	done := roaring.New()
	var entries []byte
	budget := tx.s.limits.removeBudget
	st, err := tx.dictState(d)
	if err != nil {
		return nil, err
	}
	// An entry rewrites the forward chunk that it lies in, and all of them rewrite no more than there is.
	forward := int(st.Next) * entrySize
	it := ords.Iterator()
	for it.HasNext() && budget > 0 {
		num := it.PeekNext() / reverseSlots
		c, err := tx.readReverse(d, num)
		if err != nil {
			return nil, err
		}
		kept := reverseChunk{ends: make([]uint32, 0, c.slots()), heap: make([]byte, 0, len(c.heap))}
		left := false
		for slot := range c.slots() {
			id := c.id(slot)
			ordinal := num*reverseSlots + uint32(slot)
			if id != nil && ords.Contains(ordinal) {
				entries = binary.BigEndian.AppendUint32(appendHash(entries, tx.s.hashID(id)), ordinal)
				n := min(forward, tx.s.limits.forwardEntries*entrySize/2)
				forward, budget = forward-n, budget-n
				id = nil
			}
			left = left || id != nil
			kept.append(id)
		}
		for it.HasNext() && it.PeekNext()/reverseSlots == num {
			done.Add(it.Next())
		}
		budget -= len(c.heap)
		if c.slots() == 0 {
			continue
		}
		key := reverseKey(d, num)
		if !left {
			err = rev.Delete(key)
		} else {
			err = putSealed(rev, key, kept.encode(key))
		}
		if err != nil {
			return nil, err
		}
	}
	return done, tx.removeForward(d, entries)
}

// removeForward takes entries, in any order, out of the forward chunks.
func (tx *Tx) removeForward(d dictID, entries []byte) error {
	sorted := make([][]byte, 0, len(entries)/entrySize)
	for e := range slices.Chunk(entries, entrySize) {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, bytes.Compare)
	b := tx.b.Bucket(bucketForward)
	for len(sorted) > 0 {
		c, err := readForward(b.Cursor(), d, hashAt(sorted[0]))
		if err != nil {
			return err
		}
		kept := make([]byte, 0, len(c.entries)+sealSize)
		for e := range slices.Chunk(c.entries, entrySize) {
			if len(sorted) > 0 && bytes.Equal(e, sorted[0]) {
				sorted = sorted[1:]
				continue
			}
			kept = append(kept, e...)
		}
		if len(sorted) > 0 && hashAt(sorted[0]) < c.up {
			return &CorruptError{What: d.String(), Problem: "an ID has no entry under its hash"}
		}
		if err := putSealed(b, c.key, kept); err != nil {
			return err
		}
	}
	return nil
}
