package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
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
type partitions struct {
	spill *spillFile
	width uint64 // keys in a partition
	limit int    // bytes of a buffer
	parts [partitionCount]partition
	tmp   []byte
}

// partition is rows with keys of one range, in the order in which they came: first those in the spill file.
type partition struct {
	spilled []section
	buf     []byte
	bytes   int64
}

// newPartitions divides keys below a limit.
func newPartitions(spill *spillFile, keys uint64, limit int) *partitions {
	return &partitions{spill: spill, width: (keys + partitionCount - 1) / partitionCount, limit: limit}
}

// add adds a row; nothing of it is kept. A row is its key, the lengths of its ID and its record, and these.
func (p *partitions) add(key uint64, id, rec []byte) error {
	part := &p.parts[key/p.width]
	head := binary.AppendUvarint(binary.AppendUvarint(appendHash(p.tmp[:0], key), uint64(len(id))), uint64(len(rec)))
	p.tmp = head
	n := len(head) + len(id) + len(rec)
	if len(part.buf)+n > p.limit && len(part.buf) > 0 {
		sec, err := p.spill.append(part.buf)
		if err != nil {
			return err
		}
		part.spilled = append(part.spilled, sec)
		part.buf = part.buf[:0]
	}
	part.buf = append(append(append(part.buf, head...), id...), rec...)
	part.bytes += int64(n)
	return nil
}

// nextRow returns the row at the beginning of b, aliasing it, and its length. b holds whole rows.
func nextRow(b []byte) (key uint64, id, rec []byte, size int) {
	key = hashAt(b)
	at := hashBytes
	idLen, n := binary.Uvarint(b[at:])
	at += n
	recLen, n := binary.Uvarint(b[at:])
	at += n
	id = b[at : at+int(idLen)]
	at += int(idLen)
	return key, id, b[at : at+int(recLen)], at + int(recLen)
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

// idTable gives each different ID a code, in the order in which they come.
type idTable struct {
	slots  []uint32 // code+1 by hash, or 0; twice as many as codes at least
	hashes []uint64
	ids    packedIDs
}

func (t *idTable) code(hash uint64, id []byte) uint32 {
	if 2*len(t.hashes) >= len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		c := t.slots[i]
		if c == 0 {
			t.hashes = append(t.hashes, hash)
			t.ids.append(id)
			t.slots[i] = uint32(len(t.hashes))
			return uint32(len(t.hashes) - 1)
		}
		if t.hashes[c-1] == hash && string(t.ids.at(int(c-1))) == string(id) {
			return c - 1
		}
	}
}

func (t *idTable) grow() {
	t.slots = make([]uint32, max(1024, 2*len(t.slots)))
	mask := uint64(len(t.slots) - 1)
	for c, hash := range t.hashes {
		i := hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = uint32(c + 1)
	}
}

func (t *idTable) reset() {
	clear(t.slots)
	t.hashes = t.hashes[:0]
	t.ids.reset()
}

// sorted appends the codes in the order of (hash, ID) to dst.
func (t *idTable) sorted(dst []uint32) []uint32 {
	for c := range t.hashes {
		dst = append(dst, uint32(c))
	}
	slices.SortFunc(dst, func(a, b uint32) int {
		switch x, y := t.hashes[a], t.hashes[b]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return bytes.Compare(t.ids.at(int(a)), t.ids.at(int(b)))
	})
	return dst
}

// rowDivider takes the rows of an import and divides them.
type rowDivider struct {
	limits limits
	layout *rowLayout
	hash   func([]byte) uint64
	parts  *partitions
	rec    []byte

	// ITEM_IDs of interactions have codes, given in the order in which they come. The table of those that came last is
	// in memory; when it is full it goes to the spill file, and an item that comes again gets another code.
	items itemTable
}

// add takes a row of a batch.
func (r *rowDivider) add(bt *batch, i int) error {
	key := bytesAt(bt.key, i)
	if len(key) == 0 || len(key) > maxIDBytes {
		return fmt.Errorf("row %d of the record: column %s holds an ID of %d bytes: it must have 1 to %d", i+1, r.layout.fields[r.layout.key].Name, len(key), maxIDBytes)
	}
	item := uint32(0)
	if bt.item != nil {
		id := bytesAt(bt.item, i)
		if len(id) == 0 || len(id) > maxIDBytes {
			return fmt.Errorf("row %d of the record: column %s holds an ID of %d bytes: it must have 1 to %d", i+1, ColumnItemID, len(id), maxIDBytes)
		}
		var err error
		if item, err = r.items.code(r.parts.spill, r.hash(id), id, r.limits.itemBytes); err != nil {
			return err
		}
	}
	r.rec = bt.appendRow(r.rec[:0], i, item)
	return r.parts.add(r.hash(key), key, r.rec)
}

// itemTable gives ITEM_IDs codes.
type itemTable struct {
	table idTable
	base  uint32      // the first code of the table
	full  []itemCodes // earlier tables
}

// itemCodes is a table in the spill file: its IDs in the order of (hash, ID).
type itemCodes struct {
	ids   section
	codes []uint32 // of the IDs
}

func (t *itemTable) code(spill *spillFile, hash uint64, id []byte, limit int) (uint32, error) {
	if len(t.table.ids.data) >= limit {
		if err := t.flush(spill); err != nil {
			return 0, err
		}
	}
	return t.base + t.table.code(hash, id), nil
}

// count returns how many codes were given.
func (t *itemTable) count() int { return int(t.base) + t.table.ids.len() }

// flush writes the table to the spill file.
func (t *itemTable) flush(spill *spillFile) error {
	codes := t.table.sorted(nil)
	var b []byte
	for i, c := range codes {
		id := t.table.ids.at(int(c))
		b = append(binary.AppendUvarint(appendHash(b, t.table.hashes[c]), uint64(len(id))), id...)
		codes[i] += t.base
	}
	sec, err := spill.append(b)
	if err != nil {
		return err
	}
	t.full = append(t.full, itemCodes{sec, codes})
	t.base += uint32(len(codes))
	t.table.reset()
	return nil
}
