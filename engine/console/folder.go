package console

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder is where uploaded lists lie: files that only this user may read, with names that say nothing. Nothing outside the
// folder can be reached through it, and in it only files with names of ours are touched.
type folder struct {
	path string // absolute: a job's location must mean the same in every working directory
	root *os.Root
	lock *os.File
}

const (
	listPrefix = "expunge-list-"
	lockName   = "expunge-lists.lock"
)

// openFolder makes the folder if it isn't there, and locks it: whoever sweeps it must know all the jobs that need its lists.
func openFolder(path string) (f *folder, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	lock, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		if err = lockFile(lock); err != nil {
			err = errors.Join(err, lock.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &folder{path: path, root: root, lock: lock}, nil
}

func (f *folder) close() error { return errors.Join(f.lock.Close(), f.root.Close()) }

// location is the path of a list, as a job takes it.
func (f *folder) location(name string) string { return filepath.Join(f.path, name) }

// errTooLarge says that a list has more bytes than one may have.
var errTooLarge = errors.New("the list is too large")

// store writes a list of at most limit bytes and returns the name that it gave it. When it returns nil the list is on the
// disk: a job that outlives a power cut mustn't find half of it. After an error nothing is left.
func (f *folder) store(r io.Reader, uploadedAs string, limit int64) (name string, size int64, err error) {
	var b [16]byte
	rand.Read(b[:]) // never fails: see its documentation
	name = listPrefix + hex.EncodeToString(b[:]) + ending(uploadedAs)
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, err
	}
	size, err = io.Copy(file, io.LimitReader(r, limit+1))
	if err == nil && size > limit {
		err = errTooLarge
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = f.sync()
	}
	if err != nil {
		return "", 0, errors.Join(err, f.erase(name))
	}
	return name, size, nil
}

// ending is what says how a list is compressed.
func ending(uploadedAs string) string {
	lower := strings.ToLower(uploadedAs)
	for _, compressed := range []string{".gz", ".zst"} {
		if strings.HasSuffix(lower, compressed) {
			return ".csv" + compressed
		}
	}
	return ".csv"
}

// erase overwrites a list with zeros and removes it. One that isn't there is no error.
func (f *folder) erase(name string) error {
	info, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().IsRegular() {
		err = f.zero(name)
	}
	if err == nil {
		err = f.root.Remove(name)
	}
	if err == nil {
		err = f.sync()
	}
	if err != nil {
		return fmt.Errorf("erase uploaded list: %w", err)
	}
	return nil
}

func (f *folder) zero(name string) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		_, err = io.CopyN(file, zeros{}, info.Size())
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// lists returns the names of the lists in the folder.
func (f *folder) lists() (names []string, err error) {
	entries, err := fs.ReadDir(f.root.FS(), ".")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), listPrefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// sync makes the folder's names durable.
func (f *folder) sync() error {
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
