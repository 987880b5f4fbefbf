package bench

import "testing"

func BenchmarkWriteInteractions(b *testing.B) {
	for _, shape := range []Shape{Ratings, Shop} {
		b.Run(string(shape), func(b *testing.B) {
			c := Config{Users: 20_000_000, Items: 1_000_000, Interactions: 1_000_000, Days: 5, Shape: shape}
			w := new(countingWriter)
			rows := 0
			for b.Loop() {
				if err := c.WriteInteractions(b.Context(), w, nil); err != nil {
					b.Fatal(err)
				}
				rows += int(c.Interactions)
			}
			b.SetBytes(w.n / int64(rows) * c.Interactions)
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkWriteUsers(b *testing.B) {
	c := Config{Users: 100_000}
	for b.Loop() {
		if err := c.WriteUsers(new(countingWriter)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*c.Users)/b.Elapsed().Seconds(), "rows/s")
}
