package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/ingest"
)

func (p Place) create(t *testing.T, ctx context.Context, folder, name string) ingest.SinkFile {
	t.Helper()
	sink, err := p.Locations.Sink(p.Root+folder, "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := sink.Create(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, f io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(f, s); err != nil {
		t.Fatal(err)
	}
}

// wantFile checks what a file holds now.
func (p Place) wantFile(t *testing.T, path, want string) {
	t.Helper()
	src := p.source(t, path, ingest.Recursive)
	if got, err := read(t, src, listed(t, src)); err != nil || got != want {
		t.Errorf("%s: %d bytes, %v; want %d", path, len(got), err, len(want))
	}
}

func testWrite(t *testing.T, p Place) {
	for i, folder := range []string{"out", "out/", "new/folder/"} {
		name := fmt.Sprintf("users/part %d.csv", i)
		at := strings.TrimSuffix(folder, "/") + "/" + name
		f := p.create(t, t.Context(), folder, name)
		write(t, f, "USER_ID\n")
		write(t, f, "")
		write(t, f, "u\n")
		if got, err := p.list(t, "", ingest.Recursive); strings.Contains(got, name) || err != nil && !errors.Is(err, ingest.ErrNoFiles) {
			t.Errorf("before the commit: %q, %v", got, err)
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		p.wantFile(t, at, "USER_ID\nu\n")

		replace := p.create(t, t.Context(), folder, name)
		write(t, replace, "USER_ID\n")
		p.wantFile(t, at, "USER_ID\nu\n")
		if err := replace.Commit(); err != nil {
			t.Fatal(err)
		}
		p.wantFile(t, at, "USER_ID\n")
	}
	if err := p.create(t, t.Context(), "out", "empty.csv").Commit(); err != nil {
		t.Fatal(err)
	}
	p.wantFile(t, "out/empty.csv", "")

	large := p.create(t, t.Context(), "out", "large.csv")
	for range 10 { // 40 MiB, in several parts
		write(t, large, content)
	}
	if err := large.Commit(); err != nil {
		t.Fatal(err)
	}
	p.wantFile(t, "out/large.csv", strings.Repeat(content, 10))
}

func testGiveUp(t *testing.T, p Place) {
	p.put(t, map[string]string{"out/a.csv": "old"})
	for _, size := range []int{0, 1, 10} { // times 4 MiB
		f := p.create(t, t.Context(), "out", "a.csv")
		for range size {
			write(t, f, content)
		}
		if err := f.Abort(); err != nil {
			t.Errorf("abort: %v", err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		f = p.create(t, ctx, "out", "a.csv")
		for range size {
			write(t, f, content)
		}
		cancel()
		if _, err := f.Write([]byte("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("write: %v", err)
		}
		if err := f.Commit(); !errors.Is(err, context.Canceled) {
			t.Errorf("commit: %v", err)
		}
	}
	p.wantFile(t, "out/a.csv", "old")
	if got, err := p.list(t, "", ingest.Recursive); err != nil || got != "out/a.csv" {
		t.Errorf("left: %q, %v", got, err)
	}

	sink, err := p.Locations.Sink(p.Root+"out/", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "/a.csv", "../a.csv", "b/../../a.csv", "b//a.csv", "b/", "./a.csv", "a\xff.csv"} {
		if f, err := sink.Create(t.Context(), name); err == nil {
			t.Errorf("file %q was created: %v", name, f.Abort())
		}
	}
}
