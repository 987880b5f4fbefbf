package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// minSearched is the length from which an ID is searched in the raw file: shorter ones are found by chance.
const minSearched = 8

// searcher finds IDs among the bytes of a file.
type searcher struct {
	ids    packedIDs
	byHead map[uint64][]uint32 // IDs by their first bytes
	// lengths has those of the IDs that share their first bytes with many others, ascending; such IDs are sorted.
	lengths map[uint64][]int
	filter  []uint64 // of hashes of these: nearly all places need no more than a look at one bit
	longer  int      // bytes of the longest, less 1
}

const (
	filterBits  = 23
	searchChunk = 1 << 20
	// crowded is how many IDs with the same first bytes are compared one by one.
	crowded = 16
)

func newSearcher() *searcher {
	return &searcher{byHead: make(map[uint64][]uint32), filter: make([]uint64, 1<<filterBits/64)}
}

func filterBit(head uint64) uint64 { return head * 0x9E3779B97F4A7C15 >> (64 - filterBits) }

// add adds an ID of minSearched bytes or more, which is copied.
func (s *searcher) add(id []byte) {
	head := binary.LittleEndian.Uint64(id)
	bit := filterBit(head)
	s.filter[bit/64] |= 1 << (bit % 64)
	s.byHead[head] = append(s.byHead[head], uint32(s.ids.len()))
	s.ids.append(id)
	s.longer = max(s.longer, len(id)-1)
}

// sortCrowded prepares for IDs such as customer-1 to customer-999999, which all begin with the same bytes.
func (s *searcher) sortCrowded() {
	s.lengths = make(map[uint64][]int)
	for head, ids := range s.byHead {
		if len(ids) <= crowded {
			continue
		}
		var lengths []int
		for _, id := range ids {
			lengths = append(lengths, len(s.ids.at(int(id))))
		}
		slices.Sort(lengths)
		s.lengths[head] = slices.Clone(slices.Compact(lengths))
		slices.SortFunc(ids, func(a, b uint32) int { return bytes.Compare(s.ids.at(int(a)), s.ids.at(int(b))) })
	}
}

// match appends the IDs that b begins with to out. head are its first bytes.
func (s *searcher) match(out []uint32, head uint64, b []byte) []uint32 {
	ids := s.byHead[head]
	if len(ids) <= crowded {
		for _, id := range ids {
			if bytes.HasPrefix(b, s.ids.at(int(id))) {
				out = append(out, id)
			}
		}
		return out
	}
	for _, n := range s.lengths[head] {
		if n > len(b) {
			break
		}
		i, _ := slices.BinarySearchFunc(ids, b[:n], func(id uint32, b []byte) int { return bytes.Compare(s.ids.at(int(id)), b) })
		for ; i < len(ids) && bytes.Equal(s.ids.at(int(ids[i])), b[:n]); i++ {
			out = append(out, ids[i])
		}
	}
	return out
}

// place is where an ID lies in a file.
type place struct {
	off int64
	id  uint32
}

// find calls fn for the places in the first size bytes of a file where IDs lie, in order.
func (s *searcher) find(ctx context.Context, f io.ReaderAt, size int64, fn func(place) error) error {
	if s.ids.len() == 0 {
		return nil
	}
	s.sortCrowded()
	var ids []uint32
	buf := make([]byte, searchChunk+s.longer)
	for off := int64(0); off < size; off += searchChunk {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), size-off)]
		if n, err := f.ReadAt(b, off); n < len(b) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("search file: %w", err)
		}
		for i := 0; i+minSearched <= len(b) && i < searchChunk; i++ {
			head := binary.LittleEndian.Uint64(b[i:])
			if bit := filterBit(head); s.filter[bit/64]>>(bit%64)&1 == 0 {
				continue
			}
			ids = s.match(ids[:0], head, b[i:])
			for _, id := range ids {
				if err := fn(place{off + int64(i), id}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
