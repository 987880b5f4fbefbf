// Package atomicfile writes files that appear whole or not at all.
package atomicfile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// File is a file that is being written. Until Commit it has a name that begins with ".", which the readers of folders
// pass over.
type File struct {
	ctx  context.Context // of the Create: it governs writing
	root *os.Root
	file *os.File
	temp string
	name string
}

// Create starts a file at a path inside root, with slashes, and makes the folders above it. It removes what a process
// that was killed left of a file of the same name; if another is being written, that one's Commit fails. root has to
// stay open until Commit or Abort.
func Create(ctx context.Context, root *os.Root, name string) (*File, error) {
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0) {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrInvalid}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if err := root.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	prefix := "." + base + ".partial-"
	if err := removePartial(root, dir, prefix); err != nil {
		return nil, err
	}
	temp := path.Join(dir, prefix+rand.Text())
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &File{ctx: ctx, root: root, file: file, temp: temp, name: name}, nil
}

func removePartial(root *os.Root, dir, prefix string) error {
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		if err := root.Remove(path.Join(dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an earlier write left: %w", err)
		}
	}
	return nil
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

// Commit gives the file its name, durably, or removes it.
func (f *File) Commit() error {
	err := f.ctx.Err()
	if err == nil {
		err = f.file.Sync()
	}
	if err = errors.Join(err, f.file.Close()); err == nil {
		err = f.root.Rename(f.temp, f.name)
	}
	if err != nil {
		return errors.Join(err, f.remove())
	}
	return f.syncFolders()
}

// syncFolders makes the file's name durable, and those of the folders above it, which may be new.
func (f *File) syncFolders() error {
	for dir := path.Dir(f.name); ; dir = path.Dir(dir) {
		d, err := f.root.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

// Abort removes the file.
func (f *File) Abort() error { return errors.Join(f.file.Close(), f.remove()) }

func (f *File) remove() error {
	if err := f.root.Remove(f.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
