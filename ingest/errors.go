package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

var (
	// ErrChanged says that a file is no longer the one that was listed, or no
	// longer holds what was read from it before.
	ErrChanged = errors.New("input changed")

	// ErrNoFiles says that a folder holds no file to read.
	ErrNoFiles = errors.New("no input files")
)

// Error is a problem in an input file or location: where it is and what to do
// about it. It never holds a value from the file.
type Error struct {
	File   string // as in File.Name; or the location, when no single file is at fault
	Line   int64  // physical line of the decompressed file where the field starts, from 1; 0: the file as a whole
	Column int64  // byte in that line where the field starts, from 1; 0: the line as a whole
	Field  string // the column's name in the schema, or ""

	Problem string // what is wrong and what to do next
	Err     error  // the cause for errors.Is and errors.As, or nil; Problem already says what it is
}

// Error is the position and the problem, as in
// "lists/a.csv: line 12, column 5 (USER_ID): empty ID; ...".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ": line %d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ", column %d", e.Column)
		}
	}
	if e.Field != "" {
		fmt.Fprintf(&b, " (%s)", e.Field)
	}
	b.WriteString(": ")
	b.WriteString(e.Problem)
	return b.String()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// ChangedError is the [Error] for [ErrChanged].
func ChangedError(name string) *Error {
	return &Error{
		File:    name,
		Problem: "the file was changed after it was listed; wait until nothing writes to it, then start again",
		Err:     ErrChanged,
	}
}

// NoFilesError is the [Error] for [ErrNoFiles].
func NoFilesError(location string) *Error {
	return &Error{
		File:    location,
		Problem: "the folder has no .csv, .csv.gz or .csv.zst file; check the location",
		Err:     ErrNoFiles,
	}
}

// WriteError names the file in an error of writing it, for implementations of [Sink]. nil and errors that don't need it
// pass through.
func WriteError(name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return &Error{File: name, Problem: "no permission to write it; give this process write access to the folder", Err: err}
	}
	return fileError(name, "write", err)
}

// ReadError names the file or folder in an error of the file system, for implementations of [Source]. verb says what was
// done. Errors that don't need it pass through.
func ReadError(name, verb string, err error) error { return fileError(name, verb, err) }

// fileError names the file in an error of the file system or of a decompressor,
// whose own text about paths is cut off. Errors that already name their file
// and those of a context pass through.
func fileError(name, verb string, err error) error {
	var e *Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e = &Error{File: name, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Problem = "there is no such file or folder; check the location"
	case errors.Is(err, fs.ErrPermission):
		e.Problem = "no permission to read it; give this process read access"
	default:
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		e.Problem = fmt.Sprintf("%s: %v; put it right and start again", verb, err)
	}
	return e
}
