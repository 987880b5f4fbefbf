package block

import (
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldenColumns are small columns that among them use each encoding and each
// form of an integer stream.
func goldenColumns(rows int) []Column {
	cols := []Column{{Kind: Int}, {Kind: Int}, {Kind: Float32}, {Kind: Float64}, {Kind: Float32}, {Kind: String}, {Kind: String}, {Kind: Int}}
	for i := range rows {
		cols[0].AppendInt(int64(i*i%5) - 2)
		cols[1].AppendInt(1_700_000_000_000 + int64(i/100)*86_400_000_000 + int64(i%100)*1000)
		cols[2].AppendFloat32(float32(i%3) + 0.25)
		cols[3].AppendFloat64(1 / float64(i%2+3))
		cols[4].AppendFloat32(float32(math.Sqrt(float64(i))))
		cols[5].AppendString([]byte([]string{"view", "click", "add to the basket"}[i%3]))
		cols[6].AppendString([]byte{byte('a' + i/26), byte('a' + i%26)}[:2-i%2])
		if i%4 == 1 {
			cols[7].AppendNull()
		} else {
			cols[7].AppendInt(math.MinInt64 + int64(i))
		}
	}
	return cols
}

// TestGolden ties the format to stored bytes. If it fails, stores that exist
// can't be read any more: a change of the format needs a new version, not new
// files here.
func TestGolden(t *testing.T) {
	textColumn := func(rows int) []Column {
		c := Column{Kind: String}
		for i := range rows {
			c.AppendString([]byte(strings.Repeat("again and ", i%7+1) + string(rune('a'+i))))
		}
		return []Column{c}
	}
	for _, tt := range []struct {
		file    string
		codec   Codec
		rows    int
		columns func(rows int) []Column
		// Another release of the compressor may give other bytes, as long as
		// these decompress.
		decodeOnly bool
	}{
		{"packed.hex", Packed, 7, goldenColumns, false},
		{"packed-frames.hex", Packed, 140, goldenColumns, false},
		{"packed-empty.hex", Packed, 0, goldenColumns, false},
		{"none.hex", None, 7, goldenColumns, false},
		{"packed-zstd.hex", Packed, 20, textColumn, true},
	} {
		t.Run(tt.file, func(t *testing.T) {
			cols := tt.columns(tt.rows)
			got := encode(t, tt.codec, tt.rows, cols)
			text, err := os.ReadFile(filepath.Join("testdata", tt.file))
			if err != nil {
				t.Fatalf("%v; the block is\n%x", err, got)
			}
			golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.decodeOnly && string(got) != string(golden) {
				t.Errorf("the block is\n%x", got)
			}
			b, err := Parse(golden)
			if err != nil {
				t.Fatal(err)
			}
			for i := range cols {
				dst := Column{Kind: b.Kind(i)}
				if err := b.Read(i, 0, b.Rows(), &dst); err != nil {
					t.Fatal(err)
				}
				if err := same(&dst, &cols[i], 0, tt.rows); err != nil {
					t.Errorf("column %d: %v", i, err)
				}
			}
			if tt.decodeOnly && len(b.cols[0].stored) == b.cols[0].raw {
				t.Error("the heap isn't compressed, so nothing was tried")
			}
		})
	}
}
