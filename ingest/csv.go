package ingest

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"unicode/utf8"
)

const (
	csvBufferSize = 256 << 10
	maxRecordSize = 16 << 20
	wordSize      = 8
)

var byteOrderMark = []byte{0xEF, 0xBB, 0xBF}

// csvReader reads the records of one CSV file after another. The package
// comment says what it accepts.
//
// A record is parsed only once all of it is in the buffer; one that is cut off
// is parsed anew after the buffer was filled, so no state outlives a call. The
// buffer grows by doubling, so that a long record costs its length and not its
// square.
type csvReader struct {
	src  io.Reader
	file string
	done bool // src is at its end

	// buf[start:end] is not parsed yet. A line feed stands in buf[end], so that
	// every scan ends, and up to wordSize-1 arbitrary bytes after it are read
	// but never looked at. buf is wordSize longer than the data it may hold.
	buf        []byte
	start, end int
	line       int64 // of buf[start]

	// The record that next found:
	fields      []span
	places      []place // of the fields, if the record has quotes; else they follow from the two below
	recordStart int
	recordLine  int64
}

type span struct {
	start, end int
	escaped    bool // holds doubled quotes, in scanQuoted only
}

// place is where a field starts in the file.
type place struct{ line, column int64 }

// verdict is what a scan of the buffer from start came to.
type verdict int

const (
	foundRecord verdict = iota
	foundBlank
	foundEnd
	needMore  // the record goes on behind the buffer
	needQuote // the record has a quoted field
	failed
)

// reset begins a file. The buffer is kept.
func (c *csvReader) reset(src io.Reader, file string) error {
	if c.buf == nil {
		c.buf = make([]byte, csvBufferSize+wordSize)
	}
	c.src, c.file, c.done = src, file, false
	c.start, c.end, c.line = 0, 0, 1
	c.fields, c.places = c.fields[:0], c.places[:0]
	if err := c.fill(); err != nil {
		return err
	}
	if bytes.HasPrefix(c.buf[:c.end], byteOrderMark) {
		c.start = len(byteOrderMark)
	}
	return nil
}

// next goes to the next record; io.EOF is the end of the file. The fields hold
// until the call after.
func (c *csvReader) next() error {
	for {
		v, err := c.scan()
		if v == needQuote {
			v, err = c.scanQuoted()
		}
		switch v {
		case foundRecord:
			return nil
		case foundEnd:
			return io.EOF
		case failed:
			return err
		case needMore:
			if err := c.fill(); err != nil {
				return err
			}
		}
	}
}

// field returns a field of the record, unquoted. It is a slice of the buffer.
func (c *csvReader) field(i int) []byte {
	f := c.fields[i]
	return c.buf[f.start:f.end]
}

// place returns where a field of the record starts, with its quote.
func (c *csvReader) place(i int) place {
	if len(c.places) > 0 {
		return c.places[i]
	}
	return place{c.recordLine, int64(c.fields[i].start-c.recordStart) + 1}
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// below2D marks, by their high bit, the bytes of w that are less than 0x2D:
// the four that end or break a field, and a few such as blanks. Digits, letters
// and whatever is not ASCII are not marked.
func below2D(w uint64) uint64 {
	return ^((w | highs) - 0x2D*lows) & ^w & highs
}

// scan parses a record without quoted fields.
func (c *csvReader) scan() (verdict, error) {
	buf, start := c.buf, c.start
	fields := c.fields[:0]
	fieldStart := start
	var seen uint64
	for i := start; ; i += wordSize {
		w := binary.LittleEndian.Uint64(buf[i:])
		seen |= w
		for marks := below2D(w); marks != 0; marks &= marks - 1 {
			p := i + bits.TrailingZeros64(marks)/8
			switch buf[p] {
			case ',':
				fields = append(fields, span{start: fieldStart, end: p})
				fieldStart = p + 1
			case '\n':
				if p == c.end && !c.done {
					return needMore, nil
				}
				stop := p
				if p > fieldStart && buf[p-1] == '\r' {
					stop--
				}
				c.start = min(p+1, c.end)
				c.places = c.places[:0]
				c.recordStart, c.recordLine = start, c.line
				c.line++
				if stop == start {
					if p == c.end {
						return foundEnd, nil
					}
					return foundBlank, nil
				}
				c.fields = append(fields, span{start: fieldStart, end: stop})
				if seen&highs != 0 && !utf8.Valid(buf[start:stop]) {
					return failed, c.notUTF8(c.recordStart)
				}
				return foundRecord, nil
			case '\r':
				// At the end of the buffer the line feed there lets this pass:
				// the scan then ends in needMore, or in the file's end.
				if buf[p+1] != '\n' {
					return failed, c.failAt(place{c.line, int64(fieldStart-start) + 1}, loneCR)
				}
			case '"':
				if p == fieldStart {
					return needQuote, nil
				}
				return failed, c.failAt(place{c.line, int64(fieldStart-start) + 1}, bareQuote)
			}
		}
	}
}

const (
	loneCR       = "carriage return without line feed; end lines with LF or CRLF, or quote the field"
	bareQuote    = "quote inside an unquoted field; quote the whole field and double the quotes in it"
	afterQuote   = "text after a closing quote; double the quotes inside a quoted field"
	openQuote    = "quote that is never closed; close it, or double it inside a quoted field"
	invalidUTF8  = "bytes that are not UTF-8; convert the file to UTF-8"
	recordTooBig = "record of more than 16 MiB; look for a quote that is not closed, or shorten it"
)

// scanQuoted parses a record with quoted fields, from its beginning.
func (c *csvReader) scanQuoted() (verdict, error) {
	c.fields, c.places = c.fields[:0], c.places[:0]
	data := c.buf[:c.end]
	line, lineStart := c.line, c.start
	escapes := false
	for p := c.start; ; p++ {
		at := place{line, int64(p-lineStart) + 1}
		f := span{start: p}
		if p < c.end && data[p] == '"' {
			f.start++
			p++
			for {
				q := bytes.IndexByte(data[p:], '"')
				if q < 0 {
					if !c.done {
						return needMore, nil
					}
					return failed, c.failAt(at, openQuote)
				}
				p += q + 1
				if p == c.end || data[p] != '"' {
					break
				}
				f.escaped = true
				p++
			}
			f.end = p - 1
			escapes = escapes || f.escaped
			if last := bytes.LastIndexByte(data[f.start:f.end], '\n'); last >= 0 {
				line += int64(bytes.Count(data[f.start:f.end], []byte{'\n'}))
				lineStart = f.start + last + 1
			}
		} else {
			for p < c.end && data[p] != ',' && data[p] != '\n' && data[p] != '\r' {
				if data[p] == '"' {
					return failed, c.failAt(at, bareQuote)
				}
				p++
			}
			f.end = p
		}

		// p is behind the field.
		if p+1 >= c.end && !c.done && (p == c.end || data[p] == '\r') {
			return needMore, nil
		}
		c.fields = append(c.fields, f)
		c.places = append(c.places, at)
		if p < c.end && data[p] == ',' {
			continue
		}
		if p < c.end && data[p] == '\r' {
			p++
			if p < c.end && data[p] != '\n' {
				return failed, c.failAt(at, loneCR)
			}
		}
		if p < c.end && data[p] != '\n' {
			return failed, c.failAt(at, afterQuote)
		}

		c.recordStart, c.recordLine = c.start, c.line
		c.start, c.line = min(p+1, c.end), line+1
		if !utf8.Valid(data[c.recordStart:p]) {
			return failed, c.notUTF8(c.recordStart)
		}
		if escapes {
			c.unescape()
		}
		return foundRecord, nil
	}
}

// unescape halves doubled quotes in place. It spoils the record for another
// scan, so it comes last.
func (c *csvReader) unescape() {
	for i, f := range c.fields {
		if !f.escaped {
			continue
		}
		to := f.start
		for from := f.start; from < f.end; from++ {
			c.buf[to] = c.buf[from]
			to++
			if c.buf[from] == '"' {
				from++
			}
		}
		c.fields[i].end = to
	}
}

// notUTF8 is the error for the first field of the record that isn't UTF-8.
func (c *csvReader) notUTF8(recordStart int) error {
	at := place{c.recordLine, 1}
	for i, f := range c.fields {
		if !utf8.Valid(c.buf[f.start:f.end]) {
			at = c.place(i)
			break
		}
	}
	return c.failAt(at, invalidUTF8)
}

// failField is an error at a field of the record.
func (c *csvReader) failField(field int, name, problem string) error {
	at := c.place(field)
	return &Error{File: c.file, Line: at.line, Column: at.column, Field: name, Problem: problem}
}

func (c *csvReader) failAt(at place, problem string) error {
	return &Error{File: c.file, Line: at.line, Column: at.column, Problem: problem}
}

// fill makes room behind the unparsed bytes and reads until there is none left
// or the file ends.
func (c *csvReader) fill() error {
	held := c.end - c.start
	if held > maxRecordSize {
		return c.failAt(place{c.line, 1}, recordTooBig)
	}
	buf := c.buf
	if held > (len(buf)-wordSize)/2 {
		buf = make([]byte, 2*(len(buf)-wordSize)+wordSize)
	}
	copy(buf, c.buf[c.start:c.end])
	c.buf, c.start, c.end = buf, 0, held

	room := len(buf) - wordSize
	for idle := 0; c.end < room && !c.done; {
		n, err := c.src.Read(buf[c.end:room])
		c.end += n
		if err == io.EOF {
			c.done = true
		} else if err != nil {
			return err
		}
		if n > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return fileError(c.file, "read", io.ErrNoProgress)
		}
	}
	buf[c.end] = '\n'
	return nil
}
