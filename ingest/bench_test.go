package ingest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// interactionsCSV is some 45 MB of rows as in a real interactions file.
func interactionsCSV(quoted bool) string {
	rng := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	b.WriteString("USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n")
	format := "%d,item-%d,click,%d.%d,%d\n"
	if quoted {
		format = "\"%d\",\"item-%d\",\"click\",\"%d.%d\",\"%d\"\n"
	}
	for range 1_000_000 {
		fmt.Fprintf(&b, format, rng.IntN(10_000_000), rng.IntN(100_000), rng.IntN(100), rng.IntN(100), 1_600_000_000+rng.IntN(100_000_000))
	}
	return b.String()
}

func BenchmarkCSV(b *testing.B) {
	for _, kind := range []string{"plain", "quoted"} {
		b.Run(kind, func(b *testing.B) {
			data := interactionsCSV(kind == "quoted")
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var c csvReader
			for b.Loop() {
				if err := c.reset(strings.NewReader(data), "a.csv"); err != nil {
					b.Fatal(err)
				}
				rows := 0
				for ; ; rows++ {
					if err := c.next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				if rows != 1_000_001 {
					b.Fatal(rows)
				}
			}
		})
	}
}

func BenchmarkDataset(b *testing.B) {
	data := interactionsCSV(false)
	s := mustSchema(b, avroJSON("Interactions", userID, itemID, `"name":"EVENT_TYPE","type":"string"`, `"name":"EVENT_VALUE","type":"float"`, timestamp))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewDatasetReader(b.Context(), inMemory("a.csv", data), s)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF || r.Progress().Rows != 1_000_000 {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkList(b *testing.B) {
	var text strings.Builder
	text.WriteString("USER_ID\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&text, "user-%d\n", i)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewListReader(b.Context(), inMemory("a.csv", text.String()))
		if err != nil {
			b.Fatal(err)
		}
		var ids IDs
		for err == nil {
			err = r.Read(&ids, 65536)
		}
		if err != io.EOF || r.Progress().Rows != 1_000_000 {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkFloat(b *testing.B) {
	for _, s := range []string{"7", "12.95", "1234567.89", "1.5e-7"} {
		b.Run(s, func(b *testing.B) {
			cell := []byte(s)
			for b.Loop() {
				if _, ok := parseFloat32(cell); !ok {
					b.Fatal(s)
				}
			}
		})
	}
}
