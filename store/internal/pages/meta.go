package pages

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	// metaSize is the length of a meta record, which follows the page header;
	// its last eight bytes are the FNV-1a sum of those before.
	metaSize = 64
	metaSum  = 56

	noFreelist = PageID(0xFFFFFFFFFFFFFFFF)

	// bbolt looks for a second meta page at these page sizes.
	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

// Meta is one committed state of the file, as its meta page describes it.
type Meta struct {
	PageSize  int
	Root      PageID // page of the root bucket
	Freelist  PageID // first page of the freelist; 0 when it isn't stored
	HighWater PageID // the first page that was never allocated
	TxID      uint64

	// FreelistSynced is false when the transaction was committed with
	// NoFreelistSync: then every page that can't be reached is free.
	FreelistSynced bool
}

// MetaPage is what stands in one of the two meta pages.
type MetaPage struct {
	Meta Meta
	Err  error // why the page isn't valid, a *CorruptError or a read error; Meta is zero then
}

// IsMeta tells whether the first bytes of a page are those of a meta page that bbolt wrote, as far as its mark says. It costs
// nothing, and finds a page that was cut off.
func IsMeta(page []byte) bool {
	return len(page) >= headerSize+metaSize && order.Uint32(page[headerSize:]) == metaMagic
}

// ReadMeta returns the state that bbolt takes when it opens the file: that of
// the valid meta page with the higher transaction id. One damaged meta page is
// no error, since a commit that was cut short leaves one; see [ReadMetas].
//
// size is the size of the file in bytes. The error is [ErrNotBolt] for another
// kind of file; otherwise it holds a *CorruptError or a read error per page.
func ReadMeta(r io.ReaderAt, size int64) (Meta, error) {
	both, err := ReadMetas(r, size)
	if err != nil {
		return Meta{}, err
	}
	if both[0].Err != nil || both[1].Err == nil && both[1].Meta.TxID > both[0].Meta.TxID {
		return both[1].Meta, nil
	}
	return both[0].Meta, nil
}

// ReadMetas returns both meta pages, at least one of them valid when the error
// is nil. For its arguments and errors see [ReadMeta].
func ReadMetas(r io.ReaderAt, size int64) ([2]MetaPage, error) {
	var both [2]MetaPage
	var marked [2]bool
	both[0], marked[0] = readMetaPage(r, size, 0, 0)

	if both[0].Err == nil {
		pageSize := both[0].Meta.PageSize
		both[1], _ = readMetaPage(r, size, 1, int64(pageSize))
		if both[1].Err == nil && both[1].Meta.PageSize != pageSize {
			// bbolt would follow whichever is newer with the size from page 0.
			return both, &CorruptError{Page: 1, Problem: fmt.Sprintf(
				"page size %d, but page 0 says %d", both[1].Meta.PageSize, pageSize)}
		}
		return both, nil
	}

	// Where the second meta page lies depends on the page size, which only a
	// meta page knows: try all sizes, as bbolt does.
	for pageSize := int64(minPageSize); pageSize <= maxPageSize && pageSize < size; pageSize *= 2 {
		m, mark := readMetaPage(r, size, 1, pageSize)
		if m.Err == nil && int64(m.Meta.PageSize) == pageSize {
			both[1] = m
			return both, nil
		}
		if mark && m.Err != nil && !marked[1] {
			both[1], marked[1] = m, true
		}
	}
	if !marked[0] && !marked[1] {
		// A file that can't be read isn't known to be of another kind.
		if err := both[0].Err; !isCorrupt(err) {
			return both, err
		}
		return both, ErrNotBolt
	}
	if both[1].Err == nil {
		both[1] = MetaPage{Err: &CorruptError{Page: 1, Problem: "no meta page found at any page size"}}
	}
	return both, errors.Join(both[0].Err, both[1].Err)
}

func isCorrupt(err error) bool {
	var c *CorruptError
	return errors.As(err, &c)
}

// readMetaPage reads meta page id, which begins at offset at. marked tells
// that the magic number stands there, whatever the rest is like.
func readMetaPage(r io.ReaderAt, size int64, id PageID, at int64) (m MetaPage, marked bool) {
	corrupt := func(format string, args ...any) MetaPage {
		return MetaPage{Err: &CorruptError{Page: id, Problem: fmt.Sprintf(format, args...)}}
	}
	var buf [headerSize + metaSize]byte
	if at+int64(len(buf)) > size {
		return corrupt("the file of %d bytes ends before the meta page does", size), false
	}
	if _, err := r.ReadAt(buf[:], at); err != nil {
		return MetaPage{Err: fmt.Errorf("read meta page %d: %w", id, noEOF(err))}, false
	}
	b := buf[headerSize:]
	if order.Uint32(b) != metaMagic {
		return corrupt("no bbolt meta page"), false
	}
	if v := order.Uint32(b[4:]); v != metaVersion {
		return corrupt("file format %d, but only %d is known", v, metaVersion), true
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSum])
	if sum.Sum64() != order.Uint64(b[metaSum:]) {
		return corrupt("checksum of the meta page doesn't match"), true
	}
	meta := Meta{
		PageSize:       int(order.Uint32(b[8:])),
		Root:           PageID(order.Uint64(b[16:])),
		Freelist:       PageID(order.Uint64(b[32:])),
		HighWater:      PageID(order.Uint64(b[40:])),
		TxID:           order.Uint64(b[48:]),
		FreelistSynced: true,
	}
	if meta.Freelist == noFreelist {
		meta.Freelist, meta.FreelistSynced = 0, false
	}
	if !validPageSize(meta.PageSize) {
		return corrupt("page size %d", meta.PageSize), true
	}
	return MetaPage{Meta: meta}, true
}

func validPageSize(n int) bool {
	return n >= minPageSize && n <= maxPageSize && n&(n-1) == 0
}

// noEOF turns the end of the file into an error, since only bytes that the
// file's size promises are read.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
