package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// CreateFile is [Sink.Create] for implementations that write to a file system: of the file at a path inside root, with
// slashes, and of the folders above it. shown is its name in errors. Until it is committed the file has a name that
// begins with ".", which sources pass over. What a killed process left of a file of the same name is removed; if another
// is being written, that one's Commit fails. root is closed in the end, and also after an error.
func CreateFile(ctx context.Context, root *os.Root, name, shown string) (SinkFile, error) {
	f := &newFile{ctx: ctx, root: root, name: name, shown: shown}
	if err := f.create(); err != nil {
		return nil, errors.Join(WriteError(shown, err), root.Close())
	}
	return f, nil
}

// newFile is a file that appears whole or not at all.
type newFile struct {
	ctx   context.Context // of the Create: it governs writing
	root  *os.Root
	file  *os.File
	name  string
	temp  string // its name until the commit
	shown string
}

func (f *newFile) create() error {
	if err := checkName(f.name); err != nil {
		return err
	}
	if err := f.ctx.Err(); err != nil {
		return err
	}
	dir, base := path.Dir(f.name), path.Base(f.name)
	if err := makeFolder(f.root, dir); err != nil {
		return err
	}
	prefix := "." + base + ".partial-"
	if err := removePartial(f.root, dir, prefix); err != nil {
		return err
	}
	f.temp = path.Join(dir, prefix+rand.Text())
	var err error
	f.file, err = f.root.OpenFile(f.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	return err
}

// checkName is the rule for names of files in a sink.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." || strings.ContainsRune(name, 0) {
		return fs.ErrInvalid
	}
	return nil
}

// makeFolder makes a folder and those above it, durably.
func makeFolder(root *os.Root, dir string) error {
	info, err := root.Stat(dir)
	if err == nil && !info.IsDir() {
		return errors.New("there is a file where the folder has to be")
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := path.Dir(dir)
	if err := makeFolder(root, above); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(root, above)
}

func syncFolder(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
			return err
		}
	}
	return nil
}

func (f *newFile) Write(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.file.Write(p)
	return n, WriteError(f.shown, err)
}

func (f *newFile) Commit() error {
	err := f.ctx.Err()
	if err == nil {
		err = f.file.Sync()
	}
	if err = errors.Join(err, f.file.Close()); err == nil {
		err = f.root.Rename(f.temp, f.name)
	}
	if err != nil {
		err = errors.Join(err, f.remove())
	} else {
		err = syncFolder(f.root, path.Dir(f.name))
	}
	return WriteError(f.shown, errors.Join(err, f.root.Close()))
}

func (f *newFile) Abort() error {
	return WriteError(f.shown, errors.Join(f.file.Close(), f.remove(), f.root.Close()))
}

func (f *newFile) remove() error {
	if err := f.root.Remove(f.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
