package main

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// peer is a store that can hold the interactions and lose some of its users. All calls come from one goroutine of a
// process that serves this peer only. What Import, Delete and Erase did is durable when they return: files and their
// folder are synced.
type peer interface {
	// Import makes the store in an empty folder from a CSV file, and leaves it open.
	Import(ctx context.Context, dir, csv string) error
	// Open opens a store that Import made and that was closed.
	Open(ctx context.Context, dir string) error
	// Delete makes the rows of the users in a list invisible to every reader that comes later. A peer that can't, since
	// it only rewrites, does nothing; see entry.Delete.
	Delete(ctx context.Context, list string) error
	// Erase takes the rows of the same list off the disk, as well as the peer can.
	Erase(ctx context.Context, list string) error
	// Scan sums all columns of all rows, at its fastest: strings may be summed by their lengths, and IDs that the peer
	// keeps as numbers as numbers. Only Rows, Value and Time of the result need to be right.
	Scan(ctx context.Context) (sums, error)
	// Check sums all columns of all rows, strings by their bytes.
	Check(ctx context.Context) (sums, error)
	// UserRows reads all columns of one user's rows. The result is as Scan's.
	UserRows(ctx context.Context, id string) (sums, error)
	// Close closes the store.
	Close(ctx context.Context) error
}

// entry is a peer's place in the harness.
type entry struct {
	Name string // as --only takes it
	What string // what is measured, and with which settings
	New  func() peer
	// Delete says that the peer's Delete does something.
	Delete bool
	// OneJob says that erasing begins by itself after deleting: between the two nothing can be looked at.
	OneJob bool
	// Base is the name of the entry whose imported store this one uses. Only deleting is measured then.
	Base string
	// NoStore says that the entry isn't a store: importing is copying a file. It is no rival in the import column.
	NoStore bool
}

var entries = []entry{
	expungeEntry,
	duckPlainEntry, duckSortedEntry, duckIntsEntry,
	sqliteEntry, sqliteVacuumEntry,
	pebbleEntry,
	parquetEntry,
	csvEntry,
}

func findEntry(name string) (entry, error) {
	i := slices.IndexFunc(entries, func(e entry) bool { return e.Name == name })
	if i < 0 {
		var names []string
		for _, e := range entries {
			names = append(names, e.Name)
		}
		return entry{}, fmt.Errorf("no peer is called %q: give one of %v", name, names)
	}
	return entries[i], nil
}

// sums is what remains of a dataset when it is read to the end. A string counts as the sum of its bytes.
type sums struct {
	Rows  int64
	User  int64
	Item  int64
	Event int64
	Value float64
	Time  int64
}

func (s *sums) add(o sums) {
	s.Rows += o.Rows
	s.User += o.User
	s.Item += o.Item
	s.Event += o.Event
	s.Value += o.Value
	s.Time += o.Time
}

// equal leaves room for the order in which floating point is summed.
func (s sums) equal(o sums) bool {
	near := math.Abs(s.Value-o.Value) <= 1e-9*math.Max(math.Abs(s.Value), 1)
	s.Value, o.Value = 0, 0
	return near && s == o
}

// equalNumbers compares what [peer.Scan] promises.
func (s sums) equalNumbers(o sums) bool {
	return sums{Rows: s.Rows, Value: s.Value, Time: s.Time}.equal(sums{Rows: o.Rows, Value: o.Value, Time: o.Time})
}

// byteSum adds up the bytes of a string.
func byteSum[T string | []byte](s T) (n int64) {
	for i := range len(s) {
		n += int64(s[i])
	}
	return n
}

// sumFloats adds up values in four sums, since an addition of floats waits for the one before.
func sumFloats(vs []float32) float64 {
	var a, b, c, d float64
	for ; len(vs) >= 4; vs = vs[4:] {
		a += float64(vs[0])
		b += float64(vs[1])
		c += float64(vs[2])
		d += float64(vs[3])
	}
	for _, v := range vs {
		a += float64(v)
	}
	return a + b + c + d
}
