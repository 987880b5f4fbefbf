package store

import (
	"errors"
	"fmt"
)

// Opening.
var (
	// ErrLocked says that another process holds the store.
	ErrLocked = errors.New("store is in use by another process")
	// ErrNotStore says that the file isn't a store of Expunge, or one of a format that this version doesn't know.
	ErrNotStore = errors.New("not an Expunge store")
)

// Using.
var (
	// ErrReadOnly is returned by writes to a store that was opened read-only.
	ErrReadOnly = errors.New("store is open read-only")
	// ErrClosed is returned by calls on a store that was closed.
	ErrClosed = errors.New("store is closed")
	// ErrPoisoned is returned by every call after a failed commit that a reopening couldn't mend, when what is on the disk
	// is not known, and after pages of bbolt's own were gone in the middle of its work. Close the store and open it again.
	ErrPoisoned = errors.New("store can't be used after a failed commit or read: close it and open it again")
	// ErrLeased is returned by [Store.Close] while snapshots are open.
	ErrLeased = errors.New("snapshots are still open")
	// ErrFull says that the file reached [Options.MaxSize] or that the disk is full.
	ErrFull = errors.New("no space left for the store")
)

// The catalog.
var (
	// ErrNotFound says that a named thing is not in the store.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a name is taken.
	ErrExists = errors.New("already exists")
	// ErrInUse says that a thing can't be removed or changed because another refers to it.
	ErrInUse = errors.New("in use")
)

// CorruptError says what in the file is damaged. It names the place, never a value.
type CorruptError struct {
	What    string // such as "block 17 of dataset 3, layer 1"
	Problem string
	Err     error // the cause, if there is one
}

// Error implements error.
func (e *CorruptError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("store is damaged: %s: %s: %v; restore it from a backup", e.What, e.Problem, e.Err)
	}
	return fmt.Sprintf("store is damaged: %s: %s; restore it from a backup", e.What, e.Problem)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }
