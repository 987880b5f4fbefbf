package jobs

import "testing"

func BenchmarkRecord(b *testing.B) {
	j := fullJob()
	record := encode(b, j)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encodeRecord(&j); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeRecord(j.Seq, record); err != nil {
				b.Fatal(err)
			}
		}
	})
}
