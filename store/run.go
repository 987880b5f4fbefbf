package store

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// maxIDBytes is the length of the longest ID: a chunk of a dictionary holds 512 of them.
const maxIDBytes = 4096

// idTable gives each different ID of a run a code, in the order in which they come.
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

// sorted returns the codes in the order of (hash, ID), and the place of each code in it.
func (t *idTable) sorted() (codes, rank []uint32) {
	codes, rank = make([]uint32, len(t.hashes)), make([]uint32, len(t.hashes))
	for c := range codes {
		codes[c] = uint32(c)
	}
	slices.SortFunc(codes, func(a, b uint32) int {
		if c := cmp.Compare(t.hashes[a], t.hashes[b]); c != 0 {
			return c
		}
		return bytes.Compare(t.ids.at(int(a)), t.ids.at(int(b)))
	})
	for i, c := range codes {
		rank[c] = uint32(i)
	}
	return codes, rank
}

// runRow is a row of the run that is being collected.
type runRow struct {
	time     int64
	off, end uint32 // of its record
	key      uint32
}

// runBuilder collects rows and writes them as sorted runs.
type runBuilder struct {
	limits limits
	layout *rowLayout
	hash   func([]byte) uint64
	spill  *spillFile
	runs   []*run

	keys, items idTable
	recs        []byte
	rows        []runRow
}

// run is where a sorted run lies in the spill file.
type run struct {
	keys  section // each: hash, length, ID, rows, bytes of its records
	items section // each: hash, length, ID; a record's item is the place in this list
	rows  section // records, each after its length
	nKeys int
}

type section struct{ off, size int64 }

// add takes a row of a batch.
func (b *runBuilder) add(bt *batch, i int) error {
	key := []byte(bt.key.Value(i))
	if len(key) == 0 || len(key) > maxIDBytes {
		return fmt.Errorf("row %d of the record: column %s holds an ID of %d bytes: it must have 1 to %d", i+1, b.layout.fields[b.layout.key].Name, len(key), maxIDBytes)
	}
	row := runRow{key: b.keys.code(b.hash(key), key), off: uint32(len(b.recs))}
	item := uint32(0)
	if bt.item != nil {
		id := []byte(bt.item.Value(i))
		if len(id) == 0 || len(id) > maxIDBytes {
			return fmt.Errorf("row %d of the record: column %s holds an ID of %d bytes: it must have 1 to %d", i+1, ColumnItemID, len(id), maxIDBytes)
		}
		item = b.items.code(b.hash(id), id)
	}
	b.recs = bt.appendRow(b.recs, i, item)
	row.end = uint32(len(b.recs))
	if b.layout.time {
		row.time = recordTime(b.recs[row.off:])
	}
	b.rows = append(b.rows, row)
	l := &b.limits
	if len(b.rows) >= l.runRows || len(b.recs) >= l.runRecBytes || len(b.keys.ids.data)+len(b.items.ids.data) >= l.runIDBytes {
		return b.flush()
	}
	return nil
}

// flush sorts what was collected and writes it as a run.
func (b *runBuilder) flush() error {
	if len(b.rows) == 0 {
		return nil
	}
	keys, rank := b.keys.sorted()
	items, itemRank := b.items.sorted()
	byKey, starts := b.rowsByKey(rank)
	r := &run{nKeys: len(keys)}
	w := b.spill.writer()
	for i, c := range keys {
		rows := byKey[starts[i]:starts[i+1]]
		size := 0
		for _, n := range rows {
			rec := int(b.rows[n].end - b.rows[n].off)
			size += uvarintLen(uint64(rec)) + rec
		}
		w.id(b.keys.hashes[c], b.keys.ids.at(int(c)))
		w.uvarint(uint64(len(rows)))
		w.uvarint(uint64(size))
	}
	r.keys = w.section()
	for _, c := range items {
		w.id(b.items.hashes[c], b.items.ids.at(int(c)))
	}
	r.items = w.section()
	for _, n := range byKey {
		rec := b.recs[b.rows[n].off:b.rows[n].end]
		if b.layout.items {
			setRecordItem(rec, itemRank[recordItem(rec)])
		}
		w.uvarint(uint64(len(rec)))
		w.bytes(rec)
	}
	r.rows = w.section()
	if err := w.flush(); err != nil {
		return err
	}
	b.runs = append(b.runs, r)
	b.keys.reset()
	b.items.reset()
	b.recs, b.rows = b.recs[:0], b.rows[:0]
	return nil
}

// rowsByKey returns the rows in the order of their keys' ranks, sorted by time within a key and else in the order in
// which they came, and where the rows of each rank begin.
func (b *runBuilder) rowsByKey(rank []uint32) (byKey, starts []uint32) {
	starts = make([]uint32, len(rank)+1)
	for _, r := range b.rows {
		starts[rank[r.key]+1]++
	}
	for i := range rank {
		starts[i+1] += starts[i]
	}
	next := slices.Clone(starts)
	byKey = make([]uint32, len(b.rows))
	for n, r := range b.rows {
		at := &next[rank[r.key]]
		byKey[*at] = uint32(n)
		*at++
	}
	if b.layout.time {
		for i := range rank {
			rows := byKey[starts[i]:starts[i+1]]
			slices.SortStableFunc(rows, func(a, c uint32) int { return cmp.Compare(b.rows[a].time, b.rows[c].time) })
		}
	}
	return byKey, starts
}

// lists returns readers of one section of each run.
func (b *runBuilder) lists(sec func(*run) section) []*bufio.Reader {
	out := make([]*bufio.Reader, len(b.runs))
	for i, r := range b.runs {
		out[i] = b.spill.reader(sec(r), mergeBuffer(len(b.runs)))
	}
	return out
}

// spillFile is a temporary file beside the store. It has no name from the moment it was made, so that a crash leaves
// nothing of it.
type spillFile struct {
	f    *os.File
	size int64
}

func newSpillFile(store string) (*spillFile, error) {
	f, err := os.CreateTemp(filepath.Dir(store), "."+filepath.Base(store)+".sort-*")
	if err != nil {
		return nil, fmt.Errorf("create sort file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("unlink sort file: %w", errors.Join(err, f.Close()))
	}
	return &spillFile{f: f}, nil
}

func (s *spillFile) close() error {
	if s == nil || s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// reserve takes n bytes at the end of the file, to be written with WriteAt.
func (s *spillFile) reserve(n int64) section {
	sec := section{s.size, n}
	s.size += n
	return sec
}

// reader reads a section with a buffer of the given size.
func (s *spillFile) reader(sec section, buffer int) *bufio.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(s.f, sec.off, sec.size), buffer)
}

// writer appends to the file. There is one at a time.
func (s *spillFile) writer() *spillWriter {
	return &spillWriter{s: s, start: s.size, w: bufio.NewWriterSize(io.NewOffsetWriter(s.f, s.size), 1<<18)}
}

// spillWriter writes sections one after the other; flush returns the first error of any write.
type spillWriter struct {
	s     *spillFile
	w     *bufio.Writer
	start int64 // of the section
	n     int64 // bytes in the section
	tmp   []byte
}

func (w *spillWriter) bytes(b []byte) {
	w.w.Write(b) // the error stays in the bufio.Writer until flush
	w.n += int64(len(b))
}

func (w *spillWriter) uvarint(v uint64) {
	w.tmp = binary.AppendUvarint(w.tmp[:0], v)
	w.bytes(w.tmp)
}

func (w *spillWriter) id(hash uint64, id []byte) {
	w.tmp = binary.AppendUvarint(appendHash(w.tmp[:0], hash), uint64(len(id)))
	w.bytes(w.tmp)
	w.bytes(id)
}

// section ends a section and begins the next.
func (w *spillWriter) section() section {
	sec := section{w.start, w.n}
	w.start, w.n = w.start+w.n, 0
	return sec
}

func (w *spillWriter) flush() error {
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write sort file: %w", err)
	}
	w.s.size = w.start
	return nil
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
