package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/humanize"
)

// printJSON writes one document.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// print writes text to stdout.
func (a *app) print(text string) error {
	if _, err := io.WriteString(a.stdout, text); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// writeFile writes a file that has its name only once it is whole. It replaces one that is there, but not a device or a
// pipe.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("write %s: it is there and not a file; give another name", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".expunge-*")
	if err != nil {
		return nextStep(fmt.Errorf("write %s: %w", path, err), "Make the folder first, or give another one.")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// Numbers, sizes and times, as the console and a receipt write them too.
var (
	count   = humanize.Count
	counted = humanize.Counted
	size    = humanize.Size
	moment  = humanize.Moment
)

// epoch is a time as the API sends it: seconds since 1970 with milliseconds.
func epoch(t time.Time) json.Number {
	ms := t.UnixMilli()
	return json.Number(fmt.Sprintf("%d.%03d", ms/1000, ms%1000))
}

// lower is a dataset type as people write it.
func lower[T ~string](t T) string { return strings.ToLower(string(t)) }

// datasetTypes are all types, in the order in which they are shown.
var datasetTypes = []engine.DatasetType{engine.Users, engine.Items, engine.Interactions}

// quote makes a word of a shell command line of s.
func quote(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+=:,@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// table lays out rows in columns; the first row is the heading. Columns whose name is in right are aligned to the right.
func table(rows [][]string, right ...string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	toRight := make(map[int]bool)
	for i, name := range rows[0] {
		for _, r := range right {
			toRight[i] = toRight[i] || r == name
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if toRight[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
			line.WriteString("  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// pairs lays out names and what they are; those that are nothing are left out.
func pairs(rows ...[2]string) string {
	width := 0
	for _, r := range rows {
		if r[1] != "" {
			width = max(width, len(r[0]))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(&b, "%-*s  %s\n", width, r[0], r[1])
		}
	}
	return b.String()
}
