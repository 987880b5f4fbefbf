package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// TestReceiptPage: a page is whole for every receipt, and nothing in it is taken for markup.
func TestReceiptPage(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	const hostile = `"><script>alert('x')</script>`
	full := engine.Receipt{
		Number: 1234, Previous: "abc", Name: hostile, ARN: hostile, GroupARN: "arn/" + hostile, Source: hostile, Version: hostile,
		NumDeleted: 1_000_001, Created: at, Invisible: at.Add(1500 * time.Millisecond), Erased: at.Add(3 * time.Hour), Completed: at.Add(3 * time.Hour),
		Suppressed: true,
	}
	full.Files.SHA256, full.Hashes.SHA256 = hostile, hostile
	full.Counts.Deleted = map[string]int64{"USERS": 1, "INTERACTIONS": 1_000_000}
	empty := engine.Receipt{Number: 1, Created: at, Invisible: at, Erased: at, Completed: at}
	empty.Counts.Deleted = map[string]int64{"USERS": 0}
	for name, c := range map[string]struct {
		receipt engine.Receipt
		has     []string
	}{
		"full":    {full, []string{"<svg", ">1,000,000</text>", "3h0m0s", "1.5s<", "imports leave the listed users out", "1,000,001"}},
		"empty":   {empty, []string{"<svg", ">0</text>", "nothing had to be", "this is the first", "an import can bring them back"}},
		"no rows": {engine.Receipt{Created: at, Invisible: at, Erased: at, Completed: at}, []string{"COMPLETED"}},
	} {
		var page bytes.Buffer
		if err := writeReceipt(&page, engine.LedgerEntry{Receipt: c.receipt, Line: []byte(hostile)}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, text := range c.has {
			if !strings.Contains(page.String(), text) {
				t.Errorf("%s: the page doesn't say %q", name, text)
			}
		}
		for _, text := range []string{"<script", "NaN", "Inf", "%!", "http://", "https://"} {
			if strings.Contains(page.String(), text) {
				t.Errorf("%s: the page has %q", name, text)
			}
		}
		if !strings.HasSuffix(page.String(), "</html>\n") {
			t.Errorf("%s: the page is cut", name)
		}
	}
}

// TestReceiptChart: the longest bar fills the room, none that stands for something is invisible, and all figures fit.
func TestReceiptChart(t *testing.T) {
	c := chartRows(map[string]int64{"USERS": 1, "ITEMS": 0, "INTERACTIONS": 1_000_000_000})
	if len(c.Bars) != 3 || c.Bars[0].Length < 1 || c.Bars[1].Length != 0 || c.Bars[2].Value != "1,000,000,000" {
		t.Errorf("%+v", c.Bars)
	}
	for _, b := range c.Bars {
		if b.Y < 0 || b.Y+c.BarHeight > c.Height || b.ValueX+8*float64(len(b.Value)) > c.Width {
			t.Errorf("a bar lies outside: %+v in %+v", b, c)
		}
	}
	if c.Label != "Deleted: 1 rows of users, 0 rows of items, 1,000,000,000 rows of interactions" {
		t.Errorf("label %q", c.Label)
	}
}
