package store

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"

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

// holdsAny reports whether any of the ordinals is in set.
func (x *rowIndex) holdsAny(set *roaring.Bitmap) bool {
	return slices.ContainsFunc(x.ordinals, set.Contains)
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

// An index is stored as
//
//	ordinals uvarint, marks × (next u32, row u32, offset u32), entries
//
// An entry is twice the number of an ordinal's rows, plus 1 if the ordinal doesn't follow the one before: then how many lie
// between comes too. Imports give ordinals one after the other, so an entry is mostly a byte. Before every markEvery-th entry
// but the first one, a mark says what a reader that begins there has to know, so that one key is found in few steps.
const (
	markEvery = 64
	markSize  = 12
)

// marks returns how many marks there are between a number of ordinals.
func marks(ordinals int) int { return max(ordinals-1, 0) / markEvery }

// encode returns the bytes of the index, with room for a seal.
func (x *rowIndex) encode() []byte {
	n := len(x.ordinals)
	b := make([]byte, 0, binary.MaxVarintLen32+markSize*marks(n)+3*n+sealSize)
	b = binary.AppendUvarint(b, uint64(n))
	mark := len(b)
	b = append(b, make([]byte, markSize*marks(n))...)
	entries := len(b)
	next := uint64(0)
	for i, ordinal := range x.ordinals {
		from, to := x.at(i)
		if i > 0 && i%markEvery == 0 {
			appendUint32s(b[:mark], uint32(next), from, uint32(len(b)-entries))
			mark += markSize
		}
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
	marks   []byte
	entries []byte
	at      int    // in entries
	left    uint64 // ordinals
	bad     bool

	ordinal  uint32
	from, to uint32 // its rows
	next     uint64 // the least ordinal that can follow
}

func newIndexReader(b []byte) indexReader {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) { // an ordinal takes a byte at least
		return indexReader{bad: true}
	}
	b = b[size:]
	m := markSize * marks(int(n))
	if m > len(b) {
		return indexReader{bad: true}
	}
	return indexReader{marks: b[:m], entries: b[m:], left: n}
}

func (r *indexReader) uvarint() uint64 {
	if r.at < len(r.entries) && r.entries[r.at] < 0x80 { // mostly
		v := r.entries[r.at]
		r.at++
		return uint64(v)
	}
	v, n := binary.Uvarint(r.entries[r.at:])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.at += n
	return v
}

// step goes on to the next ordinal. It returns false at the end, and if the index can't be read: then it is bad.
func (r *indexReader) step() bool {
	if r.bad || r.left == 0 {
		r.bad = r.bad || r.at != len(r.entries)
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

// seek goes on to the last mark before an ordinal, if there is one.
func (r *indexReader) seek(ordinal uint32) {
	n := sort.Search(len(r.marks)/markSize, func(i int) bool { return uint32At(r.marks[i*markSize:], 0) > ordinal })
	if n == 0 {
		return
	}
	mark := r.marks[(n-1)*markSize:]
	r.next, r.to, r.at = uint64(uint32At(mark, 0)), uint32At(mark, 1), int(uint32At(mark, 2))
	r.left -= uint64(n) * markEvery
	r.bad = r.bad || r.at > len(r.entries) || r.to > maxBlockRows
}

// marked reports whether the mark before entry i, if there is one, is what a reader that comes there has found.
func (r *indexReader) marked(i int) bool {
	if i == 0 || i%markEvery != 0 || i/markEvery > len(r.marks)/markSize {
		return true
	}
	mark := r.marks[(i/markEvery-1)*markSize:]
	return uint64(uint32At(mark, 0)) == r.next && uint32At(mark, 1) == r.to && int(uint32At(mark, 2)) == r.at
}

// decodeRowIndex reads what encode wrote. The result doesn't alias b.
func decodeRowIndex(b []byte) (*rowIndex, bool) {
	r := newIndexReader(b)
	x := &rowIndex{ordinals: make([]uint32, 0, r.left), ends: make([]uint32, 0, r.left)}
	for r.marked(len(x.ends)) && r.step() {
		x.ordinals, x.ends = append(x.ordinals, r.ordinal), append(x.ends, r.to)
	}
	return x, !r.bad && r.left == 0 && r.at == len(r.entries)
}

// findRows returns the rows [from, to) of an ordinal of a stored index, which are none if it isn't there, and whether what
// it had to look at could be read.
func findRows(b []byte, ordinal uint32) (from, to uint32, ok bool) {
	r := newIndexReader(b)
	r.seek(ordinal)
	for r.step() && r.ordinal <= ordinal {
		if r.ordinal == ordinal {
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
