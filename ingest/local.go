package ingest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// local is the source for a file or folder of this machine.
//
// Symbolic links are followed, to files and to folders: a list behind a link is
// a list. Every folder is read once, however many links lead to it, which also
// ends loops.
type local struct {
	root string
	walk Walk
}

func (l *local) List(ctx context.Context) ([]File, error) {
	name := filepath.ToSlash(l.root)
	info, err := os.Stat(l.root)
	if err != nil {
		return nil, fileError(name, "look up", err)
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil, errIrregular(name)
		}
		return []File{localFile(name, filepath.Base(l.root), info)}, nil
	}

	w := walker{ctx: ctx, source: l, seen: make(map[string]bool)}
	if err := w.folder(l.root, ""); err != nil {
		return nil, err
	}
	if len(w.files) == 0 {
		return nil, &Error{
			File:    name,
			Problem: "the folder has no .csv, .csv.gz or .csv.zst file; check the location",
			Err:     ErrNoFiles,
		}
	}
	slices.SortFunc(w.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return w.files, nil
}

type walker struct {
	ctx    context.Context
	source *local
	seen   map[string]bool // folders read, by path without links
	files  []File
}

// folder adds the files of a folder; prefix is its path inside the location,
// "" or with a slash at its end.
func (w *walker) folder(dir, prefix string) error {
	name := w.name(strings.TrimSuffix(prefix, "/"))
	if err := w.ctx.Err(); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fileError(name, "list", err)
	}
	if w.seen[real] {
		return nil
	}
	w.seen[real] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fileError(name, "list", err)
	}
	for _, entry := range entries {
		if hidden(entry.Name()) {
			continue
		}
		if err := w.entry(filepath.Join(dir, entry.Name()), prefix+entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(full, path string) error {
	info, err := os.Stat(full)
	if err != nil {
		return fileError(w.name(path), "look up", err)
	}
	if info.IsDir() {
		if w.source.walk == FirstLevel {
			return nil
		}
		return w.folder(full, path+"/")
	}
	wanted, err := Wanted(path, info.Size())
	var e *Error
	if errors.As(err, &e) {
		e.File = w.name(path)
	}
	if err != nil || !wanted {
		return err
	}
	if !info.Mode().IsRegular() {
		return errIrregular(w.name(path))
	}
	w.files = append(w.files, localFile(w.name(path), path, info))
	return nil
}

func (w *walker) name(path string) string {
	root := filepath.ToSlash(w.source.root)
	if path == "" {
		return root
	}
	return strings.TrimRight(root, "/") + "/" + path
}

func errIrregular(name string) error {
	return &Error{File: name, Problem: "not a regular file, and those can't be read twice; copy it into a file first"}
}

func localFile(name, path string, info fs.FileInfo) File {
	return File{Name: name, Path: path, Size: info.Size(), Version: localVersion(info)}
}

func localVersion(info fs.FileInfo) string {
	return strconv.FormatInt(info.ModTime().UnixNano(), 10)
}

func (l *local) Open(ctx context.Context, f File) (io.ReadCloser, error) {
	full := filepath.FromSlash(f.Name)
	file, err := os.Open(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errChanged(f.Name)
	}
	if err != nil {
		return nil, fileError(f.Name, "open", err)
	}
	r := &localReader{ctx: ctx, file: file, full: full, listed: f}
	if err := r.check(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// localReader reads a file and sees to it that it is the listed one to the end.
type localReader struct {
	ctx    context.Context // of the Open: it governs reading
	file   *os.File
	full   string
	listed File
	read   int64
	ended  bool // read to the end and found unchanged
}

func (r *localReader) Read(p []byte) (int, error) {
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
		return n, errChanged(r.listed.Name)
	}
	r.ended = true
	return n, io.EOF
}

// check compares both the open file and what its path leads to now: a file that
// was replaced leaves the open one as it was.
func (r *localReader) check() error {
	open, err := r.file.Stat()
	if err != nil {
		return fileError(r.listed.Name, "look up", err)
	}
	now, err := os.Stat(r.full)
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged(r.listed.Name)
	}
	if err != nil {
		return fileError(r.listed.Name, "look up", err)
	}
	if !os.SameFile(open, now) || now.Size() != r.listed.Size || localVersion(now) != r.listed.Version {
		return errChanged(r.listed.Name)
	}
	return nil
}

func (r *localReader) Close() error {
	var err error
	if !r.ended {
		err = r.check()
	}
	return errors.Join(err, r.file.Close())
}
