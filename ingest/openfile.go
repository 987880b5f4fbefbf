package ingest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// NewFile describes a file of a file system, for implementations of [Source].
func NewFile(name, path string, info fs.FileInfo) File {
	return File{Name: name, Path: path, Size: info.Size(), Version: fileVersion(info)}
}

func fileVersion(info fs.FileInfo) string {
	return strconv.FormatInt(info.ModTime().UnixNano(), 10)
}

// IrregularError is the [Error] for what is neither a file nor a folder.
func IrregularError(name string) *Error {
	return &Error{File: name, Problem: "not a regular file, and those can't be read twice; copy it into a file first"}
}

// OpenFile opens a file that [NewFile] described, as [Source.Open] has to. open opens it; stat looks up what its path
// leads to now, also while it is read.
func OpenFile(ctx context.Context, listed File, open func() (*os.File, error), stat func() (fs.FileInfo, error)) (io.ReadCloser, error) {
	file, err := open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ChangedError(listed.Name)
	}
	if err != nil {
		return nil, fileError(listed.Name, "open", err)
	}
	r := &fileReader{ctx: ctx, file: file, stat: stat, listed: listed}
	if err := r.check(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// fileReader reads a file and sees to it that it is the listed one to the end.
type fileReader struct {
	ctx    context.Context // of the Open: it governs reading
	file   *os.File
	stat   func() (fs.FileInfo, error)
	listed File
	read   int64
	ended  bool // read to the end and found unchanged
}

func (r *fileReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.file.Read(p)
	r.read += int64(n)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, fileError(r.listed.Name, "read", err)
	}
	if err := r.check(); err != nil {
		return n, err
	}
	if r.read != r.listed.Size {
		return n, ChangedError(r.listed.Name)
	}
	r.ended = true
	return n, io.EOF
}

// check compares both the open file and what its path leads to now: a file that
// was replaced leaves the open one as it was.
func (r *fileReader) check() error {
	open, err := r.file.Stat()
	if err != nil {
		return fileError(r.listed.Name, "look up", err)
	}
	now, err := r.stat()
	if errors.Is(err, fs.ErrNotExist) {
		return ChangedError(r.listed.Name)
	}
	if err != nil {
		return fileError(r.listed.Name, "look up", err)
	}
	if !os.SameFile(open, now) || now.Size() != r.listed.Size || fileVersion(now) != r.listed.Version {
		return ChangedError(r.listed.Name)
	}
	return nil
}

func (r *fileReader) Close() error {
	var err error
	if !r.ended {
		err = r.check()
	}
	return errors.Join(err, r.file.Close())
}
