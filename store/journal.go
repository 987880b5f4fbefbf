package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
)

// Rows that come one by one are durable once they are in the journal, which costs one commit, and visible once
// [Store.Fold] has made a layer of them. The journal is a list of entries for each dataset, under (dataset, number): what
// one call put. An entry is
//
//	session      length and bytes; empty but for interactions that came with one
//	columns      how many the records have: the first ones in stored order
//	rows         key, ITEM_ID of an interaction, record: each a length and bytes
//
// The numbers go up while there are entries. No key says anything of a row.

// Put is rows that one call puts into a dataset. It is made once by [NewPut] and stored by [Tx.Put].
type Put struct {
	group   string
	dataset Dataset
	session []byte
	cols    int
	rows    []putRow
	forget  bool // no rows: nobody may become known as the session's
}

// putRow is a row in the journal. Its slices alias what it was read from.
type putRow struct {
	key  []byte // empty: the session's, whoever that is
	item []byte // of an interaction
	rec  []byte // with the code 0 for the item
}

// NewPut prepares the rows of a record, as [Import.Append] takes it. An interaction can belong to a session; anonymous says
// that nobody is known whose it is, and that the USER_ID of the record stands for nothing. Nothing of rec is kept.
func NewPut(d Dataset, rec arrow.Record, session []byte, anonymous bool) (*Put, error) {
	if len(session) > maxIDBytes {
		return nil, fmt.Errorf("the session has an ID of %d bytes: it must have at most %d", len(session), maxIDBytes)
	}
	l, err := d.layout()
	if err != nil {
		return nil, err
	}
	if !l.time && len(session) > 0 || anonymous && len(session) == 0 {
		return nil, fmt.Errorf("rows of %s: interactions alone can have a session, and anonymous ones need it", d.Type)
	}
	b, err := newBatch(l, rec)
	if err != nil {
		return nil, err
	}
	p := &Put{group: d.Group, dataset: d, session: bytes.Clone(session), cols: len(l.cols)}
	for i := range int(rec.NumRows()) {
		var row putRow
		if !anonymous {
			row.key = bytes.Clone(b.key.at(i))
			if err := checkID(i, l.fields[l.key].Name, row.key); err != nil {
				return nil, err
			}
		}
		if l.items {
			row.item = bytes.Clone(b.item.at(i))
			if err := checkID(i, ColumnItemID, row.item); err != nil {
				return nil, err
			}
		}
		row.rec = b.appendRow(nil, i, 0)
		p.rows = append(p.rows, row)
	}
	return p, nil
}

func checkID(i int, column string, id []byte) error {
	if len(id) == 0 || len(id) > maxIDBytes {
		return fmt.Errorf("row %d of the record: column %s holds an ID of %d bytes: it must have 1 to %d", i+1, column, len(id), maxIDBytes)
	}
	return nil
}

func (p *Put) encode() []byte {
	b := appendBytes(nil, p.session)
	b = binary.AppendUvarint(b, uint64(p.cols))
	for _, r := range p.rows {
		b = appendBytes(b, r.key)
		if p.dataset.Type == Interactions {
			b = appendBytes(b, r.item)
		}
		b = appendBytes(b, r.rec)
	}
	return b
}

// decodePut reads an entry of a dataset's journal, which it aliases.
func decodePut(t DatasetType, b []byte) (p Put, ok bool) {
	r := byteReader{b: b}
	p.session, p.cols = r.bytes(), int(r.uvarint())
	for len(r.b) > 0 && !r.bad {
		row := putRow{key: r.bytes()}
		if t == Interactions {
			row.item = r.bytes()
		}
		row.rec = r.bytes()
		p.rows = append(p.rows, row)
	}
	p.forget = len(p.rows) == 0
	return p, !r.bad
}

// fits reports whether what was read is an entry of a dataset with the layout.
func (p *Put) fits(l *rowLayout) bool {
	ids := func(id []byte, needed bool) bool { return len(id) <= maxIDBytes && (len(id) > 0 || !needed) }
	anonymous := l.time && len(p.session) > 0
	for _, r := range p.rows {
		if !ids(r.key, !anonymous) || !ids(r.item, l.items) || !l.isRecord(r.rec, p.cols) {
			return false
		}
	}
	return ids(p.session, false) && (l.time || len(p.session) == 0)
}

func appendBytes(dst, v []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

// byteReader reads what appendBytes and binary.AppendUvarint wrote. bad is set once that fails.
type byteReader struct {
	b   []byte
	bad bool
}

func (r *byteReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *byteReader) bytes() []byte { return r.take(r.uvarint()) }

func (r *byteReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func journalKey(dataset uint32, number uint64) []byte {
	return binary.BigEndian.AppendUint64(appendUint32s(make([]byte, 0, 12), dataset), number)
}

// Put appends to the journal, and returns how many rows it left out because their user is suppressed. Errors:
// [ErrNotFound] if the dataset isn't there any more; then nothing was changed.
func (tx *Tx) Put(p *Put) (leftOut int, err error) {
	v, err := tx.datasetView(p.group, p.dataset.Type)
	if err == nil && v.ID != p.dataset.ID {
		err = fmt.Errorf("dataset %s of group %s: %w", p.dataset.Type, p.group, ErrNotFound)
	}
	if err != nil {
		return 0, err
	}
	if v.layout.dict == dictUsers {
		if p, leftOut, err = tx.leaveOut(p); err != nil || len(p.rows) == 0 && !p.forget {
			return leftOut, err
		}
	}
	b := tx.b.Bucket(bucketJournal)
	b.FillPercent = 0.9 // the next entry comes after this one
	return leftOut, putSealed(b, journalKey(p.dataset.ID, tx.lastPut(p.dataset.ID)+1), p.encode())
}

// lastPut returns the number of the last entry of a dataset's journal, or 0 if there is none.
func (tx *Tx) lastPut(dataset uint32) uint64 {
	prefix := appendUint32s(nil, dataset)
	c := tx.b.Bucket(bucketJournal).Cursor()
	k, _ := c.Seek(prefixEnd(prefix))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	if bytes.HasPrefix(k, prefix) && len(k) == 12 {
		return uint64At(k[4:])
	}
	return 0
}

// LastPut returns the number of the last entry of a dataset's journal, or 0 if there is none: what is put later has greater
// ones until a fold has taken all. Errors: [ErrNotFound].
func (s *Store) LastPut(ctx context.Context, group string, t DatasetType) (number uint64, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		d, err := tx.Dataset(group, t)
		if err == nil {
			number = tx.lastPut(d.ID)
		}
		return err
	})
	return number, err
}

// leaveOut returns p without the rows of suppressed users. If they came with a session, its anonymous rows are theirs too:
// what is left of p makes the fold forget these.
func (tx *Tx) leaveOut(p *Put) (_ *Put, leftOut int, err error) {
	g, err := tx.Group(p.group)
	if err != nil || !g.Suppress {
		return p, 0, err
	}
	kept := *p
	kept.rows = nil
	for _, r := range p.rows {
		out := false
		if len(r.key) > 0 {
			if out, err = (suppressed{tx, g}).has(r.key); err != nil {
				return nil, 0, err
			}
		}
		if out {
			leftOut++
		} else {
			kept.rows = append(kept.rows, r)
		}
	}
	kept.forget = leftOut > 0 && len(kept.rows) == 0 && len(p.session) > 0
	return &kept, leftOut, nil
}

// Journaled returns the groups that have rows in the journal.
func (s *Store) Journaled(ctx context.Context) (groups []string, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		c := tx.b.Bucket(bucketJournal).Cursor()
		if k, _ := c.First(); k == nil {
			return nil
		}
		all, err := tx.Groups()
		if err != nil {
			return err
		}
		for _, g := range all {
			datasets, err := tx.Datasets(g.Name)
			if err != nil {
				return err
			}
			for _, d := range datasets {
				prefix := appendUint32s(nil, d.ID)
				if k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix) {
					groups = append(groups, g.Name)
					break
				}
			}
		}
		return nil
	})
	return groups, err
}

// journal reads the first entries of a dataset's journal, as many as one fold takes or until fn says that it is full, and
// says whether there are more. They alias the transaction's memory.
func (tx *Tx) journal(d Dataset, fn func(Put) (full bool, err error)) (last uint64, more bool, err error) {
	prefix := appendUint32s(nil, d.ID)
	c := tx.b.Bucket(bucketJournal).Cursor()
	size, n, full := 0, 0, false
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if full || n == tx.s.limits.foldEntries || n > 0 && size+len(v) > tx.s.limits.foldBytes {
			return last, true, nil
		}
		p, err := readPut(d.Type, k, v)
		if err != nil {
			return last, false, err
		}
		if full, err = fn(p); err != nil {
			return last, false, err
		}
		last = uint64At(k[4:])
		n++
		size += len(v)
	}
	return last, false, nil
}

func readPut(t DatasetType, k, v []byte) (Put, error) {
	what := "an entry of the journal"
	if len(k) >= 4 {
		what = fmt.Sprintf("an entry of the journal of dataset %d", uint32At(k, 0))
	}
	b, err := unseal(what, k, v)
	if err != nil {
		return Put{}, err
	}
	p, ok := decodePut(t, b)
	if !ok || len(k) != 12 {
		return Put{}, &CorruptError{What: what, Problem: "can't be read"}
	}
	return p, nil
}

// dropJournal removes the entries of a dataset up to a number.
func (tx *Tx) dropJournal(dataset uint32, last uint64) error {
	prefix := appendUint32s(nil, dataset)
	b := tx.b.Bucket(bucketJournal)
	c := b.Cursor()
	var keys [][]byte
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix) && len(k) == 12 && uint64At(k[4:]) <= last; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
