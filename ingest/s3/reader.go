package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/expunge-db/expunge/ingest"
)

// enough is how far a read has to come before a break counts as the first one again.
const enough = 1 << 20

// reader reads one version of an object, over as many connections as it takes.
type reader struct {
	*source
	ctx    context.Context // of the Open: it governs reading
	listed ingest.File
	key    string

	at     int64 // bytes read
	body   io.ReadCloser
	cancel context.CancelFunc // of the request that body belongs to
	stall  *time.Timer        // calls cancel while a read waits
	err    error              // what ended the reading

	breaks int   // in a row
	from   int64 // where the first of these was
}

// open requests the object from r.at on.
func (r *reader) open() error {
	ctx, cancel := context.WithCancel(r.ctx)
	in := &s3.GetObjectInput{Bucket: &r.source.at.Bucket, Key: &r.key, IfMatch: &r.listed.Version}
	if r.at > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.at))
	}
	out, err := r.client.GetObject(ctx, in)
	if err != nil {
		cancel()
		return request{r.ctx, r.listed.Name, r.source.at.Bucket, "s3:GetObject", r.key}.failedListed(r.verb(), err)
	}
	r.body, r.cancel = out.Body, cancel
	r.stall = time.AfterFunc(r.Locations.stall, cancel)
	r.stall.Stop()
	// A server may take no notice of the conditions.
	whole := fmt.Sprintf("bytes %d-%d/%d", r.at, r.listed.Size-1, r.listed.Size)
	switch {
	case aws.ToString(out.ETag) != r.listed.Version:
		err = ingest.ChangedError(r.listed.Name)
	case r.at > 0 && aws.ToString(out.ContentRange) != whole:
		err = r.problem("the server doesn't go on from there; use one that knows byte ranges, or start again")
	case out.ContentLength != nil && *out.ContentLength != r.listed.Size-r.at:
		err = ingest.ChangedError(r.listed.Name)
	}
	if err != nil {
		r.closeBody()
	}
	return err
}

func (r *reader) verb() string {
	if r.at == 0 {
		return "open"
	}
	return fmt.Sprintf("go on at byte %d", r.at)
}

func (r *reader) problem(what string) error {
	return &ingest.Error{File: r.listed.Name, Problem: fmt.Sprintf("reading broke off at byte %d of %d: %s", r.at, r.listed.Size, what)}
}

// closeBody closes a body of which nothing more is wanted. What closing it says is of no interest: all that counts was
// read before.
func (r *reader) closeBody() {
	r.stall.Stop()
	r.cancel()
	r.body.Close()
	r.body = nil
}

func (r *reader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	for {
		if n, err = r.read(p); n > 0 || err != nil || len(p) == 0 {
			r.err = err
			return n, err
		}
	}
}

// read reads once. If that breaks off, it pauses and connects again, and may return 0, nil.
func (r *reader) read(p []byte) (int, error) {
	r.stall.Reset(r.Locations.stall)
	n, err := r.body.Read(p)
	r.stall.Stop()
	r.at += int64(n)
	left := r.listed.Size - r.at
	switch {
	case left < 0:
		return 0, ingest.ChangedError(r.listed.Name)
	case err == nil:
		return n, nil
	case r.ctx.Err() != nil:
		return n, r.ctx.Err()
	case left == 0 && err == io.EOF:
		return n, io.EOF
	case left == 0: // nothing to go on with: the checksum that S3 keeps isn't that of the bytes, or didn't arrive
		return n, r.problem("its end could not be confirmed; start again")
	}
	r.closeBody()
	return n, r.reconnect(err)
}

func (r *reader) reconnect(cause error) error {
	if r.breaks == 0 || r.at-r.from >= enough {
		r.breaks, r.from = 0, r.at
	}
	if r.breaks++; r.breaks >= maxTries {
		return r.problem(fmt.Sprintf("%s, %d times; check the network and the server, and start again", describeBreak(cause), r.breaks))
	}
	wait, err := r.pause.BackoffDelay(r.breaks-1, cause)
	if err != nil {
		return fmt.Errorf("wait before reading on: %w", err)
	}
	select {
	case <-time.After(wait):
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	return r.open()
}

func describeBreak(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "nothing came any more"
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF), strings.HasSuffix(err.Error(), io.ErrUnexpectedEOF.Error()):
		return "the connection was closed"
	}
	return rootText(err)
}

func (r *reader) Close() error {
	if r.body != nil {
		r.closeBody()
	}
	return nil
}
