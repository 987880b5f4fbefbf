package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
)

const (
	maxBatchRows = 16384

	// A batch ends early when its strings take this much: 16384 rows of long
	// texts would be gigabytes, and offsets have 32 bits.
	maxBatchBytes = 8 << 20
)

// DatasetReader reads every file of a source, in order, as records of a schema.
//
// The first line of each file is its header. It has to hold every column of
// the schema and no other, since a column passed over is data lost, in an order
// that is the same in all files. An empty cell is null. IDs have 1 to 256
// characters and other strings at most 1000, except that textual ones are cut
// at 20000. Numbers are in decimal, booleans are true or false in any case, and
// timestamps are any whole number of 64 bits.
//
// A reader belongs to one goroutine, which calls Next, or to those that call Next of its parsers. Progress is for any.
type DatasetReader struct {
	schema *Schema
	arrow  *arrow.Schema
	alone  *Parser // of Next
	stream *stream // but for its progress: the holder of mu

	mu      sync.Mutex // held to cut the files in chunks
	parsers []*Parser
	chunks  int64 // cut so far
	order   []int // the schema's field for each column of the files; nil before the first header
	first   string
	failed  int64 // the chunk that err comes from
	err     error // what ended the reading
}

// NewDatasetReader lists the source's files. It opens none of them yet. ctx
// governs all reading, until Close.
func NewDatasetReader(ctx context.Context, src Source, schema *Schema) (*DatasetReader, error) {
	s, err := newStream(ctx, src)
	if err != nil {
		return nil, err
	}
	return &DatasetReader{stream: s, schema: schema, arrow: schema.Arrow()}, nil
}

// Next returns the next 1 to 16384 rows, which may come from more than one
// file, in the order of the schema's fields. io.EOF is the end of all files.
//
// The record belongs to the reader, which uses its buffers again: it holds until
// the next call, or Close. Retain doesn't prolong that. Copy what is to be kept,
// and don't Release. String columns are arrow.String; a column has a
// null bitmap only if the batch has nulls in it.
//
// After an error the rows read since the last record are lost, and every later
// call returns the same error. Problems with the files are an [Error].
func (r *DatasetReader) Next() (arrow.Record, error) {
	if r.alone == nil {
		r.alone = r.NewParser()
		r.alone.across = true
	}
	rec, _, err := r.alone.Next()
	return rec, err
}

// cut gives a parser the next chunk, from the next file if one ends.
func (r *DatasetReader) cut(to *csvReader) (chunk int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	for {
		if r.stream.body == nil {
			if err = r.stream.open(); err == nil {
				err = r.readHeader()
			}
		}
		if err == nil {
			err = r.stream.csv.cut(to)
			if err == io.EOF {
				if err = r.stream.finish(); err == nil {
					continue
				}
			}
		}
		if err != nil {
			r.err, r.failed = err, r.chunks
			return 0, err
		}
		r.chunks++
		return r.chunks - 1, nil
	}
}

// fail ends the reading. Of all that is wrong what comes first in the files counts.
func (r *DatasetReader) fail(chunk int64, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || chunk < r.failed {
		r.err, r.failed = err, chunk
	}
	return r.err
}

// Err returns the first problem of the files once all parsers have ended, or nil if every row was read.
func (r *DatasetReader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// readHeader finds the schema's fields in the current record.
func (r *DatasetReader) readHeader() error {
	csv := &r.stream.csv
	byName := make(map[string]int, len(r.schema.Fields))
	for i, f := range r.schema.Fields {
		byName[f.Name] = i
	}
	order := make([]int, len(csv.fields))
	found := make([]bool, len(r.schema.Fields))
	var extra []int
	for i := range csv.fields {
		to, ok := byName[string(csv.field(i))]
		if !ok {
			extra = append(extra, i+1)
			continue
		}
		if found[to] {
			return csv.failField(i, r.schema.Fields[to].Name, "the header names this column twice; remove or rename one")
		}
		found[to] = true
		order[i] = to
	}
	var missing []string
	for i, f := range r.schema.Fields {
		if !found[i] {
			missing = append(missing, f.Name)
		}
	}
	fail := func(problem string) error {
		return &Error{File: csv.file, Line: csv.recordLine, Problem: problem}
	}
	switch {
	case len(missing) > 0:
		return fail(missingColumns(missing))
	case len(extra) > 0:
		return fail(fmt.Sprintf("column %s of the header is not in the schema; remove it, or add it to the schema", positions(extra)))
	case r.order == nil:
		r.order, r.first = order, csv.file
	case !slices.Equal(order, r.order):
		return fail(fmt.Sprintf("the columns are in another order than in %s; use one order in all files", r.first))
	}
	return nil
}

// Progress may be called from any goroutine, also after Close. Rows are those of
// the records that Next returned.
func (r *DatasetReader) Progress() Progress { return r.stream.progress() }

// Close ends the life of all records and closes the file that is open. No parser may be at work. Calling it
// again does nothing.
func (r *DatasetReader) Close() error {
	if r.err == nil {
		r.err = errors.New("read dataset: reader is closed")
	}
	for _, p := range r.parsers {
		p.release()
		p.err = r.err
	}
	return r.stream.close()
}

// ReadHeader returns the header of the source's first file, for [DeriveSchema].
// If the file has no header, this is its first row: personal data, not to be
// shown or logged before DeriveSchema accepted it.
func ReadHeader(ctx context.Context, src Source) (header []string, err error) {
	s, err := newStream(ctx, src)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(); err != nil {
		return nil, err
	}
	for i := range s.csv.fields {
		header = append(header, string(s.csv.field(i)))
	}
	return header, nil
}
