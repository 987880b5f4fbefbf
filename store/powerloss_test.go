package store

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// image is what a file can hold after a crash.
type image struct {
	what string
	data []byte
}

// powerLoss returns what a power loss can leave of the writes that made now of before: a commit, and the zeros that a scrub
// wrote before it. Up to the sync before the meta page is written any of them may have reached the disk, in any order, and
// sector by sector; then all of them have, and any part of the meta page. Sectors have 512 bytes; the meta page is also torn
// within its first one, which holds all that counts of it. Not all gives few of each.
func powerLoss(before, now []byte, r *rand.Rand, all bool) (out []image) {
	const sector = 512
	page := os.Getpagesize()
	old := make([]byte, len(now)) // bbolt syncs the file's new length before it uses it
	copy(old, before)
	var changed []int // pages
	meta := -1
	for p := 0; p < len(now)/page; p++ {
		switch same := bytes.Equal(old[p*page:(p+1)*page], now[p*page:(p+1)*page]); {
		case same:
		case p < 2 && (meta < 0 || txid(now[p*page:]) > txid(now[meta*page:])):
			meta = p
		case p >= 2:
			changed = append(changed, p)
		}
	}
	few := func(n int) int {
		if all {
			return n
		}
		return 1
	}
	add := func(what string, data []byte) { out = append(out, image{what, data}) }
	add("nothing of it", slices.Clone(old))
	for range few(6) {
		data, share := slices.Clone(old), r.Float64()
		for _, p := range changed {
			if r.Float64() < share {
				copy(data[p*page:(p+1)*page], now[p*page:])
			}
		}
		add("some pages without the meta page", data)
	}
	for range few(3) {
		data, share := slices.Clone(old), r.Float64()
		for _, p := range changed {
			for at := p * page; at < (p+1)*page; at += sector {
				if r.Float64() < share {
					copy(data[at:at+sector], now[at:])
				}
			}
		}
		add("some sectors without the meta page", data)
	}
	pages := slices.Clone(now)
	if meta >= 0 {
		copy(pages[meta*page:(meta+1)*page], old[meta*page:])
	}
	add("all pages without the meta page", pages)
	if meta < 0 {
		return out
	}
	cuts := []int{1 + r.IntN(100)}
	if all {
		for at := sector; at < page; at += sector {
			cuts = append(cuts, at)
		}
		for range 6 {
			cuts = append(cuts, 1+r.IntN(100))
		}
	}
	for _, cut := range cuts {
		data := slices.Clone(pages)
		copy(data[meta*page:meta*page+cut], now[meta*page:])
		add("all pages and a torn meta page", data)
	}
	return out
}

// inMemory lets the test's folders lie in memory where the system has a place for that, since nobody waits for a disk there.
func inMemory(t *testing.T) {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", dir)
	}
}

// txid returns the number of the transaction that wrote a meta page.
func txid(meta []byte) uint64 { return binary.LittleEndian.Uint64(meta[16+48:]) }

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
