package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/expunge-db/expunge/ingest"
)

// memorySink keeps what was committed, and fails from a byte on.
type memorySink struct {
	files   []string
	aborted int
	room    int
}

type memoryFile struct {
	bytes.Buffer
	sink *memorySink
	name string
}

func (s *memorySink) Create(_ context.Context, name string) (ingest.SinkFile, error) {
	return &memoryFile{sink: s, name: name}, nil
}

func (f *memoryFile) Write(p []byte) (int, error) {
	if f.sink.room -= len(p); f.sink.room < 0 {
		return 0, io.ErrShortWrite
	}
	return f.Buffer.Write(p)
}

func (f *memoryFile) Commit() error {
	f.sink.files = append(f.sink.files, f.name+": "+f.String())
	return nil
}

func (f *memoryFile) Abort() error {
	f.sink.aborted++
	return nil
}

// TestCSVFiles divides rows among files, and looks at what a full disk leaves.
func TestCSVFiles(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "ID", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range 5 {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	rec := b.NewRecord()
	defer rec.Release()
	for rows, want := range map[int64]string{
		2: "[x-00001.csv: ID\n0\n1\n x-00002.csv: ID\n2\n3\n x-00003.csv: ID\n4\n]",
		5: "[x-00001.csv: ID\n0\n1\n2\n3\n4\n]",
	} {
		sink := &memorySink{room: 1 << 20}
		w := &csvFiles{sink: sink, name: "x", schema: schema, most: rows}
		if err := errors.Join(w.write(t.Context(), rec), w.finish(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(sink.files); got != want || w.rows != 5 || w.files != int64(len(sink.files)) || sink.aborted > 0 {
			t.Errorf("%d rows a file: %q, want %q", rows, got, want)
		}
	}
	for room := range 20 {
		sink := &memorySink{room: room}
		w := &csvFiles{sink: sink, name: "x", schema: schema, most: 3}
		err := errors.Join(w.write(t.Context(), rec), w.finish(t.Context()))
		if err == nil {
			if room < 16 {
				t.Errorf("%d bytes of room: no error", room)
			}
			continue
		}
		if err := w.abort(); err != nil {
			t.Error(err)
		}
		for _, f := range sink.files {
			if f != "x-00001.csv: ID\n0\n1\n2\n" {
				t.Errorf("%d bytes of room: %q was committed", room, f)
			}
		}
	}
}
