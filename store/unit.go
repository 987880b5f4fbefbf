package store

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// unit is the rows of a range of keys, in memory, to be made blocks of. Its memory is used again for the next one.
type unit struct {
	data  []byte // rows as partitions hold them
	table idTable
	rows  []unitRow

	keys   []uint32 // codes of the table in the order of (hash, ID)
	starts []uint32 // where the rows of each begin in byKey, and where the last end
	byKey  []uint32 // rows in the order of keys, of one key by time and then in the order in which they came

	ordinals []uint32 // of the keys, in their order
	known    []bool   // keys that were found in the dictionary
	streams  []stream // of the keys
	fresh    newIDs   // those that it gets
	first    uint32   // the ordinal of the first of these
	stored   int64    // rows in blocks
	blocks   [streamAside][]*encodedBlock

	number int
	parts  []*partition // to be read into data, unless it came with its rows
}

// unitRow is a row of a unit.
type unitRow struct {
	time     int64
	off, end uint32 // of its record in data
	key      uint32 // code in the table
}

// load reads the rows and groups them. items, unless it is nil, are the ordinals of the items' codes.
func (u *unit) load(src *unitSource, items []uint32) (err error) {
	for _, part := range u.parts {
		if u.data, err = src.rows.read(u.data, part); err != nil {
			return err
		}
	}
	u.parse(src.layout, items)
	u.group(src.layout)
	return nil
}

// parse finds the rows in data.
func (u *unit) parse(layout *rowLayout, items []uint32) {
	u.table.reset()
	u.rows = u.rows[:0]
	for at := 0; at < len(u.data); {
		key, id, rec, size := nextRow(u.data[at:])
		end := at + size
		r := unitRow{off: uint32(end - len(rec)), end: uint32(end), key: u.table.code(key, id)}
		if layout.time {
			r.time = recordTime(rec)
		}
		if items != nil {
			setRecordItem(rec, items[recordItem(rec)])
		}
		u.rows = append(u.rows, r)
		at = end
	}
}

// group orders the rows.
func (u *unit) group(layout *rowLayout) {
	u.keys = u.table.sorted(u.keys[:0])
	rank := make([]uint32, len(u.keys))
	for i, c := range u.keys {
		rank[c] = uint32(i)
	}
	u.starts = append(u.starts[:0], make([]uint32, len(u.keys)+1)...)
	for i := range u.rows {
		u.starts[rank[u.rows[i].key]+1]++
	}
	for i := range u.keys {
		u.starts[i+1] += u.starts[i]
	}
	next := slices.Clone(u.starts)
	u.byKey = slices.Grow(u.byKey[:0], len(u.rows))[:len(u.rows)]
	for n := range u.rows {
		at := &next[rank[u.rows[n].key]]
		u.byKey[*at] = uint32(n)
		*at++
	}
	if !layout.time {
		return
	}
	byTime := func(a, b uint32) int { return cmp.Compare(u.rows[a].time, u.rows[b].time) }
	for i := range u.keys {
		if rows := u.rowsOf(i); !slices.IsSortedFunc(rows, byTime) { // they mostly come in order
			slices.SortStableFunc(rows, byTime)
		}
	}
}

// rowsOf returns the rows of the i-th key.
func (u *unit) rowsOf(i int) []uint32 { return u.byKey[u.starts[i]:u.starts[i+1]] }

// record returns the record of a row. It aliases data.
func (u *unit) record(row uint32) []byte { return u.data[u.rows[row].off:u.rows[row].end] }

// key returns the hash and the ID of the i-th key. The ID aliases the unit.
func (u *unit) key(i int) (hash uint64, id []byte) {
	c := u.keys[i]
	return u.table.hashes[c], u.table.ids.at(int(c))
}

// unitSource divides partitions into units, which go to several goroutines.
type unitSource struct {
	rows   *partitions
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
		part := &s.rows.parts[s.part]
		if part.bytes > int64(s.limits.pieceBytes) {
			if size > 0 {
				break
			}
			if s.large, err = s.divide(ctx, part); err != nil {
				return false, err
			}
			s.part++
			break
		}
		if size > 0 && size+part.bytes > int64(s.limits.unitBytes) {
			break
		}
		if part.bytes > 0 {
			u.parts = append(u.parts, part)
			size += part.bytes
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
