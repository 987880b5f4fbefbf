package ingest

import (
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Parser parses a share of the rows of a [DatasetReader], so that several goroutines, with a parser each, parse one file at
// once: the reader cuts the files in chunks of whole rows, and a parser takes the next one whenever it is done with one.
type Parser struct {
	r       *DatasetReader
	csv     csvReader // of the chunk
	chunk   int64
	across  bool // a record may hold rows of several chunks
	columns []*column
	record  arrow.Record // over them, or nil
	err     error        // what Next returns from now on

	// Rows without quotes wait here, to be parsed column by column.
	spans []span // of their fields, row by row
	heads []head // of the rows
}

// head is where a row that waits begins.
type head struct {
	start int // in the chunk
	line  int64
}

// waitingRows is how many rows are parsed together at most.
const waitingRows = 128

// NewParser returns a parser, which belongs to one goroutine.
func (r *DatasetReader) NewParser() *Parser {
	p := &Parser{r: r, csv: csvReader{done: true, buf: []byte("\n       ")}} // an empty chunk
	rules := rulesOf(r.schema.Type)
	for _, f := range r.schema.Fields {
		p.columns = append(p.columns, newColumn(f, rules.isID(f.Name), maxBatchRows))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parsers = append(r.parsers, p)
	return p
}

// release ends the life of the record.
func (p *Parser) release() {
	if p.record != nil {
		p.record.Release()
		p.record = nil
	}
}

// Next returns the next 1 to 16384 rows of the parser's share, as [DatasetReader.Next] does. The rows of a chunk come
// before those of chunks with greater numbers, and a parser's records come in their order.
//
// io.EOF is the end of all files. After another error, here or in another parser, all of them end with an error;
// [DatasetReader.Err] then tells the one that comes first in the files.
func (p *Parser) Next() (rec arrow.Record, chunk int64, err error) {
	p.release()
	if p.err != nil {
		return nil, 0, p.err
	}
	for _, c := range p.columns {
		c.reset()
	}
	rows, err := p.readRows()
	if err != nil && (err != io.EOF || rows == 0) {
		p.err = err
		return nil, 0, err
	}
	p.err = err // io.EOF that the next call returns, or nil

	arrays := make([]arrow.Array, len(p.columns))
	for i, c := range p.columns {
		arrays[i] = c.array()
	}
	p.record = array.NewRecord(p.r.arrow, arrays, int64(rows))
	for _, a := range arrays {
		a.Release() // the record holds them
	}
	p.r.stream.rows.Add(int64(rows))
	return p.record, p.chunk, nil
}

// readRows fills the columns. It returns io.EOF at the end of the last file.
func (p *Parser) readRows() (rows int, err error) {
	for size := 0; rows < maxBatchRows && size < maxBatchBytes; {
		err := p.csv.next()
		if err == nil && len(p.csv.places) == 0 && len(p.csv.fields) == len(p.r.order) {
			p.spans = append(p.spans, p.csv.fields...)
			p.heads = append(p.heads, head{p.csv.recordStart, p.csv.recordLine})
			if len(p.heads) == waitingRows {
				if err := p.parseWaiting(); err != nil {
					return rows, p.r.fail(p.chunk, err)
				}
			}
		} else {
			if err := p.parseWaiting(); err != nil {
				return rows, p.r.fail(p.chunk, err)
			}
			if err == io.EOF {
				if rows > 0 && !p.across {
					break
				}
				if p.chunk, err = p.r.cut(&p.csv); err != nil {
					return rows, err
				}
				continue
			}
			if err == nil {
				err = p.readRow()
			}
			if err != nil {
				return rows, p.r.fail(p.chunk, err)
			}
		}
		size += p.csv.start - p.csv.recordStart
		rows++
	}
	if err := p.parseWaiting(); err != nil {
		return rows, p.r.fail(p.chunk, err)
	}
	return rows, nil
}

// parseWaiting appends the rows that wait to the columns. The error is that of the first field that is wrong, by rows.
func (p *Parser) parseWaiting() (err error) {
	rows := len(p.heads)
	if rows == 0 {
		return nil
	}
	for i, to := range p.r.order {
		c := p.columns[to]
		row, problem := c.appendCells(p.csv.buf, p.spans, i, len(p.r.order), rows)
		if problem != "" {
			rows = row // of the columns that follow only what is before counts
			at := p.heads[row]
			err = &Error{
				File: p.csv.file, Line: at.line, Column: int64(p.spans[row*len(p.r.order)+i].start-at.start) + 1,
				Field: c.field.Name, Problem: problem,
			}
		}
	}
	p.spans, p.heads = p.spans[:0], p.heads[:0]
	return err
}

// readRow appends the current record to the columns.
func (p *Parser) readRow() error {
	csv := &p.csv
	if len(csv.fields) != len(p.r.order) {
		return &Error{
			File: csv.file, Line: csv.recordLine,
			Problem: fmt.Sprintf("row of %d fields under a header of %d; add or remove commas, or quote values with commas in them",
				len(csv.fields), len(p.r.order)),
		}
	}
	for i, to := range p.r.order {
		c := p.columns[to]
		if problem := c.append(csv.field(i)); problem != "" {
			return csv.failField(i, c.field.Name, problem)
		}
	}
	return nil
}
