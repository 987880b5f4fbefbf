package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"
)

// What was chosen for Pebble, and why:
//   - rows sorted first, written as tables by both processors, and ingested: that skips the log, the memtables and all
//     compactions;
//   - the newest format, for columnar blocks, and compression "Good" (Zstd in the last level, where all rows are): the
//     smallest that it has as a setting, while its default (Snappy) is 1.5 times as large and reads little faster;
//   - a block cache of 256 MiB, and two compactions at a time;
//   - a range tombstone for each user in one synced batch: one for each row would be 50 times as many;
//   - erasing compacts the whole range, then closes and opens the store until the logs and both manifests that named the
//     users are obsolete: Pebble always keeps the manifest before the present one.

var pebbleEntry = entry{
	Name: "pebble", What: "Pebble, key = user, time, number; range tombstones, then full compaction and reopening",
	New: func() peer { return &pebblePeer{} }, Delete: true,
}

type pebblePeer struct {
	dir   string
	db    *pebble.DB
	cache *pebble.Cache
}

func (p *pebblePeer) options() *pebble.Options {
	o := &pebble.Options{
		Cache:                      p.cache,
		FormatMajorVersion:         pebble.FormatNewest,
		CompactionConcurrencyRange: func() (int, int) { return 2, 2 },
		MemTableSize:               64 << 20,
		Logger:                     quiet{},
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionGood })
	o.EnsureDefaults()
	return o
}

// quiet drops Pebble's log, except for what it can't survive.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func (p *pebblePeer) Open(_ context.Context, dir string) (err error) {
	p.dir, p.cache = dir, pebble.NewCache(256<<20)
	p.db, err = pebble.Open(filepath.Join(dir, "db"), p.options())
	return err
}

func (p *pebblePeer) Close(context.Context) error {
	err := p.db.Close()
	p.cache.Unref()
	return err
}

// tableRows is how many rows a table that is ingested has: some tens of megabytes.
const tableRows = 1 << 20

func (p *pebblePeer) Import(ctx context.Context, dir, csv string) error {
	rows, err := sortRows(ctx, csv)
	if err != nil {
		return err
	}
	if err := p.Open(ctx, dir); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(2)
	// At least two tables, so that both processors have one.
	perTable := min(tableRows, len(rows.refs)/2+1)
	var paths []string
	for from := 0; from < len(rows.refs); from += perTable {
		path := filepath.Join(dir, fmt.Sprintf("ingest-%06d.sst", len(paths)))
		paths = append(paths, path)
		g.Go(func() error { return p.writeTable(path, rows, from, min(from+perTable, len(rows.refs))) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := p.db.Ingest(ctx, paths); err != nil {
		return err
	}
	return syncTree(dir)
}

// writeTable writes some of the rows. Closing the writer syncs the file.
func (p *pebblePeer) writeTable(path string, rows *sortedRows, from, to int) (err error) {
	f, err := vfs.Default.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	o := p.options()
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), o.MakeWriterOptions(6, o.FormatMajorVersion.MaxTableFormat()))
	defer func() { err = errors.Join(err, w.Close()) }()
	var key, value []byte
	for i := from; i < to; i++ {
		r, err := rows.row(i)
		if err != nil {
			return err
		}
		key = append(key[:0], r.user...)
		key = binary.BigEndian.AppendUint64(key, uint64(r.time))
		key = binary.BigEndian.AppendUint32(key, uint32(i))
		value = binary.LittleEndian.AppendUint32(value[:0], math.Float32bits(r.value))
		value = append(append(value, byte(len(r.item))), r.item...)
		value = append(value, r.event...)
		if err := w.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func decodePebble(key, value []byte) sums {
	item := value[5 : 5+value[4]]
	return sums{
		Rows: 1, User: byteSum(key[:userIDLen]), Item: byteSum(item), Event: byteSum(value[5+len(item):]),
		Value: float64(math.Float32frombits(binary.LittleEndian.Uint32(value))),
		Time:  int64(binary.BigEndian.Uint64(key[userIDLen:])),
	}
}

// afterUser is the least key above all of a user's.
func afterUser(id string) []byte { return append([]byte(id), bytes.Repeat([]byte{0xff}, 13)...) }

func (p *pebblePeer) Delete(_ context.Context, list string) error {
	ids, err := readList(list)
	if err != nil {
		return err
	}
	slices.Sort(ids)
	b := p.db.NewBatch()
	for _, id := range ids {
		if err := b.DeleteRange([]byte(id), afterUser(id), nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return errors.Join(b.Commit(pebble.Sync), b.Close())
}

func (p *pebblePeer) Erase(ctx context.Context, _ string) error {
	if err := p.db.Compact(ctx, []byte{0}, bytes.Repeat([]byte{0xff}, 32), true); err != nil {
		return err
	}
	for range 2 {
		if err := p.Close(ctx); err != nil {
			return err
		}
		if err := p.Open(ctx, p.dir); err != nil {
			return err
		}
	}
	return syncPath(filepath.Join(p.dir, "db"))
}

// Scan reads both halves at once. IDs begin evenly with 24 letters and the digits 2 to 9, so half of them come before i.
func (p *pebblePeer) Scan(context.Context) (total sums, err error) {
	var parts [2]sums
	var g errgroup.Group
	for i, o := range []pebble.IterOptions{{UpperBound: []byte("i")}, {LowerBound: []byte("i")}} {
		g.Go(func() (err error) { parts[i], err = p.sum(&o); return err })
	}
	err = g.Wait()
	for _, s := range parts {
		total.add(s)
	}
	return total, err
}

func (p *pebblePeer) Check(ctx context.Context) (sums, error) { return p.Scan(ctx) }

func (p *pebblePeer) UserRows(_ context.Context, id string) (sums, error) {
	return p.sum(&pebble.IterOptions{LowerBound: []byte(id), UpperBound: afterUser(id)})
}

func (p *pebblePeer) sum(o *pebble.IterOptions) (s sums, err error) {
	it, err := p.db.NewIter(o)
	if err != nil {
		return sums{}, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		s.add(decodePebble(it.Key(), it.Value()))
	}
	return s, it.Error()
}
