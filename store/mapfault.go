package store

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/expunge-db/expunge/store/internal/pages"
)

// A page of the file that can't be read, since the disk fails or another program cut the file short, is a fault of the
// memory map: a signal that ends the process, unless the goroutine asked for a panic in its place with
// [debug.SetPanicOnFault]. So what reads the map does that and defers catchFault:
//
//	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
//	defer catchFault(&err)
//
// Slices of the map never leave the function of a transaction, so View, Update, scrub and opening are all that reads it.

// catchFault makes an error of a panic that was a fault of the memory map, or bbolt's own on a page that makes no sense.
// Any other panic goes on.
func catchFault(err *error) {
	r := recover()
	if r == nil {
		return
	}
	_, fault := r.(interface{ Addr() uintptr }) // of a runtime.Error; a nil pointer has none
	switch {
	case fault:
		*err = &CorruptError{
			What: "memory map", Problem: "a page of the file can't be read: the disk fails, or another program cut the file short", Err: *err,
		}
	case panickedInBolt():
		*err = &CorruptError{What: "page structure", Problem: fmt.Sprint("bbolt can't read it: ", r), Err: *err}
	default:
		panic(r)
	}
}

// panickedInBolt tells, within a deferred function, whether the panic began in bbolt. Its messages hold numbers of pages.
func panickedInBolt() bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return strings.HasPrefix(f.Function, "go.etcd.io/bbolt")
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return false
		}
	}
}

// begin starts a transaction of bbolt. It looks at the meta pages first: bbolt does so while it holds locks, and panics if
// neither is one, as in a file that was cut off and written to again.
func (h handles) begin(writable bool) (b *bolt.Tx, err error) {
	if err := h.notBroken(); err != nil {
		return nil, err
	}
	half := len(h.meta) / 2
	first, second := pages.IsMeta(h.meta[:half]), pages.IsMeta(h.meta[half:]) // both are read, as bbolt does
	if !first && !second {
		return nil, &CorruptError{What: "page structure", Problem: "both meta pages are gone from the file while it is open"}
	}
	err = h.whole(func() (err error) {
		b, err = h.db.Begin(writable)
		return err
	})
	return b, err
}

// checkSize makes sure that the file is as long as it was: bbolt never cuts it. What another program cut off would be there
// again after the next commits, as zeros, and a job would end on what is left.
func (h handles) checkSize() error {
	info, err := h.file.Stat()
	if err != nil {
		return err
	}
	if was := h.size.Swap(max(info.Size(), h.size.Load())); info.Size() < was {
		return &CorruptError{What: "file", Problem: fmt.Sprintf("it has %d bytes and had %d: another program cut it short", info.Size(), was)}
	}
	return nil
}

// notBroken is an error if bbolt isn't to be called any more.
func (h handles) notBroken() error {
	if h.broken.Load() {
		return &CorruptError{What: "page structure", Problem: "bbolt met pages that it can't read", Err: ErrPoisoned}
	}
	return nil
}

// commit is b.Commit, with an error for what it can't read.
func (h handles) commit(b *bolt.Tx) (err error) {
	if err := h.notBroken(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	return b.Commit()
}

// rollback is b.Rollback of a write transaction, with an error for what it can't read.
func (h handles) rollback(b *bolt.Tx) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	return h.whole(b.Rollback)
}

// end is b.Rollback of a read transaction. Once bbolt is broken it would wait for a lock that nobody lets go of.
func (h handles) end(b *bolt.Tx) error {
	if h.broken.Load() {
		return nil
	}
	return b.Rollback()
}

// whole calls fn, which is one of bbolt's that takes locks or lets go of them. If it panics they may stay locked, and whoever
// wanted them would wait for good: so bbolt isn't called any more.
func (h handles) whole(fn func() error) error {
	done := false
	defer func() {
		if !done {
			h.broken.Store(true)
		}
	}()
	err := fn()
	done = true
	return err
}
