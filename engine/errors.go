package engine

import (
	"errors"

	"github.com/expunge-db/expunge/store"
)

// kindError is an error that is one of the documented ones, in its own words.
type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// ofKind makes err one that errors.Is finds to be kind.
func ofKind(kind, err error) error { return &kindError{kind, err} }

// mapError makes the store's errors those that this package documents.
func mapError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ofKind(ErrNotFound, err)
	case errors.Is(err, store.ErrExists):
		return ofKind(ErrExists, err)
	case errors.Is(err, store.ErrSchema):
		return ofKind(ErrInvalid, err)
	}
	return err
}
