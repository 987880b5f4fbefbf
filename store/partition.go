package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
)

// An import has to bring rows from the order of arrival into that of their users. It doesn't sort them all: it divides
// them among partitions by the top bits of their keys' hashes, each of which it can group in the processor's cache and on
// every core. The hash is what the dictionary is ordered by, so new users get their ordinals, and the dictionary its
// entries, in order.

const (
	// partitionCount bounds the buffers, and divides 10 million rows into parts of 2 MB.
	partitionCount = 256
	// maxIDBytes is the length of the longest ID: a chunk of a dictionary holds 512 of them.
	maxIDBytes = 4096
)

// partitions are rows divided by ranges of their keys: of hashes, or of ordinals.
//
// A row is the length of its ID and one, the length of its record, its key, its ID and its record. Several goroutines divide
// the rows of one import, each into partitions of its own. The rows come in chunks, so that those of one range can be
// brought back into their order: where rows of another chunk begin stands a zero and the number of the chunk. The first
// rows are of chunk 0 if there is none.
type partitions struct {
	spill *spillFile
	shift int // of a key, to the number of its partition
	limit int // bytes of a buffer
	parts [partitionCount]partition
}

// partition is rows with keys of one range, in the order in which they came: first those in the spill file.
type partition struct {
	spilled []section
	buf     []byte
	bytes   int64 // in the spill file
	chunk   int64 // of the last row
}

// rowHead is what a row takes at most before its ID.
const rowHead = 3 + 1 + 8

// newPartitions divides keys below a limit.
func newPartitions(spill *spillFile, keys uint64, limit int) *partitions {
	return &partitions{spill: spill, shift: max(bits.Len64(keys-1)-bits.Len(partitionCount-1), 0), limit: limit}
}

// begin writes what precedes the record of a row. The caller appends the record to the result and gives that to end.
func (p *partitions) begin(chunk int64, key uint64, id []byte) (part *partition, row []byte, rec int) {
	part = &p.parts[key>>p.shift]
	row = part.buf
	if part.chunk != chunk {
		row = binary.AppendUvarint(append(row, 0), uint64(chunk))
		part.chunk = chunk
	}
	row = grow(row, rowHead+len(id)+shortCopy)
	at := len(row)
	row = row[:cap(row)]
	at += binary.PutUvarint(row[at:], uint64(len(id)+1)) + 1
	binary.BigEndian.PutUint64(row[at:], key<<(64-hashBits))
	at += hashBytes
	at += copyShort(row[at:], id)
	return part, row[:at], at
}

// end takes a row that begin began. rec is where its record begins, and id the length of its ID.
func (p *partitions) end(part *partition, row []byte, rec, id int) error {
	length, at := len(row)-rec, rec-id-hashBytes-1
	if length < 0x80 {
		row[at] = byte(length)
	} else { // it takes more than the one byte left for it
		var b [binary.MaxVarintLen64]byte
		n := binary.PutUvarint(b[:], uint64(length))
		row = slices.Replace(row, at, at+1, b[:n]...)
	}
	part.buf = row
	if len(row) < p.limit {
		return nil
	}
	// Whole buffers are written, which are pages of the file: see [spillPage].
	whole := len(row) - len(row)%p.limit
	sec, err := p.spill.append(row[:whole])
	if err != nil {
		return err
	}
	part.spilled = append(part.spilled, sec)
	part.bytes += sec.size
	if cap(row) > 2*p.limit { // a large row's memory isn't kept
		part.buf = nil
	}
	part.buf = append(part.buf[:0], row[whole:]...)
	return nil
}

// add adds a row; nothing of it is kept.
func (p *partitions) add(chunk int64, key uint64, id, rec []byte) error {
	part, row, at := p.begin(chunk, key, id)
	return p.end(part, append(row, rec...), at, len(id))
}

// size returns the bytes of a partition's rows.
func (p *partition) size() int64 { return p.bytes + int64(len(p.buf)) }

// nextRow returns the row at the beginning of b, aliasing it, and its length. b holds whole rows.
func nextRow(b []byte) (key uint64, id, rec []byte, size int) {
	idLen, n := binary.Uvarint(b)
	at := n
	recLen, n := binary.Uvarint(b[at:])
	at += n
	key = hashAt(b[at:])
	at += hashBytes
	id = b[at : at+int(idLen-1)]
	at += int(idLen - 1)
	return key, id, b[at : at+int(recLen)], at + int(recLen)
}

// nextChunk returns the number of the chunk that begins at the beginning of b, and what is behind it.
func nextChunk(b []byte) (chunk int64, rest []byte) {
	v, n := binary.Uvarint(b[1:])
	return int64(v), b[1+n:]
}

// read appends the rows of a partition to dst.
func (p *partitions) read(dst []byte, part *partition) (_ []byte, err error) {
	for _, sec := range part.spilled {
		if dst, err = p.spill.read(dst, sec); err != nil {
			return dst, err
		}
	}
	return append(dst, part.buf...), nil
}

// reader reads the rows of a partition.
func (p *partitions) reader(part *partition) *bufio.Reader {
	return bufio.NewReaderSize(io.MultiReader(p.spill.reader(mergeBuffer(1), part.spilled...), bytes.NewReader(part.buf)), mergeBuffer(1))
}

// dividedRows is how many rows are divided together: items are looked up and keys hashed one right after the other, so that
// the processor waits for memory once for several.
const dividedRows = 256

// rowDivider takes a share of the rows of an import and divides them. It is for one goroutine.
type rowDivider struct {
	layout *rowLayout
	hash   func([]byte) uint64
	parts  *partitions
	chunk  int64 // of the last row
	read   int64 // rows
	codes  [dividedRows]uint32
	hashes [dividedRows]uint64

	// ITEM_IDs of interactions have codes, given in the order in which they come. The table of those that came last is
	// in memory; when it is full it goes to the spill file, and an item that comes again gets another code.
	items itemTable
}

// append takes the rows of a record of a chunk.
func (r *rowDivider) append(chunk int64, rec arrow.Record) error {
	if chunk < r.chunk {
		return fmt.Errorf("rows of chunk %d come after rows of chunk %d", chunk, r.chunk)
	}
	r.chunk = chunk
	b, err := newBatch(r.layout, rec)
	if err != nil {
		return err
	}
	for from := 0; from < int(rec.NumRows()); from += dividedRows {
		if err := r.divide(b, from, min(from+dividedRows, int(rec.NumRows()))); err != nil {
			return err
		}
	}
	r.read += rec.NumRows()
	return nil
}

// divide takes up to dividedRows rows of a batch.
func (r *rowDivider) divide(b *batch, from, to int) error {
	if r.layout.items {
		for i := from; i < to; i++ {
			if err := checkID(i, ColumnItemID, b.item.at(i)); err != nil {
				return err
			}
		}
		if err := r.items.codes(r.codes[:to-from], &b.item, from); err != nil {
			return err
		}
	}
	for i := from; i < to; i++ {
		key := b.key.at(i)
		if err := checkID(i, r.layout.fields[r.layout.key].Name, key); err != nil {
			return err
		}
		r.hashes[i-from] = r.hash(key)
	}
	for i := from; i < to; i++ {
		key := b.key.at(i)
		part, row, at := r.parts.begin(r.chunk, r.hashes[i-from], key)
		if err := r.parts.end(part, b.appendRow(row, i, r.codes[i-from]), at, len(key)); err != nil {
			return err
		}
	}
	return nil
}
