package sigv4

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadKeys(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string // of the error; "" for none
	}{
		{"two keys", "# ours\n[default]\naws_access_key_id = AKID1\naws_secret_access_key=s1=/+\nregion = us-east-1\n\n[ci]\r\naws_secret_access_key = s2\r\naws_access_key_id = AKID2\r\n", 0o600, ""},
		{"for reading only", "[a]\naws_access_key_id=AKID1\naws_secret_access_key=s1=/+\n[b]\naws_access_key_id=AKID2\naws_secret_access_key=s2", 0o400, ""},
		{"the group may read it", "[a]\naws_access_key_id=AKID1\naws_secret_access_key=s1", 0o640, "chmod 600"},
		{"all may read it", "[a]\naws_access_key_id=AKID1\naws_secret_access_key=s1", 0o604, "chmod 600"},
		{"empty", "", 0o600, "there are none"},
		{"no section", "aws_access_key_id=s1", 0o600, "line 1: give a section"},
		{"no secret", "[a]\naws_access_key_id=s1\n[b]\n", 0o600, "line 1: the section has no"},
		{"no ID", "\n[a]\naws_secret_access_key=s1\n", 0o600, "line 2: the section has no"},
		{"a line that is none", "[a]\ns1", 0o600, "line 2: give a section"},
		{"another name", "[a]\ns1 = s1", 0o600, "line 2: only"},
		{"a value twice", "[a]\naws_access_key_id=s1\naws_access_key_id=s1", 0o600, "line 3: the value is there twice"},
		{"a key twice", "[a]\naws_access_key_id=s1\naws_secret_access_key=s1\n[b]\naws_access_key_id=s1\naws_secret_access_key=s1", 0o600, "line 4: the access key"},
		{"a long line", "[a]\naws_access_key_id=" + strings.Repeat("s1", 100_000), 0o600, "line 2: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			keys, err := ReadKeys(path)
			if c.want == "" {
				if err != nil || len(keys) != 2 || keys["AKID1"] != "s1=/+" || keys["AKID2"] != "s2" {
					t.Errorf("got %d keys, %v", len(keys), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "s1") {
				t.Errorf("the error says what is in the file: %v", err)
			}
		})
	}
	if _, err := ReadKeys(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := ReadKeys(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
}
