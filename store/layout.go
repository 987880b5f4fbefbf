package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"
)

// formatVersion changes whenever a file written by this version can't be read by the last one, or the reverse.
const formatVersion = 6

var (
	bucketMeta       = []byte("meta")
	bucketCatalog    = []byte("catalog")
	bucketDicts      = []byte("dicts")
	bucketForward    = []byte("forward")
	bucketReverse    = []byte("reverse")
	bucketLeaving    = []byte("leaving")
	bucketFences     = []byte("fences")
	bucketBlocks     = []byte("blocks")
	bucketTombs      = []byte("tombs")
	bucketRetired    = []byte("retired")
	bucketItemRefs   = []byte("itemrefs")
	bucketGarbage    = []byte("garbage")
	bucketImports    = []byte("imports")
	bucketStage      = []byte("stage")
	bucketJobs       = []byte("jobs")
	bucketHashes     = []byte("hashes")
	bucketSuppressed = []byte("suppressed")
	bucketJournal    = []byte("journal")
	bucketSessions   = []byte("sessions")
)

var allBuckets = [][]byte{
	bucketMeta, bucketCatalog, bucketDicts, bucketForward, bucketReverse, bucketLeaving, bucketFences, bucketBlocks,
	bucketTombs, bucketRetired, bucketItemRefs, bucketGarbage, bucketImports, bucketStage, bucketJobs,
	bucketHashes, bucketSuppressed, bucketJournal, bucketSessions,
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealSize is what [seal] adds to a value.
const sealSize = 4

// seal appends a CRC-32C over key and value to value. The key is part of it, so that a value that lands under another
// key is found out.
func seal(key, value []byte) []byte {
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.LittleEndian.AppendUint32(value, crc)
}

// unseal checks a sealed value and returns it without its checksum, aliasing it. what names the thing in the error.
func unseal(what string, key, sealed []byte) ([]byte, error) {
	value, problem := checkSeal(key, sealed)
	if problem != "" {
		return nil, &CorruptError{What: what, Problem: problem}
	}
	return value, nil
}

// checkSeal is [unseal] for those who make the thing's name only when they need it. It returns what is wrong, or "".
func checkSeal(key, sealed []byte) (value []byte, problem string) {
	if len(sealed) < sealSize {
		return nil, "value is too short"
	}
	value = sealed[:len(sealed)-sealSize]
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	if crc != binary.LittleEndian.Uint32(sealed[len(value):]) {
		return nil, "checksum differs"
	}
	return value, ""
}

// putSealed seals value and stores it under key.
func putSealed(b *bolt.Bucket, key, value []byte) error { return b.Put(key, seal(key, value)) }

// getSealed returns the value under key, aliasing the transaction's memory, or nil if there is none.
func getSealed(b *bolt.Bucket, what string, key []byte) ([]byte, error) {
	v := b.Get(key)
	if v == nil {
		return nil, nil
	}
	return unseal(what, key, v)
}

// layerKey is the prefix of a layer's entries in fences, tombs and itemrefs.
func layerKey(dataset, layer uint32) []byte {
	return appendUint32s(make([]byte, 0, 16), dataset, layer)
}

// fenceKey orders the blocks of a layer by their least ordinal. seq tells apart the blocks of one user who fills several.
// When a compaction takes a block's first users away the key stays: it is a lower bound from then on.
func fenceKey(dataset, layer, least, seq uint32) []byte {
	return appendUint32s(make([]byte, 0, 16), dataset, layer, least, seq)
}

func appendUint32s(dst []byte, vs ...uint32) []byte {
	for _, v := range vs {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return dst
}

func uint64Key(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func uint64At(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func uint32At(key []byte, i int) uint32 { return binary.BigEndian.Uint32(key[4*i:]) }

// fence is what a lookup needs to know of a block before it reads it.
type fence struct {
	Block    uint64 // key in blocks
	Greatest uint32 // greatest ordinal; the least is in the key
	Rows     uint32
	Bytes    uint32 // index and data, as stored
}

func (f fence) encode() []byte {
	b := make([]byte, 0, 20+sealSize)
	b = binary.BigEndian.AppendUint64(b, f.Block)
	return appendUint32s(b, f.Greatest, f.Rows, f.Bytes)
}

func decodeFence(key, sealed []byte) (fence, error) {
	if len(key) != 16 {
		return fence{}, &CorruptError{What: "fence", Problem: "key has the wrong length"}
	}
	v, problem := checkSeal(key, sealed)
	if problem == "" && len(v) != 20 {
		problem = "value has the wrong length"
	}
	if problem != "" {
		return fence{}, &CorruptError{What: fmt.Sprintf("fence of dataset %d, layer %d", uint32At(key, 0), uint32At(key, 1)), Problem: problem}
	}
	return fence{
		Block:    binary.BigEndian.Uint64(v),
		Greatest: binary.BigEndian.Uint32(v[8:]),
		Rows:     binary.BigEndian.Uint32(v[12:]),
		Bytes:    binary.BigEndian.Uint32(v[16:]),
	}, nil
}
