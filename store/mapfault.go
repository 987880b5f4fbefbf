package store

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	bolt "go.etcd.io/bbolt"
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

// begin starts a transaction of bbolt. It reads the meta pages first: bbolt does so while it holds locks that a fault would
// leave locked for good.
func (h handles) begin(writable bool) (*bolt.Tx, error) {
	touch(h.meta)
	return h.db.Begin(writable)
}

// touch reads a byte of each meta page.
//
//go:noinline
func touch(meta []byte) byte { return meta[0] ^ meta[len(meta)/2] }

// commit is b.Commit, with an error for what it can't read.
func commit(b *bolt.Tx) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer catchFault(&err)
	return b.Commit()
}
