package bench

import (
	"bytes"
	"context"
	"encoding/csv"
	"sort"
	"strconv"
	"testing"
)

type interaction struct {
	user, item, event string
	value             float64
	at                int64
}

// interactions makes and parses the Interactions dataset of c.
func interactions(t testing.TB, c Config) []interaction {
	t.Helper()
	var buf bytes.Buffer
	if err := c.WriteInteractions(context.Background(), &buf, nil); err != nil {
		t.Fatal(err)
	}
	records := parse(t, buf.Bytes())
	rows := make([]interaction, 0, len(records)-1)
	for _, r := range records[1:] {
		value, err := strconv.ParseFloat(r[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		at, err := strconv.ParseInt(r[4], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, interaction{r[0], r[1], r[2], value, at})
	}
	return rows
}

func parse(t testing.TB, data []byte) [][]string {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// sortedCounts returns how often each key occurs, in ascending order.
func sortedCounts(rows []interaction, key func(interaction) string) []int {
	m := map[string]int{}
	for _, r := range rows {
		m[key(r)]++
	}
	counts := make([]int, 0, len(m))
	for _, n := range m {
		counts = append(counts, n)
	}
	sort.Ints(counts)
	return counts
}

// topShares returns the share of the sum that the top part of the counts has, for each part.
func topShares(counts []int, parts []float64) []float64 {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	var shares []float64
	for _, part := range parts {
		top := 0
		for _, n := range counts[len(counts)-max(1, int(float64(len(counts))*part)):] {
			top += n
		}
		shares = append(shares, float64(top)/float64(sum))
	}
	return shares
}

// gaps returns the seconds between consecutive rows of each user.
func gaps(rows []interaction) []int64 {
	last := map[string]int64{}
	var all []int64
	for _, r := range rows {
		if before, ok := last[r.user]; ok {
			all = append(all, r.at-before)
		}
		last[r.user] = r.at
	}
	return all
}

// countingWriter counts and drops what is written.
type countingWriter struct{ n int64 }

func (w *countingWriter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	return len(p), nil
}
