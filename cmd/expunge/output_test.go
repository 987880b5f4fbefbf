package main

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(-1234567), "-1,234,567"}, {count(-123), "-123"},
		{counted(1, "row"), "1 row"}, {counted(0, "row"), "0 rows"}, {counted(2000, "row"), "2,000 rows"},
		{size(0), "0.00 MiB"}, {size(5 << 19), "2.5 MiB"}, {size(2000 << 20), "2,000 MiB"},
		{quote("/a/b-c.csv"), "/a/b-c.csv"}, {quote(""), "''"}, {quote("my shop"), "'my shop'"}, {quote("it's"), `'it'\''s'`},
		{quote("$HOME"), "'$HOME'"}, {quote("Küche"), "'Küche'"},
		{string(epoch(time.UnixMilli(1542392161037))), "1542392161.037"},
		{decimal(3.5, 32), "3.5"}, {decimal(float64(float32(0.1)), 32), "0.1"}, {decimal(0.1, 64), "0.1"},
		{decimal(1e20, 64), "100000000000000000000"}, {decimal(1e21, 64), "1e+21"}, {decimal(-2.5e-10, 64), "-2.5e-10"},
		{decimal(0, 64), "0"}, {decimal(math.MaxFloat64, 64), "1.7976931348623157e+308"},
		{table([][]string{{"A", "N"}, {"ü", "10"}, {"abc", "1"}}, "N"), "A     N\nü    10\nabc   1\n"},
		{pairs([2]string{"A", "x"}, [2]string{"Longer", ""}, [2]string{"BC", "y"}), "A   x\nBC  y\n"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// TestPatterns compares the streaming search with a search of the whole text, for steps of all sizes.
func TestPatterns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(2, 5).Draw(t, "length")
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), length, length, length)
		words := rapid.SliceOfN(word, 1, 6).Draw(t, "words")
		text := rapid.StringOf(rapid.RuneFrom([]rune("abc"))).Draw(t, "text")
		p, err := newPatterns(words)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.count(context.Background(), strings.NewReader(text), rapid.IntRange(1, 9).Draw(t, "chunk"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(words)
		want := 0
		for _, w := range slices.Compact(words) {
			if strings.Contains(text, w) {
				want++
			}
		}
		if got != want {
			t.Fatalf("found %d, want %d", got, want)
		}
	})
	for _, bad := range [][]string{{"a"}, {"ab", "abc"}} {
		if _, err := newPatterns(bad); err == nil {
			t.Errorf("patterns of lengths that can't be searched for: %q", bad)
		}
	}
}

// TestStatus has a bar on a terminal that messages don't run into, and nothing in a pipe.
func TestStatus(t *testing.T) {
	var b bytes.Buffer
	s := newStatus(&b)
	s.show(progress{label: "working", done: 1, total: 2})
	s.printf("a message\n")
	s.clear()
	if got := b.String(); got != "a message\n" {
		t.Errorf("in a pipe: %q", got)
	}
	b.Reset()
	s.terminal = true
	s.show(progress{label: "working", done: 1, total: 2, unit: "rows"})
	if got := b.String(); !strings.Contains(got, "working") || !strings.Contains(got, "50%") {
		t.Errorf("on a terminal: %q", got)
	}
	s.printf("a message\n")
	s.show(progress{label: "erasing"})
	s.clear()
	if got := b.String(); !strings.Contains(got, "\x1b[2K\ra message\n") && !strings.Contains(got, "\ra message\n") {
		t.Errorf("the bar is left on the line of a message: %q", got)
	}
}
