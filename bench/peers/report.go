package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a whole measurement found.
type report struct {
	Conditions []string
	Peers      []*result
}

func conditions(in *inputs, runs int) []string {
	c := []string{
		fmt.Sprintf("%d interactions, %d bytes of CSV; %d runs; %s", in.all.Rows, in.bytes, runs, time.Now().UTC().Format(time.DateOnly)),
		fmt.Sprintf("%s %s/%s, %d processors, page cache warm, everything synced before a clock stops", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		c = append(c, "load average at the end: "+strings.TrimSpace(string(b)))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			switch m.Path {
			case "github.com/duckdb/duckdb-go/v2", "github.com/mattn/go-sqlite3", "github.com/cockroachdb/pebble/v2", "github.com/parquet-go/parquet-go":
				c = append(c, m.Path+" "+m.Version)
			}
		}
	}
	return c
}

// column is one column of the table: less is better in all of them.
type column struct {
	head    string
	samples func(*result) []float64
	show    func(float64) string
	// rival says whether a peer counts as one in this column.
	rival func(*result) bool
}

func columns(lists []listResult) []column {
	any := func(*result) bool { return true }
	store := func(r *result) bool { return !r.NoStore }
	cols := []column{{"import", func(r *result) []float64 { return r.Import }, seconds, store}}
	for i, l := range lists {
		cols = append(cols, column{"delete " + l.Name, func(r *result) []float64 { return r.Lists[i].Delete }, seconds, any})
	}
	for i, l := range lists {
		cols = append(cols, column{"erased " + l.Name, func(r *result) []float64 { return r.Lists[i].Erased }, seconds,
			func(r *result) bool { return most(r.Lists[i].LeftErased) <= 0 }})
	}
	last := len(lists) - 1
	return append(cols,
		column{"scan", func(r *result) []float64 { return r.Scan }, seconds, any},
		column{"one user", func(r *result) []float64 { return r.User }, seconds, any},
		column{"size", func(r *result) []float64 { return r.Size }, megabytes, any},
		column{"size erased " + lists[last].Name, func(r *result) []float64 { return r.Lists[last].Size }, megabytes, any},
		column{"memory import", func(r *result) []float64 { return r.ImportPeak }, megabytes, store},
		column{"memory erase " + lists[last].Name, func(r *result) []float64 { return r.Lists[last].Peak }, megabytes, any},
	)
}

// write prints the conditions, a row for each column of figures and a table of what a search found.
func (rep report) write(w io.Writer) error {
	for _, c := range rep.Conditions {
		fmt.Fprintln(w, c)
	}
	fmt.Fprintln(w, "\nEach cell: median (least-most). Time: s, ms, µs. Size and memory: MB. Last columns: Expunge over the best rival; an\n"+
		"erase counts as a rival's only if the search found nothing, an import only if it makes a store.")
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprint(tw, "\n|")
	for _, r := range rep.Peers {
		fmt.Fprintf(tw, "\t| %s", r.Name)
	}
	fmt.Fprintln(tw, "\t| ratio\t| best rival\t|")
	fmt.Fprintln(tw, "|"+strings.Repeat("\t| ---", len(rep.Peers)+2)+"\t|")
	for _, c := range columns(rep.Peers[0].Lists) {
		fmt.Fprintf(tw, "| %s", c.head)
		for _, r := range rep.Peers {
			s := c.samples(r)
			if len(s) == 0 {
				fmt.Fprint(tw, "\t| -")
				continue
			}
			fmt.Fprintf(tw, "\t| %s (%s-%s)", c.show(median(s)), c.show(slices.Min(s)), c.show(slices.Max(s)))
		}
		ratio, best := rep.ratio(c)
		fmt.Fprintf(tw, "\t| %s\t| %s\t|\n", ratio, best)
	}
	fmt.Fprintln(tw)
	fmt.Fprintln(tw, "| IDs found in the files\t| after delete\t| after erase\t| in\t|\n|\t| ---\t| ---\t| ---\t|")
	for _, r := range rep.Peers {
		var deleted, erased, in []string
		for _, l := range r.Lists {
			deleted, erased = append(deleted, found(l.LeftDelete, l.Users)), append(erased, found(l.LeftErased, l.Users))
			in = append(in, l.LeftIn...)
		}
		slices.Sort(in)
		fmt.Fprintf(tw, "| %s\t| %s\t| %s\t| %s\t|\n", r.Name, strings.Join(deleted, ", "), strings.Join(erased, ", "), strings.Join(slices.Compact(in), ", "))
	}
	fmt.Fprintln(tw)
	for _, r := range rep.Peers {
		fmt.Fprintf(tw, "%s\t%s\n", r.Name, r.What)
	}
	return tw.Flush()
}

// ratio compares the medians of Expunge and of the best rival in a column.
func (rep report) ratio(c column) (ratio, best string) {
	var ours float64
	least := 0.0
	for _, r := range rep.Peers {
		s := c.samples(r)
		switch {
		case len(s) == 0:
		case r.Name == expungeEntry.Name:
			ours = median(s)
		case c.rival(r) && (best == "" || median(s) < least):
			best, least = r.Name, median(s)
		}
	}
	if ours == 0 || best == "" {
		return "-", cmp.Or(best, "-")
	}
	return fmt.Sprintf("%.2f", ours/least), best
}

// found says how many of a list's users a search found, at most in any run.
func found(left []int, users int) string {
	if n := most(left); n >= 0 {
		return fmt.Sprintf("%d of %d", n, users)
	}
	return "-"
}

func most(n []int) int { return slices.Max(append([]int{-1}, n...)) }

func median(s []float64) float64 {
	s = slices.Sorted(slices.Values(s))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

func seconds(s float64) string {
	switch {
	case s < 0.001:
		return fmt.Sprintf("%.0fµs", s*1e6)
	case s < 0.1:
		return fmt.Sprintf("%.1fms", s*1e3)
	}
	return fmt.Sprintf("%.2f", s)
}

func megabytes(b float64) string { return fmt.Sprintf("%.0f", b/1e6) }

// choose finds entries by name. One that uses another's import comes after it.
func choose(names []string) (chosen []entry, err error) {
	for _, e := range entries {
		if slices.Contains(names, e.Name) {
			if e.Base != "" && !slices.Contains(names, e.Base) {
				return nil, fmt.Errorf("%s uses the import of %s: name both", e.Name, e.Base)
			}
			chosen = append(chosen, e)
		}
	}
	for _, n := range names {
		if _, err := findEntry(n); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// clear removes the store of the first of the entries that are left in this run, unless the next one uses it, and the one
// that it used.
func (h *harness) clear(left []entry) error {
	if len(left) > 1 && left[1].Base == left[0].Name {
		return nil
	}
	return os.RemoveAll(h.base(cmp.Or(left[0].Base, left[0].Name)))
}

// joinRemove removes a folder and joins what went wrong with err.
func joinRemove(err error, dir string) error {
	return errors.Join(err, os.RemoveAll(filepath.Clean(dir)))
}
