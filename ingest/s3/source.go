package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

type source struct {
	*Locations
	at   s3url.URL
	walk ingest.Walk
}

func (s *source) List(ctx context.Context) ([]ingest.File, error) {
	if !s.at.IsFolder() {
		f, err := s.object(ctx)
		if err != nil {
			return nil, err
		}
		return []ingest.File{f}, nil
	}
	files, err := s.folder(ctx)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, ingest.NoFilesError(s.at.String())
	}
	// S3 lists in this order, but not every server does, nor S3 for directory buckets.
	slices.SortFunc(files, func(a, b ingest.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// object looks up a single object.
func (s *source) object(ctx context.Context) (ingest.File, error) {
	f := ingest.File{Name: s.at.String(), Path: path.Base(s.at.Key)}
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.at.Bucket, Key: &s.at.Key})
	if err == nil {
		f.Size, f.Version = aws.ToInt64(head.ContentLength), aws.ToString(head.ETag)
		return f, checkVersion(f)
	}
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	// The answer to HEAD has no body, and so no reason: bucket, object or permission. The one to GET has.
	get, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.at.Bucket, Key: &s.at.Key})
	if err != nil {
		return f, request{ctx, f.Name, s.at.Bucket, "s3:GetObject", s.at.Key}.failed("look up", err)
	}
	f.Size, f.Version = aws.ToInt64(get.ContentLength), aws.ToString(get.ETag)
	get.Body.Close() // unread
	return f, checkVersion(f)
}

// folder lists all objects below the location that are wanted.
func (s *source) folder(ctx context.Context) (files []ingest.File, err error) {
	in := &s3.ListObjectsV2Input{Bucket: &s.at.Bucket, Prefix: &s.at.Key, EncodingType: types.EncodingTypeUrl}
	if s.walk == ingest.FirstLevel {
		in.Delimiter = aws.String("/")
	}
	req := request{ctx, s.at.String(), s.at.Bucket, "s3:ListBucket", s.at.Key}
	for {
		page, err := s.client.ListObjectsV2(ctx, in)
		if err != nil {
			return nil, req.failed("list", err)
		}
		for _, o := range page.Contents {
			f, wanted, err := s.listed(page.EncodingType, o)
			if err != nil {
				return nil, err
			}
			if wanted {
				files = append(files, f)
			}
		}
		if page.IsTruncated == nil {
			// Half a listing must not pass for a whole one.
			return nil, &ingest.Error{File: s.at.String(), Problem: "the server's answer is no listing; use a server that speaks ListObjectsV2"}
		}
		if !*page.IsTruncated {
			return files, nil
		}
		next := aws.ToString(page.NextContinuationToken)
		if next == "" || next == aws.ToString(in.ContinuationToken) {
			return nil, &ingest.Error{File: s.at.String(), Problem: "the server says that there are more objects and doesn't list them; use a server that speaks ListObjectsV2"}
		}
		in.ContinuationToken = &next
	}
}

// listed returns an entry of a listing, unless it is to be passed over.
func (s *source) listed(encoding types.EncodingType, o types.Object) (f ingest.File, wanted bool, err error) {
	key := aws.ToString(o.Key)
	if encoding == types.EncodingTypeUrl {
		if key, err = url.QueryUnescape(key); err != nil {
			return f, false, &ingest.Error{File: s.at.String(), Problem: "the listing has a key that can't be decoded; use a server that speaks ListObjectsV2"}
		}
	}
	f = ingest.File{
		Name: s3url.URL{Bucket: s.at.Bucket, Key: key}.String(), Size: aws.ToInt64(o.Size), Version: aws.ToString(o.ETag),
	}
	below, ok := strings.CutPrefix(key, s.at.Key)
	if !ok {
		return f, false, &ingest.Error{File: f.Name, Problem: fmt.Sprintf("the server lists it below %s, where it isn't; use a server that speaks ListObjectsV2", s.at)}
	}
	f.Path = below
	if below == "" {
		if f.Size == 0 {
			return f, false, nil // the marker of the folder itself
		}
		below = path.Base(key) + "/"
	}
	wanted, err = ingest.Wanted(below, f.Size)
	var e *ingest.Error
	if errors.As(err, &e) {
		e.File = f.Name
	}
	if err != nil || !wanted {
		return f, false, err
	}
	return f, true, checkVersion(f)
}

// checkVersion refuses objects that couldn't be told from a later version.
func checkVersion(f ingest.File) error {
	if f.Version == "" {
		return &ingest.Error{File: f.Name, Problem: "the server gives no ETag, without which a change would not be noticed; use a server that does"}
	}
	return nil
}

func (s *source) Open(ctx context.Context, f ingest.File) (io.ReadCloser, error) {
	key := s.at.Key
	if s.at.IsFolder() {
		key += f.Path
	}
	r := &reader{source: s, ctx: ctx, listed: f, key: key}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}
