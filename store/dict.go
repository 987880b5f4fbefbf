package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring"
	"github.com/zeebo/xxh3"
	bolt "go.etcd.io/bbolt"
)

// dictKind tells a group's two dictionaries apart.
type dictKind uint8

const (
	dictUsers dictKind = 1
	dictItems dictKind = 2
)

func (k dictKind) String() string {
	if k == dictUsers {
		return "user dictionary"
	}
	return "item dictionary"
}

// dictID names one dictionary.
type dictID struct {
	group uint32
	kind  dictKind
}

func (d dictID) String() string { return fmt.Sprintf("%s of group %d", d.kind, d.group) }

func (d dictID) prefix() []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 16), d.group), byte(d.kind))
}

// hashBits is how much of an ID's hash the forward entries hold. Equal hashes are told apart by the ID itself, so it
// only has to be enough to make them rare: at 10 million IDs about 45 pairs of 40 bits are equal.
const (
	hashBits  = 40
	hashBytes = hashBits / 8
	entrySize = hashBytes + 4 // hash, ordinal
)

// hashID returns the hash by which the dictionaries order id.
func (s *Store) hashID(id []byte) uint64 { return xxh3.HashSeed(id, s.info.Seed) >> (64 - hashBits) }

// dictState is what a dictionary's readers have to know.
type dictState struct {
	Next uint32 // the first ordinal never given
	// Sorted are the most ordinals that one import gave, in the order of hashes: see [layerWriter].
	Sorted ordinalRange
	// Staged are the ranges that an import in flight has taken: nobody else may see them.
	Staged []ordinalRange
}

type ordinalRange struct {
	Import uint32
	From   uint32
	To     uint32 // exclusive
}

const ordinalRangeSize = 12

func (r ordinalRange) append(b []byte) []byte { return appendUint32s(b, r.Import, r.From, r.To) }

func ordinalRangeAt(b []byte) ordinalRange {
	return ordinalRange{Import: uint32At(b, 0), From: uint32At(b, 1), To: uint32At(b, 2)}
}

func (tx *Tx) dictState(d dictID) (st dictState, err error) {
	key := d.prefix()
	sealed := tx.get(bucketDicts, key)
	if sealed == nil {
		return st, nil
	}
	v, problem := checkSeal(key, sealed)
	if problem == "" && (len(v) < 4+ordinalRangeSize || len(v)%ordinalRangeSize != 4) {
		problem = "has the wrong length"
	}
	if problem != "" {
		return st, &CorruptError{What: d.String(), Problem: problem}
	}
	st.Next, st.Sorted = uint32At(v, 0), ordinalRangeAt(v[4:])
	for v = v[4+ordinalRangeSize:]; len(v) > 0; v = v[ordinalRangeSize:] {
		st.Staged = append(st.Staged, ordinalRangeAt(v))
	}
	return st, nil
}

func (tx *Tx) putDictState(d dictID, st dictState) error {
	v := st.Sorted.append(appendUint32s(nil, st.Next))
	for _, r := range st.Staged {
		v = r.append(v)
	}
	return putSealed(tx.b.Bucket(bucketDicts), d.prefix(), v)
}

// dictView says which ordinals of a dictionary one reader sees. It is a copy and outlives its transaction.
type dictView struct {
	id    dictID
	state dictState
	dead  []*roaring.Bitmap
	own   uint32 // the import whose staged ordinals are seen, or 0
}

func (tx *Tx) dictView(d dictID, own uint32) (v dictView, err error) {
	v = dictView{id: d, own: own}
	if v.state, err = tx.dictState(d); err != nil {
		return v, err
	}
	if d.kind == dictUsers {
		err = tx.eachLeaving(d, func(_ []byte, _ uint64, bm *roaring.Bitmap) error {
			v.dead = append(v.dead, bm)
			return nil
		})
	}
	return v, err
}

func (v *dictView) visible(ordinal uint32) bool {
	if ordinal >= v.state.Next {
		return false
	}
	for _, r := range v.state.Staged {
		if r.Import != v.own && ordinal >= r.From && ordinal < r.To {
			return false
		}
	}
	for _, bm := range v.dead {
		if bm.Contains(ordinal) {
			return false
		}
	}
	return true
}

// lookup finds ordinals of IDs and IDs of ordinals. It keeps the chunks that it read last, so asking in the order of
// hashes, or of ordinals, reads each chunk once. It belongs to one transaction.
type lookup struct {
	tx   *Tx
	view *dictView

	chunk             []byte // forward entries of hashes [chunkLow, chunkHigh)
	chunkLow, chunkUp uint64

	reverse partReader
}

func (tx *Tx) lookup(v *dictView) *lookup {
	return &lookup{tx: tx, view: v}
}

// ordinal returns the visible ordinal of id, whose hash is given.
func (l *lookup) ordinal(hash uint64, id []byte) (uint32, bool, error) {
	if l.chunk == nil || hash < l.chunkLow || hash >= l.chunkUp {
		c, err := readForward(l.tx.cursor(bucketForward), l.view.id, hash)
		if err != nil {
			return 0, false, err
		}
		l.chunk, l.chunkLow, l.chunkUp = c.entries, c.low, c.up
	}
	var want [hashBytes]byte
	putHash(want[:], hash)
	for i := searchEntries(l.chunk, want[:]); i < len(l.chunk) && string(l.chunk[i:i+hashBytes]) == string(want[:]); i += entrySize {
		ordinal := ordinalAt(l.chunk[i:])
		if !l.view.visible(ordinal) {
			continue
		}
		got, err := l.id(ordinal)
		if err != nil {
			return 0, false, err
		}
		if got == nil {
			return 0, false, &CorruptError{What: l.view.id.String(), Problem: "an entry has no ID"}
		}
		if string(got) == string(id) {
			return ordinal, true, nil
		}
	}
	return 0, false, nil
}

// id returns the ID of an ordinal, aliasing the transaction's memory, or nil if the dictionary has none.
func (l *lookup) id(ordinal uint32) ([]byte, error) {
	id, problem := l.reverse.id(l.tx, l.view.id, ordinal)
	if problem != "" {
		return nil, &CorruptError{What: l.view.id.String(), Problem: problem}
	}
	return id, nil
}

// forwardChunk holds the forward entries of a range of hashes, sorted by (hash, ordinal).
type forwardChunk struct {
	key     []byte
	low, up uint64 // hashes [low, up)
	entries []byte
}

// readForward returns the chunk that holds hash. A dictionary without a chunk has an empty one of all hashes.
func readForward(c *bolt.Cursor, d dictID, hash uint64) (forwardChunk, error) {
	prefix := d.prefix()
	fc := forwardChunk{up: 1 << hashBits}
	seek := appendHash(prefix, hash+1)
	if hash+1 == 1<<hashBits {
		seek = prefixEnd(prefix)
	}
	k, _ := c.Seek(seek)
	if k != nil && len(k) == len(prefix)+hashBytes && string(k[:len(prefix)]) == string(prefix) {
		fc.up = hashAt(k[len(prefix):])
	}
	var v []byte
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if k == nil || len(k) != len(prefix)+hashBytes || string(k[:len(prefix)]) != string(prefix) {
		if fc.up != 1<<hashBits {
			return fc, &CorruptError{What: d.String(), Problem: "its first hash range is missing"}
		}
		fc.key = appendHash(prefix, 0)
		return fc, nil
	}
	entries, problem := checkSeal(k, v)
	if problem == "" && len(entries)%entrySize != 0 {
		problem = "a hash range has the wrong length"
	}
	if problem != "" {
		return fc, &CorruptError{What: d.String(), Problem: problem}
	}
	fc.key, fc.low, fc.entries = slices.Clone(k), hashAt(k[len(prefix):]), entries
	return fc, nil
}

// searchEntries returns the offset of the first entry whose first bytes are not below want.
func searchEntries(entries, want []byte) int {
	lo, hi := 0, len(entries)/entrySize
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if string(entries[mid*entrySize:mid*entrySize+len(want)]) < string(want) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo * entrySize
}

func putHash(b []byte, hash uint64) {
	b[0], b[1], b[2], b[3], b[4] = byte(hash>>32), byte(hash>>24), byte(hash>>16), byte(hash>>8), byte(hash)
}

func appendHash(b []byte, hash uint64) []byte {
	return append(b, byte(hash>>32), byte(hash>>24), byte(hash>>16), byte(hash>>8), byte(hash))
}

func hashAt(b []byte) uint64 {
	return uint64(b[0])<<32 | uint64(b[1])<<24 | uint64(b[2])<<16 | uint64(b[3])<<8 | uint64(b[4])
}

// ordinalAt returns the ordinal of the forward entry at the beginning of b.
func ordinalAt(b []byte) uint32 { return binary.BigEndian.Uint32(b[hashBytes:]) }
