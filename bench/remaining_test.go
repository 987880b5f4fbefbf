package bench

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"pgregory.net/rapid"
)

// recordOf makes the record that a scan would yield of some interactions.
func recordOf(rows []interaction) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: ColumnUser, Type: arrow.BinaryTypes.String}, {Name: ColumnItem, Type: arrow.BinaryTypes.String},
		{Name: ColumnEvent, Type: arrow.BinaryTypes.String}, {Name: ColumnValue, Type: arrow.PrimitiveTypes.Float32},
		{Name: ColumnTimestamp, Type: arrow.PrimitiveTypes.Int64},
	}, nil))
	defer b.Release()
	for _, r := range rows {
		b.Field(0).(*array.StringBuilder).Append(r.user)
		b.Field(1).(*array.StringBuilder).Append(r.item)
		b.Field(2).(*array.StringBuilder).Append(r.event)
		b.Field(3).(*array.Float32Builder).Append(float32(r.value))
		b.Field(4).(*array.Int64Builder).Append(r.at)
	}
	return b.NewRecord()
}

func totalsOfRows(t *testing.T, rows []interaction) (sum Totals) {
	t.Helper()
	rec := recordOf(rows)
	defer rec.Release()
	if err := sum.AddDigest(rec); err != nil {
		t.Fatal(err)
	}
	return sum
}

// What Remaining says is what filtering the file by the lists leaves, in any order.
func TestRemaining(t *testing.T) {
	for _, shape := range []Shape{Ratings, Shop} {
		c := Config{Users: 300, Interactions: 5_000, Shape: shape}
		rows := interactions(t, c)
		lists := []int{0, 1, 30, 300}
		got, err := c.Remaining(t.Context(), lists...)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range lists {
			listed := map[string]bool{}
			ids, err := c.DeletionList(n)
			if err != nil {
				t.Fatal(err)
			}
			for id := range ids {
				listed[id] = true
			}
			var left []interaction
			for _, r := range rows {
				if !listed[r.user] {
					left = append(left, r)
				}
			}
			slices.Reverse(left)
			if want := totalsOfRows(t, left); got[i] != want {
				t.Errorf("after %d users: %+v, want %+v", n, got[i], want)
			}
		}
	}
	if _, err := (Config{Users: 10}).Remaining(t.Context(), 11); err == nil {
		t.Error("a list of more users than there are")
	}
}

func TestTotalsSeeEveryChange(t *testing.T) {
	rows := interactions(t, Config{Users: 20, Interactions: 100})
	want := totalsOfRows(t, rows)
	for name, change := range map[string]func(rows []interaction) []interaction{
		"a row less":   func(rows []interaction) []interaction { return rows[1:] },
		"a row twice":  func(rows []interaction) []interaction { return append(rows, rows[0]) },
		"another user": func(rows []interaction) []interaction { rows[0].user = "x" + rows[0].user[1:]; return rows },
		"values swapped": func(rows []interaction) []interaction {
			for i := range rows {
				if rows[i].value != rows[0].value {
					rows[i].value, rows[0].value = rows[0].value, rows[i].value
					return rows
				}
			}
			return nil
		},
		"a bit of a value": func(rows []interaction) []interaction { rows[7].value += 0.01; return rows },
		"not a number":     func(rows []interaction) []interaction { rows[7].value = math.NaN(); return rows },
		"a second later":   func(rows []interaction) []interaction { rows[9].at++; return rows },
	} {
		changed := change(append([]interaction(nil), rows...))
		if err := totalsOfRows(t, changed).check(want); err == nil {
			t.Errorf("%s is not seen", name)
		}
	}
	if err := totalsOfRows(t, rows).check(want); err != nil {
		t.Error(err)
	}
}

func TestTotalsRefuseOtherRecords(t *testing.T) {
	rec := recordOf(nil)
	defer rec.Release()
	fields, cols := rec.Schema().Fields(), rec.Columns()
	var sum Totals
	missing := array.NewRecord(arrow.NewSchema(fields[:4], nil), cols[:4], 0)
	defer missing.Release()
	if err := sum.Add(missing); err == nil {
		t.Error("a record without TIMESTAMP")
	}
	fields = append([]arrow.Field{}, fields...)
	fields[0].Name, fields[4].Name = ColumnTimestamp, ColumnUser
	swapped := array.NewRecord(arrow.NewSchema(fields, nil), []arrow.Array{cols[0], cols[1], cols[2], cols[3], cols[4]}, 0)
	defer swapped.Release()
	if err := sum.Add(swapped); err == nil {
		t.Error("a record with other types")
	}
}

func TestSumBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		var want uint64
		for _, x := range b {
			want += uint64(x)
		}
		if got := SumBytes(b); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
	// No lane overflows, whatever the length.
	full := bytes.Repeat([]byte{0xff}, 5000)
	for n := range full {
		if got := SumBytes(full[:n]); got != 255*uint64(n) {
			t.Fatalf("%d bytes of 255: %d", n, got)
		}
	}
}

func TestPlusMinus(t *testing.T) {
	rows := interactions(t, Config{Users: 20, Interactions: 100})
	a, b := totalsOfRows(t, rows[:30]), totalsOfRows(t, rows[30:])
	all := totalsOfRows(t, rows)
	if a.Plus(b) != all || all.Minus(b) != a {
		t.Error("the totals of parts don't add up")
	}
}

func BenchmarkTotals(b *testing.B) {
	rows := make([]interaction, 4096)
	for i := range rows {
		rows[i] = interaction{user: "278haj393eftj7uv", item: "i0012345", event: "view", value: float64(i) / 100, at: Start + int64(i)}
	}
	rec := recordOf(rows)
	defer rec.Release()
	for name, add := range map[string]func(*Totals, arrow.Record) error{"sums": (*Totals).Add, "digest": (*Totals).AddDigest} {
		b.Run(name, func(b *testing.B) {
			var sum Totals
			for b.Loop() {
				if err := add(&sum, rec); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(sum.Rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
