// Package buckets takes s3:// locations for files of this machine: s3://bucket/key is DIR/bucket/key, for a folder DIR
// in which every folder is a bucket. So jobs that name S3 run without it.
//
// What a location means, and what goes wrong, is as with S3: folders end in a slash, an empty folder is one that isn't
// there, and a bucket is never made by writing to it.
//
// # Nothing outside
//
// No location reaches a file outside its own bucket. Bucket names follow S3's rules, and keys are paths without empty
// elements, "." and "..", taken as they are written: %2e%2e is a name like others. Symbolic links are refused in every
// place, below DIR too, since one could lead from a bucket that a role may read to another; a list behind a link is an
// error and isn't passed over. That holds against somebody who changes the folders meanwhile: files are opened beneath DIR by
// [os.Root], and are read only if the path leads to the open file without a link.
package buckets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

// Locations are those that begin with s3://.
type Locations struct{ root *os.Root }

// New returns the locations in a folder, which may be behind a link itself. The caller must Close them when no job uses
// them any more.
func New(dir string) (*Locations, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the buckets: %w", err)
	}
	return &Locations{root}, nil
}

// Close lets go of the folder.
func (l *Locations) Close() error { return l.root.Close() }

// Source implements [ingest.Locations]. The role means nothing here.
func (l *Locations) Source(location, _ string, walk ingest.Walk) (ingest.Source, error) {
	u, err := parse(s3url.Parse(location))
	if err != nil {
		return nil, err
	}
	return &source{l, u, walk}, nil
}

// Sink implements [ingest.Locations].
func (l *Locations) Sink(location, _ string) (ingest.Sink, error) {
	u, err := parse(s3url.ParseFolder(location))
	if err != nil {
		return nil, err
	}
	return &sink{l, u}, nil
}

// parse refuses keys that are no paths.
func parse(u s3url.URL, err error) (s3url.URL, error) {
	if err == nil && !fs.ValidPath(file(u)) {
		err = errors.New("open location: the key has an empty part; write one slash where there are two")
	}
	return u, err
}

// file is the path of a location inside the root.
func file(u s3url.URL) string { return strings.TrimSuffix(u.Bucket+"/"+u.Key, "/") }

// errLink says that a path leads over a symbolic link.
var errLink = errors.New("symbolic link; buckets hold files and folders only, so put the file itself there")

// lstat looks up what a path leads to, and that no link is on the way.
func (l *Locations) lstat(name string) (info fs.FileInfo, err error) {
	for i := 0; ; i++ {
		next := strings.IndexByte(name[i:], '/')
		if next < 0 {
			i = len(name)
		} else {
			i += next
		}
		if info, err = l.root.Lstat(name[:i]); err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, &ingest.Error{File: "s3://" + name[:i], Problem: errLink.Error(), Err: errLink}
		}
		if i == len(name) {
			return info, nil
		}
		if !info.IsDir() {
			return nil, fs.ErrNotExist
		}
	}
}

// bucket makes sure that a bucket is there.
func (l *Locations) bucket(u s3url.URL) error {
	info, err := l.lstat(u.Bucket)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return &ingest.Error{File: u.String(), Problem: fmt.Sprintf("there is no bucket %s; check the location", u.Bucket), Err: fs.ErrNotExist}
	}
	if err != nil {
		return ingest.ReadError(u.String(), "look up", err)
	}
	return nil
}

type source struct {
	*Locations
	at   s3url.URL
	walk ingest.Walk
}

func (s *source) List(ctx context.Context) ([]ingest.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.bucket(s.at); err != nil {
		return nil, err
	}
	info, err := s.lstat(file(s.at))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, ingest.ReadError(s.at.String(), "look up", err)
	}
	if s.at.IsFolder() {
		if err != nil || !info.IsDir() {
			return nil, ingest.NoFilesError(s.at.String())
		}
		return s.folder(ctx)
	}
	if err != nil || info.IsDir() {
		return nil, &ingest.Error{
			File: s.at.String(), Problem: "there is no such object; check the location, and end it with / if it is a folder", Err: fs.ErrNotExist,
		}
	}
	if !info.Mode().IsRegular() {
		return nil, ingest.IrregularError(s.at.String())
	}
	return []ingest.File{ingest.NewFile(s.at.String(), path.Base(s.at.Key), info)}, nil
}

func (s *source) folder(ctx context.Context) (files []ingest.File, err error) {
	if err := s.add(ctx, "", &files); err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, ingest.NoFilesError(s.at.String())
	}
	slices.SortFunc(files, func(a, b ingest.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// add adds the files of a folder below the location; prefix is its path, "" or with a slash at its end.
func (s *source) add(ctx context.Context, prefix string, files *[]ingest.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	shown := s.at.String() + prefix
	entries, err := fs.ReadDir(s.root.FS(), strings.TrimSuffix(file(s.at)+"/"+prefix, "/"))
	if err != nil {
		return ingest.ReadError(shown, "list", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue // see ingest.Wanted
		}
		info, err := s.lstat(file(s.at) + "/" + prefix + name)
		if err != nil {
			return ingest.ReadError(shown+name, "look up", err)
		}
		if info.IsDir() {
			if s.walk == ingest.Recursive {
				if err := s.add(ctx, prefix+name+"/", files); err != nil {
					return err
				}
			}
			continue
		}
		wanted, err := ingest.Wanted(prefix+name, info.Size())
		var e *ingest.Error
		if errors.As(err, &e) {
			e.File = shown + name
		}
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		if !info.Mode().IsRegular() {
			return ingest.IrregularError(shown + name)
		}
		*files = append(*files, ingest.NewFile(shown+name, prefix+name, info))
	}
	return nil
}

func (s *source) Open(ctx context.Context, f ingest.File) (io.ReadCloser, error) {
	name := file(s.at)
	if s.at.IsFolder() {
		name += "/" + f.Path
	}
	return ingest.OpenFile(ctx, f, func() (*os.File, error) { return s.root.Open(name) },
		func() (fs.FileInfo, error) { return s.lstat(name) })
}
