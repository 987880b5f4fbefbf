package ingest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
			return nil, IrregularError(name)
		}
		return []File{NewFile(name, filepath.Base(l.root), info)}, nil
	}

	w := walker{ctx: ctx, source: l, seen: make(map[string]bool)}
	if err := w.folder(l.root, ""); err != nil {
		return nil, err
	}
	if len(w.files) == 0 {
		return nil, NoFilesError(name)
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
		return IrregularError(w.name(path))
	}
	w.files = append(w.files, NewFile(w.name(path), path, info))
	return nil
}

func (w *walker) name(path string) string {
	root := filepath.ToSlash(w.source.root)
	if path == "" {
		return root
	}
	return strings.TrimRight(root, "/") + "/" + path
}

func (l *local) Open(ctx context.Context, f File) (io.ReadCloser, error) {
	full := filepath.FromSlash(f.Name)
	return OpenFile(ctx, f, func() (*os.File, error) { return os.Open(full) }, func() (fs.FileInfo, error) { return os.Stat(full) })
}
