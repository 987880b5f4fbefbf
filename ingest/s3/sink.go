package s3

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

type sink struct {
	*Locations
	at s3url.URL // a folder
}

func (s *sink) Create(ctx context.Context, name string) (ingest.SinkFile, error) {
	at := s3url.URL{Bucket: s.at.Bucket, Key: s.at.Key + name}
	if !fs.ValidPath(name) || name == "." {
		return nil, ingest.WriteError(at.String(), fs.ErrInvalid)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	f := &file{Locations: s.Locations, ctx: ctx, at: at, pipe: pw, ended: make(chan struct{})}
	go f.upload(pr)
	return f, nil
}

// file is an object that is being uploaded.
type file struct {
	*Locations
	ctx   context.Context // of the Create: it governs writing
	at    s3url.URL
	pipe  *io.PipeWriter
	ended chan struct{} // closed when the upload is over
	err   error         // of the upload; to be read when ended is closed
}

// errAborted ends an upload whose file isn't wanted.
var errAborted = errors.New("aborted")

// upload runs until the file is committed or aborted, or fails.
func (f *file) upload(body *io.PipeReader) {
	defer close(f.ended)
	_, err := f.uploader.UploadObject(f.ctx, &transfermanager.UploadObjectInput{Bucket: &f.at.Bucket, Key: &f.at.Key, Body: body})
	f.err = err
	if err == nil {
		err = io.ErrClosedPipe
	}
	body.CloseWithError(err) // for a Write that waits
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.pipe.Write(p)
	if err != nil {
		err = f.failed(err)
	}
	return n, err
}

func (f *file) failed(err error) error {
	return request{f.ctx, f.at.String(), f.at.Bucket, "s3:PutObject", f.at.Key}.failed("write", err)
}

func (f *file) Commit() error {
	f.pipe.CloseWithError(f.ctx.Err()) // nil means the end of the file
	<-f.ended
	if f.err == nil {
		return nil
	}
	return errors.Join(f.failed(f.err), f.remove())
}

func (f *file) Abort() error {
	f.pipe.CloseWithError(errAborted)
	<-f.ended
	return f.remove()
}

// remove sees to it that nothing of a failed upload stays. The uploader has tried that, but doesn't say how it went.
func (f *file) remove() error {
	var begun transfermanager.MultipartUploadError
	if !errors.As(f.err, &begun) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), cleanup)
	defer cancel()
	id := begun.UploadID()
	_, err := f.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &f.at.Bucket, Key: &f.at.Key, UploadId: &id})
	if err == nil || code(err) == "NoSuchUpload" {
		return nil
	}
	return request{ctx, f.at.String(), f.at.Bucket, "s3:AbortMultipartUpload", f.at.Key}.failed("remove the incomplete upload", err)
}
