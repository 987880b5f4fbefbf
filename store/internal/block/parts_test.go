package block

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestBitPacking tries each width from each bit position, with values whose
// highest bits are set.
func TestBitPacking(t *testing.T) {
	for w := range 65 {
		width := bitWidth(1<<w - 1)
		vals := make([]uint64, 21)
		for i := range vals {
			vals[i] = (^uint64(0) ^ uint64(i)*0x0123456789ABCDEF>>3) & (1<<width - 1)
		}
		packed := appendPacked([]byte{9}, vals, width)
		if len(packed) != 1+packedLen(len(vals), width) {
			t.Fatalf("width %d: %d bytes", width, len(packed))
		}
		src := append(packed[1:], 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)
		for from := range vals {
			for to := from; to <= len(vals); to++ {
				got := make([]int64, to-from)
				unpack(got, src, uint(from)*width, width, -3)
				for i, v := range got {
					if uint64(v+3) != vals[from+i] {
						t.Fatalf("value %d of width %d is %x, want %x", from+i, width, v+3, vals[from+i])
					}
				}
			}
		}
	}
}

// TestDictLengths has dictionary values of lengths about those that are copied
// and compared in other ways.
func TestDictLengths(t *testing.T) {
	for _, longest := range []int{0, 7, 8, 15, 16, 17, 31} {
		c := Column{Kind: String}
		for i := range 200 {
			n := i * 7 % (longest + 1)
			c.AppendString([]byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")[n : n+n])
		}
		b, err := Parse(encode(t, Packed, 200, []Column{c}))
		if err != nil {
			t.Fatal(err)
		}
		if b.cols[0].enc != encDict {
			t.Fatal("not stored as a dictionary")
		}
		got := Column{Kind: String}
		for from := range 200 {
			got.Reset()
			if err := b.Read(0, from, 200, &got); err != nil {
				t.Fatal(err)
			}
			if err := same(&got, &c, from, 200); err != nil {
				t.Fatalf("values of up to %d bytes: %v", longest, err)
			}
		}
	}
}

func TestZigzag(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 2, math.MaxInt64, math.MinInt64} {
		if got := unzigzag(zigzag(v)); got != v {
			t.Errorf("%d becomes %d", v, got)
		}
	}
}

// TestBitmaps compares appending with a slice of booleans.
func TestBitmaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var words []uint64
		var model []bool
		for range rapid.IntRange(0, 6).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "ones") {
				k := rapid.IntRange(0, 200).Draw(t, "k")
				words = appendOnes(words, len(model), k)
				for range k {
					model = append(model, true)
				}
				continue
			}
			src := rapid.SliceOfN(rapid.Uint64(), 4, 4).Draw(t, "source")
			from := rapid.IntRange(0, 256).Draw(t, "from")
			to := rapid.IntRange(from, 256).Draw(t, "to")
			words = appendBits(words, len(model), src, from, to)
			all := true
			for i := from; i < to; i++ {
				model = append(model, bit(src, i))
				all = all && bit(src, i)
			}
			if allSet(src, from, to) != all {
				t.Fatalf("allSet [%d,%d) is %v", from, to, !all)
			}
		}
		if len(words) != bitmapWords(len(model)) {
			t.Fatalf("%d words for %d bits", len(words), len(model))
		}
		for i := range 64 * len(words) {
			if bit(words, i) != (i < len(model) && model[i]) {
				t.Fatalf("bit %d of %d is wrong", i, len(model))
			}
		}
	})
}

// TestColumnAppend compares a column with a list of its values.
func TestColumnAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		c := Column{Kind: kind}
		var model []string
		text := func(c *Column, i int) string {
			switch {
			case c.IsNull(i):
				return "null"
			case kind == Int:
				return fmt.Sprint(c.Int[i])
			case kind == Float32:
				return fmt.Sprint(c.F32[i])
			case kind == Float64:
				return fmt.Sprint(c.F64[i])
			}
			return string(c.Value(i))
		}
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			v := rapid.Int32().Draw(t, "value")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				c.AppendNull()
				model = append(model, "null")
			case 1:
				src := c
				src = Column{Kind: kind}
				src.AppendRange(&c, 0, c.Len())
				from := rapid.IntRange(0, c.Len()).Draw(t, "from")
				to := min(c.Len(), from+10)
				c.AppendRange(&src, from, to)
				model = append(model, model[from:to]...)
			default:
				switch kind {
				case Int:
					c.AppendInt(int64(v))
				case Float32:
					c.AppendFloat32(float32(v))
				case Float64:
					c.AppendFloat64(float64(v))
				case String:
					c.AppendString(fmt.Append(nil, v))
				}
				model = append(model, text(&c, c.Len()-1))
			}
		}
		if c.Len() != len(model) {
			t.Fatalf("%d values, want %d", c.Len(), len(model))
		}
		for i := range model {
			if got := text(&c, i); got != model[i] {
				t.Fatalf("value %d is %s, want %s", i, got, model[i])
			}
		}
		c.Reset()
		if c.Len() != 0 || len(c.Valid) != 0 || c.Kind != kind {
			t.Fatal("Reset left something")
		}
	})
}

func TestDecimals(t *testing.T) {
	for _, tt := range []struct {
		vals     []float64
		exponent uint8
		ok       bool
	}{
		{[]float64{1, 2, -3}, 0, true},
		{[]float64{0.5, 19.99, 100}, 2, true},
		{[]float64{0.0001}, 4, true},
		{[]float64{0.00001}, 0, false},
		{[]float64{1, math.Copysign(0, -1)}, 0, false},
		{[]float64{1, math.NaN()}, 0, false},
		{[]float64{math.Inf(-1)}, 0, false},
		{[]float64{1 << 53}, 0, true},
		{[]float64{1 << 53, 0.5}, 0, false}, // one too large for the exponent of the other
		{[]float64{1e300}, 0, false},
	} {
		ks, exponent, ok := decimals(nil, tt.vals)
		if ok != tt.ok || exponent != tt.exponent && ok {
			t.Errorf("%v: got exponent %d, %v", tt.vals, exponent, ok)
			continue
		}
		for i, k := range ks {
			if ok && fromDecimal[float64](k, powersOfTen[exponent]) != tt.vals[i] {
				t.Errorf("%v: value %d comes back changed", tt.vals, i)
			}
		}
	}
}

// TestStringDictTail has short values at the very end of the bytes, where a
// word can't be loaded, equal to some that are not.
func TestStringDictTail(t *testing.T) {
	c := Column{Kind: String}
	for range 3 {
		for n := range 10 {
			c.AppendString(bytes.Repeat([]byte{0}, n)) // differ by their length only
		}
		c.AppendString([]byte("ab"))
	}
	var d stringDict
	codes, ok := d.build(nil, &c)
	if !ok || len(d.entries) != 11 {
		t.Fatalf("%d entries, %v", len(d.entries), ok)
	}
	for i, code := range codes {
		if code != int64(i%11) {
			t.Errorf("value %d has code %d", i, code)
		}
	}
}

// TestDecimalProduct compares the product by which small decimals become a float32 with the quotient, for all of them.
func TestDecimalProduct(t *testing.T) {
	for exponent, pow := range powersOfTen {
		inverse := 1 / pow
		for k := range int64(maxTimes) {
			if got, want := float32(float64(k)*inverse), fromDecimal[float32](k, pow); got != want {
				t.Fatalf("%d with exponent %d is %v, want %v", k, exponent, got, want)
			}
		}
	}
}
