package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"golang.org/x/sync/errgroup"
)

// What was chosen for Parquet, and why:
//   - rows in order of arrival, as whoever writes Parquet without a store has them; row groups of 500,000 rows, made by
//     both processors at a time and written in order;
//   - dictionaries for the three strings, differences for TIMESTAMP, and Zstd at its fastest: smaller than Snappy, for
//     little time;
//   - rewriting reads, filters and encodes on both processors; the synced new file takes the old one's name;
//   - one user's rows are found by reading the file: there is no index, and statistics of unsorted IDs rule nothing out.

var parquetEntry = entry{
	Name: "parquet", What: "Parquet, order of arrival, dictionaries and Zstd; rewritten into a new file", New: func() peer { return &parquetPeer{} },
}

type parquetRow struct {
	User  string  `parquet:"USER_ID,dict"`
	Item  string  `parquet:"ITEM_ID,dict"`
	Event string  `parquet:"EVENT_TYPE,dict"`
	Value float32 `parquet:"EVENT_VALUE"`
	Time  int64   `parquet:"TIMESTAMP,delta"`
}

const (
	parquetGroupRows = 500_000
	parquetBatch     = 1024
)

type parquetPeer struct{ dir string }

func (p *parquetPeer) path() string { return filepath.Join(p.dir, "interactions.parquet") }

func (p *parquetPeer) Open(_ context.Context, dir string) error { p.dir = dir; return nil }
func (p *parquetPeer) Close(context.Context) error              { return nil }
func (p *parquetPeer) Delete(context.Context, string) error     { return nil }
func (p *parquetPeer) Check(ctx context.Context) (sums, error)  { return p.Scan(ctx) }

func (p *parquetPeer) Import(ctx context.Context, dir, csv string) error {
	p.dir = dir
	data, err := os.ReadFile(csv)
	if err != nil {
		return err
	}
	data = data[indexNewline(data)+1:]
	// Where each row group's lines begin.
	begins := []int{0}
	for at, n := 0, 0; at < len(data); {
		at += indexNewline(data[at:]) + 1
		if n++; n%parquetGroupRows == 0 || at == len(data) {
			begins = append(begins, at)
		}
	}
	return p.write(ctx, len(begins)-1, func(i int, put func(parquetRow) error) error {
		return eachLine(data[begins[i]:begins[i+1]], func(line []byte) error {
			r, err := parseRow(line)
			if err != nil {
				return err
			}
			return put(parquetRow{view(r.user), view(r.item), view(r.event), r.value, r.time})
		})
	})
}

// view is a string that lasts as long as b isn't changed.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// write makes a new file of n row groups and gives it the store's name. fill puts the rows of one group; it is called by
// one goroutine for each processor, and groups are committed in their order.
func (p *parquetPeer) write(ctx context.Context, n int, fill func(group int, put func(parquetRow) error) error) (err error) {
	f, err := os.Create(p.path() + ".new")
	if err != nil {
		return err
	}
	defer f.Close()
	w := parquet.NewGenericWriter[parquetRow](f, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}))
	// done[i] is closed when group i is committed.
	done := make([]chan struct{}, n+1)
	for i := range done {
		done[i] = make(chan struct{})
	}
	close(done[0])
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			rg := w.BeginRowGroup()
			batch := make([]parquetRow, 0, parquetBatch)
			flush := func() error {
				err := writeColumns(rg, batch)
				batch = batch[:0]
				return err
			}
			err := fill(i, func(r parquetRow) error {
				if batch = append(batch, r); len(batch) == cap(batch) {
					return flush()
				}
				return nil
			})
			if err := errors.Join(err, flush()); err != nil {
				return err
			}
			if err := rg.Flush(); err != nil {
				return err
			}
			select {
			case <-done[i]:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer close(done[i+1])
			_, err = rg.Commit()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return replaceFile(f.Name(), p.path())
}

// open opens the file and its row groups.
func (p *parquetPeer) open() (*os.File, []parquet.RowGroup, error) {
	f, err := os.Open(p.path())
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	pf, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, pf.RowGroups(), nil
}

func (p *parquetPeer) Erase(ctx context.Context, list string) error {
	ids, err := readList(list)
	if err != nil {
		return err
	}
	gone := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		gone[id] = struct{}{}
	}
	f, groups, err := p.open()
	if err != nil {
		return err
	}
	defer f.Close()
	return p.write(ctx, len(groups), func(i int, put func(parquetRow) error) error {
		return eachParquetRow(groups[i], func(r parquetRow) error {
			if _, ok := gone[r.User]; ok {
				return nil
			}
			return put(r)
		})
	})
}

// eachParquetRow calls fn for each row of a group.
func eachParquetRow(rg parquet.RowGroup, fn func(parquetRow) error) error {
	r := parquet.NewGenericRowGroupReader[parquetRow](rg)
	defer r.Close()
	rows := make([]parquetRow, parquetBatch)
	for {
		n, err := r.Read(rows)
		for _, row := range rows[:n] {
			if err := fn(row); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read parquet: %w", err)
		}
	}
}

func (p *parquetPeer) Scan(ctx context.Context) (sums, error) {
	return p.scan(ctx, func(parquetRow) bool { return true })
}

func (p *parquetPeer) UserRows(ctx context.Context, id string) (sums, error) {
	return p.scan(ctx, func(r parquetRow) bool { return r.User == id })
}

func (p *parquetPeer) scan(_ context.Context, want func(parquetRow) bool) (total sums, err error) {
	f, groups, err := p.open()
	if err != nil {
		return sums{}, err
	}
	defer f.Close()
	parts := make([]sums, len(groups))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, rg := range groups {
		g.Go(func() error {
			return eachParquetRow(rg, func(r parquetRow) error {
				if want(r) {
					parts[i].add(sums{1, byteSum(r.User), byteSum(r.Item), byteSum(r.Event), float64(r.Value), r.Time})
				}
				return nil
			})
		})
	}
	err = g.Wait()
	for _, s := range parts {
		total.add(s)
	}
	return total, err
}

// writeColumns appends rows to a row group, column by column: in the order of parquetRow's fields.
func writeColumns(rg *parquet.ConcurrentRowGroupWriter, rows []parquetRow) error {
	values := make([]parquet.Value, len(rows))
	for i, value := range []func(parquetRow) parquet.Value{
		func(r parquetRow) parquet.Value {
			return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(r.User), len(r.User)))
		},
		func(r parquetRow) parquet.Value {
			return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(r.Item), len(r.Item)))
		},
		func(r parquetRow) parquet.Value {
			return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(r.Event), len(r.Event)))
		},
		func(r parquetRow) parquet.Value { return parquet.FloatValue(r.Value) },
		func(r parquetRow) parquet.Value { return parquet.Int64Value(r.Time) },
	} {
		for k, r := range rows {
			values[k] = value(r)
		}
		if _, err := rg.ColumnWriters()[i].WriteRowValues(values); err != nil {
			return err
		}
	}
	return nil
}
