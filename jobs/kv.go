package jobs

import (
	"context"
	"errors"
)

// ErrStop ends an [Tx.Ascend] or [Tx.Descend] early and without error when the callback returns it.
var ErrStop = errors.New("stop")

// Tx is an ordered key-value space inside a transaction that belongs to this package alone: no other writer
// may use keys in it. Keys are compared as bytes. Values can be empty.
//
// A Tx is used by one goroutine. Changes made through it are seen by its own later reads, and by others only
// once the transaction has committed.
type Tx interface {
	// Get returns the value of key, nil if there is none. The slice is valid until the transaction ends
	// and must not be written to.
	Get(key []byte) []byte
	// Put sets the value of key. It doesn't keep key or value after it returns.
	Put(key, value []byte) error
	// Delete removes key. A key that is not there is no error.
	Delete(key []byte) error
	// Ascend calls fn for each key that begins with prefix, in ascending order. Key and value are valid
	// inside the call only. fn must not write to the transaction. An error of fn ends the walk and is
	// returned, except [ErrStop], which ends it without error.
	Ascend(prefix []byte, fn func(key, value []byte) error) error
	// Descend is Ascend in descending order.
	Descend(prefix []byte, fn func(key, value []byte) error) error
}

// DB begins transactions. It is safe for use by many goroutines; it runs one Update at a time.
type DB interface {
	// View calls fn with a transaction that must not be written to, and returns fn's error.
	View(ctx context.Context, fn func(Tx) error) error
	// Update calls fn with a transaction and commits it if fn returns nil. With an error of fn nothing is
	// changed and that error is returned. After an error of the commit itself the outcome is unknown.
	// A ctx that has ended before the commit begins leaves everything unchanged.
	Update(ctx context.Context, fn func(Tx) error) error
}
