package ingest

import (
	"bytes"
	"io"
)

// cut gives another reader the records that are whole in the buffer, for it to parse: c itself only reads on. It returns
// io.EOF at the end of the file.
//
// Where a record ends is told by the quotes before the line feed, whose number is even. That holds up to the first record
// that breaks the rules of quoting, and that one is refused by whoever parses it: what tells is the bytes up to the
// mistake, which is before any border that is none.
func (c *csvReader) cut(to *csvReader) error {
	n, whole := c.wholeRecords(), true
	for n == 0 {
		if held := c.end - c.start; c.done || held > maxRecordSize {
			n, whole = held, c.done // what is cut off is too big, unless the parser finds another mistake first
			break
		}
		if err := c.fill(); err != nil {
			return err
		}
		n = c.wholeRecords()
	}
	if n == 0 {
		return io.EOF
	}
	// The buffers change hands, and what is left goes to the other one.
	border := c.start + n
	if len(to.buf) < len(c.buf) {
		to.buf = make([]byte, len(c.buf))
	}
	rest := copy(to.buf, c.buf[border:c.end])
	next := csvReader{src: c.src, file: c.file, done: c.done, buf: to.buf, end: rest, line: c.line, fields: c.fields, places: c.places}
	next.line += int64(bytes.Count(c.buf[c.start:border], []byte{'\n'}))
	next.buf[rest] = '\n'
	*to = csvReader{file: c.file, done: whole, buf: c.buf, start: c.start, end: border, line: c.line, fields: to.fields, places: to.places}
	to.buf[border] = '\n'
	*c = next
	return nil
}

// wholeRecords returns how many unparsed bytes are whole records.
func (c *csvReader) wholeRecords() int {
	data := c.buf[c.start:c.end]
	quotes := bytes.Count(data, []byte{'"'})
	for {
		last := bytes.LastIndexByte(data, '\n')
		if last < 0 {
			return 0
		}
		if quotes > 0 {
			quotes -= bytes.Count(data[last:], []byte{'"'})
		}
		if quotes%2 == 0 {
			return last + 1
		}
		data = data[:last]
	}
}
