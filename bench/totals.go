package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/zeebo/xxh3"
)

// Totals are what a set of interactions adds up to, in any order: two sets of rows that differ have different
// totals, except by a chance of about 2^-64. All sums are modulo 2^64.
type Totals struct {
	Rows int64 `json:"rows"`
	// UserBytes, ItemBytes and EventBytes are the sums of the values of all bytes of the column.
	UserBytes  uint64 `json:"userBytes"`
	ItemBytes  uint64 `json:"itemBytes"`
	EventBytes uint64 `json:"eventBytes"`
	// Hundredths is the sum of EVENT_VALUE, in hundredths, so that it is exact.
	Hundredths uint64 `json:"hundredths"`
	Timestamps uint64 `json:"timestamps"`
	// Digest is the sum of a hash of each row, which the other sums are not: they don't see values that are
	// swapped between rows.
	Digest uint64 `json:"digest"`
}

// Plus returns the totals of both sets of rows together.
func (t Totals) Plus(u Totals) Totals {
	return Totals{
		Rows: t.Rows + u.Rows, UserBytes: t.UserBytes + u.UserBytes, ItemBytes: t.ItemBytes + u.ItemBytes,
		EventBytes: t.EventBytes + u.EventBytes, Hundredths: t.Hundredths + u.Hundredths,
		Timestamps: t.Timestamps + u.Timestamps, Digest: t.Digest + u.Digest,
	}
}

// Minus returns the totals of the rows of t without those of u, which must be a part of them.
func (t Totals) Minus(u Totals) Totals {
	return Totals{
		Rows: t.Rows - u.Rows, UserBytes: t.UserBytes - u.UserBytes, ItemBytes: t.ItemBytes - u.ItemBytes,
		EventBytes: t.EventBytes - u.EventBytes, Hundredths: t.Hundredths - u.Hundredths,
		Timestamps: t.Timestamps - u.Timestamps, Digest: t.Digest - u.Digest,
	}
}

// check returns an error that names the sums that are not the wanted ones.
func (t Totals) check(want Totals) error {
	if t == want {
		return nil
	}
	var wrong []string
	for _, f := range []struct {
		name      string
		got, want uint64
	}{
		{"rows", uint64(t.Rows), uint64(want.Rows)},
		{ColumnUser, t.UserBytes, want.UserBytes},
		{ColumnItem, t.ItemBytes, want.ItemBytes},
		{ColumnEvent, t.EventBytes, want.EventBytes},
		{ColumnValue, t.Hundredths, want.Hundredths},
		{ColumnTimestamp, t.Timestamps, want.Timestamps},
		{"digest", t.Digest, want.Digest},
	} {
		if f.got != f.want {
			wrong = append(wrong, f.name)
		}
	}
	return fmt.Errorf("%w: %d rows where %d must be left; different are %v", ErrWrongResult, t.Rows, want.Rows, wrong)
}

// totalsOf returns the totals of one row.
func totalsOf(r *row) Totals {
	return Totals{
		Rows: 1, UserBytes: SumBytes(r.id), ItemBytes: SumBytes(r.item), EventBytes: SumBytes(r.event),
		Hundredths: uint64(r.hundredths), Timestamps: uint64(r.at), Digest: r.hash(),
	}
}

// hash returns a hash of all columns.
func (r *row) hash() uint64 {
	var space [maxRowBytes]byte
	b := append(append(space[:0], r.id...), 0)
	b = append(append(b, r.item...), 0)
	b = append(append(b, r.event...), 0)
	b = binary.LittleEndian.AppendUint32(b, r.hundredths)
	return xxh3.Hash(binary.LittleEndian.AppendUint64(b, uint64(r.at)))
}

// The columns of the Interactions dataset.
const (
	ColumnUser      = "USER_ID"
	ColumnItem      = "ITEM_ID"
	ColumnEvent     = "EVENT_TYPE"
	ColumnValue     = "EVENT_VALUE"
	ColumnTimestamp = "TIMESTAMP"
)

// recordColumns are those of a record of interactions.
type recordColumns struct {
	user, item, event *array.String
	value             *array.Float32
	at                *array.Int64
}

func columnsOf(rec arrow.Record) (c recordColumns, err error) {
	for i := range rec.Schema().NumFields() {
		f := rec.Schema().Field(i)
		var ok bool
		col := rec.Column(i)
		switch f.Name {
		case ColumnUser:
			c.user, ok = col.(*array.String)
		case ColumnItem:
			c.item, ok = col.(*array.String)
		case ColumnEvent:
			c.event, ok = col.(*array.String)
		case ColumnValue:
			c.value, ok = col.(*array.Float32)
		case ColumnTimestamp:
			c.at, ok = col.(*array.Int64)
		}
		if !ok || col.NullN() > 0 {
			return c, fmt.Errorf("%w: column %s is of type %s with %d nulls", ErrWrongResult, f.Name, col.DataType(), col.NullN())
		}
	}
	if c.user == nil || c.item == nil || c.event == nil || c.value == nil || c.at == nil {
		return c, fmt.Errorf("%w: a record has %d columns, not the five of the dataset", ErrWrongResult, rec.NumCols())
	}
	return c, nil
}

// Add adds the rows of a record of the Interactions dataset. It touches every byte of every value, and leaves
// Digest as it is: what is timed is reading, and hashing a row costs more than that.
func (t *Totals) Add(rec arrow.Record) error {
	c, err := columnsOf(rec)
	if err != nil {
		return err
	}
	t.Rows += rec.NumRows()
	t.UserBytes += SumBytes(c.user.ValueBytes())
	t.ItemBytes += SumBytes(c.item.ValueBytes())
	t.EventBytes += SumBytes(c.event.ValueBytes())
	for _, v := range c.value.Float32Values() {
		t.Hundredths += uint64(hundredthsOf(v))
	}
	for _, v := range c.at.Int64Values() {
		t.Timestamps += uint64(v)
	}
	return nil
}

// AddDigest is Add with Digest.
func (t *Totals) AddDigest(rec arrow.Record) error {
	if err := t.Add(rec); err != nil {
		return err
	}
	c, err := columnsOf(rec)
	if err != nil {
		return err
	}
	user, item, event := c.user.ValueBytes(), c.item.ValueBytes(), c.event.ValueBytes()
	part := func(b []byte, s *array.String, i int) []byte {
		first := s.ValueOffset(0)
		return b[s.ValueOffset(i)-first : s.ValueOffset(i+1)-first]
	}
	for i := range int(rec.NumRows()) {
		r := row{
			id: part(user, c.user, i), item: part(item, c.item, i), event: part(event, c.event, i),
			hundredths: uint32(hundredthsOf(c.value.Value(i))), at: c.at.Value(i),
		}
		t.Digest += r.hash()
	}
	return nil
}

// hundredthsOf is exact for the values that the generator writes.
func hundredthsOf(v float32) int64 { return int64(float64(v)*100 + 0.5) }

// SumBytes returns the sum of the values of all bytes: that is how a scan's strings are summed. It takes 32 at a time; in each
// step each lane of 16 bits takes eight bytes, so 32 steps can't overflow one.
func SumBytes(b []byte) (sum uint64) {
	const lanes = 0x00ff00ff00ff00ff
	for len(b) >= 32 {
		part := b[:min(len(b)/32, 32)*32]
		b = b[len(part):]
		var acc uint64
		for ; len(part) >= 32; part = part[32:] {
			w := binary.LittleEndian.Uint64(part)
			x := binary.LittleEndian.Uint64(part[8:])
			y := binary.LittleEndian.Uint64(part[16:])
			z := binary.LittleEndian.Uint64(part[24:])
			acc += (w&lanes + w>>8&lanes) + (x&lanes + x>>8&lanes) + (y&lanes + y>>8&lanes) + (z&lanes + z>>8&lanes)
		}
		sum += acc&0xffff + acc>>16&0xffff + acc>>32&0xffff + acc>>48
	}
	for _, x := range b {
		sum += uint64(x)
	}
	return sum
}
