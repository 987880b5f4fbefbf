package block

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

const benchRows = 8192

// interactions returns columns as an Interactions dataset has them: users of 50
// rows on average, each with ascending times over a year.
func interactions(rows int) []Column {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.1, 10, 49_999)
	events := [][]byte{[]byte("view"), []byte("click"), []byte("purchase"), []byte("watch")}
	cols := []Column{{Kind: Int}, {Kind: Int}, {Kind: String}, {Kind: Float32}, {Kind: String}}
	const year = 365 * 24 * 3600
	time, left := int64(0), 0
	for range rows {
		if left == 0 {
			left = 1 + rng.IntN(99)
			time = 1_700_000_000 + rng.Int64N(year/2)
		}
		left--
		if rng.IntN(10) == 0 {
			time += rng.Int64N(14 * 24 * 3600) // the next session
		}
		time += rng.Int64N(600)
		cols[0].AppendInt(int64(zipf.Uint64()))
		cols[1].AppendInt(time)
		cols[2].AppendString(events[min(rng.IntN(8), 3)])
		cols[3].AppendFloat32(float32(rng.IntN(10_000)) / 100)
		cols[4].AppendString(fmt.Appendf(nil, "session-%08x", rng.Uint32()))
	}
	return cols
}

var benchNames = []string{"item", "time", "event", "price", "session"}

func benchEncoded(b *testing.B, codec Codec, cols []Column) []byte {
	b.Helper()
	payload, err := new(Encoder).Append(nil, codec, benchRows, cols)
	if err != nil {
		b.Fatal(err)
	}
	return payload
}

// eachColumn runs fn for each column by itself and for the four narrow ones together.
func eachColumn(b *testing.B, fn func(b *testing.B, cols []Column)) {
	cols := interactions(benchRows)
	b.Run("all4", func(b *testing.B) { fn(b, cols[:4]) })
	for i, name := range benchNames {
		b.Run(name, func(b *testing.B) { fn(b, cols[i:i+1]) })
	}
}

func reportRows(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func BenchmarkEncode(b *testing.B) {
	eachColumn(b, func(b *testing.B, cols []Column) {
		var e Encoder
		var buf []byte
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if buf, err = e.Append(buf[:0], Packed, benchRows, cols); err != nil {
				b.Fatal(err)
			}
		}
		reportRows(b, benchRows)
		b.ReportMetric(float64(len(buf))/benchRows, "B/row")
	})
}

func BenchmarkDecode(b *testing.B) {
	eachColumn(b, func(b *testing.B, cols []Column) {
		payload := benchEncoded(b, Packed, cols)
		dst := make([]Column, len(cols))
		b.ReportAllocs()
		for b.Loop() {
			blk, err := Parse(payload)
			if err != nil {
				b.Fatal(err)
			}
			for i := range dst {
				dst[i].Kind = blk.Kind(i)
				dst[i].Reset()
				if err := blk.Read(i, 0, benchRows, &dst[i]); err != nil {
					b.Fatal(err)
				}
			}
		}
		reportRows(b, benchRows)
	})
}

func BenchmarkParse(b *testing.B) {
	payload := benchEncoded(b, Packed, interactions(benchRows))
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		if _, err := Parse(payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadRange reads 50 rows of a block that is open, as a lookup of one
// user does.
func BenchmarkReadRange(b *testing.B) {
	eachColumn(b, func(b *testing.B, cols []Column) {
		blk, err := Parse(benchEncoded(b, Packed, cols))
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]Column, len(cols))
		for i := range dst {
			dst[i].Kind = blk.Kind(i)
		}
		from := 0
		for b.Loop() {
			for i := range dst {
				dst[i].Reset()
				if err := blk.Read(i, from, from+50, &dst[i]); err != nil {
					b.Fatal(err)
				}
			}
			from = (from + 997) % (benchRows - 50)
		}
		reportRows(b, 50)
	})
}

// BenchmarkGather collects all rows but one user of 50 in 200, as a compaction does.
func BenchmarkGather(b *testing.B) {
	eachColumn(b, func(b *testing.B, cols []Column) {
		payload := benchEncoded(b, Packed, cols)
		dst := make([]Column, len(cols))
		for b.Loop() {
			blk, err := Parse(payload)
			if err != nil {
				b.Fatal(err)
			}
			for i := range dst {
				dst[i].Kind = blk.Kind(i)
				dst[i].Reset()
				for from := 0; from < benchRows; from += 200 {
					if err := blk.Read(i, from, min(from+150, benchRows), &dst[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		reportRows(b, benchRows)
	})
}
