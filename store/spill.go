package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// spillFile is a temporary file beside the store. It has no name from the moment it was made, so that a crash leaves
// nothing of it. It may be used by several goroutines.
type spillFile struct {
	f    *os.File
	size atomic.Int64
}

// section is a part of a spill file.
type section struct{ off, size int64 }

// spillPrefix begins the names that spill files have for a moment.
func spillPrefix(store string) string { return "." + filepath.Base(store) + ".sort-" }

// removeSpillFiles removes those of processes that were killed in that moment. The caller holds the store for writing.
func removeSpillFiles(store string) error {
	entries, err := os.ReadDir(filepath.Dir(store))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), spillPrefix(store)) && e.Type().IsRegular() {
			err = errors.Join(err, removeIfThere(filepath.Join(filepath.Dir(store), e.Name())))
		}
	}
	return err
}

func newSpillFile(store string) (*spillFile, error) {
	f, err := os.CreateTemp(filepath.Dir(store), spillPrefix(store)+"*")
	if err != nil {
		return nil, fmt.Errorf("create sort file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("unlink sort file: %w", errors.Join(err, f.Close()))
	}
	return &spillFile{f: f}, nil
}

// close gives the file's room back. Closing it again, or a nil file, does nothing.
func (s *spillFile) close() error {
	if s == nil || s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// spillPage is what sections begin at a multiple of: a write that shares a page of the file with another one takes longer.
const spillPage = 4096

// append writes b, which it doesn't keep, at the end.
func (s *spillFile) append(b []byte) (section, error) {
	room := (int64(len(b)) + spillPage - 1) / spillPage * spillPage
	sec := section{s.size.Add(room) - room, int64(len(b))}
	if _, err := s.f.WriteAt(b, sec.off); err != nil {
		return sec, fmt.Errorf("write sort file: %w", fullDisk(err))
	}
	return sec, nil
}

// read appends a section to dst.
func (s *spillFile) read(dst []byte, sec section) ([]byte, error) {
	n := len(dst)
	dst = append(dst, make([]byte, sec.size)...)
	if _, err := s.f.ReadAt(dst[n:], sec.off); err != nil {
		return dst, fmt.Errorf("read sort file: %w", err)
	}
	return dst, nil
}

// reader reads sections one after the other with a buffer of the given size.
func (s *spillFile) reader(buffer int, secs ...section) *bufio.Reader {
	parts := make([]io.Reader, len(secs))
	for i, sec := range secs {
		parts[i] = io.NewSectionReader(s.f, sec.off, sec.size)
	}
	return bufio.NewReaderSize(io.MultiReader(parts...), buffer)
}
