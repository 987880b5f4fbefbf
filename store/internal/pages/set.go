package pages

import "math/bits"

// pageSet is a bitmap of the pages [0, limit) that are accounted for.
type pageSet struct {
	words []uint64
	limit PageID
}

func newPageSet(limit PageID) *pageSet {
	return &pageSet{words: make([]uint64, (limit+63)/64), limit: limit}
}

// add puts a run into the set. It tells whether none of its pages was in it;
// when one was, the set stays as it was. The run must lie below the limit.
func (s *pageSet) add(r Run) bool {
	overlap := false
	s.eachWord(r, func(w *uint64, mask uint64) { overlap = overlap || *w&mask != 0 })
	if overlap {
		return false
	}
	s.eachWord(r, func(w *uint64, mask uint64) { *w |= mask })
	return true
}

func (s *pageSet) eachWord(r Run, f func(w *uint64, mask uint64)) {
	for at, end := uint64(r.First), uint64(r.End()); at < end; {
		next := min((at|63)+1, end)
		mask := ^uint64(0) << (at & 63)
		if rest := next & 63; rest != 0 {
			mask &= 1<<rest - 1
		}
		f(&s.words[at/64], mask)
		at = next
	}
}

// missing returns the pages below the limit that aren't in the set.
func (s *pageSet) missing() []Run {
	var runs []Run
	limit := uint64(s.limit)
	for at := s.next(0, false); at < limit; {
		end := s.next(at, true)
		runs = append(runs, Run{First: PageID(at), Pages: end - at})
		at = s.next(end, false)
	}
	return runs
}

// next returns the first page from at on that is in the set or isn't, as
// wanted; the limit when there is none.
func (s *pageSet) next(at uint64, in bool) uint64 {
	limit := uint64(s.limit)
	for at < limit {
		w := s.words[at/64]
		if !in {
			w = ^w
		}
		if w >>= at & 63; w != 0 {
			return min(at+uint64(bits.TrailingZeros64(w)), limit)
		}
		at = (at | 63) + 1
	}
	return limit
}
