package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// encode encodes with a new encoder, so that blocks in tests don't depend on
// what was encoded before.
func encode(t testing.TB, codec Codec, rows int, cols []Column) []byte {
	t.Helper()
	payload, err := new(Encoder).Append(nil, codec, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// same reports the first difference between rows [from,to) of want and all of got, bit for bit.
func same(got, want *Column, from, to int) error {
	if got.Kind != want.Kind || got.Len() != to-from {
		return fmt.Errorf("%d values of kind %v, want %d of kind %v", got.Len(), got.Kind, to-from, want.Kind)
	}
	nulls := false
	for i := from; i < to; i++ {
		j, equal := i-from, false
		switch want.Kind {
		case Int:
			equal = got.Int[j] == want.Int[i]
		case Float32:
			equal = math.Float32bits(got.F32[j]) == math.Float32bits(want.F32[i])
		case Float64:
			equal = math.Float64bits(got.F64[j]) == math.Float64bits(want.F64[i])
		case String:
			equal = bytes.Equal(got.Value(j), want.Value(i))
		}
		if !equal || got.IsNull(j) != want.IsNull(i) {
			return fmt.Errorf("row %d differs", i)
		}
		nulls = nulls || want.IsNull(i)
	}
	if nulls && len(got.Valid) != bitmapWords(to-from) {
		return fmt.Errorf("validity bitmap has %d words", len(got.Valid))
	}
	if !nulls && len(got.Valid) != 0 {
		return errors.New("has a validity bitmap without nulls")
	}
	return nil
}

var kinds = []Kind{Int, Float32, Float64, String}

// drawColumn draws a column in one of the shapes that encodings are made for, or in none.
func drawColumn(t *rapid.T, rows int) Column {
	c := Column{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	nullEvery := rapid.SampledFrom([]int{0, 0, 1, 2, 100}).Draw(t, "null every")
	shape := rapid.IntRange(0, 5).Draw(t, "shape")
	seed := rapid.Uint64().Draw(t, "seed")
	span := rapid.IntRange(0, 63).Draw(t, "span")
	next := func() uint64 { // splitmix64: drawing each value would be slow
		seed += 0x9E3779B97F4A7C15
		z := (seed ^ seed>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		return z ^ z>>31
	}
	at := int64(next())
	few := next()%40 + 1
	for range rows {
		if nullEvery > 0 && next()%uint64(nullEvery) == 0 {
			c.AppendNull()
			continue
		}
		v := next()
		switch shape {
		case 0: // constant
			v = few
		case 1: // few distinct
			v = v % few * 0x123456789ABCDEF
		case 2: // ascending with jumps
			if v%50 == 0 {
				at = int64(next())
			}
			at += int64(v >> 32 & (1<<(span/2) - 1))
			v = uint64(at)
		case 3: // narrow
			v &= 1<<span - 1
		case 4: // small numbers
			v %= 10000
		}
		switch c.Kind {
		case Int:
			c.AppendInt(int64(v))
		case Float32:
			if shape == 4 {
				c.AppendFloat32(float32(float64(v) / 100))
			} else {
				c.AppendFloat32(math.Float32frombits(uint32(v ^ v>>32)))
			}
		case Float64:
			if shape == 4 {
				c.AppendFloat64(float64(v) / 1000)
			} else {
				c.AppendFloat64(math.Float64frombits(v))
			}
		case String:
			c.AppendString(fmt.Appendf(nil, "%x", v)[:min(int(next()%20), 1+len(fmt.Sprintf("%x", v))/2)])
		}
	}
	return c
}

func TestRoundTrip(t *testing.T) {
	var e Encoder
	var b Block // for one block after the other
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 3000)).Draw(t, "rows")
		codec := rapid.SampledFrom([]Codec{Packed, None}).Draw(t, "codec")
		cols := make([]Column, rapid.IntRange(0, 4).Draw(t, "columns"))
		for i := range cols {
			cols[i] = drawColumn(t, rows)
		}
		prefix := []byte("before")
		payload, err := e.Append(prefix, codec, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(payload, prefix) {
			t.Fatal("Append changed what was there")
		}
		if err := b.Reset(payload[len(prefix):]); err != nil {
			t.Fatal(err)
		}
		if b.Rows() != rows || b.NumColumns() != len(cols) {
			t.Fatalf("%d rows and %d columns, want %d and %d", b.Rows(), b.NumColumns(), rows, len(cols))
		}
		for i := range cols {
			if b.Kind(i) != cols[i].Kind {
				t.Fatalf("column %d has kind %v", i, b.Kind(i))
			}
			// Ranges first, so that both ways of reading a heap are taken.
			gathered, want := Column{Kind: b.Kind(i)}, Column{Kind: b.Kind(i)}
			for range 5 {
				from := rapid.IntRange(0, rows).Draw(t, "from")
				to := rapid.IntRange(from, rows).Draw(t, "to")
				part := Column{Kind: b.Kind(i)}
				if err := errors.Join(b.Read(i, from, to, &part), b.Read(i, from, to, &gathered)); err != nil {
					t.Fatal(err)
				}
				if err := same(&part, &cols[i], from, to); err != nil {
					t.Fatalf("column %d, rows [%d,%d): %v", i, from, to, err)
				}
				want.AppendRange(&cols[i], from, to)
			}
			if err := same(&gathered, &want, 0, want.Len()); err != nil {
				t.Fatalf("column %d, gathered: %v", i, err)
			}
			whole, again := Column{Kind: b.Kind(i)}, Column{Kind: b.Kind(i)}
			if err := b.Read(i, 0, rows, &whole); err != nil {
				t.Fatal(err)
			}
			if err := same(&whole, &cols[i], 0, rows); err != nil {
				t.Fatalf("column %d: %v", i, err)
			}
			fresh, err := Parse(payload[len(prefix):])
			if err == nil {
				err = fresh.Read(i, 0, rows, &again)
			}
			if err == nil {
				err = same(&again, &cols[i], 0, rows)
			}
			if err != nil {
				t.Fatalf("column %d, read whole at once: %v", i, err)
			}
		}
	})
}

func TestExtremeValues(t *testing.T) {
	f32 := []float32{0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
		float32(math.Inf(1)), float32(math.Inf(-1)), math.Float32frombits(0x7FC00001), math.Float32frombits(0x7F800001),
		math.Float32frombits(0xFFFFFFFF), 19.99, 0.1, 0.0001, 16777217}
	f64 := []float64{0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64,
		math.Inf(1), math.Inf(-1), math.Float64frombits(0x7FF8000000000001), math.Float64frombits(0x7FF0000000000001),
		math.Float64frombits(math.MaxUint64), 19.99, 0.1, 0.0001, 1<<53 + 2, 1 << 53, -(1 << 53), 9007199254740991.0 / 100}
	ints := []int64{0, -1, 1, math.MinInt64, math.MaxInt64, math.MinInt64 + 1, 1 << 56, 1 << 57, 1<<57 - 1, 1 << 58, -1 << 62}
	// Each value is tried by itself, beside each other one, and in long runs,
	// since what stands beside it decides how it is stored.
	check := func(t *testing.T, c Column) {
		t.Helper()
		for _, codec := range []Codec{Packed, None} {
			b, err := Parse(encode(t, codec, c.Len(), []Column{c}))
			if err != nil {
				t.Fatal(err)
			}
			got := Column{Kind: c.Kind}
			if err := b.Read(0, 0, c.Len(), &got); err != nil {
				t.Fatal(err)
			}
			if err := same(&got, &c, 0, c.Len()); err != nil {
				t.Fatalf("codec %d: %v: %v %v %v", codec, err, c.Int, c.F32, c.F64)
			}
		}
	}
	run := func(n int, add func(i int)) {
		for i := range n {
			add(i)
		}
	}
	for _, n := range []int{1, 2, 20, 300} {
		for i := range ints {
			for j := range ints {
				c := Column{Kind: Int}
				run(n, func(k int) { c.AppendInt([2]int64{ints[i], ints[j]}[k%7/6]) })
				check(t, c)
			}
		}
		for i := range f32 {
			for j := range f32 {
				c := Column{Kind: Float32}
				run(n, func(k int) { c.AppendFloat32([2]float32{f32[i], f32[j]}[k%7/6]) })
				check(t, c)
			}
		}
		for i := range f64 {
			for j := range f64 {
				c := Column{Kind: Float64}
				run(n, func(k int) { c.AppendFloat64([2]float64{f64[i], f64[j]}[k%7/6]) })
				check(t, c)
			}
		}
	}
}

// sampleColumns has a column for each encoding, some with nulls.
func sampleColumns(rows int) []Column {
	c := interactions(rows)
	nullable := []Column{{Kind: Int}, {Kind: String}, {Kind: Float32}}
	plain := Column{Kind: Float64}
	few := Column{Kind: Float64}
	cents := Column{Kind: Float64}
	unlike := Column{Kind: String} // no value twice, and too irregular to compress
	x := uint64(7)
	for i := range rows {
		x = x*6364136223846793005 + 1442695040888963407
		few.AppendFloat64(1 / float64(3+i%3))
		plain.AppendFloat64(math.Float64frombits(x))
		cents.AppendFloat64(float64(x>>54) / 100)
		unlike.AppendString(binary.BigEndian.AppendUint64(nil, x))
		if i%3 == 0 {
			for j := range nullable {
				nullable[j].AppendNull()
			}
			continue
		}
		nullable[0].AppendInt(1_700_000_000 + int64(i))
		nullable[1].AppendString([]byte{'a' + byte(i%4)})
		nullable[2].AppendFloat32(float32(i % 5))
	}
	return append(append(c, nullable...), plain, few, cents, unlike)
}

func TestEncodings(t *testing.T) {
	const rows = 1000
	want := []encoding{encInts, encInts, encDict, encDecimal, encHeap, encInts, encDict, encDecimal, encPlain, encDict, encDecimal, encHeap}
	b, err := Parse(encode(t, Packed, rows, sampleColumns(rows)))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range b.cols {
		if c.enc != want[i] {
			t.Errorf("column %d (%v) has encoding %d, want %d", i, c.kind, c.enc, want[i])
		}
	}
}

// TestSizes keeps the encodings as small as they are meant to be, in bytes for
// a whole block of one column.
func TestSizes(t *testing.T) {
	const rows, overhead = 8192, headerSize + descriptorSize + slack
	column := func(k Kind, add func(c *Column, i int)) Column {
		c := Column{Kind: k}
		for i := range rows {
			add(&c, i)
		}
		return c
	}
	for _, tt := range []struct {
		name string
		col  Column
		most int
	}{
		{"constant int", column(Int, func(c *Column, i int) { c.AppendInt(math.MinInt64) }), 10},
		{"constant float32", column(Float32, func(c *Column, i int) { c.AppendFloat32(float32(math.NaN())) }), 20},
		{"constant float64", column(Float64, func(c *Column, i int) { c.AppendFloat64(math.Pi) }), 24},
		{"constant string", column(String, func(c *Column, i int) { c.AppendString([]byte("purchase")) }), 50},
		{"empty strings", column(String, func(c *Column, i int) { c.AppendString(nil) }), 50},
		{"only nulls", column(Int, func(c *Column, i int) { c.AppendNull() }), rows/8 + 10},
		{"boolean", column(Int, func(c *Column, i int) { c.AppendInt(int64(i*i) >> 3 & 1) }), rows/8 + 10},
		{"regular times", column(Int, func(c *Column, i int) { c.AppendInt(1_700_000_000 + 60*int64(i)) }), rows + 64*15},
		{"users' times", column(Int, func(c *Column, i int) { c.AppendInt(int64(i/60*7919%1000)*100_000 + int64(i%60)*60) }), rows + 64*32},
		{"times and nulls", column(Int, func(c *Column, i int) {
			if i%2 == 0 {
				c.AppendNull()
			} else {
				c.AppendInt(1_700_000_000 + int64(i%100))
			}
		}), rows/8 + rows},
		{"half stars", column(Float32, func(c *Column, i int) { c.AppendFloat32(float32(i*i%10) / 2) }), rows/2 + 60},
		{"prices", column(Float64, func(c *Column, i int) { c.AppendFloat64(float64(i*7919%8191) / 100) }), rows*13/8 + 10},
		{"random floats", column(Float32, func(c *Column, i int) { c.AppendFloat32(1 / float32(i+3)) }), rows * 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n := len(encode(t, Packed, rows, []Column{tt.col})) - overhead; n > tt.most {
				t.Errorf("%d bytes, want at most %d", n, tt.most)
			}
		})
	}
}

// TestNothingElse makes sure that a block's bytes come from its rows only: not
// from what the encoder did before, nor from what lay in the buffer.
func TestNothingElse(t *testing.T) {
	for _, codec := range []Codec{Packed, None} {
		var used Encoder
		dirty, err := used.Append(nil, codec, 2000, sampleColumns(2000))
		if err != nil {
			t.Fatal(err)
		}
		for i := range dirty {
			dirty[i] = 0xA5
		}
		cols := sampleColumns(777)
		got, err := used.Append(dirty[:0], codec, 777, cols)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, encode(t, codec, 777, cols)) {
			t.Errorf("codec %d: a used encoder and buffer give other bytes", codec)
		}
	}
}

func TestNoneIsSearchable(t *testing.T) {
	const rows = 500
	cols := sampleColumns(rows)
	payload := encode(t, None, rows, cols)
	for i := range cols {
		for row := range rows {
			var want []byte
			switch c := &cols[i]; c.Kind {
			case Int:
				want = binary.LittleEndian.AppendUint64(nil, uint64(c.Int[row]))
			case Float32:
				want = binary.LittleEndian.AppendUint32(nil, math.Float32bits(c.F32[row]))
			case Float64:
				want = binary.LittleEndian.AppendUint64(nil, math.Float64bits(c.F64[row]))
			case String:
				want = c.Value(row)
			}
			if !bytes.Contains(payload, want) {
				t.Fatalf("column %d, row %d is not in the block", i, row)
			}
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	ints := func(n int) Column { return Column{Kind: Int, Int: make([]int64, n)} }
	for _, tt := range []struct {
		name  string
		codec Codec
		rows  int
		col   Column
	}{
		{"unknown codec", 7, 1, ints(1)},
		{"unknown kind", Packed, 0, Column{}},
		{"too many rows", Packed, MaxRows + 1, ints(MaxRows + 1)},
		{"rows missing", Packed, 3, ints(2)},
		{"ends out of order", Packed, 2, Column{Kind: String, Ends: []uint32{2, 1}, Bytes: []byte("a")}},
		{"ends short of the bytes", Packed, 1, Column{Kind: String, Ends: []uint32{1}, Bytes: []byte("ab")}},
		{"too many bytes", Packed, 1, Column{Kind: String, Ends: []uint32{MaxBytes + 1}, Bytes: make([]byte, MaxBytes+1)}},
		{"bitmap too short", Packed, 65, Column{Kind: Int, Int: make([]int64, 65), Valid: []uint64{1}}},
		{"bitmap too long", Packed, 1, Column{Kind: Int, Int: make([]int64, 1), Valid: []uint64{1, 0}}},
		{"bits past the rows", Packed, 1, Column{Kind: Int, Int: make([]int64, 1), Valid: []uint64{3}}},
		{"null int with a value", None, 1, Column{Kind: Int, Int: []int64{5}, Valid: []uint64{0}}},
		{"null float with a value", Packed, 1, Column{Kind: Float32, F32: []float32{float32(math.Copysign(0, -1))}, Valid: []uint64{0}}},
		{"null string with a value", Packed, 1, Column{Kind: String, Ends: []uint32{1}, Bytes: []byte("x"), Valid: []uint64{0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := []byte("kept")
			got, err := new(Encoder).Append(dst, tt.codec, tt.rows, []Column{tt.col})
			if err == nil {
				t.Fatal("no error")
			}
			if string(got) != "kept" {
				t.Errorf("dst became %d bytes", len(got))
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	b, err := Parse(encode(t, Packed, 10, sampleColumns(10)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		col, from, to int
		kind          Kind
	}{
		{"column below", -1, 0, 1, Int},
		{"column above", b.NumColumns(), 0, 1, Int},
		{"row below", 0, -1, 1, Int},
		{"row above", 0, 0, 11, Int},
		{"range reversed", 0, 5, 4, Int},
		{"other kind", 0, 0, 1, Float32},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := b.Read(tt.col, tt.from, tt.to, &Column{Kind: tt.kind})
			if err == nil || errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v, want an error of the caller's", err)
			}
		})
	}
}

// seal makes the length and the checksum of a block fit its bytes.
func seal(b []byte) []byte {
	if len(b) >= 8 {
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	}
	return b
}
