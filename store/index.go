package store

import (
	"encoding/binary"

	"github.com/RoaringBitmap/roaring"
)

// rowIndex is the key column of a block: which ordinals it holds, and which rows are whose. Rows are sorted by ordinal.
type rowIndex struct {
	ordinals *roaring.Bitmap
	ends     []uint32 // rows of the first i+1 ordinals
}

func newRowIndex() *rowIndex { return &rowIndex{ordinals: roaring.New()} }

// add appends rows of an ordinal that is not below the last one added.
func (x *rowIndex) add(ordinal, rows uint32) {
	if x.ordinals.CheckedAdd(ordinal) {
		x.ends = append(x.ends, x.rows()+rows)
		return
	}
	x.ends[len(x.ends)-1] += rows
}

// rows returns the number of rows in the block.
func (x *rowIndex) rows() uint32 {
	if len(x.ends) == 0 {
		return 0
	}
	return x.ends[len(x.ends)-1]
}

// at returns the rows [from, to) of the i-th ordinal.
func (x *rowIndex) at(i int) (from, to uint32) {
	if i > 0 {
		from = x.ends[i-1]
	}
	return from, x.ends[i]
}

// find returns the rows [from, to) of an ordinal, which are none if it isn't there.
func (x *rowIndex) find(ordinal uint32) (from, to uint32) {
	if !x.ordinals.Contains(ordinal) {
		return 0, 0
	}
	return x.at(int(x.ordinals.Rank(ordinal)) - 1)
}

// rowsOf returns the rows of those ordinals that are in set.
func (x *rowIndex) rowsOf(set *roaring.Bitmap) *roaring.Bitmap {
	bm := roaring.New()
	it := x.ordinals.Iterator()
	for i := 0; it.HasNext(); i++ {
		if set.Contains(it.Next()) {
			from, to := x.at(i)
			bm.AddRange(uint64(from), uint64(to))
		}
	}
	return bm
}

// holdsAny reports whether any of the ordinals is in set.
func (x *rowIndex) holdsAny(set *roaring.Bitmap) bool {
	it := x.ordinals.Iterator()
	for it.HasNext() {
		if set.Contains(it.Next()) {
			return true
		}
	}
	return false
}

// without returns the index of the rows that are left when dead ones go.
func (x *rowIndex) without(dead *roaring.Bitmap) *rowIndex {
	left := newRowIndex()
	it, gone := x.ordinals.Iterator(), dead.Iterator()
	for i := 0; it.HasNext(); i++ {
		ordinal := it.Next()
		from, to := x.at(i)
		n := to - from
		for ; gone.HasNext() && gone.PeekNext() < to; gone.Next() {
			n--
		}
		if n > 0 {
			left.add(ordinal, n)
		}
	}
	return left
}

// encode writes the bitmap's length, the bitmap, and the number of rows of each ordinal.
func (x *rowIndex) encode() ([]byte, error) {
	x.ordinals.RunOptimize()
	size := x.ordinals.GetSerializedSizeInBytes()
	b := make([]byte, 0, int(size)+2*len(x.ends)+10+sealSize)
	b = binary.AppendUvarint(b, size)
	bm, err := x.ordinals.ToBytes()
	if err != nil {
		return nil, err
	}
	b = append(b, bm...)
	prev := uint32(0)
	for _, end := range x.ends {
		b = binary.AppendUvarint(b, uint64(end-prev))
		prev = end
	}
	return b, nil
}

// decodeRowIndex reads what encode wrote. The result doesn't alias b.
func decodeRowIndex(b []byte) (*rowIndex, bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, false
	}
	bm, ok := decodeBitmap(b[n : n+int(size)])
	if !ok {
		return nil, false
	}
	b = b[n+int(size):]
	card := bm.GetCardinality()
	if card > uint64(len(b)) || !ascending(bm, card) { // a count takes a byte at least
		return nil, false
	}
	x := &rowIndex{ordinals: bm, ends: make([]uint32, card)}
	end := uint64(0)
	for i := range x.ends {
		rows, n := binary.Uvarint(b)
		if n <= 0 || rows == 0 || rows > maxBlockRows {
			return nil, false
		}
		if end += rows; end > maxBlockRows {
			return nil, false
		}
		x.ends[i] = uint32(end)
		b = b[n:]
	}
	return x, len(b) == 0
}

// ascending reports whether a bitmap yields as many numbers as it says, in order. One that was decoded from bytes that no
// bitmap wrote, behind a checksum that is right for them, may not, or panics over them.
func ascending(bm *roaring.Bitmap, card uint64) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	last := int64(-1)
	for it := bm.Iterator(); it.HasNext(); card-- {
		v := int64(it.Next())
		if v <= last || card == 0 {
			return false
		}
		last = v
	}
	return card == 0
}

// encodeBitmap returns the bytes of a bitmap with room for a seal.
func encodeBitmap(bm *roaring.Bitmap) ([]byte, error) {
	bm.RunOptimize()
	b, err := bm.ToBytes()
	return append(make([]byte, 0, len(b)+sealSize), b...), err
}

// decodeBitmap reads a bitmap that doesn't alias b. A bitmap with a flipped bit can decode and be wrong, so b comes from
// a sealed value.
func decodeBitmap(b []byte) (*roaring.Bitmap, bool) {
	bm := roaring.New()
	if err := bm.UnmarshalBinary(b); err != nil {
		return nil, false
	}
	return bm, true
}

// countRange returns how many of [from, to) are in bm.
func countRange(bm *roaring.Bitmap, from, to uint32) uint32 {
	if from >= to {
		return 0
	}
	n := bm.Rank(to - 1)
	if from > 0 {
		n -= bm.Rank(from - 1)
	}
	return uint32(n)
}
