package pages

import (
	"bytes"
	"errors"
	"hash/fnv"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// twoCommits is a file whose meta pages describe different states.
func twoCommits(t *testing.T, pageSize int) []byte {
	kind := fileKind{
		pageSize: pageSize,
		fill:     put("b", 10, 10, ""),
		commits:  []func(*bolt.Tx) error{put("c", 10, 10, ""), put("d", 10, 10, "")},
	}
	return load(t, kind.build(t, t.TempDir()))
}

func readMeta(b []byte) (Meta, error) { return ReadMeta(bytes.NewReader(b), int64(len(b))) }

// resum gives a changed meta page its checksum again.
func resum(page []byte) {
	sum := fnv.New64a()
	sum.Write(page[headerSize : headerSize+metaSum])
	order.PutUint64(page[headerSize+metaSum:], sum.Sum64())
}

func TestReadMetaFallsBack(t *testing.T) {
	for pageSize := minPageSize; pageSize <= 1<<17; pageSize *= 2 {
		b := twoCommits(t, pageSize)
		newest, err := readMeta(b)
		if err != nil {
			t.Fatal(err)
		}
		both, err := ReadMetas(bytes.NewReader(b), int64(len(b)))
		if err != nil || both[0].Err != nil || both[1].Err != nil {
			t.Fatal(both, err)
		}
		if newest != both[newest.TxID%2].Meta || both[0].Meta.TxID+both[1].Meta.TxID != 2*newest.TxID-1 {
			t.Fatalf("newest %+v of %+v", newest, both)
		}
		for i, other := range []int{1, 0} {
			damaged := bytes.Clone(b)
			damaged[i*pageSize+headerSize+40]++
			got, err := readMeta(damaged)
			if err != nil || got != both[other].Meta {
				t.Errorf("page size %d, meta %d damaged: %+v, %v; want %+v", pageSize, i, got, err, both[other].Meta)
			}
			again, err := ReadMetas(bytes.NewReader(damaged), int64(len(damaged)))
			var c *CorruptError
			if err != nil || !errors.As(again[i].Err, &c) || c.Page != PageID(i) || again[i].Meta != (Meta{}) {
				t.Errorf("page size %d, meta %d damaged: %+v, %v", pageSize, i, again, err)
			}
		}
	}
}

func TestReadMetaReportsEveryFlip(t *testing.T) {
	b := twoCommits(t, 1024)
	newest, err := readMeta(b)
	if err != nil {
		t.Fatal(err)
	}
	base := int(newest.TxID%2) * 1024
	for at := base + headerSize; at < base+headerSize+metaSize; at++ {
		for _, mask := range []byte{0x01, 0x80, 0xFF} {
			b[at] ^= mask
			if got, err := readMeta(b); err != nil || got.TxID != newest.TxID-1 {
				t.Errorf("byte %d ^ %#x: %+v, %v; want the meta before", at-base, mask, got, err)
			}
			b[at] ^= mask
		}
	}
}

func TestReadMetaErrors(t *testing.T) {
	good := twoCommits(t, 4096)
	both := func(change func(page []byte)) []byte {
		b := bytes.Clone(good)
		change(b[:4096])
		change(b[4096:8192])
		return b
	}
	tests := []struct {
		name    string
		file    []byte
		notBolt bool // else a *CorruptError
	}{
		{"no bytes", nil, true},
		{"short", good[:79], true},
		{"zeros", make([]byte, 1<<16), true},
		{"text", bytes.Repeat([]byte("USER_ID\n"), 1<<13), true},
		{"other magic", both(func(p []byte) { p[headerSize]++; resum(p) }), true},
		{"other version", both(func(p []byte) { p[headerSize+4]++; resum(p) }), false},
		{"checksums", both(func(p []byte) { p[headerSize+metaSum]++ }), false},
		{"page size zero", both(func(p []byte) { order.PutUint32(p[headerSize+8:], 0); resum(p) }), false},
		{"page size odd", both(func(p []byte) { order.PutUint32(p[headerSize+8:], 4097); resum(p) }), false},
		{"page size huge", both(func(p []byte) { order.PutUint32(p[headerSize+8:], 1<<31); resum(p) }), false},
		{"page sizes differ", func() []byte {
			b := bytes.Clone(good)
			order.PutUint32(b[4096+headerSize+8:], 8192)
			resum(b[4096:])
			return b
		}(), false},
		{"second at another page size", func() []byte {
			b := bytes.Clone(good)
			order.PutUint32(b[4096+headerSize+8:], 8192)
			resum(b[4096:])
			b[headerSize+20]++
			return b
		}(), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := readMeta(tt.file)
			var c *CorruptError
			if m != (Meta{}) || errors.Is(err, ErrNotBolt) != tt.notBolt || errors.As(err, &c) == tt.notBolt {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func TestReadMetaReadError(t *testing.T) {
	b := twoCommits(t, 4096)
	m, err := ReadMeta(failingReader{bytes.NewReader(b), 0, 1 << 20}, int64(len(b)))
	if !errors.Is(err, errInjected) || errors.Is(err, ErrNotBolt) {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = ReadMeta(failingReader{bytes.NewReader(b), 0, 4096}, int64(len(b)))
	if err != nil || m.PageSize != 4096 {
		t.Errorf("with an unreadable first page: %+v, %v", m, err)
	}
}
