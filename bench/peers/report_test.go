package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("%v: got %v, want %v", c.in, got, c.want)
		}
	}
}

// TestRatio: a rival that leaves IDs behind is none in the column of erasing, nor is a copied CSV in that of importing.
func TestRatio(t *testing.T) {
	list := func(erased float64, left int) []listResult {
		return []listResult{{Name: "100", Users: 100, Erased: []float64{erased}, LeftErased: []int{left}}}
	}
	rep := report{Peers: []*result{
		{Name: "expunge", Import: []float64{2}, Lists: list(1, 0)},
		{Name: "dirty", Import: []float64{4}, Lists: list(0.1, 3)},
		{Name: "copy", NoStore: true, Import: []float64{0.1}, Lists: list(2, 0)},
		{Name: "slow", Import: []float64{5}, Lists: list(8, 0)},
	}}
	want := map[string][2]string{"import": {"0.50", "dirty"}, "erased 100": {"0.50", "copy"}, "scan": {"-", "-"}}
	for _, c := range columns(rep.Peers[0].Lists) {
		if w, ok := want[c.head]; ok {
			if ratio, best := rep.ratio(c); ratio != w[0] || best != w[1] {
				t.Errorf("%s: got %s to %s, want %s to %s", c.head, ratio, best, w[0], w[1])
			}
		}
	}
	var out bytes.Buffer
	if err := rep.write(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "3 of 100") {
		t.Error("the table doesn't say what is left")
	}
}
