// Package receipt shows the receipts of deletion jobs to people: as lines of text, as a page in one file, and as the part
// of a page that the console puts below its job.
package receipt

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
	"time"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/humanize"
)

// Pairs returns what a receipt says beyond its job, as names and texts to be shown line by line. An empty text is left
// out of what is shown.
func Pairs(r engine.LedgerEntry) [][2]string {
	suppressed := ""
	if r.Suppressed {
		suppressed = "yes: imports leave the listed users out"
	}
	return [][2]string{
		{"Files", files(r) + ", SHA-256 " + r.Files.SHA256},
		{"Invisible", humanize.Instant(r.Invisible) + ": to every reader that began later"},
		{"Erased", humanize.Instant(r.Erased) + ": off the disk"},
		{"Checked", checked(r)},
		{"Scrubbed", scrubbed(r)},
		{"Hashes", hashes(r) + ", SHA-256 " + r.Hashes.SHA256},
		{"Suppressed", suppressed},
		{"Version", r.Version},
		{"Ledger", fmt.Sprintf("receipt %d, SHA-256 %s", r.Number, r.Digest())},
	}
}

func files(r engine.LedgerEntry) string {
	return fmt.Sprintf("%s, %s", humanize.Counted(r.Files.Files, "file"), humanize.Counted(r.Files.Bytes, "byte"))
}

func checked(r engine.LedgerEntry) string {
	return fmt.Sprintf("the dictionary entries of %s and the indexes of %s: nothing of them is left",
		humanize.Counted(r.Verified.Users, "user"), humanize.Counted(r.Verified.Blocks, "block"))
}

func scrubbed(r engine.LedgerEntry) string {
	if r.Scrubbed.Pages == 0 {
		return "nothing had to be"
	}
	var how []string
	if n := r.Scrubbed.Written; n > 0 {
		how = append(how, humanize.Size(n)+" overwritten with zeros")
	}
	if n := r.Scrubbed.Punched; n > 0 {
		how = append(how, humanize.Size(n)+" punched out")
	}
	return humanize.Counted(r.Scrubbed.Pages, "page") + ": " + strings.Join(how, ", ")
}

func hashes(r engine.LedgerEntry) string {
	return "of " + humanize.Counted(r.Hashes.Count, "deleted user")
}

// CSS is how the page and its sections look: colours, cards, lists, the chart. It is for a page of its own; the console's
// pages are built on it.
//
//go:embed receipt.css
var CSS string

//go:embed receipt.html
var text string

var parsed = template.Must(template.New("receipt").Funcs(template.FuncMap{
	"count": humanize.Count, "counted": humanize.Counted, "instant": humanize.Instant, "base": path.Base,
	"css": func() template.CSS { return template.CSS(CSS) },
}).Parse(text))

// WritePage writes a receipt as a page in one file, which needs no script, font or network.
func WritePage(w io.Writer, r engine.LedgerEntry) error {
	return parsed.ExecuteTemplate(w, "page", newView(r))
}

// Sections returns what stands below the heading of the page, for a page that has [CSS].
func Sections(r engine.LedgerEntry) (template.HTML, error) {
	var b strings.Builder
	err := parsed.ExecuteTemplate(&b, "sections", newView(r))
	return template.HTML(b.String()), err
}

// view is what the templates show.
type view struct {
	engine.LedgerEntry
	Files, Checked, Scrubbed, Hashes string
	Erasure                          string // how long it took
	Steps                            []step
	Chart                            []bar
}

type step struct {
	At                  time.Time
	Title, Text, Passed string
}

func newView(r engine.LedgerEntry) view {
	v := view{
		LedgerEntry: r, Files: files(r), Checked: checked(r), Scrubbed: scrubbed(r), Hashes: hashes(r),
		Erasure: humanize.Duration(r.Erased.Sub(r.Created)), Chart: chartRows(r.Counts.Deleted),
	}
	before := r.Created
	for _, s := range []step{
		{r.Created, "Requested", "The job was created.", ""},
		{r.Invisible, "Invisible", "One commit deleted all rows of all listed users for every reader that began later.", ""},
		{r.Erased, "Erased", "Their rows and IDs were out of the store, and what had held them read as zeros.", ""},
		{r.Completed, "Completed", "This receipt was added to the ledger.", ""},
	} {
		if len(v.Steps) > 0 {
			s.Passed = "+ " + humanize.Duration(s.At.Sub(before))
		}
		before = s.At
		v.Steps = append(v.Steps, s)
	}
	return v
}
