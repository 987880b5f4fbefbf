// Package pages reads the page structure of a bbolt v1.5 file with pread, and
// makes the pages that hold no live data read as zeros.
//
// It is a leaf: it knows page headers, element arrays, the freelist and the
// two meta pages, and nothing of what the store keeps in its values. It is not
// a second implementation of bbolt: it never changes a page that is in use,
// and it doesn't look anything up.
//
// # Why the layout is stated a second time
//
// bbolt reads its file through a memory map. A sector that can't be read is a
// SIGBUS there, an offset that points out of the map is a panic or a fault,
// and bbolt's own checker runs in a goroutine whose faults nobody can recover
// from. A file that has passed [Walk] has none of these: every position that
// bbolt will follow was read once and lies inside the file. bbolt exports
// neither its page types nor the ids of its free pages, so the layout is
// restated here, and tests tie it to files that bbolt wrote.
//
// # What Walk trusts
//
// Only the meta page has a checksum. For the rest, Walk relies on what bbolt's
// writer always does: elements lie in the order of their keys without gaps,
// unused bytes of a page are zeros, each page has exactly one owner. So most
// damage to headers and elements contradicts something. What can't be
// found this way is damage inside keys and values that leaves the order of the
// keys as it was; values need checksums of their own.
//
// # Safety of zeroing
//
// A page may be zeroed when no read transaction can refer to it and the newest
// durable meta page doesn't reach it. This package can't know of open
// transactions: the caller holds a write transaction that began after the last
// read transaction ended, for [Walk], [Dirty] and [Zero] together.
package pages

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// PageID is the position of a page in the file, in pages from its beginning.
type PageID uint64

// Run is a number of pages side by side.
type Run struct {
	First PageID
	Pages uint64 // at least 1 in a run that this package returns
}

// End returns the first page after the run.
func (r Run) End() PageID { return r.First + PageID(r.Pages) }

// CountPages returns the number of pages in runs, which must not overlap.
func CountPages(runs []Run) uint64 {
	var n uint64
	for _, r := range runs {
		n += r.Pages
	}
	return n
}

// ErrNotBolt is returned for a file in which neither meta page carries the mark
// of a bbolt file. It is another file, or one whose beginning was overwritten.
var ErrNotBolt = errors.New("not a bbolt file: neither meta page has its mark")

// CorruptError says what is wrong with one page. It never holds a byte of a
// key or a value.
type CorruptError struct {
	Page    PageID
	Problem string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("page %d: %s", e.Page, e.Problem)
}

// maxProblems bounds what is kept: a file whose root is damaged can have a
// problem for each of its pages, and a hundred of them say no more than ten.
const maxProblems = 100

// problems collects what a walk finds, the first maxProblems of it in full.
type problems struct {
	errs []error
	more int
}

func (p *problems) add(err error) {
	if len(p.errs) == maxProblems {
		p.more++
		return
	}
	p.errs = append(p.errs, err)
}

func (p *problems) corrupt(id PageID, format string, args ...any) {
	if len(p.errs) == maxProblems {
		p.more++
		return
	}
	p.add(&CorruptError{Page: id, Problem: fmt.Sprintf(format, args...)})
}

func (p *problems) found() bool { return len(p.errs) > 0 }

func (p *problems) err() error {
	if p.more > 0 {
		return errors.Join(errors.Join(p.errs...), fmt.Errorf("and %d more problems", p.more))
	}
	return errors.Join(p.errs...)
}

// normalize returns runs sorted, without empty ones, with neighbours and
// overlaps merged. The argument stays as it was.
func normalize(runs []Run) []Run {
	sorted := slices.Clone(runs)
	slices.SortFunc(sorted, func(a, b Run) int { return cmp.Compare(a.First, b.First) })
	out := sorted[:0]
	for _, r := range sorted {
		if r.Pages == 0 {
			continue
		}
		if n := len(out); n > 0 && r.First <= out[n-1].End() {
			if r.End() > out[n-1].End() {
				out[n-1].Pages = uint64(r.End() - out[n-1].First)
			}
			continue
		}
		out = append(out, r)
	}
	return out
}
