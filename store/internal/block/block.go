package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// ErrCorrupt is what every error wraps that a damaged block leads to.
var ErrCorrupt = errors.New("block: stored data is damaged")

// errGather is for a caller who collects too much in one column; nothing is damaged.
var errGather = errors.New("block: a string column holds at most 4 GiB: read fewer rows at a time")

const maxColumnBytes = math.MaxUint32

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// Block reads one encoded block. It aliases the bytes that it was parsed from,
// which must not change while it is in use, and it caches what several reads
// of a column share (a dictionary, a decompressed heap), so it is for one
// goroutine at a time.
type Block struct {
	rows int
	cols []column
}

// column is one column of a block: its descriptor, and once it was opened what
// its section says.
type column struct {
	kind     Kind
	enc      encoding
	nulls    bool
	exponent uint8
	section  []byte

	opened bool
	valid  []uint64    // with nulls only
	ints   intStream   // values, decimals, codes, or the ends of a heap
	f32    []float32   // dictionary
	f64    []float64   // dictionary
	ends   []uint32    // dictionary of n strings: n+1 offsets in heap, the first 0
	short  bool        // dictionary of strings none of which is longer than shortValue
	texts  []shortText // then its strings
	stored []byte      // plain values; of strings the heap as stored
	raw    int         // length of the heap
	heap   []byte      // the heap's raw bytes, nil until needed
}

// Parse checks the length, the version, the checksum and the outline of an
// encoded block, which payload must consist of. Any mismatch is an ErrCorrupt,
// as is one that a later Read finds inside a column.
func Parse(payload []byte) (*Block, error) {
	b := new(Block)
	if err := b.Reset(payload); err != nil {
		return nil, err
	}
	return b, nil
}

// Reset makes b a reader of payload, as Parse does, and uses some of its memory again. After an error b is not to be
// read.
func (b *Block) Reset(payload []byte) error {
	if len(payload) < headerSize+slack {
		return corrupt("block is cut off")
	}
	if uint64(binary.LittleEndian.Uint32(payload[4:])) != uint64(len(payload)) {
		return corrupt("block has the wrong length")
	}
	if binary.LittleEndian.Uint32(payload) != crc32.Checksum(payload[4:], castagnoli) {
		return corrupt("block has the wrong checksum")
	}
	if payload[8] != version {
		return corrupt("block has an unknown version")
	}
	if payload[9] > byte(None) || payload[14] != 0 || payload[15] != 0 {
		return corrupt("block has an unknown codec or flag")
	}
	b.rows = int(binary.LittleEndian.Uint16(payload[10:]))
	count := int(binary.LittleEndian.Uint16(payload[12:]))
	start, limit := headerSize+descriptorSize*count, len(payload)-slack
	if start > limit {
		return corrupt("block is cut off")
	}
	b.cols = slices.Grow(b.cols[:0], count)[:count]
	for i := range b.cols {
		d := payload[headerSize+i*descriptorSize:]
		end := uint64(binary.LittleEndian.Uint32(d[4:]))
		if end < uint64(start) || end > uint64(limit) {
			return corrupt("column is out of place")
		}
		c := &b.cols[i]
		*c = column{
			kind: Kind(d[0]), enc: encoding(d[1]), nulls: d[2] == 1, exponent: d[3], section: payload[start:end],
			valid: c.valid[:0], f32: c.f32[:0], f64: c.f64[:0], ends: c.ends[:0], texts: c.texts[:0],
		}
		if c.kind < Int || c.kind > String || d[2] > 1 || c.exponent > maxExponent {
			return corrupt("column has an unknown kind or flag")
		}
		start = int(end)
	}
	if start != limit {
		return corrupt("block has bytes that belong to no column")
	}
	return nil
}

// Rows returns the number of rows.
func (b *Block) Rows() int { return b.rows }

// NumColumns returns the number of columns.
func (b *Block) NumColumns() int { return len(b.cols) }

// Kind returns the kind of column i.
func (b *Block) Kind(i int) Kind { return b.cols[i].kind }

// Read appends the values of rows [from,to) of a column to dst, which must be
// of the column's kind; several ranges, of this block and of others, can so be
// gathered in one Column. The values are copies. dst gets a validity bitmap
// only if the range holds nulls or dst has one already.
//
// It decodes no more than the frames that the range touches and what the column
// shares: a dictionary, or a compressed heap, which is decompressed once per
// Block. On an error dst is as it was. Damage is an ErrCorrupt; other errors
// are mistakes of the caller.
func (b *Block) Read(col, from, to int, dst *Column) error {
	if col < 0 || col >= len(b.cols) || from < 0 || from > to || to > b.rows {
		return fmt.Errorf("block: read rows [%d,%d) of column %d: the block has %d rows and %d columns",
			from, to, col, b.rows, len(b.cols))
	}
	c := &b.cols[col]
	if dst.Kind != c.kind {
		return fmt.Errorf("block: read column %d: its kind is %v and the destination's %v", col, c.kind, dst.Kind)
	}
	if from == to {
		return nil
	}
	if err := c.open(b.rows); err != nil {
		return fmt.Errorf("read column %d: %w", col, err)
	}
	n, bytes := dst.Len(), len(dst.Bytes)
	if err := c.read(dst, from, to); err != nil {
		dst.Int, dst.F32, dst.F64 = dst.Int[:min(n, len(dst.Int))], dst.F32[:min(n, len(dst.F32))], dst.F64[:min(n, len(dst.F64))]
		dst.Ends, dst.Bytes = dst.Ends[:min(n, len(dst.Ends))], dst.Bytes[:bytes]
		return fmt.Errorf("read column %d: %w", col, err)
	}
	dst.appendValid(n, c.valid, from, to)
	return nil
}

// read appends the values [from,to), of which there is at least one.
func (c *column) read(dst *Column, from, to int) (err error) {
	switch c.kind {
	case Int:
		n := len(dst.Int)
		dst.Int = slices.Grow(dst.Int, to-from)[:n+to-from]
		c.ints.read(dst.Int[n:], from)
		if len(c.valid) > 0 {
			for i := from; i < to; i++ {
				if !bit(c.valid, i) {
					dst.Int[n+i-from] = 0
				}
			}
		}
	case Float32:
		if c.enc == encPlain {
			dst.F32 = loadFloat32(dst.F32, c.stored[4*from:4*to])
			return nil
		}
		dst.F32, err = readFloats(dst.F32, c, c.f32, from, to)
	case Float64:
		if c.enc == encPlain {
			dst.F64 = loadFloat64(dst.F64, c.stored[8*from:8*to])
			return nil
		}
		dst.F64, err = readFloats(dst.F64, c, c.f64, from, to)
	case String:
		if c.enc == encDict {
			return c.readStringDict(dst, from, to)
		}
		return c.readHeap(dst, from, to)
	}
	return err
}
