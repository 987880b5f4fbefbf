package store

import (
	"encoding/binary"
	"slices"
	"sync"

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
//	length of the bitmap uvarint, roaring bitmap of the ordinals, marks × (row u32, offset u32), counts
//
// A count is the number of an ordinal's rows, as a uvarint; they come in the order of ordinals. Before every markEvery-th
// count but the first one, a mark says at which row and where in counts it begins, so that one key is found in few steps.
const (
	markEvery = 64
	markSize  = 8
)

// marks returns how many marks there are among a number of ordinals.
func marks(ordinals int) int { return max(ordinals-1, 0) / markEvery }

// encode returns the bytes of the index, with room for a seal.
func (x *rowIndex) encode() ([]byte, error) {
	n := len(x.ordinals)
	bm := roaring.New()
	bm.AddMany(x.ordinals)
	bm.RunOptimize()
	ordinals, err := bm.ToBytes()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, binary.MaxVarintLen32+len(ordinals)+markSize*marks(n)+2*n+sealSize)
	b = append(binary.AppendUvarint(b, uint64(len(ordinals))), ordinals...)
	mark := len(b)
	b = append(b, make([]byte, markSize*marks(n))...)
	counts := len(b)
	for i := range n {
		from, to := x.at(i)
		if i > 0 && i%markEvery == 0 {
			appendUint32s(b[:mark], from, uint32(len(b)-counts))
			mark += markSize
		}
		b = binary.AppendUvarint(b, uint64(to-from))
	}
	return b, nil
}

// storedIndex reads an index as it is stored. It aliases the bytes.
type storedIndex struct {
	ordinals      roaring.Bitmap
	marks, counts []byte
	n             int // ordinals
}

var storedIndexPool = sync.Pool{New: func() any { return new(storedIndex) }}

// readStored calls fn with a stored index, and returns what it returns, or false if the index can't be read. Bytes that no
// bitmap wrote, behind a checksum that is right for them, can make a bitmap panic.
func readStored(b []byte, fn func(*storedIndex) bool) (ok bool) {
	x := storedIndexPool.Get().(*storedIndex)
	defer func() {
		if recover() != nil {
			ok = false
			return // x may be in any state
		}
		x.ordinals.Clear()
		x.marks, x.counts = nil, nil
		storedIndexPool.Put(x)
	}()
	return x.open(b) && fn(x)
}

func (x *storedIndex) open(b []byte) bool {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return false
	}
	if read, err := x.ordinals.FromBuffer(b[n : n+int(size)]); err != nil || read != int64(size) {
		return false
	}
	b = b[n+int(size):]
	card := x.ordinals.GetCardinality()
	if card > uint64(len(b)) || markSize*marks(int(card)) > len(b) { // a count takes a byte at least
		return false
	}
	x.n = int(card)
	x.marks, x.counts = b[:markSize*marks(x.n)], b[markSize*marks(x.n):]
	return true
}

// mark returns the row at which the counts from a multiple of markEvery on begin, and where they are.
func (x *storedIndex) mark(i int) (row uint32, at int) {
	if i == 0 {
		return 0, 0
	}
	mark := x.marks[(i/markEvery-1)*markSize:]
	return uint32At(mark, 0), int(uint32At(mark, 1))
}

// count returns the rows of the ordinal whose count is at a place in counts and whose first row is known, and the next place.
func (x *storedIndex) count(row uint32, at int) (to uint32, next int, ok bool) {
	if at > len(x.counts) {
		return 0, 0, false
	}
	rows, n := binary.Uvarint(x.counts[at:])
	if n <= 0 || rows == 0 || row > maxBlockRows || rows > maxBlockRows-uint64(row) {
		return 0, 0, false
	}
	return row + uint32(rows), at + n, true
}

// decodeRowIndex reads what encode wrote. The result doesn't alias b.
func decodeRowIndex(b []byte) (*rowIndex, bool) {
	out := new(rowIndex)
	ok := readStored(b, func(x *storedIndex) bool {
		out.ordinals = x.ordinals.ToArray()
		if len(out.ordinals) != x.n || !ascend(out.ordinals) || x.ordinals.Stats().Containers != containers(out.ordinals) {
			return false
		}
		out.ends = make([]uint32, x.n)
		row, at, ok := uint32(0), 0, false
		for i := range out.ends {
			if i%markEvery == 0 {
				if r, a := x.mark(i); r != row || a != at {
					return false
				}
			}
			if row, at, ok = x.count(row, at); !ok {
				return false
			}
			out.ends[i] = row
		}
		return at == len(x.counts)
	})
	if !ok {
		return nil, false
	}
	return out, true
}

// ascend reports whether each number is greater than the one before.
func ascend(s []uint32) bool {
	for i := 1; i < len(s); i++ {
		if s[i] <= s[i-1] {
			return false
		}
	}
	return true
}

// containers returns how many containers a bitmap of ascending numbers has. One with two of the same key reads as a whole, and
// a search in it looks at one of them.
func containers(s []uint32) (n uint64) {
	for i := range s {
		if i == 0 || s[i]>>16 != s[i-1]>>16 {
			n++
		}
	}
	return n
}

// findRows returns the rows [from, to) of an ordinal of a stored index, which are none if it isn't there, and whether what
// it had to look at could be read.
func findRows(b []byte, ordinal uint32) (from, to uint32, ok bool) {
	ok = readStored(b, func(x *storedIndex) bool {
		if !x.ordinals.Contains(ordinal) {
			return true
		}
		i := int(x.ordinals.Rank(ordinal)) - 1
		if i < 0 || i >= x.n {
			return false
		}
		row, at := x.mark(i / markEvery * markEvery)
		for range i%markEvery + 1 {
			var ok bool
			from = row
			if row, at, ok = x.count(row, at); !ok {
				return false
			}
		}
		to = row
		return true
	})
	if !ok {
		return 0, 0, false
	}
	return from, to, true
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
