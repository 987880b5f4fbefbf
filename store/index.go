package store

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring"
)

// rowIndex is the key column of a block: which ordinals it holds, and which rows are whose. Rows are sorted by ordinal.
type rowIndex struct {
	ordinals []uint32 // ascending
	ends     []uint32 // rows of the first i+1 ordinals
}

// add appends rows of an ordinal that is not below the last one added.
func (x *rowIndex) add(ordinal, rows uint32) {
	if n := len(x.ordinals); n > 0 && x.ordinals[n-1] == ordinal {
		x.ends[n-1] += rows
		return
	}
	x.ordinals, x.ends = append(x.ordinals, ordinal), append(x.ends, x.rows()+rows)
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
	i, ok := slices.BinarySearch(x.ordinals, ordinal)
	if !ok {
		return 0, 0
	}
	return x.at(i)
}

// intersects reports whether one of the ordinals is in set.
func (x *rowIndex) intersects(set *roaring.Bitmap) bool {
	return slices.ContainsFunc(x.ordinals, set.Contains)
}

// rowsOf returns the rows of those ordinals that are in set.
func (x *rowIndex) rowsOf(set *roaring.Bitmap) *roaring.Bitmap {
	bm := roaring.New()
	for i, ordinal := range x.ordinals {
		if set.Contains(ordinal) {
			from, to := x.at(i)
			bm.AddRange(uint64(from), uint64(to))
		}
	}
	return bm
}

// without returns the index of the rows that are left when dead ones go.
func (x *rowIndex) without(dead *roaring.Bitmap) *rowIndex {
	left := new(rowIndex)
	gone := dead.Iterator()
	for i, ordinal := range x.ordinals {
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

// encode writes the number of ordinals, and of each twice the number of its rows, plus 1 if it doesn't follow the one
// before: then how many lie between them comes too. Imports give ordinals one after the other, so it is mostly a byte a key.
func (x *rowIndex) encode() []byte {
	b := make([]byte, 0, binary.MaxVarintLen32+3*len(x.ordinals)+sealSize)
	b = binary.AppendUvarint(b, uint64(len(x.ordinals)))
	next := uint64(0)
	for i, ordinal := range x.ordinals {
		from, to := x.at(i)
		code, gap := uint64(to-from)<<1, uint64(ordinal)-next
		if gap > 0 {
			code |= 1
		}
		if b = binary.AppendUvarint(b, code); gap > 0 {
			b = binary.AppendUvarint(b, gap)
		}
		next = uint64(ordinal) + 1
	}
	return b
}

// indexReader walks a stored index.
type indexReader struct {
	b    []byte
	left uint64 // ordinals
	bad  bool

	ordinal  uint32
	from, to uint32 // its rows
	next     uint64 // the least ordinal that can follow
}

func newIndexReader(b []byte) indexReader {
	r := indexReader{b: b}
	r.left = r.uvarint()
	r.bad = r.bad || r.left > uint64(len(b)) // an ordinal takes a byte at least
	return r
}

func (r *indexReader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // mostly
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// step goes on to the next ordinal. It returns false at the end, and if the index can't be read: then it is bad.
func (r *indexReader) step() bool {
	if r.bad || r.left == 0 {
		r.bad = r.bad || len(r.b) > 0
		return false
	}
	r.left--
	code := r.uvarint()
	gap := uint64(0)
	if code&1 != 0 {
		gap = r.uvarint()
		r.bad = r.bad || gap == 0 || gap > math.MaxUint32
	}
	rows, ordinal := code>>1, r.next+gap
	if r.bad = r.bad || rows == 0 || rows > maxBlockRows-uint64(r.to) || ordinal > math.MaxUint32; r.bad {
		return false
	}
	r.from, r.to = r.to, r.to+uint32(rows)
	r.ordinal, r.next = uint32(ordinal), ordinal+1
	return true
}

// decodeRowIndex reads what encode wrote. The result doesn't alias b.
func decodeRowIndex(b []byte) (*rowIndex, bool) {
	r := newIndexReader(b)
	if r.bad {
		return nil, false
	}
	x := &rowIndex{ordinals: make([]uint32, 0, r.left), ends: make([]uint32, 0, r.left)}
	for r.step() {
		x.ordinals, x.ends = append(x.ordinals, r.ordinal), append(x.ends, r.to)
	}
	return x, !r.bad
}

// findRows returns the rows [from, to) of an ordinal of a stored index, which are none if it isn't there, and whether the
// index could be read so far.
func findRows(b []byte, ordinal uint32) (from, to uint32, ok bool) {
	r := newIndexReader(b)
	for r.step() {
		if r.ordinal >= ordinal {
			if r.ordinal > ordinal {
				break
			}
			return r.from, r.to, true
		}
	}
	return 0, 0, !r.bad
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
