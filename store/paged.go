package store

import (
	"encoding/binary"
	"fmt"

	"github.com/RoaringBitmap/roaring"

	"github.com/expunge-db/expunge/store/internal/block"
)

// The rows of a block lie in pages of some hundred rows, each encoded on its own: to take rows out, only the pages that
// hold them are encoded anew, and the others are copied byte for byte; to read one key's rows, only its page is looked
// at. Behind the pages is their directory, sealed with the block's number:
//
//	pages × (rows u32, bytes u32, checksum of the page u32), pages u32, seal
//
// The checksum is the one that the page itself begins with; here it ties the page to its place.

const (
	pageEntrySize = 12
	// pageGrowth is how many times the usual number of rows a page may hold that took in what was left of another.
	pageGrowth = 2
)

// pageEntry is a page in a block's directory.
type pageEntry struct{ rows, size, crc uint32 }

// dataSeal binds a directory to its block.
func dataSeal(id uint64) []byte { return append(uint64Key(id), 'd') }

// appendDirectory appends the sealed directory of a block's pages to them.
func appendDirectory(data []byte, id uint64, pages []pageEntry) []byte {
	dir := make([]byte, 0, len(pages)*pageEntrySize+4+sealSize)
	for _, p := range pages {
		dir = binary.LittleEndian.AppendUint32(dir, p.rows)
		dir = binary.LittleEndian.AppendUint32(dir, p.size)
		dir = binary.LittleEndian.AppendUint32(dir, p.crc)
	}
	dir = binary.LittleEndian.AppendUint32(dir, uint32(len(pages)))
	return append(data, seal(dataSeal(id), dir)...)
}

// pagedRows reads the rows of a stored block, which it aliases. It is for one goroutine.
type pagedRows struct {
	id     uint64
	layout *rowLayout
	pages  []pageEntry
	starts []uint32 // the first row of each page, and the number of rows
	ends   []int    // of each page in data
	data   []byte

	open block.Block // page number at
	at   int         // or -1
}

// parsePages reads the directory of a block. Pages are checked when they are read.
func parsePages(id uint64, v []byte, layout *rowLayout, x *rowIndex) (*pagedRows, error) {
	p := new(pagedRows)
	if err := p.reset(id, v, layout, x); err != nil {
		return nil, err
	}
	return p, nil
}

// reset makes p a reader of another block, as parsePages does, and uses its memory again. After an error p is not to be
// read.
func (p *pagedRows) reset(id uint64, v []byte, layout *rowLayout, x *rowIndex) error {
	damaged := func(problem string) error { return &CorruptError{What: blockName(id), Problem: problem} }
	if len(v) < 4+sealSize {
		return damaged("is cut off")
	}
	n := uint64(binary.LittleEndian.Uint32(v[len(v)-sealSize-4:]))
	size := n*pageEntrySize + 4 + sealSize
	if size > uint64(len(v)) {
		return damaged("has an impossible directory")
	}
	v, sealed := v[:len(v)-int(size)], v[len(v)-int(size):]
	dir, err := unseal(blockName(id), dataSeal(id), sealed)
	if err != nil {
		return err
	}
	p.id, p.layout, p.data, p.at = id, layout, v, -1
	p.pages, p.ends, p.starts = p.pages[:0], p.ends[:0], append(p.starts[:0], 0)
	end, rows := uint64(0), uint64(0)
	for ; len(dir) > 4; dir = dir[pageEntrySize:] {
		e := pageEntry{binary.LittleEndian.Uint32(dir), binary.LittleEndian.Uint32(dir[4:]), binary.LittleEndian.Uint32(dir[8:])}
		end, rows = end+uint64(e.size), rows+uint64(e.rows)
		if end > uint64(len(v)) || rows > uint64(x.rows()) || e.rows == 0 {
			return damaged("has pages that don't fit it")
		}
		p.pages, p.ends, p.starts = append(p.pages, e), append(p.ends, int(end)), append(p.starts, uint32(rows))
	}
	if end != uint64(len(v)) || rows != uint64(x.rows()) {
		return damaged("doesn't fit its index")
	}
	return nil
}

// bytes returns a page as it is stored.
func (p *pagedRows) bytes(i int) []byte {
	return p.data[p.ends[i]-int(p.pages[i].size) : p.ends[i] : p.ends[i]]
}

// page checks and opens a page.
func (p *pagedRows) page(i int) (*block.Block, error) {
	if p.at == i {
		return &p.open, nil
	}
	p.at = -1
	b, e := p.bytes(i), p.pages[i]
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != e.crc {
		return nil, &CorruptError{What: blockName(p.id), Problem: "a page is not the one that its directory names"}
	}
	data := &p.open
	if err := data.Reset(b); err != nil {
		return nil, &CorruptError{What: blockName(p.id), Problem: "can't be read", Err: err}
	}
	if data.Rows() != int(e.rows) || data.NumColumns() > len(p.layout.cols) {
		return nil, &CorruptError{What: blockName(p.id), Problem: "doesn't fit its directory or its schema"}
	}
	for c, col := range p.layout.cols {
		if c >= data.NumColumns() { // the page is older than the column
			if !p.layout.fields[col.field].Nullable {
				return nil, &CorruptError{What: blockName(p.id), Problem: "lacks a column that can't be null"}
			}
			continue
		}
		if data.Kind(c) != col.kind {
			return nil, &CorruptError{What: blockName(p.id), Problem: "a column has another type than in the schema"}
		}
	}
	p.at = i
	return data, nil
}

// find returns the page that holds a row.
func (p *pagedRows) find(row uint32) int {
	lo, hi := 0, len(p.pages)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); p.starts[mid] <= row {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// read appends copies of rows [from, to) to the columns of cols.
func (p *pagedRows) read(from, to uint32, cols []block.Column) error {
	for i := p.find(from); from < to; i++ {
		stop := min(to, p.starts[i+1])
		for c := range cols {
			if err := p.readColumn(i, c, from, stop, &cols[c]); err != nil {
				return err
			}
		}
		from = stop
	}
	return nil
}

// readColumn appends copies of the values of rows [from, to), which lie in page i, to dst. A page that is older than the
// column has nulls.
func (p *pagedRows) readColumn(i, col int, from, to uint32, dst *block.Column) error {
	data, err := p.page(i)
	if err != nil {
		return err
	}
	if col >= data.NumColumns() {
		for range to - from {
			dst.AppendNull()
		}
		return nil
	}
	if err := data.Read(col, int(from-p.starts[i]), int(to-p.starts[i]), dst); err != nil {
		return &CorruptError{What: blockName(p.id), Problem: "a column can't be read", Err: err}
	}
	return nil
}

// pageWriter writes the pages of one block after another. It is for one goroutine.
type pageWriter struct {
	codec block.Codec
	limit int // rows of a page
	enc   block.Encoder

	cols  []block.Column // of the rows that wait to become a page
	rows  int            // that wait
	pages []pageEntry
	data  []byte
	runs  [][2]int // of the rows of a page that stay, scratch
}

// newPageWriter returns a writer of blocks as the store encodes them.
func (s *Store) newPageWriter() *pageWriter {
	w := &pageWriter{codec: block.Packed, limit: s.limits.pageRows}
	if s.info.Codec == CodecNone {
		w.codec = block.None
	}
	return w
}

// begin starts a block. size is about how many bytes it will take.
func (w *pageWriter) begin(l *rowLayout, size int) {
	if len(w.cols) != len(l.cols) {
		w.cols = l.newColumns()
	}
	for i := range w.cols {
		w.cols[i].Reset()
		w.cols[i].Kind = l.cols[i].kind
	}
	w.rows, w.pages, w.data = 0, nil, buffers.get(size)
}

// flush makes a page of the rows that wait.
func (w *pageWriter) flush() (err error) {
	if w.rows == 0 {
		return nil
	}
	start := len(w.data)
	if w.data, err = w.enc.Append(w.data, w.codec, w.rows, w.cols); err != nil {
		return err
	}
	w.addPage(start, w.rows)
	for i := range w.cols {
		w.cols[i].Reset()
	}
	w.rows = 0
	return nil
}

// addPage puts the page that begins at start in data into the directory.
func (w *pageWriter) addPage(start, rows int) {
	page := w.data[start:]
	w.pages = append(w.pages, pageEntry{uint32(rows), uint32(len(page)), binary.LittleEndian.Uint32(page)})
}

// addRecord adds a row.
func (w *pageWriter) addRecord(l *rowLayout, rec []byte) error {
	l.appendRecord(w.cols, rec)
	if w.rows++; w.rows < w.limit {
		return nil
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("encode block: %w", err)
	}
	return nil
}

// add adds rows [from, to) of decoded columns.
func (w *pageWriter) add(cols []block.Column, from, to int) error {
	for from < to {
		stop := min(to, from+w.limit-w.rows)
		for i := range cols {
			w.cols[i].AppendRange(&cols[i], from, stop)
		}
		w.rows += stop - from
		if from = stop; w.rows >= w.limit {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepPage adds page i of p, none of whose rows goes. It is copied as it is, unless so few rows wait before it that they
// would make a page too small to be worth one: then both become one page.
func (w *pageWriter) keepPage(p *pagedRows, i int) error {
	if w.rows > 0 && 2*w.rows < w.limit && w.rows+int(p.pages[i].rows) <= pageGrowth*w.limit {
		if err := p.read(p.starts[i], p.starts[i+1], w.cols); err != nil {
			return err
		}
		w.rows += int(p.pages[i].rows)
		return w.flush()
	}
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := p.page(i); err != nil { // a damaged page must not get into a new directory, which would vouch for it
		return err
	}
	w.data = append(w.data, p.bytes(i)...)
	w.pages = append(w.pages, p.pages[i])
	return nil
}

// thinPage adds those rows of page i of p that are not dead. A page that becomes small waits for the next.
func (w *pageWriter) thinPage(p *pagedRows, i int, dead *roaring.Bitmap) error {
	first, rows := p.starts[i], 0
	w.runs = w.runs[:0]
	for run := range liveRuns(first, p.starts[i+1], dead) {
		w.runs = append(w.runs, [2]int{int(run[0] - first), int(run[1] - first)})
		rows += int(run[1] - run[0])
	}
	data, err := p.page(i)
	if err != nil {
		return err
	}
	if w.rows == 0 && 2*rows >= w.limit && data.NumColumns() == len(w.cols) {
		start := len(w.data)
		if w.data, err = w.enc.Thin(w.data, w.codec, data, w.runs); err != nil {
			return &CorruptError{What: blockName(p.id), Problem: "a page can't be read", Err: err}
		}
		w.addPage(start, rows)
		return nil
	}
	if w.rows+int(p.pages[i].rows) > pageGrowth*w.limit {
		if err := w.flush(); err != nil {
			return err
		}
	}
	for _, run := range w.runs {
		if err := p.read(first+uint32(run[0]), first+uint32(run[1]), w.cols); err != nil {
			return err
		}
	}
	if w.rows += rows; 2*w.rows < w.limit {
		return nil
	}
	return w.flush()
}
