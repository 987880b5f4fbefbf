package ingest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Locations turns the locations that jobs name into what they read from and write to.
//
// An error of its methods says that the location can't be one, and comes before anything is looked up. Whether it is
// there, and whether the role may use it, shows when it is used: in [Source.List] and [Sink.Create]. So a job can be
// checked when it is created, and fails with the reason when it runs.
//
// Implementations are safe for use by several goroutines.
type Locations interface {
	// Source returns what a job reads. role is the ARN of the role that the job names, "" if none.
	Source(location, role string, walk Walk) (Source, error)

	// Sink returns the folder that an export writes to. It is made if it isn't there, whether or not the location ends in
	// a slash.
	Sink(location, role string) (Sink, error)
}

// Sink is a folder that files are written to. It is safe for use by several goroutines.
type Sink interface {
	// Create starts a file. name is its path inside the folder, with slashes and by the rules of fs.ValidPath. Nothing of
	// the file can be seen until it is committed; then it replaces one of the same name. ctx governs the writes and the
	// commit too. Problems are an [Error], here or from the file's methods.
	Create(ctx context.Context, name string) (SinkFile, error)
}

// SinkFile is a file that is being written, by one goroutine. After an error from Write the file can't be committed. The
// caller calls Commit or Abort, once: of an aborted file, as of one whose Commit failed, nothing stays behind. Only where
// the answer to a commit is lost on the way, the file can be there, whole.
type SinkFile interface {
	io.Writer
	Commit() error
	Abort() error
}

// LocalLocations are the files and folders of this machine, see [Open]. Roles mean nothing there.
func LocalLocations() Locations { return localLocations{} }

type localLocations struct{}

func (localLocations) Source(location, _ string, walk Walk) (Source, error) {
	return Open(location, walk)
}

func (localLocations) Sink(location, _ string) (Sink, error) {
	dir, err := localPath(location)
	if err != nil {
		return nil, err
	}
	return localSink{dir}, nil
}

// Schemes sends a location to the Locations for the scheme of its URL, in lower case. A location that isn't a URL goes to
// those for "".
type Schemes map[string]Locations

// Source implements [Locations].
func (s Schemes) Source(location, role string, walk Walk) (Source, error) {
	to, err := s.find(location)
	if err != nil {
		return nil, err
	}
	return to.Source(location, role, walk)
}

// Sink implements [Locations].
func (s Schemes) Sink(location, role string) (Sink, error) {
	to, err := s.find(location)
	if err != nil {
		return nil, err
	}
	return to.Sink(location, role)
}

func (s Schemes) find(location string) (Locations, error) {
	scheme, _, ok := strings.Cut(location, "://")
	if !ok || !isScheme(scheme) {
		scheme = ""
	}
	if to := s[strings.ToLower(scheme)]; to != nil {
		return to, nil
	}
	var kinds []string
	for _, known := range slices.Sorted(maps.Keys(s)) {
		if known == "" {
			kinds = append(kinds, "paths")
		} else {
			kinds = append(kinds, known+"://")
		}
	}
	if scheme == "" {
		return nil, fmt.Errorf("open location: it is no URL; supported are %s", strings.Join(kinds, ", "))
	}
	return nil, fmt.Errorf("open location: scheme %q is not supported; supported are %s", scheme, strings.Join(kinds, ", "))
}
