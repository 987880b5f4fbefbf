package receipt_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/receipt"
)

func example(t *testing.T, change func(*engine.Receipt)) engine.LedgerEntry {
	t.Helper()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r := engine.Receipt{
		Number: 3, Previous: strings.Repeat("ab", 32), Name: "forget-1", Seq: 9,
		ARN:      "arn:aws:personalize:us-east-1:000000000000:data-deletion-job/forget-1",
		GroupARN: "arn:aws:personalize:us-east-1:000000000000:dataset-group/shop",
		Source:   "/lists/<b>&\"x\".csv", NumDeleted: 1234, Version: "v1.2.3",
		Created: at, Invisible: at.Add(20 * time.Millisecond), Erased: at.Add(time.Second), Completed: at.Add(1100 * time.Millisecond),
	}
	r.Files.Files, r.Files.Bytes, r.Files.SHA256 = 1, 4096, strings.Repeat("cd", 32)
	r.Counts.Listed, r.Counts.Matched, r.Counts.Unknown, r.Counts.Duplicate = 7, 4, 2, 1
	r.Counts.Deleted = map[string]int64{"INTERACTIONS": 1230, "USERS": 4}
	r.Scrubbed.Pages, r.Scrubbed.Written = 12, 48<<10
	r.Hashes.Count, r.Hashes.SHA256 = 4, strings.Repeat("ef", 32)
	if change != nil {
		change(&r)
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return engine.LedgerEntry{Receipt: r, Line: line}
}

func page(t *testing.T, r engine.LedgerEntry) string {
	t.Helper()
	var b strings.Builder
	if err := receipt.WritePage(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPage(t *testing.T) {
	r := example(t, nil)
	got := page(t, r)
	for _, want := range []string{
		"<h1>Deletion receipt 3</h1>", "<b>1,234</b><span>rows deleted</span>", "<b>4</b><span>users deleted</span>", "<b>1s</b>",
		r.Digest(), r.Files.SHA256, r.Hashes.SHA256, r.Previous, "1 file, 4,096 bytes", "7", "no: an import can bring them back",
		"2026-03-04 05:06:07.020 UTC", "&#43; 980ms", "12 pages: 0.05 MiB overwritten", "<dt>users</dt>", "<dd>1,230</dd>",
		"&lt;b&gt;&amp;&#34;x&#34;.csv", "default-src 'none'",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"<script", "http://", "https://", "<b>&\"x\"", "ZgotmplZ"} {
		if strings.Contains(got, not) {
			t.Errorf("the page has %q", not)
		}
	}
	sections, err := receipt.Sections(r)
	if err != nil || !strings.Contains(got, string(sections)) || strings.Contains(string(sections), "<style") {
		t.Errorf("the sections aren't those of the page, or bring their own style: %v", err)
	}
	wellFormed(t, string(sections))

	first := page(t, example(t, func(r *engine.Receipt) { r.Number, r.Previous, r.Suppressed, r.Scrubbed.Pages = 1, "", true, 0 }))
	for _, want := range []string{"none: this is the first", "yes: imports leave", "nothing had to be"} {
		if !strings.Contains(first, want) {
			t.Errorf("the page of a first receipt lacks %q", want)
		}
	}
}

// TestAnyPage: a page is whole for every receipt, and nothing in it is taken for markup.
func TestAnyPage(t *testing.T) {
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
		r   engine.Receipt
		has []string
	}{
		"full":    {full, []string{"<svg", "<dd>1,000,000</dd>", "3h0m0s", "1.5s<", "imports leave the listed users out", "1,000,001"}},
		"empty":   {empty, []string{"<svg", "<dd>0</dd>", "nothing had to be", "this is the first", "an import can bring them back"}},
		"no rows": {engine.Receipt{Created: at, Invisible: at, Erased: at, Completed: at}, []string{"COMPLETED"}},
	} {
		var page bytes.Buffer
		if err := receipt.WritePage(&page, engine.LedgerEntry{Receipt: c.r, Line: []byte(hostile)}); err != nil {
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

func TestChartOfPage(t *testing.T) {
	sections, err := receipt.Sections(example(t, func(r *engine.Receipt) { r.Counts.Deleted = nil }))
	if err != nil || strings.Contains(string(sections), "<svg") {
		t.Errorf("a receipt without rows has a chart: %v", err)
	}
	sections, err = receipt.Sections(example(t, func(r *engine.Receipt) {
		r.Counts.Deleted = map[string]int64{"USERS": 0, "INTERACTIONS": 1 << 40}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`width="0"`, `width="100"`, ">1,099,511,627,776<"} {
		if !strings.Contains(string(sections), want) {
			t.Errorf("the chart lacks %s", want)
		}
	}
	wellFormed(t, string(sections))
}

// wellFormed checks that every element that is opened is closed.
func wellFormed(t *testing.T, html string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader("<div>" + html + "</div>"))
	dec.Entity = xml.HTMLEntity
	for {
		if _, err := dec.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("the markup isn't whole: %v", err)
		}
	}
}

func TestPairs(t *testing.T) {
	r := example(t, nil)
	got := fmt.Sprint(receipt.Pairs(r))
	for _, want := range []string{"receipt 3, SHA-256 " + r.Digest(), "1 file, 4,096 bytes", "v1.2.3", "[Suppressed ]"} {
		if !strings.Contains(got, want) {
			t.Errorf("the lines lack %q", want)
		}
	}
}
