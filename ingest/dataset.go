package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
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
// A reader belongs to one goroutine, except for Progress.
type DatasetReader struct {
	stream  *stream
	schema  *Schema
	arrow   *arrow.Schema
	sets    [2]columnSet // filled in turn
	turn    int
	columns []*column // of the set whose turn it is
	order   []int     // the schema's field for each column of the files; nil before the first header
	first   string
	err     error // what Next returns from now on
}

// columnSet is the buffers of one record.
type columnSet struct {
	columns []*column
	record  arrow.Record // over them, or nil
}

// NewDatasetReader lists the source's files. It opens none of them yet. ctx
// governs all reading, until Close.
func NewDatasetReader(ctx context.Context, src Source, schema *Schema) (*DatasetReader, error) {
	s, err := newStream(ctx, src)
	if err != nil {
		return nil, err
	}
	r := &DatasetReader{stream: s, schema: schema, arrow: schema.Arrow()}
	rules := rulesOf(schema.Type)
	for i := range r.sets {
		for _, f := range schema.Fields {
			r.sets[i].columns = append(r.sets[i].columns, newColumn(f, rules.isID(f.Name), maxBatchRows))
		}
	}
	return r, nil
}

// Next returns the next 1 to 16384 rows, which may come from more than one
// file, in the order of the schema's fields. io.EOF is the end of all files.
//
// The record belongs to the reader, which uses its buffers again: it holds until
// the call of Next after the next one, or Close, so that one record can be worked
// on while the next is read. Retain doesn't prolong that. Copy what is to be kept,
// and don't Release. String columns are arrow.String; a column has a
// null bitmap only if the batch has nulls in it.
//
// After an error the rows read since the last record are lost, and every later
// call returns the same error. Problems with the files are an [Error].
func (r *DatasetReader) Next() (arrow.Record, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.turn = 1 - r.turn
	set := &r.sets[r.turn]
	set.release()
	r.columns = set.columns
	for _, c := range r.columns {
		c.reset()
	}
	rows, err := r.readRows()
	if err != nil && (err != io.EOF || rows == 0) {
		r.err = err
		return nil, err
	}
	r.err = err // io.EOF that the next call returns, or nil

	arrays := make([]arrow.Array, len(r.columns))
	for i, c := range r.columns {
		arrays[i] = c.array()
	}
	set.record = array.NewRecord(r.arrow, arrays, int64(rows))
	for _, a := range arrays {
		a.Release() // the record holds them
	}
	r.stream.rows.Add(int64(rows))
	return set.record, nil
}

// readRows fills the columns. It returns io.EOF at the end of the last file.
func (r *DatasetReader) readRows() (rows int, err error) {
	size := 0
	for rows < maxBatchRows && size < maxBatchBytes {
		if r.stream.body == nil {
			if err := r.stream.open(); err != nil {
				return rows, err
			}
			if err := r.readHeader(); err != nil {
				return rows, err
			}
		}
		err := r.stream.csv.next()
		if err == io.EOF {
			err = r.stream.finish()
			if err == nil {
				continue
			}
		}
		if err != nil {
			return rows, err
		}
		n, err := r.readRow()
		if err != nil {
			return rows, err
		}
		size += n
		rows++
	}
	return rows, nil
}

// readRow appends the current record to the columns and returns its size.
func (r *DatasetReader) readRow() (size int, err error) {
	csv := &r.stream.csv
	if len(csv.fields) != len(r.order) {
		return 0, &Error{
			File: csv.file, Line: csv.recordLine,
			Problem: fmt.Sprintf("row of %d fields under a header of %d; add or remove commas, or quote values with commas in them",
				len(csv.fields), len(r.order)),
		}
	}
	for i, to := range r.order {
		cell := csv.field(i)
		size += len(cell)
		c := r.columns[to]
		if problem := c.append(cell); problem != "" {
			return 0, r.stream.fail(i, c.field.Name, problem)
		}
	}
	return size, nil
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
			return r.stream.fail(i, r.schema.Fields[to].Name, "the header names this column twice; remove or rename one")
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

// Close ends the life of all records and closes the file that is open. Calling it
// again does nothing.
func (r *DatasetReader) Close() error {
	for i := range r.sets {
		r.sets[i].release()
	}
	if r.err == nil {
		r.err = errors.New("read dataset: reader is closed")
	}
	return r.stream.close()
}

func (s *columnSet) release() {
	if s.record != nil {
		s.record.Release()
		s.record = nil
	}
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
