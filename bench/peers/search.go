package main

import (
	"encoding/binary"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/expunge-db/expunge/bench"
)

const userIDLen = bench.UserIDLen

// idSearch looks for USER_IDs in files, at every offset. It finds plain bytes only: an ID in a compressed block, or one
// that is stored without the bytes that it shares with its neighbour, is there and not found. So a count above zero
// proves that a peer doesn't erase; zero proves nothing for a peer that compresses.
type idSearch struct {
	ids map[[userIDLen]byte]struct{}
	// filter has a bit for the hash of the first 8 bytes of each ID, so that the map is asked rarely.
	filter []uint64
	shift  int
}

func newIDSearch(ids []string) *idSearch {
	size := max(16, bits.Len(uint(len(ids)))+6)
	s := &idSearch{ids: make(map[[userIDLen]byte]struct{}, len(ids)), filter: make([]uint64, 1<<size/64), shift: 64 - size}
	for _, id := range ids {
		s.ids[[userIDLen]byte([]byte(id))] = struct{}{}
		h := s.hash([]byte(id))
		s.filter[h>>6] |= 1 << (h & 63)
	}
	return s
}

func (s *idSearch) hash(b []byte) uint64 {
	return binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15 >> s.shift
}

// count returns how many different IDs occur in the files under dir, and the names of the files that have some.
func (s *idSearch) count(dir string) (int, []string, error) {
	found := make(map[[userIDLen]byte]struct{})
	var names []string
	buf := make([]byte, 4<<20)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		hit, keep := false, 0
		for {
			n, err := io.ReadFull(f, buf[keep:])
			have := buf[:keep+n]
			for i := 0; i+userIDLen <= len(have); i++ {
				h := s.hash(have[i:])
				if s.filter[h>>6]>>(h&63)&1 == 0 {
					continue
				}
				id := [userIDLen]byte(have[i:])
				if _, ok := s.ids[id]; ok {
					found[id], hit = struct{}{}, true
				}
			}
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				break
			}
			if err != nil {
				return err
			}
			keep = copy(buf, have[len(have)-userIDLen+1:])
		}
		if hit {
			names = append(names, filepath.Base(path))
		}
		return nil
	})
	return len(found), names, err
}
