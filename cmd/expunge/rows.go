package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// rowWriter writes Arrow records as text into a bufio.Writer, which the caller flushes.
type rowWriter interface {
	begin(schema *arrow.Schema) error
	// rows writes the first n rows of a record.
	rows(rec arrow.Record, n int) error
}

// csvRows writes RFC 4180 with a header.
type csvRows struct {
	w     *csv.Writer
	cells []string
}

// newCSVRows: csv.NewWriter takes a large enough bufio.Writer as its own buffer, so there is no second one to flush.
func newCSVRows(w *bufio.Writer) *csvRows { return &csvRows{w: csv.NewWriter(w)} }

func (c *csvRows) begin(schema *arrow.Schema) error {
	for _, f := range schema.Fields() {
		c.cells = append(c.cells, f.Name)
	}
	return c.w.Write(c.cells)
}

func (c *csvRows) rows(rec arrow.Record, n int) error {
	for i := range n {
		for k, col := range rec.Columns() {
			c.cells[k] = cell(col, i)
		}
		if err := c.w.Write(c.cells); err != nil {
			return err
		}
	}
	return nil
}

// cell is a value as CSV has it: strings as they are, numbers in their shortest exact form, null as nothing.
func cell(col arrow.Array, i int) string {
	if col.IsNull(i) {
		return ""
	}
	switch c := col.(type) {
	case *array.String:
		return c.Value(i)
	case *array.Int32:
		return strconv.FormatInt(int64(c.Value(i)), 10)
	case *array.Int64:
		return strconv.FormatInt(c.Value(i), 10)
	case *array.Float32:
		return decimal(float64(c.Value(i)), 32)
	case *array.Float64:
		return decimal(c.Value(i), 64)
	case *array.Boolean:
		return strconv.FormatBool(c.Value(i))
	}
	panic(fmt.Sprintf("column of type %s in a store", col.DataType()))
}

// decimal writes a number without an exponent, unless it would be mostly zeros.
func decimal(v float64, bits int) string {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-9 || abs >= 1e21) {
		return strconv.FormatFloat(v, 'e', -1, bits)
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}

// jsonRows writes one object a line, with the columns in the schema's order.
type jsonRows struct {
	w     *bufio.Writer
	names [][]byte // as JSON, with the colon
	text  bytes.Buffer
	enc   *json.Encoder // into text
}

func newJSONRows(w *bufio.Writer) *jsonRows {
	j := &jsonRows{w: w}
	j.enc = json.NewEncoder(&j.text)
	j.enc.SetEscapeHTML(false)
	return j
}

func (j *jsonRows) begin(schema *arrow.Schema) error {
	for _, f := range schema.Fields() {
		j.names = append(j.names, append(strconv.AppendQuote(nil, f.Name), ':')) // letters, digits and _
	}
	return nil
}

func (j *jsonRows) rows(rec arrow.Record, n int) error {
	for i := range n {
		line := j.w.AvailableBuffer()
		for k, col := range rec.Columns() {
			if k == 0 {
				line = append(line, '{')
			} else {
				line = append(line, ',')
			}
			line = append(line, j.names[k]...)
			switch {
			case col.IsNull(i):
				line = append(line, "null"...)
			case col.DataType().ID() == arrow.STRING:
				j.text.Reset()
				if err := j.enc.Encode(col.(*array.String).Value(i)); err != nil {
					return err
				}
				line = append(line, bytes.TrimSuffix(j.text.Bytes(), []byte("\n"))...)
			default:
				line = append(line, cell(col, i)...)
			}
		}
		if _, err := j.w.Write(append(line, "}\n"...)); err != nil {
			return err
		}
	}
	return nil
}
