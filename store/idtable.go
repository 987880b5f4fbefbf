package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// idTable gives each different ID a code, in the order in which they come. It is made for hits, each of which should touch
// few lines of memory: a slot, and the word that an ID of up to 8 bytes consists of.
type idTable struct {
	slots []idSlot // by the word; twice as many as codes at least
	words []uint64 // by code: the bytes of a short ID, the hash of a long one
	ids   packedIDs
}

type idSlot struct {
	code uint32 // and one; 0 if the slot is free
	size uint32 // of the ID
}

// wordID is the length up to which an ID is a word.
const wordID = 8

// shortWord returns a short ID as a word.
func shortWord(id []byte) (w uint64) {
	if cap(id) >= wordID {
		return binary.LittleEndian.Uint64(id[:wordID]) & (1<<(8*len(id)) - 1)
	}
	for i, b := range id {
		w |= uint64(b) << (8 * i)
	}
	return w
}

func (t *idTable) len() int { return len(t.words) }

// code returns the code of an ID, whose hash counts if it isn't short or is empty: then the hash is all there is. The code is
// new if it was the table's len before.
func (t *idTable) code(hash uint64, id []byte) uint32 {
	short := len(id) <= wordID
	if short && len(id) > 0 {
		hash = shortWord(id)
	}
	if 2*len(t.words) >= len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	for i := slotOf(hash, len(t.slots)); ; i = (i + 1) & mask {
		s := t.slots[i]
		if s.code == 0 {
			t.words = append(t.words, hash)
			t.ids.append(id)
			t.slots[i] = idSlot{uint32(len(t.words)), uint32(len(id))}
			return uint32(len(t.words) - 1)
		}
		if s.size == uint32(len(id)) && t.words[s.code-1] == hash && (short || string(t.ids.at(int(s.code-1))) == string(id)) {
			return s.code - 1
		}
	}
}

// slotOf returns where the search for a word begins.
func slotOf(word uint64, slots int) uint64 {
	word ^= word >> 32
	return word * 0x9E3779B97F4A7C15 >> (64 - (bits.Len(uint(slots)) - 1))
}

func (t *idTable) grow() {
	t.slots = make([]idSlot, max(1024, 2*len(t.slots)))
	mask := uint64(len(t.slots) - 1)
	for c, word := range t.words {
		i := slotOf(word, len(t.slots))
		for t.slots[i].code != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = idSlot{uint32(c + 1), uint32(len(t.ids.at(c)))}
	}
}

func (t *idTable) reset() {
	clear(t.slots)
	t.words = t.words[:0]
	t.ids.reset()
}

// hashedCode is a code and the hash of its ID.
type hashedCode struct {
	hash uint64
	code uint32
}

// sort brings codes into the order of (hash, ID).
func (t *idTable) sort(codes []hashedCode) {
	slices.SortFunc(codes, func(a, b hashedCode) int {
		if c := cmp.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		return bytes.Compare(t.ids.at(int(a.code)), t.ids.at(int(b.code)))
	})
}

// codeRun is how many codes an itemTable takes at a time.
const codeRun = 256

// itemTable gives ITEM_IDs codes. The tables of one import share given, so that no code is given twice.
type itemTable struct {
	spill *spillFile
	hash  func([]byte) uint64
	limit int            // bytes of IDs in the table
	given *atomic.Uint32 // codes taken so far
	one   *sync.Mutex    // held to flush: the tables of one import take the memory for that one after the other

	table idTable
	runs  []uint32    // the first code of each run that the table's codes were given from
	full  []itemCodes // earlier tables
	found []foundSlot // scratch of codes
}

// foundSlot is a short ID, and what lies where the search for it begins.
type foundSlot struct {
	idSlot
	word uint64
}

// itemCodes is a table in the spill file: its IDs in the order of (hash, ID).
type itemCodes struct {
	ids   []section
	codes []uint32 // of the IDs
}

// code gives an ID its code.
func (t *itemTable) code(id []byte) (uint32, error) {
	err := t.makeRoom()
	if err != nil {
		return 0, err
	}
	return t.lookUp(id), nil
}

// itemOverhead bounds how many IDs a table holds, by its bytes of IDs: each takes some 30 more, and short ones would take
// many times their own.
const itemOverhead = 16

// itemPiece is about how many bytes of a table are written at a time.
const itemPiece = 256 << 10

// makeRoom empties a full table.
func (t *itemTable) makeRoom() error {
	if len(t.table.ids.data) < t.limit && t.table.len() < t.limit/itemOverhead {
		return nil
	}
	return t.flush()
}

func (t *itemTable) lookUp(id []byte) uint32 {
	hash := uint64(0)
	if len(id) > wordID {
		hash = t.hash(id)
	}
	c := t.table.code(hash, id)
	if int(c) == codeRun*len(t.runs) {
		t.runs = append(t.runs, t.given.Add(codeRun)-codeRun)
	}
	return t.global(c)
}

// global returns the import's code of a code of the table.
func (t *itemTable) global(code uint32) uint32 { return t.runs[code/codeRun] + code%codeRun }

// codes gives IDs of a column, from the given row on, their codes.
func (t *itemTable) codes(dst []uint32, ids *stringValues, from int) error {
	if err := t.makeRoom(); err != nil {
		return err
	}
	// Most IDs are short and in the table: first the slots of all of them are loaded, and then their words.
	slots := t.found[:0]
	for i := range dst {
		s := foundSlot{}
		if id := ids.at(from + i); len(id) <= wordID && len(t.table.slots) > 0 {
			s.word = shortWord(id)
			s.idSlot = t.table.slots[slotOf(s.word, len(t.table.slots))]
		}
		slots = append(slots, s)
	}
	t.found = slots
	for i := range dst {
		id := ids.at(from + i)
		if s := &slots[i]; s.code > 0 && s.size == uint32(len(id)) && t.table.words[s.code-1] == s.word {
			dst[i] = t.global(s.code - 1)
		} else {
			dst[i] = t.lookUp(id)
		}
	}
	return nil
}

// flush writes the table to the spill file.
func (t *itemTable) flush() error {
	t.one.Lock()
	defer t.one.Unlock()
	sorted := make([]hashedCode, t.table.len())
	for c := range sorted {
		sorted[c] = hashedCode{t.hash(t.table.ids.at(c)), uint32(c)}
	}
	t.table.sort(sorted)
	codes := make([]uint32, len(sorted))
	var secs []section
	b := make([]byte, 0, itemPiece+maxIDBytes+hashBytes+binary.MaxVarintLen64)
	for i, s := range sorted {
		id := t.table.ids.at(int(s.code))
		b = append(binary.AppendUvarint(appendHash(b, s.hash), uint64(len(id))), id...)
		codes[i] = t.global(s.code)
		if len(b) < itemPiece && i+1 < len(sorted) {
			continue
		}
		sec, err := t.spill.append(b)
		if err != nil {
			return err
		}
		secs, b = append(secs, sec), b[:0]
	}
	t.full = append(t.full, itemCodes{secs, codes})
	t.table.reset()
	t.runs = t.runs[:0]
	return nil
}
