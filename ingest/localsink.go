package ingest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/expunge-db/expunge/ingest/internal/atomicfile"
)

// localSink is a folder of this machine.
type localSink struct{ dir string }

func (s localSink) Create(ctx context.Context, name string) (SinkFile, error) {
	shown := strings.TrimRight(filepath.ToSlash(s.dir), "/") + "/" + name
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return nil, WriteError(shown, err)
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, WriteError(shown, err)
	}
	file, err := atomicfile.Create(ctx, root, name)
	if err != nil {
		return nil, errors.Join(WriteError(shown, err), root.Close())
	}
	return &localSinkFile{file: file, root: root, name: shown}, nil
}

type localSinkFile struct {
	file *atomicfile.File
	root *os.Root
	name string // as shown in errors
}

func (f *localSinkFile) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	return n, WriteError(f.name, err)
}

func (f *localSinkFile) Commit() error {
	return WriteError(f.name, errors.Join(f.file.Commit(), f.root.Close()))
}

func (f *localSinkFile) Abort() error {
	return WriteError(f.name, errors.Join(f.file.Abort(), f.root.Close()))
}
