package ingest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// localSink is a folder of this machine.
type localSink struct{ dir string }

func (s localSink) Create(ctx context.Context, name string) (SinkFile, error) {
	shown := strings.TrimRight(filepath.ToSlash(s.dir), "/") + "/" + name
	if err := checkName(name); err != nil {
		return nil, WriteError(shown, err)
	}
	// From the folder that is there on, so that those below it are made by one rule.
	there, below := filepath.Clean(s.dir), ""
	for {
		_, err := os.Stat(there)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || there == filepath.Dir(there) {
			return nil, WriteError(shown, err)
		}
		there, below = filepath.Dir(there), path.Join(filepath.Base(there), below)
	}
	root, err := os.OpenRoot(there)
	if err != nil {
		return nil, WriteError(shown, err)
	}
	return CreateFile(ctx, root, path.Join(below, name), shown)
}
