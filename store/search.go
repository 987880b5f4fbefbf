package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// minSearched is the length from which an ID is searched in the raw file: shorter ones are found by chance.
const minSearched = 8

// searcher finds IDs among the bytes of a file.
type searcher struct {
	ids    packedIDs
	byHead map[uint64][]uint32 // IDs by their first bytes
	filter []uint64            // of hashes of these: nearly all places need no more than a look at one bit
	longer int                 // bytes of the longest, less 1
}

const (
	filterBits  = 23
	searchChunk = 1 << 20
	// searchPlaces is how many places are kept to be explained; there are more only if very much is wrong.
	searchPlaces = 100_000
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

// place is where an ID lies in a file.
type place struct {
	off int64
	id  uint32
}

// find returns the places in the first size bytes of a file where IDs lie, in order, and the number of those beyond
// searchPlaces.
func (s *searcher) find(ctx context.Context, f io.ReaderAt, size int64) (places []place, more int64, err error) {
	if s.ids.len() == 0 {
		return nil, 0, nil
	}
	buf := make([]byte, searchChunk+s.longer)
	for off := int64(0); off < size; off += searchChunk {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		b := buf[:min(int64(len(buf)), size-off)]
		if n, err := f.ReadAt(b, off); n < len(b) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, 0, fmt.Errorf("search file: %w", err)
		}
		for i := 0; i+minSearched <= len(b) && i < searchChunk; i++ {
			head := binary.LittleEndian.Uint64(b[i:])
			if bit := filterBit(head); s.filter[bit/64]>>(bit%64)&1 == 0 {
				continue
			}
			for _, id := range s.byHead[head] {
				if !bytes.HasPrefix(b[i:], s.ids.at(int(id))) {
					continue
				}
				if len(places) == searchPlaces {
					more++
					continue
				}
				places = append(places, place{off + int64(i), id})
			}
		}
	}
	return places, more, nil
}
