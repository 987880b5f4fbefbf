package console

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newFolder(t *testing.T) *folder {
	t.Helper()
	f, err := openFolder(filepath.Join(t.TempDir(), "a", "lists"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestErase(t *testing.T) {
	f := newFolder(t)
	text := strings.Repeat("SECRET-1\n", 20_000)
	name, size, err := f.store(strings.NewReader(text), "users.CSV.GZ", int64(len(text)))
	if err != nil || size != int64(len(text)) || !strings.HasSuffix(name, ".csv.gz") {
		t.Fatalf("stored %d bytes as %s: %v", size, name, err)
	}
	info, err := os.Stat(f.location(name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the list is %v: %v", info.Mode(), err)
	}
	if dir, err := os.Stat(f.path); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v: %v", dir.Mode(), err)
	}
	// The other name shows what was done to the bytes.
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Link(f.location(name), other); err != nil {
		t.Fatal(err)
	}
	if err := f.erase(name); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(other)
	if err != nil || !bytes.Equal(left, make([]byte, len(text))) {
		t.Errorf("the list wasn't overwritten: %v", err)
	}
	if names, err := f.lists(); err != nil || len(names) > 0 {
		t.Errorf("the folder has %v: %v", names, err)
	}
	if err := f.erase(name); err != nil {
		t.Errorf("erasing it again: %v", err)
	}
}

func TestEraseTouchesNothingElse(t *testing.T) {
	f := newFolder(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(f.path, "notes.csv")
	if err := os.WriteFile(inside, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := listPrefix + "link.csv"
	if err := os.Symlink(outside, f.location(link)); err != nil {
		t.Fatal(err)
	}
	if names, err := f.lists(); err != nil || len(names) != 1 || names[0] != link {
		t.Errorf("lists are %v: %v", names, err)
	}
	if err := f.erase(link); err != nil {
		t.Error(err)
	}
	if err := f.erase("../outside"); err == nil {
		t.Error("a name leads out of the folder")
	}
	for _, path := range []string{outside, inside} {
		if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
			t.Errorf("a file that is no list was changed: %v", err)
		}
	}
}

func TestStoreLeavesNothingAfterAnError(t *testing.T) {
	f := newFolder(t)
	if _, _, err := f.store(strings.NewReader("12345"), "x", 4); !errors.Is(err, errTooLarge) {
		t.Errorf("too large: %v", err)
	}
	cut := io.MultiReader(strings.NewReader("USER_ID\n"), brokenReader{})
	if _, _, err := f.store(cut, "x", 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	if names, err := f.lists(); err != nil || len(names) > 0 {
		t.Errorf("the folder has %v: %v", names, err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestShowable(t *testing.T) {
	for name, want := range map[string]string{
		"users.csv": "users.csv", `C:\Users\me\lists\a b (2).csv`: "a b (2).csv", "../../etc/passwd": "passwd",
		"<script>alert(1)</script>": "script_", "a\x00b\nc\u202etxt": "a_b_c_txt", "\xff.csv": "_.csv", "Größe.csv": "Größe.csv",
		strings.Repeat("é", 200): strings.Repeat("é", 80) + "…",
	} {
		if got := showable(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}
