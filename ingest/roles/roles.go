// Package roles says which role may read and write what in S3, by a file, as bucket policies do there.
//
// The file is JSON: an object with the ARNs of the roles, each with what it may read (s3:ListBucket and s3:GetObject) and
// what it may write (s3:PutObject):
//
//	{
//	  "arn:aws:iam::123456789012:role/erasure": {
//	    "read":  ["s3://gdpr/lists/", "s3://catalog/items.csv"],
//	    "write": ["s3://exports/"]
//	  },
//	  "arn:aws:iam::123456789012:role/nightly-import": {
//	    "read": ["s3://catalog"]
//	  }
//	}
//
// s3://gdpr/lists/ stands for every key that begins with lists/, so for lists/2026/a.csv and not for lists-old/a.csv;
// s3://catalog, with a slash at its end or without, for the whole bucket; s3://catalog/items.csv for this object alone. A
// folder can be read if all of it may be read. What isn't in the file is denied: to roles that aren't in it, and to jobs
// that name none, everything.
package roles

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

// File is what a roles file says.
type File struct{ roles map[string]grants }

// grants are what one role may do.
type grants struct{ read, write []s3url.URL }

// Load reads a roles file. The error lists every problem, with line and column.
func Load(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read roles file: %w", err)
	}
	return parse(path, data)
}

// Locations lets roles use s3:// locations of inner as far as the file allows, and no other locations. What is denied
// shows when it is used, as an *[ingest.Error] that is fs.ErrPermission: so a job fails by it.
func Locations(inner ingest.Locations, f *File) ingest.Locations { return guarded{inner, f} }

type guarded struct {
	inner ingest.Locations
	file  *File
}

func (g guarded) Source(location, role string, walk ingest.Walk) (ingest.Source, error) {
	u, err := s3url.Parse(location)
	if err != nil {
		return nil, err
	}
	src, err := g.inner.Source(location, role, walk)
	if err != nil {
		return nil, err
	}
	return source{src, g.file.check(role, read, u)}, nil
}

func (g guarded) Sink(location, role string) (ingest.Sink, error) {
	u, err := s3url.ParseFolder(location)
	if err != nil {
		return nil, err
	}
	sink, err := g.inner.Sink(location, role)
	if err != nil {
		return nil, err
	}
	return guardedSink{sink, g.file, role, u}, nil
}

// source is a Source, or the reason why it is none for this role.
type source struct {
	inner  ingest.Source
	denied error
}

func (s source) List(ctx context.Context) ([]ingest.File, error) {
	if s.denied != nil {
		return nil, s.denied
	}
	return s.inner.List(ctx)
}

func (s source) Open(ctx context.Context, f ingest.File) (io.ReadCloser, error) {
	if s.denied != nil {
		return nil, s.denied
	}
	return s.inner.Open(ctx, f)
}

type guardedSink struct {
	inner ingest.Sink
	file  *File
	role  string
	at    s3url.URL
}

func (s guardedSink) Create(ctx context.Context, name string) (ingest.SinkFile, error) {
	to := s3url.URL{Bucket: s.at.Bucket, Key: s.at.Key + name}
	if !fs.ValidPath(name) || name == "." {
		return nil, ingest.WriteError(to.String(), fs.ErrInvalid)
	}
	if err := s.file.check(s.role, write, to); err != nil {
		return nil, err
	}
	return s.inner.Create(ctx, name)
}

type action int

const (
	read action = iota
	write
)

// check returns nil, or what a role lacks to use a location.
func (f *File) check(role string, do action, u s3url.URL) error {
	have, known := f.roles[role]
	allowed, permission := have.read, "s3:ListBucket and s3:GetObject"
	if !u.IsFolder() {
		permission = "s3:GetObject"
	}
	if do == write {
		allowed, permission = have.write, "s3:PutObject"
	}
	for _, a := range allowed {
		if covers(a, u) {
			return nil
		}
	}
	why := fmt.Sprintf("role %s lacks %s on %s/%s. Add it to the roles file.", role, permission, u.Bucket, u.Key)
	switch {
	case role == "":
		why = fmt.Sprintf("the job names no role, and needs one with %s on %s/%s. Give the ARN of a role in the roles file.", permission, u.Bucket, u.Key)
	case !known:
		why = fmt.Sprintf("role %s is not in the roles file. Add it, with %s on %s/%s.", role, permission, u.Bucket, u.Key)
	}
	return &ingest.Error{
		File: u.String(), Problem: "Insufficient privileges for accessing data in S3: " + why, Err: fs.ErrPermission,
	}
}

// covers says whether a grant is for all of a location.
func covers(grant, u s3url.URL) bool {
	if grant.Bucket != u.Bucket {
		return false
	}
	if grant.IsFolder() {
		return strings.HasPrefix(u.Key, grant.Key)
	}
	return u.Key == grant.Key
}
