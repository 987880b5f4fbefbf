package buckets

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

type sink struct {
	*Locations
	at s3url.URL // a folder
}

func (s *sink) Create(ctx context.Context, name string) (ingest.SinkFile, error) {
	shown := s.at.String() + name
	if !fs.ValidPath(name) || name == "." {
		return nil, ingest.WriteError(shown, fs.ErrInvalid)
	}
	if err := s.bucket(s.at); err != nil {
		return nil, err
	}
	full := file(s.at) + "/" + name
	if _, err := s.lstat(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, ingest.WriteError(shown, err)
	}
	bucket, err := s.openBucket()
	if err != nil {
		return nil, ingest.WriteError(shown, err)
	}
	return ingest.CreateFile(ctx, bucket, strings.TrimPrefix(full, s.at.Bucket+"/"), shown)
}

// openBucket opens the bucket, beneath which all goes on that writing does.
func (s *sink) openBucket() (*os.Root, error) {
	bucket, err := s.root.OpenRoot(s.at.Bucket)
	if err != nil {
		return nil, err
	}
	open, err := bucket.Stat(".")
	if err == nil {
		var now fs.FileInfo
		if now, err = s.lstat(s.at.Bucket); err == nil && !os.SameFile(open, now) {
			err = errors.New("the bucket was moved")
		}
	}
	if err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	return bucket, nil
}
