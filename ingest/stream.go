package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds what a zstd file can make us allocate. It is four times
// what the format asks every decoder to support.
const maxZstdWindow = 32 << 20

// Progress is how far a reader is.
type Progress struct {
	File       string // name of the file that is read; "" before the first and after the last
	BytesRead  int64  // of the stored files
	BytesTotal int64
	Rows       int64 // rows or IDs handed out
}

// stream reads the records of a source's files, one file after the other, each
// from its header on.
type stream struct {
	ctx   context.Context // of the constructor: it governs all reading
	src   Source
	files []File
	index int // of the open file, or of the next to open
	body  *body
	csv   csvReader
	sums  *fileSums // nil if nobody asks for a digest

	// Written by the reading goroutine, read by any:
	current    atomic.Pointer[string]
	bytes      atomic.Int64
	rows       atomic.Int64
	bytesTotal int64 // set once
}

func newStream(ctx context.Context, src Source) (*stream, error) {
	files, err := src.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list input files: %w", err)
	}
	s := &stream{ctx: ctx, src: src, files: files}
	for _, f := range files {
		s.bytesTotal += f.Size
	}
	return s, nil
}

// open opens the next file and goes to its header; io.EOF is the end of the
// last file.
func (s *stream) open() error {
	if s.index == len(s.files) {
		return io.EOF
	}
	f := s.files[s.index]
	var sum io.Writer = io.Discard
	if s.sums != nil {
		sum = s.sums.file
	}
	b, err := openBody(s.ctx, s.src, f, &s.bytes, sum)
	if err != nil {
		return err
	}
	s.body = b
	s.current.Store(&f.Name)
	if err := s.csv.reset(b, f.Name); err != nil {
		return err
	}
	if err := s.csv.next(); err != io.EOF {
		return err
	}
	return &Error{File: f.Name, Problem: "the file has no header line; write the column names into its first line"}
}

// finish closes the file whose end was reached.
func (s *stream) finish() error {
	if s.sums != nil {
		s.sums.next(s.files[s.index])
	}
	s.index++
	return s.close()
}

// close closes the open file, if there is one.
func (s *stream) close() error {
	s.current.Store(nil)
	if s.body == nil {
		return nil
	}
	b := s.body
	s.body = nil
	return b.Close()
}

// skip goes to the file with the given index, as if those before it were read.
func (s *stream) skip(index int) {
	for _, f := range s.files[:index] {
		s.bytes.Add(f.Size)
	}
	s.index = index
}

func (s *stream) progress() Progress {
	p := Progress{BytesRead: s.bytes.Load(), BytesTotal: s.bytesTotal, Rows: s.rows.Load()}
	if name := s.current.Load(); name != nil {
		p.File = *name
	}
	return p
}

// body is a file's decompressed bytes.
type body struct {
	file  File
	raw   rawReader
	plain io.Reader // reads from raw
	close func()
}

// rawReader counts and sums the stored bytes and keeps the error of the source,
// which decompressors replace by their own.
type rawReader struct {
	io.ReadCloser
	count *atomic.Int64
	sum   io.Writer // doesn't fail
	err   error
}

func (r *rawReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.count.Add(int64(n))
	r.sum.Write(p[:n])
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

func openBody(ctx context.Context, src Source, f File, count *atomic.Int64, sum io.Writer) (*body, error) {
	stored, err := src.Open(ctx, f)
	if err != nil {
		return nil, fileError(f.Name, "open", err)
	}
	b := &body{file: f, raw: rawReader{ReadCloser: stored, count: count, sum: sum}, close: func() {}}
	name := strings.ToLower(f.Path)
	switch {
	case strings.HasSuffix(name, ".gz"):
		z, err := gzip.NewReader(&b.raw)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // without a header it is no gzip file, nor an empty one
		}
		if err != nil {
			return nil, errors.Join(b.explain(err), stored.Close())
		}
		b.plain = z // its Close only repeats the error of the last Read
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(&b.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, errors.Join(b.explain(err), stored.Close())
		}
		b.plain, b.close = z, z.Close
	default:
		b.plain = &b.raw
	}
	return b, nil
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.plain.Read(p)
	if err != nil && err != io.EOF {
		err = b.explain(err)
	}
	return n, err
}

func (b *body) explain(err error) error {
	switch {
	case b.raw.err != nil:
		return fileError(b.file.Name, "read", b.raw.err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return &Error{File: b.file.Name, Err: err,
			Problem: "needs a zstd window of more than 32 MiB; compress it without --long and --ultra"}
	default:
		return &Error{File: b.file.Name, Err: err,
			Problem: fmt.Sprintf("cannot be decompressed (%v); it is cut off or damaged: write it again", err)}
	}
}

func (b *body) Close() error {
	b.close()
	if err := b.raw.Close(); err != nil {
		return fileError(b.file.Name, "close", err)
	}
	return nil
}
