package store

import (
	"encoding/binary"
	"hash/crc32"
)

// The IDs of reverseSlots ordinals lie side by side in a chunk, in parts of partSlots:
//
//	IDs u16, their length if all have the same, or 0, u16, parts × (end u32, checksum u32), IDs × length u16 (if they
//	differ), IDs, seal
//
// Who reads all of a chunk checks the seal. Who reads one ID checks that of its part, which is a small part of the work:
// the rows of one user refer to items all over the dictionary.

const (
	// reverseSlots is how many ordinals share a reverse chunk.
	reverseSlots  = 512
	partSlots     = 64
	partEntrySize = 8
)

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

func (c *reverseChunk) id(slot int) []byte {
	if slot >= c.slots() {
		return nil
	}
	if n := int(c.same); n > 0 {
		return c.heap[slot*n : (slot+1)*n : (slot+1)*n]
	}
	start := uint32(0)
	if slot > 0 {
		start = c.ends[slot-1]
	}
	if start == c.ends[slot] {
		return nil
	}
	return c.heap[start:c.ends[slot]:c.ends[slot]]
}

// append adds the ID of the next slot to a chunk that was not decoded; an empty one stands for an ordinal that isn't there.
func (c *reverseChunk) append(id []byte) {
	c.heap = append(c.heap, id...)
	c.ends = append(c.ends, uint32(len(c.heap)))
}

// encode returns the bytes of a chunk that was not decoded, with room for a seal. key is what it is to be stored under.
func (c *reverseChunk) encode(key []byte) []byte {
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
	b := make([]byte, 0, 4+partEntrySize*parts(len(c.ends))+2*len(c.ends)+len(c.heap)+sealSize)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.ends)))
	b = binary.LittleEndian.AppendUint16(b, uint16(same))
	dir := b[len(b):]
	for i := range parts(len(c.ends)) {
		b = binary.LittleEndian.AppendUint32(b, c.ends[min((i+1)*partSlots, len(c.ends))-1])
		b = append(b, 0, 0, 0, 0)
	}
	if same == 0 {
		prev = 0
		for _, end := range c.ends {
			b = binary.LittleEndian.AppendUint16(b, uint16(end-prev))
			prev = end
		}
	}
	b = append(b, c.heap...)
	stored, _ := parseChunk(b)
	for i := range parts(len(c.ends)) {
		p, _ := stored.part(i)
		binary.LittleEndian.AppendUint32(dir[:i*partEntrySize+4], p.checksum(key, stored.head, i))
	}
	return b
}

// parts returns how many parts a number of IDs makes.
func parts(ids int) int { return (ids + partSlots - 1) / partSlots }

// storedChunk is the outline of a chunk as it is stored, which it aliases.
type storedChunk struct {
	head    []byte // number of IDs and length
	n, same int
	dir     []byte // of the parts
	lengths []byte
	heap    []byte
}

// parseChunk finds the parts of what encode wrote.
func parseChunk(v []byte) (c storedChunk, ok bool) {
	if len(v) < 4 {
		return c, false
	}
	c.head, v = v[:4], v[4:]
	c.n, c.same = int(binary.LittleEndian.Uint16(c.head)), int(binary.LittleEndian.Uint16(c.head[2:]))
	dir, lengths := partEntrySize*parts(c.n), 2*c.n
	if c.same > 0 {
		lengths = 0
	}
	if c.n > reverseSlots || len(v) < dir+lengths {
		return c, false
	}
	c.dir, c.lengths, c.heap = v[:dir], v[dir:dir+lengths], v[dir+lengths:]
	return c, c.same == 0 || len(c.heap) == c.n*c.same
}

// chunkPart is the IDs of partSlots ordinals, the last ones of a chunk fewer.
type chunkPart struct {
	lengths []byte // if they differ
	ids     []byte
	sum     uint32 // its checksum
}

// part returns a part as the directory has it: only its checksum says that it is one.
func (c *storedChunk) part(i int) (p chunkPart, ok bool) {
	start := uint32(0)
	if i > 0 {
		start = binary.LittleEndian.Uint32(c.dir[(i-1)*partEntrySize:])
	}
	entry := c.dir[i*partEntrySize:]
	end := binary.LittleEndian.Uint32(entry)
	if start > end || int64(end) > int64(len(c.heap)) {
		return p, false
	}
	p.ids, p.sum = c.heap[start:end], binary.LittleEndian.Uint32(entry[4:])
	from, to := i*partSlots, min((i+1)*partSlots, c.n)
	if c.same > 0 {
		return p, len(p.ids) == (to-from)*c.same
	}
	p.lengths = c.lengths[2*from : 2*to]
	return p, len(p.ids) == sum16(p.lengths)
}

// sum16 adds numbers of two bytes.
func sum16(b []byte) (sum int) {
	for ; len(b) > 0; b = b[2:] {
		sum += int(binary.LittleEndian.Uint16(b))
	}
	return sum
}

// checksum covers the chunk's key and head and the part's number too, so that it is no other part's. It uses what lies behind
// key if there is room, which [reverseKey] leaves.
func (p *chunkPart) checksum(key, head []byte, i int) uint32 {
	crc := crc32.Checksum(append(append(key, head...), byte(i)), castagnoli)
	if len(p.lengths) > 0 {
		crc = crc32.Update(crc, castagnoli, p.lengths)
	}
	return crc32.Update(crc, castagnoli, p.ids)
}

// decodeReverse returns a chunk whose heap aliases v.
func decodeReverse(v []byte) (c reverseChunk, ok bool) {
	stored, ok := parseChunk(v)
	if !ok {
		return c, false
	}
	c.same, c.heap = uint32(stored.same), stored.heap
	if c.same > 0 {
		return c, true
	}
	c.ends = make([]uint32, stored.n)
	end := uint32(0)
	for i := range c.ends {
		end += uint32(binary.LittleEndian.Uint16(stored.lengths[2*i:]))
		c.ends[i] = end
	}
	return c, len(c.heap) == int(end)
}

func reverseKey(d dictID, num uint32) []byte { return binary.BigEndian.AppendUint32(d.prefix(), num) }

const unreadableChunk = "a chunk of IDs can't be read"

// readReverse returns a chunk that aliases the transaction's memory; one that isn't there is empty.
func (tx *Tx) readReverse(d dictID, num uint32) (reverseChunk, error) {
	key := reverseKey(d, num)
	sealed := tx.get(bucketReverse, key)
	if sealed == nil {
		return reverseChunk{}, nil
	}
	v, problem := checkSeal(key, sealed)
	if problem != "" {
		return reverseChunk{}, &CorruptError{What: d.String(), Problem: problem}
	}
	c, ok := decodeReverse(v)
	if !ok {
		return c, &CorruptError{What: d.String(), Problem: unreadableChunk}
	}
	return c, nil
}

// partReader reads IDs one by one. It keeps the part that it read last. The zero value is ready for use.
type partReader struct {
	key    []byte // of the chunk
	sealed []byte // the chunk, or nil
	num    uint32
	open   bool // the fields above are of chunk num

	chunk storedChunk
	at    int // which part is in part, or -1
	part  chunkPart
}

// id returns the ID of an ordinal, aliasing the transaction's memory, or nil if there is none, and what is wrong, or "".
func (r *partReader) id(tx *Tx, d dictID, ordinal uint32) (id []byte, problem string) {
	if num := ordinal / reverseSlots; !r.open || r.num != num {
		r.open, r.num, r.at = false, num, -1
		if r.key == nil {
			r.key = reverseKey(d, num)
		}
		binary.BigEndian.PutUint32(r.key[len(r.key)-4:], num)
		r.sealed, r.chunk = tx.get(bucketReverse, r.key), storedChunk{}
		if r.sealed != nil {
			if len(r.sealed) < sealSize {
				return nil, unreadableChunk
			}
			var ok bool
			if r.chunk, ok = parseChunk(r.sealed[:len(r.sealed)-sealSize]); !ok {
				return nil, unreadableChunk
			}
		}
		r.open = true
	}
	slot := int(ordinal % reverseSlots)
	if slot >= r.chunk.n {
		if r.sealed != nil { // is it so short?
			_, problem = checkSeal(r.key, r.sealed)
		}
		return nil, problem
	}
	if i := slot / partSlots; r.at != i {
		r.at = -1
		part, ok := r.chunk.part(i)
		if !ok || part.checksum(r.key, r.chunk.head, i) != part.sum {
			return nil, "checksum differs"
		}
		r.part, r.at = part, i
	}
	slot %= partSlots
	if n := r.chunk.same; n > 0 {
		return r.part.ids[slot*n : (slot+1)*n : (slot+1)*n], ""
	}
	start := sum16(r.part.lengths[:2*slot])
	end := start + sum16(r.part.lengths[2*slot:2*slot+2])
	if start == end {
		return nil, ""
	}
	return r.part.ids[start:end:end], ""
}
