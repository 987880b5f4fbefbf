package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// patterns are strings of one length to look for in files.
type patterns struct {
	length int
	set    map[string]bool
	begins [1 << 16]bool // the first two bytes of each, so that few places are looked up
}

// newPatterns takes strings of at least two bytes, all of the same length.
func newPatterns(all []string) (*patterns, error) {
	p := &patterns{set: make(map[string]bool, len(all))}
	for _, s := range all {
		if p.length == 0 {
			p.length = len(s)
		}
		if len(s) != p.length || len(s) < 2 {
			return nil, errors.New("search: patterns must have one length, of 2 bytes at least")
		}
		p.set[s] = true
		p.begins[uint16(s[0])<<8|uint16(s[1])] = true
	}
	return p, nil
}

// foundIn returns how many of the patterns occur in the bytes of a file, each counted once. It reads the file once and
// holds a small part of it.
func (p *patterns) foundIn(ctx context.Context, path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err = p.count(ctx, f, 1<<20)
	if err != nil {
		return 0, fmt.Errorf("search %s: %w", path, err)
	}
	return n, nil
}

// count reads r in steps of chunk bytes, which may be shorter than a pattern.
func (p *patterns) count(ctx context.Context, r io.Reader, chunk int) (int, error) {
	if p.length == 0 {
		return 0, nil
	}
	found := make(map[string]bool)
	buf := make([]byte, 0, chunk+p.length)
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(buf[len(buf) : len(buf)+chunk])
		buf = buf[:len(buf)+n]
		for i := 0; i+p.length <= len(buf); i++ {
			if p.begins[uint16(buf[i])<<8|uint16(buf[i+1])] && p.set[string(buf[i:i+p.length])] {
				found[string(buf[i:i+p.length])] = true
			}
		}
		if err == io.EOF {
			return len(found), nil
		}
		if err != nil {
			return 0, err
		}
		// What could be the beginning of a pattern is looked at again with what follows.
		if keep := p.length - 1; len(buf) > keep {
			buf = buf[:copy(buf, buf[len(buf)-keep:])]
		}
	}
}
