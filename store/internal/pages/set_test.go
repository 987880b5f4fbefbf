package pages

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPageSetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 400).Draw(t, "limit")
		set := newPageSet(PageID(limit))
		model := make([]bool, limit)
		for range rapid.IntRange(0, 20).Draw(t, "adds") {
			if limit == 0 {
				break
			}
			first := rapid.IntRange(0, limit-1).Draw(t, "first")
			n := rapid.IntRange(1, limit-first).Draw(t, "pages")
			want := !slices.Contains(model[first:first+n], true)
			if got := set.add(Run{PageID(first), uint64(n)}); got != want {
				t.Fatalf("add(%d, %d) = %t", first, n, got)
			}
			for i := range n {
				model[first+i] = model[first+i] || want
			}
		}
		var missing []Run
		for i, in := range model {
			if !in {
				missing = append(missing, Run{PageID(i), 1})
			}
		}
		if got, want := set.missing(), normalize(missing); !slices.Equal(got, want) {
			t.Fatalf("missing %v, want %v", got, want)
		}
	})
}

func TestNormalize(t *testing.T) {
	tests := []struct{ in, want []Run }{
		{nil, nil},
		{[]Run{{5, 0}}, nil},
		{[]Run{{5, 2}, {2, 3}}, []Run{{2, 5}}},
		{[]Run{{2, 9}, {3, 1}, {20, 1}}, []Run{{2, 9}, {20, 1}}},
		{[]Run{{2, 2}, {3, 4}, {8, 1}}, []Run{{2, 5}, {8, 1}}},
	}
	for _, tt := range tests {
		given := slices.Clone(tt.in)
		if got := normalize(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("normalize(%v) = %v, want %v", tt.in, got, tt.want)
		}
		if !slices.Equal(given, tt.in) {
			t.Errorf("normalize changed its argument to %v", tt.in)
		}
	}
}

func TestIsZero(t *testing.T) {
	for _, n := range []int{0, 1, 7, 4096, len(zeros) - 1, len(zeros), len(zeros) + 1, 3*len(zeros) + 5} {
		b := make([]byte, n)
		if !isZero(b) {
			t.Errorf("%d zeros aren't zeros", n)
		}
		for _, at := range []int{0, n / 2, n - 1} {
			if n == 0 {
				continue
			}
			b[at] = 1
			if isZero(b) {
				t.Errorf("%d bytes with byte %d set are zeros", n, at)
			}
			b[at] = 0
		}
	}
}
