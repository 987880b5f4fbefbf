package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary be a peer's process too, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childFlag {
		e, err := findEntry(os.Args[2])
		if err == nil {
			err = serve(context.Background(), e, os.Stdin, os.Stdout)
		}
		quietExit(err)
		return
	}
	os.Exit(m.Run())
}

// TestAllPeers runs the whole harness, which compares every peer's rows with the input's after each import and erase.
func TestAllPeers(t *testing.T) {
	var out, log bytes.Buffer
	if err := command(t.Context(), []string{"--interactions", "50000", "--runs", "1", "--dir", t.TempDir()}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for _, e := range entries {
		if !strings.Contains(out.String(), "| "+e.Name) {
			t.Errorf("the table lacks %s", e.Name)
		}
	}
	for _, line := range strings.Split(out.String(), "\n") {
		cells := strings.Split(line, "|")
		if strings.HasPrefix(line, "| expunge ") && len(cells) == 6 && strings.TrimSpace(cells[3]) != "0 of 100, 0 of 10, 0 of 100" {
			t.Errorf("IDs are left in Expunge's file: %s", line)
		}
	}
}

// wrongPeer loses no row: what the harness must notice.
type wrongPeer struct{ csvPeer }

func (p *wrongPeer) Erase(context.Context, string) error { return nil }

func TestHarnessNoticesWrongRows(t *testing.T) {
	in, err := makeInputs(t.Context(), t.TempDir(), 50_000)
	if err != nil {
		t.Fatal(err)
	}
	p := &wrongPeer{}
	dir := t.TempDir()
	if err := p.Import(t.Context(), dir, in.csv); err != nil {
		t.Fatal(err)
	}
	for _, l := range in.lists {
		if err := p.Erase(t.Context(), l.path); err != nil {
			t.Fatal(err)
		}
		got, err := p.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.equal(l.after) {
			t.Errorf("list of %s: rows that should be gone are not missed", l.Name)
		}
		if n, _, err := newIDSearch(l.ids).count(dir); err != nil || n != len(l.ids) {
			t.Errorf("list of %s: found %d of %d IDs (%v)", l.Name, n, len(l.ids), err)
		}
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--interactions", "1"}, {"--runs", "0"}, {"--only", "nothing"}, {"--only", "sqlite-vacuum"},
	} {
		if err := command(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
