package ingest

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// Source lists and opens the files of one location.
//
// Implementations are safe for use by one goroutine at a time. They hand out
// bytes as stored: the readers of this package decompress.
type Source interface {
	// List returns the location's files in byte order of their Path, at least
	// one. In a folder it applies [Wanted] to every file and fails on the first
	// that it refuses. It fails with an [Error] that wraps [ErrNoFiles] if there
	// is nothing to read, and fs.ErrNotExist or fs.ErrPermission if that is why.
	List(ctx context.Context) ([]File, error)

	// Open opens a file that List returned. It fails with [ErrChanged] if the
	// file is no longer the one listed. So does the Read that would return
	// io.EOF, or else Close, if the file was changed while it was read: bytes
	// from before the change may have been handed out by then. A source that
	// can go on with the listed version may do so instead. ctx governs the
	// reads too. The caller closes the reader, once.
	Open(ctx context.Context, f File) (io.ReadCloser, error)
}

// File is one file of a [Source].
type File struct {
	Name    string // the location joined with Path, as shown in errors
	Path    string // relative to the location, with slashes; for a location that is a file, its last element
	Size    int64  // stored bytes, as compressed
	Version string // equal exactly if the file is unchanged: the time of modification, an ETag
}

// Walk says how deep a folder is read.
type Walk int

const (
	// FirstLevel reads the files in the folder and passes over folders in it, as imports do.
	FirstLevel Walk = iota
	// Recursive reads the files in the folder and all folders below it, as deletion jobs do.
	Recursive
)

// Open returns the source for a location on this machine: the path of a file or
// folder, or a file:// URL. It touches no file yet. A single file may have any
// name; its ending only decides how it is decompressed.
func Open(location string, walk Walk) (Source, error) {
	path, err := localPath(location)
	if err != nil {
		return nil, err
	}
	return &local{root: path, walk: walk}, nil
}

// localPath returns the path that a location on this machine means.
func localPath(location string) (string, error) {
	if location == "" {
		return "", fmt.Errorf("open location: it is empty; give the path of a file or folder")
	}
	scheme, _, ok := strings.Cut(location, "://")
	if !ok || !isScheme(scheme) {
		return location, nil
	}
	if !strings.EqualFold(scheme, "file") {
		return "", fmt.Errorf("open location: scheme %q is not supported; give a path or a file:// URL", scheme)
	}
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("open location: %q is not a valid URL; encode special characters as %%XX", location)
	}
	if u.Host != "" && !strings.EqualFold(u.Host, "localhost") || u.User != nil {
		return "", fmt.Errorf("open location: URL names the host %q; write file:/// and an absolute path", u.Host)
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("open location: URL has a query or a fragment; write ? as %%3F and # as %%23")
	}
	if u.Path == "" {
		return "", fmt.Errorf("open location: URL has no path; write file:/// and an absolute path")
	}
	return u.Path, nil
}

func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || strings.IndexByte("+-.", c) >= 0)) {
			return false
		}
	}
	return s != ""
}

// Wanted is the rule for files in a folder, by path relative to it and stored
// size. It is true for names that end in .csv, .csv.gz or .csv.zst in any case.
// It is false, and the file is passed over, if the name of the file or of a
// folder above it begins with "." or "_", and for the empty markers that object
// stores keep for folders (names that end in "/" or "_$folder$"). Any other file
// is an error: a deletion list that is passed over is a user who is not deleted.
func Wanted(path string, size int64) (bool, error) {
	for element := range strings.SplitSeq(path, "/") {
		if hidden(element) {
			return false, nil
		}
	}
	if size == 0 && (strings.HasSuffix(path, "/") || strings.HasSuffix(path, "_$folder$")) {
		return false, nil
	}
	name := strings.ToLower(path)
	for _, ending := range []string{".csv", ".csv.gz", ".csv.zst"} {
		if strings.HasSuffix(name, ending) {
			return true, nil
		}
	}
	return false, &Error{
		File:    path,
		Problem: "not a .csv, .csv.gz or .csv.zst file; move it out of the folder, or begin its name with _ to have it passed over",
	}
}

func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}
