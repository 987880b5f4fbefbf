package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// receiptPairs is a receipt as lines below those of its job.
func receiptPairs(r engine.LedgerEntry) [][2]string {
	suppressed := ""
	if r.Suppressed {
		suppressed = "yes: imports leave the listed users out"
	}
	return [][2]string{
		{"Files", filesText(r) + ", SHA-256 " + r.Files.SHA256},
		{"Invisible", instant(r.Invisible) + ": to every reader that began later"},
		{"Erased", instant(r.Erased) + ": off the disk"},
		{"Checked", checkedText(r)},
		{"Scrubbed", scrubbedText(r)},
		{"Hashes", hashesText(r) + ", SHA-256 " + r.Hashes.SHA256},
		{"Suppressed", suppressed},
		{"Version", r.Version},
		{"Ledger", fmt.Sprintf("receipt %d, SHA-256 %s", r.Number, r.Digest())},
	}
}

func filesText(r engine.LedgerEntry) string {
	return fmt.Sprintf("%s, %s", counted(r.Files.Files, "file"), counted(r.Files.Bytes, "byte"))
}

func checkedText(r engine.LedgerEntry) string {
	return fmt.Sprintf("the dictionary entries of %s and the indexes of %s: nothing of them is left",
		counted(r.Verified.Users, "user"), counted(r.Verified.Blocks, "block"))
}

func scrubbedText(r engine.LedgerEntry) string {
	if r.Scrubbed.Pages == 0 {
		return "nothing had to be"
	}
	var how []string
	if n := r.Scrubbed.Written; n > 0 {
		how = append(how, size(n)+" overwritten with zeros")
	}
	if n := r.Scrubbed.Punched; n > 0 {
		how = append(how, size(n)+" punched out")
	}
	return counted(r.Scrubbed.Pages, "page") + ": " + strings.Join(how, ", ")
}

func hashesText(r engine.LedgerEntry) string {
	return "of " + counted(r.Hashes.Count, "deleted user")
}

// instant is a time with milliseconds.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// receiptJSON is the receipt of a job as the ledger keeps it. The digest is that of its line in the ledger.
type receiptJSON struct {
	Digest  string          `json:"receiptDigest,omitempty"`
	Receipt json.RawMessage `json:"receipt,omitempty"`
}

//go:embed receipt.html
var receiptHTML string

var receiptTemplate = template.Must(template.New("receipt").Funcs(template.FuncMap{
	"count": count, "counted": counted, "instant": instant, "base": path.Base,
}).Parse(receiptHTML))

// receiptPage is what the template shows.
type receiptPage struct {
	engine.LedgerEntry
	Files, Checked, Scrubbed, Hashes string
	Erasure                          string // how long it took
	Steps                            []receiptStep
	Chart                            receiptChart
}

type receiptStep struct {
	At                  time.Time
	Title, Text, Passed string
}

// receiptChart draws the deleted rows of each dataset as bars, in units of CSS pixels.
type receiptChart struct {
	Width, Height, BarAt, BarHeight float64
	Label                           string // for readers who don't see it
	Bars                            []receiptBar
}

type receiptBar struct {
	Y, TextY, Length, ValueX float64
	Name, Value              string
}

// writeReceipt writes a receipt as one page, which needs no script, font or network.
func writeReceipt(w io.Writer, r engine.LedgerEntry) error {
	page := receiptPage{
		LedgerEntry: r, Files: filesText(r), Checked: checkedText(r), Scrubbed: scrubbedText(r), Hashes: hashesText(r),
		Erasure: duration(r.Erased.Sub(r.Created)), Chart: chartRows(r.Counts.Deleted),
	}
	before := r.Created
	for _, s := range []receiptStep{
		{r.Created, "Requested", "The job was created.", ""},
		{r.Invisible, "Invisible", "One commit deleted all rows of all listed users for every reader that began later.", ""},
		{r.Erased, "Erased", "Their rows and IDs were out of the store, and what had held them read as zeros.", ""},
		{r.Completed, "Completed", "This receipt was added to the ledger.", ""},
	} {
		if len(page.Steps) > 0 {
			s.Passed = "+ " + duration(s.At.Sub(before))
		}
		before = s.At
		page.Steps = append(page.Steps, s)
	}
	return receiptTemplate.Execute(w, page)
}

func chartRows(rows map[string]int64) receiptChart {
	const barAt, room, rowHeight, barHeight = 120.0, 480.0, 34.0, 18.0
	c := receiptChart{Width: 720, BarAt: barAt, BarHeight: barHeight}
	most := int64(1)
	for _, n := range rows {
		most = max(most, n)
	}
	var parts []string
	for _, t := range datasetTypes {
		n, ok := rows[string(t)]
		if !ok {
			continue
		}
		b := receiptBar{
			Y: c.Height + (rowHeight-barHeight)/2, TextY: c.Height + rowHeight/2 + 5,
			Length: room * float64(n) / float64(most), Name: lower(t), Value: count(n),
		}
		if n > 0 {
			b.Length = max(b.Length, 2)
		}
		b.ValueX = barAt + b.Length + 10
		c.Bars = append(c.Bars, b)
		c.Height += rowHeight
		parts = append(parts, b.Value+" rows of "+b.Name)
	}
	c.Label = "Deleted: " + strings.Join(parts, ", ")
	return c
}

// duration writes a time span to the millisecond, or to the second if it is long.
func duration(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
