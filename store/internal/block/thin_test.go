package block

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestThin: what is left of a block are the rows that were to stay, bit for bit, and it takes no more room.
func TestThin(t *testing.T) {
	var e, thin Encoder
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 3000)).Draw(t, "rows")
		codec := rapid.SampledFrom([]Codec{Packed, None}).Draw(t, "codec")
		cols := make([]Column, rapid.IntRange(0, 4).Draw(t, "columns"))
		for i := range cols {
			cols[i] = drawColumn(t, rows)
		}
		payload, err := e.Append(nil, codec, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(payload)
		if err != nil {
			t.Fatal(err)
		}
		var runs [][2]int
		left := make([]Column, len(cols))
		for i := range left {
			left[i].Kind = cols[i].Kind
		}
		most := max(rows/rapid.IntRange(1, 20).Draw(t, "runs"), 1)
		for at := 0; at < rows; {
			from := rapid.IntRange(at, rows).Draw(t, "from")
			to := rapid.IntRange(from, min(rows, from+most)).Draw(t, "to")
			if at = max(to, at+1); from == to {
				continue
			}
			runs = append(runs, [2]int{from, to})
			for i := range left {
				left[i].AppendRange(&cols[i], from, to)
			}
		}
		kept := 0
		for _, r := range runs {
			kept += r[1] - r[0]
		}
		prefix := []byte("before")
		out, err := thin.Thin(prefix, codec, b, runs)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(out, prefix) {
			t.Fatal("Thin changed what was there")
		}
		got, err := Parse(out[len(prefix):])
		if err != nil {
			t.Fatal(err)
		}
		if got.Rows() != kept || got.NumColumns() != len(cols) {
			t.Fatalf("%d rows and %d columns, want %d and %d", got.Rows(), got.NumColumns(), kept, len(cols))
		}
		for i := range left {
			col := Column{Kind: left[i].Kind}
			err := got.Read(i, 0, kept, &col)
			if err == nil {
				err = same(&col, &left[i], 0, kept)
			}
			if err != nil {
				t.Fatalf("column %d: %v", i, err)
			}
		}
	})
}

// TestThinForgets: of the rows that go no value stays, in no dictionary and in the place of no null.
func TestThinForgets(t *testing.T) {
	const rows = 1200
	gone := func(i int) bool { return i%40 >= 30 }
	var cols []Column
	for _, k := range kinds {
		for _, nulls := range []bool{false, true} {
			for _, distinct := range []int{3, 40, rows} {
				c := Column{Kind: k}
				for i := range rows {
					v := i % distinct
					if gone(i) {
						v += 1 << 20
					}
					switch {
					case nulls && i%40 >= 30 && i%40 < 33, nulls && i%40 < 3: // so that a null follows a value that goes
						c.AppendNull()
					case k == Int:
						c.AppendInt(int64(v))
					case k == Float32:
						c.AppendFloat32(1 / float32(v+3))
					case k == Float64:
						c.AppendFloat64(1 / float64(v+3))
					default:
						c.AppendString(fmt.Appendf(nil, "value %d", v))
					}
				}
				cols = append(cols, c)
			}
		}
	}
	var runs [][2]int
	left := make([]Column, len(cols))
	for i := range left {
		left[i].Kind = cols[i].Kind
	}
	for at := 0; at < rows; at += 40 {
		runs = append(runs, [2]int{at, at + 30})
		for i := range left {
			left[i].AppendRange(&cols[i], at, at+30)
		}
	}
	for _, codec := range []Codec{Packed, None} {
		b, err := Parse(encode(t, codec, rows, cols))
		if err != nil {
			t.Fatal(err)
		}
		var e Encoder
		out, err := e.Thin(nil, codec, b, runs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(out)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.cols {
			want, err := Parse(encode(t, codec, left[i].Len(), left[i:i+1]))
			if err == nil {
				err = errors.Join(got.cols[i].open(got.rows), want.cols[0].open(want.rows))
			}
			if err != nil {
				t.Fatal(err)
			}
			g, w := &got.cols[i], &want.cols[0]
			if g.enc != w.enc { // another one would say nothing about what this one keeps
				t.Fatalf("column %d has encoding %d, and its rows alone %d", i, g.enc, w.enc)
			}
			if len(g.f32) != len(w.f32) || len(g.f64) != len(w.f64) || len(g.ends) != len(w.ends) || g.raw != w.raw {
				t.Errorf("column %d: dictionary of %d, %d, %d values and %d bytes, want %d, %d, %d and %d", i,
					len(g.f32), len(g.f64), len(g.ends), g.raw, len(w.f32), len(w.f64), len(w.ends), w.raw)
			}
			if len(g.section) != len(w.section) {
				t.Errorf("column %d takes %d bytes, and its rows alone %d", i, len(g.section), len(w.section))
			}
		}
	}
}

func TestThinRefuses(t *testing.T) {
	b, err := Parse(encode(t, Packed, 100, interactions(100)))
	if err != nil {
		t.Fatal(err)
	}
	for _, runs := range [][][2]int{{{-1, 3}}, {{3, 2}}, {{0, 101}}, {{0, 10}, {9, 12}}} {
		var e Encoder
		if out, err := e.Thin([]byte("x"), Packed, b, runs); err == nil || string(out) != "x" {
			t.Errorf("runs %v: %d bytes, %v", runs, len(out), err)
		}
	}
}
