package store

import (
	"encoding/binary"
	"encoding/json"
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
	Next uint32 `json:"next"` // the first ordinal never given
	// Staged are the ranges that an import in flight has taken: nobody else may see them.
	Staged []ordinalRange `json:"staged,omitempty"`
	// Sorted are the most ordinals that one import gave, in the order of hashes: see [layerWriter].
	Sorted ordinalRange `json:"sorted,omitzero"`
}

type ordinalRange struct {
	Import uint32 `json:"import"`
	From   uint32 `json:"from"`
	To     uint32 `json:"to"` // exclusive
}

func (tx *Tx) dictState(d dictID) (st dictState, err error) {
	v, err := getSealed(tx.b.Bucket(bucketDicts), d.String(), d.prefix())
	if err != nil || v == nil {
		return st, err
	}
	if err := json.Unmarshal(v, &st); err != nil {
		return st, &CorruptError{What: d.String(), Problem: "can't be read", Err: err}
	}
	return st, nil
}

func (tx *Tx) putDictState(d dictID, st dictState) error {
	v, err := json.Marshal(st)
	if err != nil {
		return err
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

// lookup finds ordinals of IDs and IDs of ordinals. It keeps the chunk that it read last, so asking in the order of
// hashes, or of ordinals, reads each chunk once. It belongs to one transaction.
type lookup struct {
	tx   *Tx
	view *dictView

	forward           *bolt.Cursor
	chunk             []byte // forward entries of hashes [chunkLow, chunkHigh)
	chunkLow, chunkUp uint64

	reverse    reverseChunk
	reverseNum uint32
	reverseOK  bool
}

func (tx *Tx) lookup(v *dictView) *lookup {
	return &lookup{tx: tx, view: v, forward: tx.b.Bucket(bucketForward).Cursor()}
}

// ordinal returns the visible ordinal of id, whose hash is given.
func (l *lookup) ordinal(hash uint64, id []byte) (uint32, bool, error) {
	if l.chunk == nil || hash < l.chunkLow || hash >= l.chunkUp {
		c, err := readForward(l.forward, l.view.id, hash)
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
	num := ordinal / reverseSlots
	if !l.reverseOK || l.reverseNum != num {
		c, err := l.tx.readReverse(l.view.id, num)
		if err != nil {
			return nil, err
		}
		l.reverse, l.reverseNum, l.reverseOK = c, num, true
	}
	return l.reverse.id(int(ordinal % reverseSlots)), nil
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
	entries, err := unseal(d.String(), k, v)
	if err != nil {
		return fc, err
	}
	if len(entries)%entrySize != 0 {
		return fc, &CorruptError{What: d.String(), Problem: "a hash range has the wrong length"}
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

// reverseSlots is how many ordinals share a reverse chunk.
const reverseSlots = 512

// reverseChunk holds the IDs of reverseSlots ordinals side by side; one that isn't there is empty.
type reverseChunk struct {
	same uint32   // the length of every ID, if that is one
	ends []uint32 // else where each ends
	heap []byte
}

// slots returns how many ordinals the chunk has room for.
func (c *reverseChunk) slots() int {
	if c.same > 0 {
		return len(c.heap) / int(c.same)
	}
	return len(c.ends)
}

// span returns where in the heap an ID lies: nowhere, from 0 to 0, if it isn't there.
func (c *reverseChunk) span(slot int) (from, to uint32) {
	if c.same > 0 {
		if to = uint32(slot+1) * c.same; int(to) <= len(c.heap) {
			return to - c.same, to
		}
		return 0, 0
	}
	if slot >= len(c.ends) {
		return 0, 0
	}
	if slot > 0 {
		from = c.ends[slot-1]
	}
	return from, c.ends[slot]
}

func (c *reverseChunk) id(slot int) []byte {
	from, to := c.span(slot)
	if from == to {
		return nil
	}
	return c.heap[from:to:to]
}

// append adds the ID of the next slot to a chunk that was not decoded; an empty one stands for an ordinal that isn't there.
func (c *reverseChunk) append(id []byte) {
	c.heap = append(c.heap, id...)
	c.ends = append(c.ends, uint32(len(c.heap)))
}

// encode writes the number of slots, the length that all IDs have or 0, and then the lengths if they differ and the IDs.
func (c *reverseChunk) encode() []byte {
	same := uint32(0)
	prev := uint32(0)
	for i, end := range c.ends {
		if n := end - prev; i == 0 {
			same = n
		} else if n != same {
			same = 0
		}
		prev = end
		if same == 0 {
			break
		}
	}
	b := make([]byte, 0, 4+2*len(c.ends)+len(c.heap)+sealSize)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.ends)))
	b = binary.LittleEndian.AppendUint16(b, uint16(same))
	if same == 0 {
		prev = 0
		for _, end := range c.ends {
			b = binary.LittleEndian.AppendUint16(b, uint16(end-prev))
			prev = end
		}
	}
	return append(b, c.heap...)
}

// decodeReverse returns a chunk whose heap aliases v.
func decodeReverse(v []byte) (c reverseChunk, ok bool) {
	if len(v) < 4 {
		return c, false
	}
	n, same := int(binary.LittleEndian.Uint16(v)), uint32(binary.LittleEndian.Uint16(v[2:]))
	if v = v[4:]; n > reverseSlots {
		return c, false
	}
	if same > 0 {
		c.same, c.heap = same, v
		return c, len(v) == n*int(same)
	}
	if len(v) < 2*n {
		return c, false
	}
	c.ends = make([]uint32, n)
	end := uint32(0)
	for i := range c.ends {
		end += uint32(binary.LittleEndian.Uint16(v[2*i:]))
		c.ends[i] = end
	}
	c.heap = v[2*n:]
	return c, len(c.heap) == int(end)
}

func reverseKey(d dictID, num uint32) []byte { return binary.BigEndian.AppendUint32(d.prefix(), num) }

// readReverse returns a chunk that aliases the transaction's memory; one that isn't there is empty.
func (tx *Tx) readReverse(d dictID, num uint32) (reverseChunk, error) {
	key := reverseKey(d, num)
	v, err := getSealed(tx.b.Bucket(bucketReverse), d.String(), key)
	if err != nil || v == nil {
		return reverseChunk{}, err
	}
	c, ok := decodeReverse(v)
	if !ok {
		return c, &CorruptError{What: d.String(), Problem: "a chunk of IDs can't be read"}
	}
	return c, nil
}

// ordinalAt returns the ordinal of the forward entry at the beginning of b.
func ordinalAt(b []byte) uint32 { return binary.BigEndian.Uint32(b[hashBytes:]) }
