package store

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// unit is the rows of a range of keys, in memory, to be made blocks of. Its memory is used again for the next one.
type unit struct {
	data   []byte // rows as partitions hold them
	shares []share
	table  idTable
	hashes []uint64  // by code
	rows   []unitRow // in the order in which they came
	codes  []uint32  // of their keys

	keys   []hashedCode // of the table, in the order of (hash, ID)
	rank   []uint32     // of a code in keys
	next   []uint32     // by key: scratch of group
	starts []uint32     // where the rows of each begin in byKey, and where the last end
	byKey  []unitRow    // in the order of keys, of one key by time and then in the order in which they came

	ordinals []uint32 // of the keys, in their order
	known    []bool   // keys that were found in the dictionary
	streams  []stream // of the keys
	fresh    newIDs   // those that it gets
	first    uint32   // the ordinal of the first of these
	stored   int64    // rows in blocks
	blocks   [streamAside][]*encodedBlock

	number int
	parts  []int // ranges to be read into data, unless it came with its rows
}

// unitRow is a row of a unit.
type unitRow struct {
	time     int64
	off, end uint32 // of its record in data
}

// share is the part of a unit's data that one divider took of one range.
type share struct {
	at, end int
	chunk   int64 // of the row at at
}

// load reads the rows and groups them. items, unless it is nil, are the ordinals of the items' codes.
func (u *unit) load(src *unitSource, items []uint32) (err error) {
	u.begin()
	if len(u.parts) == 0 {
		u.shares = append(u.shares[:0], share{end: len(u.data)})
		u.parse(src.layout, items)
	}
	size := int64(0)
	for _, n := range u.parts {
		for _, rows := range src.rows {
			size += rows.parts[n].size()
		}
	}
	u.data = slices.Grow(u.data, int(size))
	for _, n := range u.parts {
		u.shares = u.shares[:0]
		for _, rows := range src.rows {
			at := len(u.data)
			if u.data, err = rows.read(u.data, &rows.parts[n]); err != nil {
				return err
			}
			if len(u.data) > at {
				u.shares = append(u.shares, share{at: at, end: len(u.data)})
			}
		}
		u.parse(src.layout, items)
	}
	u.group(src.layout)
	return nil
}

// begin forgets the rows that were parsed before.
func (u *unit) begin() {
	u.table.reset()
	u.hashes, u.rows, u.codes = u.hashes[:0], u.rows[:0], u.codes[:0]
}

// parse finds the rows of shares, in the order of their chunks.
func (u *unit) parse(layout *rowLayout, items []uint32) {
	for i := range u.shares {
		u.shares[i].enter(u.data)
	}
	for len(u.shares) > 0 {
		first := 0
		for i := range u.shares {
			if u.shares[i].chunk < u.shares[first].chunk {
				first = i
			}
		}
		s := &u.shares[first]
		u.parseChunk(s, layout, items)
		if s.at == s.end {
			u.shares = slices.Delete(u.shares, first, first+1)
			continue
		}
		s.enter(u.data)
	}
}

// enter reads the number of the chunk that begins at at, if one does.
func (s *share) enter(data []byte) {
	if s.at < s.end && data[s.at] == 0 {
		var rest []byte
		s.chunk, rest = nextChunk(data[s.at:s.end])
		s.at = s.end - len(rest)
	}
}

// parseChunk finds the rows up to the next chunk of a share.
func (u *unit) parseChunk(s *share, layout *rowLayout, items []uint32) {
	at := s.at
	for at < s.end && u.data[at] != 0 {
		key, id, rec, size := nextRow(u.data[at:])
		end := at + size
		r := unitRow{off: uint32(end - len(rec)), end: uint32(end)}
		code := u.table.code(key, id)
		if int(code) == len(u.hashes) {
			u.hashes = append(u.hashes, key)
		}
		if layout.time {
			r.time = recordTime(rec)
		}
		if items != nil {
			setRecordItem(rec, items[recordItem(rec)])
		}
		u.rows, u.codes = append(u.rows, r), append(u.codes, code)
		at = end
	}
	s.at = at
}

// group orders the rows.
func (u *unit) group(layout *rowLayout) {
	u.keys = u.keys[:0]
	for c, hash := range u.hashes {
		u.keys = append(u.keys, hashedCode{hash, uint32(c)})
	}
	u.table.sort(u.keys)
	u.rank = slices.Grow(u.rank[:0], len(u.keys))[:len(u.keys)]
	for i, k := range u.keys {
		u.rank[k.code] = uint32(i)
	}
	u.starts = slices.Grow(u.starts[:0], len(u.keys)+1)[:len(u.keys)+1]
	clear(u.starts)
	for _, code := range u.codes {
		u.starts[u.rank[code]+1]++
	}
	for i := range u.keys {
		u.starts[i+1] += u.starts[i]
	}
	u.next = append(u.next[:0], u.starts...)
	u.byKey = slices.Grow(u.byKey[:0], len(u.rows))[:len(u.rows)]
	for i, code := range u.codes {
		at := &u.next[u.rank[code]]
		u.byKey[*at] = u.rows[i]
		*at++
	}
	if !layout.time {
		return
	}
	byTime := func(a, b unitRow) int { return cmp.Compare(a.time, b.time) }
	for i := range u.keys {
		if rows := u.rowsOf(i); !slices.IsSortedFunc(rows, byTime) { // they mostly come in order
			slices.SortStableFunc(rows, byTime)
		}
	}
}

// rowsOf returns the rows of the i-th key.
func (u *unit) rowsOf(i int) []unitRow { return u.byKey[u.starts[i]:u.starts[i+1]] }

// record returns the record of a row. It aliases data.
func (u *unit) record(row unitRow) []byte { return u.data[row.off:row.end] }

// key returns the hash and the ID of the i-th key. The ID aliases the unit.
func (u *unit) key(i int) (hash uint64, id []byte) {
	k := u.keys[i]
	return k.hash, u.table.ids.at(int(k.code))
}

// unitSource divides partitions into units, which go to several goroutines.
type unitSource struct {
	rows   []*partitions // of the same ranges
	layout *rowLayout
	limits *limits
	// lastOnly says that of the rows of a key the last one counts, together that those of one key and time are looked at
	// together, for repeats.
	lastOnly, together bool

	mu      sync.Mutex
	part    int // the next one
	number  int // of the next unit
	large   *pieces
	dropped int64 // rows before the last of their keys
}

// next fills in what a unit consists of: consecutive partitions of some megabytes, so that little data makes one unit, or
// a part of a partition that is too large to be grouped in memory. It returns false at the end.
func (s *unitSource) next(ctx context.Context, u *unit) (ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	u.data, u.parts = u.data[:0], u.parts[:0]
	size := int64(0)
	for s.large == nil && s.part < partitionCount {
		bytes := int64(0)
		for _, rows := range s.rows {
			bytes += rows.parts[s.part].size()
		}
		if bytes > int64(s.limits.pieceBytes) {
			if size > 0 {
				break
			}
			if s.large, err = s.divide(ctx, s.part); err != nil {
				return false, err
			}
			s.part++
			break
		}
		if size > 0 && size+bytes > int64(s.limits.unitBytes) {
			break
		}
		if bytes > 0 {
			u.parts = append(u.parts, s.part)
			size += bytes
		}
		s.part++
	}
	if size == 0 && s.large != nil {
		if err := s.large.fill(u); err != nil {
			return false, err
		}
		if s.large.done() {
			s.large = nil
		}
		size = int64(len(u.data))
	}
	if size == 0 {
		return false, nil
	}
	u.number = s.number
	s.number++
	return true, nil
}

// turns lets goroutines that each hold a unit do something in the order of the units' numbers.
type turns struct {
	mu   sync.Mutex
	next int
	wait map[int]chan struct{}
}

// enter waits for the turn of a unit. leave ends it.
func (t *turns) enter(ctx context.Context, number int) error {
	t.mu.Lock()
	if t.next == number {
		t.mu.Unlock()
		return ctx.Err()
	}
	if t.wait == nil {
		t.wait = make(map[int]chan struct{})
	}
	ch := make(chan struct{})
	t.wait[number] = ch
	t.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	if ch, ok := t.wait[t.next]; ok {
		delete(t.wait, t.next)
		close(ch)
	}
}
