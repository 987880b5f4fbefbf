package ingest

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
)

// Digest identifies the files of a list by their stored bytes, so that it can be shown later which files a job read.
type Digest struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"` // stored, as compressed
	// SHA256 is in hex. For one file it is that of its bytes, as sha256sum prints it. For several it is that of a line
	// for each, in byte order of the paths: the file's own in hex, two spaces, its path inside the location, a newline.
	SHA256 string `json:"sha256"`
}

// fileSums collects a Digest while the files are read.
type fileSums struct {
	file  hash.Hash // of the open file
	lines hash.Hash // of the files before it
	last  string    // of the file before it, in hex
	done  Digest    // Files and Bytes of the files before it
}

func newFileSums() *fileSums { return &fileSums{file: sha256.New(), lines: sha256.New()} }

// next ends a file.
func (s *fileSums) next(f File) {
	s.last = hex.EncodeToString(s.file.Sum(nil))
	s.file.Reset()
	fmt.Fprintf(s.lines, "%s  %s\n", s.last, f.Path) // a hash doesn't fail
	s.done.Files++
	s.done.Bytes += f.Size
}

func (s *fileSums) digest() Digest {
	d := s.done
	if d.SHA256 = s.last; d.Files != 1 {
		d.SHA256 = hex.EncodeToString(s.lines.Sum(nil))
	}
	return d
}

// savedSums is what a [Position] keeps. It covers whole files only: the state of a hash holds the last bytes that were
// added to it, which of lines are no IDs.
type savedSums struct {
	Lines string `json:"lines"` // in hex
	Last  string `json:"last"`
	Files int64  `json:"files"`
	Bytes int64  `json:"bytes"`
}

func (s *fileSums) save() savedSums {
	lines, err := s.lines.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // that of crypto/sha256 doesn't fail
	}
	return savedSums{hex.EncodeToString(lines), s.last, s.done.Files, s.done.Bytes}
}

// resume begins at the end of the files of saved.
func (s *fileSums) resume(saved savedSums) error {
	s.last, s.done = saved.Last, Digest{Files: saved.Files, Bytes: saved.Bytes}
	lines, err := hex.DecodeString(saved.Lines)
	if err != nil {
		return err
	}
	return s.lines.(encoding.BinaryUnmarshaler).UnmarshalBinary(lines)
}
