package pages

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// punchBytes is the length from which a run is punched instead of overwritten.
// Punching costs a change of the file's block map per call, about 0.25 ms
// whatever the length; overwriting costs its bytes, 25 µs a page in a synced
// batch. 2,000 scattered pages took 0.5 s to punch and 0.05 s to overwrite, one
// run of 80 MB took 0.03 s to punch.
const punchBytes = 256 << 10

// zeros is compared with and written from; nobody may write to it.
var zeros [punchBytes]byte

// Report says what [Zero] and [ZeroTail] did.
type Report struct {
	Pages        int64  // pages that were made zeros, a partial one at the end of the file included
	BytesWritten int64  // bytes overwritten with zeros
	BytesPunched int64  // bytes given back to the file system, which read as zeros
	Method       string // "none", "write", "punch" or "write+punch"
}

// target is the part of a file that zeroing needs; tests put errors here.
type target interface {
	WriteAt(b []byte, off int64) (int, error)

	// Punch gives the blocks of a range back. The range reads as zeros then and
	// the file keeps its size. The error is errors.ErrUnsupported where the
	// system or the file system can't.
	Punch(off, n int64) error

	// Sync makes what was written and punched durable.
	Sync() error
}

// extent is a range of bytes in the file.
type extent struct{ off, end int64 }

// Zero makes the pages of runs read as zeros and syncs the file once, also when
// runs is empty: pages that read as zeros already may do so in the page cache
// alone. Long runs are punched out of the file, so that writing to them later
// needs free space on the disk again.
//
// The runs must lie inside the file and must not hold a meta page; otherwise
// nothing is written. That they hold no live data is for the caller to know:
// see the package comment. After an error any part of the runs may be zeros,
// and none of it is known to be durable.
func Zero(f *os.File, pageSize int, runs []Run) (Report, error) {
	extents, err := extentsOf(f, pageSize, runs)
	if err != nil {
		return Report{Method: "none"}, err
	}
	return zero(osFile{f}, pageSize, extents)
}

// ZeroTail makes what lies between the high-water mark and the end of the file
// read as zeros and syncs the file. It writes only where something else is: most
// of the tail is a hole that bbolt made when it grew the file ahead of need. The
// size of the file doesn't change. Like [Dirty], it moves the file's offset.
func ZeroTail(f *os.File, pageSize int, highWater PageID) (Report, error) {
	none := Report{Method: "none"}
	if highWater < 2 || !validPageSize(pageSize) {
		return none, fmt.Errorf("zero the tail from page %d of %d bytes on: that can't be a high-water mark", highWater, pageSize)
	}
	info, err := f.Stat()
	if err != nil {
		return none, fmt.Errorf("find the end of the file: %w", err)
	}
	var tail []extent
	if page := int64(pageSize); highWater <= PageID(info.Size()/page) {
		tail = []extent{{off: int64(highWater) * page, end: info.Size()}}
	}
	dirty, err := scan(osFile{f}, pageSize, tail)
	if err != nil {
		return none, err
	}
	return zero(osFile{f}, pageSize, dirty)
}

// Dirty returns the pages of runs that hold a byte other than zero, sorted and
// merged. It passes over what the file system says is a hole, and reads the
// rest. It moves the file's offset.
func Dirty(f *os.File, pageSize int, runs []Run) ([]Run, error) {
	extents, err := extentsOf(f, pageSize, runs)
	if err != nil {
		return nil, err
	}
	dirty, err := scan(osFile{f}, pageSize, extents)
	if err != nil {
		return nil, err
	}
	out := make([]Run, 0, len(dirty))
	for _, e := range dirty {
		out = append(out, Run{
			First: PageID(e.off / int64(pageSize)),
			Pages: uint64((e.end - e.off) / int64(pageSize)),
		})
	}
	return out, nil
}

// trimBytes is the length from which a run is worth giving back when there is time for it.
const trimBytes = 32 << 10

// Trim gives the blocks of long runs back to the file system, those of zeros that [Zero] wrote too, and syncs the file if
// there were any. It stops once it has punched most bytes, and returns how many it did. Where holes aren't known or can't
// be made it does nothing. The runs must be such as [Zero] takes.
func Trim(f *os.File, pageSize int, runs []Run, most int64) (int64, error) {
	extents, err := extentsOf(f, pageSize, runs)
	if err != nil {
		return 0, err
	}
	file, punched := osFile{f}, int64(0)
	for _, e := range extents {
		if e.end-e.off < trimBytes {
			continue
		}
		if punched >= most {
			break
		}
		_, ok, err := file.Data(e.off, e.end)
		if err == nil && ok {
			punched += e.end - e.off
			err = file.Punch(e.off, e.end-e.off)
		}
		if errors.Is(err, errors.ErrUnsupported) {
			return 0, nil
		}
		if err != nil {
			return punched, fmt.Errorf("punch %d bytes at offset %d: %w", e.end-e.off, e.off, err)
		}
	}
	if punched == 0 {
		return 0, nil
	}
	if err := file.Sync(); err != nil {
		return punched, fmt.Errorf("sync punched pages: %w", err)
	}
	return punched, nil
}

// extentsOf turns runs into sorted, separate ranges of bytes, and refuses those
// that can't be right.
func extentsOf(f *os.File, pageSize int, runs []Run) ([]extent, error) {
	if !validPageSize(pageSize) {
		return nil, fmt.Errorf("page size %d: it must be that of the file's meta page", pageSize)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("find the end of the file: %w", err)
	}
	whole := uint64(info.Size()) / uint64(pageSize)
	for _, r := range runs {
		if r.First < 2 || uint64(r.First) > whole || r.Pages > whole-uint64(r.First) {
			return nil, fmt.Errorf("%d pages from page %d on: a run must lie in [2, %d)", r.Pages, r.First, whole)
		}
	}
	merged := normalize(runs)
	out := make([]extent, len(merged))
	for i, r := range merged {
		out[i] = extent{off: int64(r.First) * int64(pageSize), end: int64(r.End()) * int64(pageSize)}
	}
	return out, nil
}

func zero(t target, pageSize int, extents []extent) (Report, error) {
	var rep Report
	canPunch := true
	for _, e := range extents {
		n := e.end - e.off
		punched := false
		if canPunch && n >= punchBytes {
			err := t.Punch(e.off, n)
			switch {
			case err == nil:
				punched = true
				rep.BytesPunched += n
			case errors.Is(err, errors.ErrUnsupported):
				canPunch = false
			default:
				return rep.named(), fmt.Errorf("punch %d bytes at offset %d: %w", n, e.off, err)
			}
		}
		if !punched {
			for off := e.off; off < e.end; {
				chunk := zeros[:min(int64(len(zeros)), e.end-off)]
				if _, err := t.WriteAt(chunk, off); err != nil {
					return rep.named(), fmt.Errorf("write %d zeros at offset %d: %w", len(chunk), off, err)
				}
				off += int64(len(chunk))
				rep.BytesWritten += int64(len(chunk))
			}
		}
		rep.Pages += (n + int64(pageSize) - 1) / int64(pageSize)
	}
	if err := t.Sync(); err != nil {
		return rep.named(), fmt.Errorf("sync zeroed pages: %w", err)
	}
	return rep.named(), nil
}

// named returns the report with its method filled in.
func (r Report) named() Report {
	switch {
	case r.BytesWritten > 0 && r.BytesPunched > 0:
		r.Method = "write+punch"
	case r.BytesWritten > 0:
		r.Method = "write"
	case r.BytesPunched > 0:
		r.Method = "punch"
	default:
		r.Method = "none"
	}
	return r
}

// isZero tells whether b holds zeros only. It compares with few of them, which stay in the cache.
func isZero(b []byte) bool {
	const few = 4 << 10
	for len(b) > few {
		if !bytes.Equal(b[:few], zeros[:few]) {
			return false
		}
		b = b[few:]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
