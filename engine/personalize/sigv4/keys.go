package sigv4

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Keys are secret access keys by their access key IDs.
type Keys map[string]string

// maxKeyFile is more than any file of keys has, in bytes.
const maxKeyFile = 1 << 20

// ReadKeys reads access keys from a file in the form of the shared credentials file of the AWS clients, so that a client
// can be given the same one:
//
//	[name]
//	aws_access_key_id = ...
//	aws_secret_access_key = ...
//
// The file must be a regular one that nobody but its owner may read or write. Errors name a line, never what is on it.
func ReadKeys(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open access keys: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at access keys: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("access keys in %s: it is no regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("access keys in %s: others than its owner may use the file; chmod 600 it, and make new keys if others could have read it", path)
	}
	keys, err := parseKeys(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("access keys in %s: %w", path, err)
	}
	return keys, nil
}

func parseKeys(r io.Reader) (Keys, error) {
	keys := make(Keys)
	var id, secret string
	section := 0 // the line where it began; 0 before the first
	end := func() error {
		switch {
		case section == 0:
			return nil
		case id == "" || secret == "":
			return fmt.Errorf("line %d: the section has no aws_access_key_id or no aws_secret_access_key", section)
		case keys[id] != "":
			return fmt.Errorf("line %d: the access key of the section is there twice", section)
		}
		keys[id], id, secret = secret, "", ""
		return nil
	}
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && line[len(line)-1] == ']':
			if err := end(); err != nil {
				return nil, err
			}
			section = n
		default:
			name, value, ok := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			if !ok || value == "" || section == 0 {
				return nil, fmt.Errorf("line %d: give a section in brackets, or NAME = VALUE after one", n)
			}
			var to *string
			switch strings.TrimSpace(name) {
			case "aws_access_key_id":
				to = &id
			case "aws_secret_access_key":
				to = &secret
			case "region", "output":
				continue // a client's
			default:
				return nil, fmt.Errorf("line %d: only aws_access_key_id and aws_secret_access_key are known", n)
			}
			if *to != "" {
				return nil, fmt.Errorf("line %d: the value is there twice", n)
			}
			*to = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there are none")
	}
	return keys, nil
}
