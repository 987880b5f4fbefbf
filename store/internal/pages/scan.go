package pages

import (
	"errors"
	"fmt"
	"io"
)

// scanBuffer is how much is read at once; a multiple of every page size up to
// it, and larger pages are read one at a time.
const scanBuffer = 128 << 10

// source is the part of a file that scanning needs.
type source interface {
	io.ReaderAt

	// Data returns the first extent in [off, end) that the file system has
	// blocks for, which may hold zeros. ok is false when there is none. The
	// error is errors.ErrUnsupported where holes aren't known.
	Data(off, end int64) (e extent, ok bool, err error)
}

// scan returns the parts of extents that hold a byte other than zero, in whole
// pages counted from the extent's beginning. Extents are sorted and separate,
// and so is the result.
func scan(s source, pageSize int, extents []extent) ([]extent, error) {
	var (
		dirty    []extent
		buf      []byte
		page     = int64(pageSize)
		hasHoles = true
	)
	for _, e := range extents {
		for off := e.off; off < e.end; {
			data := extent{off: off, end: e.end}
			if hasHoles {
				found, ok, err := s.Data(off, e.end)
				switch {
				case errors.Is(err, errors.ErrUnsupported):
					hasHoles = false
				case err != nil:
					return nil, fmt.Errorf("look for holes from offset %d on: %w", off, err)
				case !ok:
					off = e.end
					continue
				default:
					data.off = off + (found.off-off)/page*page
					data.end = min(off+(found.end-off+page-1)/page*page, e.end)
				}
			}
			if buf == nil {
				buf = make([]byte, max(scanBuffer, pageSize))
			}
			for at := data.off; at < data.end; {
				b := buf[:min(int64(len(buf)), data.end-at)]
				if _, err := s.ReadAt(b, at); err != nil {
					return nil, fmt.Errorf("read %d bytes at offset %d: %w", len(b), at, noEOF(err))
				}
				dirty = appendDirty(dirty, b, at, pageSize)
				at += int64(len(b))
			}
			off = data.end
		}
	}
	return dirty, nil
}

// appendDirty adds the pages of b, read from offset at, that aren't zeros.
func appendDirty(dirty []extent, b []byte, at int64, pageSize int) []extent {
	for len(b) > 0 {
		n := min(pageSize, len(b))
		if !isZero(b[:n]) {
			if k := len(dirty); k > 0 && dirty[k-1].end == at {
				dirty[k-1].end += int64(n)
			} else {
				dirty = append(dirty, extent{off: at, end: at + int64(n)})
			}
		}
		b, at = b[n:], at+int64(n)
	}
	return dirty
}
