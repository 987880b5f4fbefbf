package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

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

// readBack is the files of a sink as a source.
type readBack struct{ *memorySink }

func (s readBack) List(context.Context) (files []ingest.File, err error) {
	for _, f := range s.files {
		name, text, _ := strings.Cut(f, ": ")
		files = append(files, ingest.File{Name: name, Path: name, Size: int64(len(text))})
	}
	return files, nil
}

func (s readBack) Open(_ context.Context, file ingest.File) (io.ReadCloser, error) {
	for _, f := range s.files {
		if name, text, _ := strings.Cut(f, ": "); name == file.Path {
			return io.NopCloser(strings.NewReader(text)), nil
		}
	}
	return nil, ingest.ChangedError(file.Name)
}

// FuzzCSVFiles writes a row with any text and number, and reads it back as an import does. An empty text comes back as null.
func FuzzCSVFiles(f *testing.F) {
	schema, err := ingest.ParseSchema([]byte(`{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ITEM_ID","type":"string"},
		{"name":"TEXT","type":["null","string"]},
		{"name":"FLOAT","type":["null","float"]},
		{"name":"DOUBLE","type":["null","double"]},
		{"name":"LONG","type":["null","long"]}],"version":"1.0"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("pen", "a \"text\",\r\nof two lines ", float32(0.1), 1e300, int64(-1))
	f.Add("\\.", "", float32(1e-45), 5e-324, int64(0))
	f.Fuzz(func(t *testing.T, id, text string, f32 float32, f64 float64, n int64) {
		fits := func(s string, most int) bool { return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most }
		if id == "" || !fits(id, 256) || !fits(text, 1000) || strings.ContainsRune(id+text, 0) ||
			math.IsNaN(float64(f32)) || math.IsInf(float64(f32), 0) || math.IsNaN(f64) || math.IsInf(f64, 0) {
			return // no row of a store
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema.Arrow())
		defer b.Release()
		b.Field(0).(*array.StringBuilder).Append(id)
		if text == "" {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.StringBuilder).Append(text)
		}
		b.Field(2).(*array.Float32Builder).Append(f32)
		b.Field(3).(*array.Float64Builder).Append(f64)
		b.Field(4).(*array.Int64Builder).Append(n)
		rec := b.NewRecord()
		defer rec.Release()
		sink := &memorySink{room: 1 << 20}
		w := &csvFiles{sink: sink, name: "x", schema: rec.Schema(), most: 2}
		if err := errors.Join(w.write(t.Context(), rec), w.write(t.Context(), rec), w.write(t.Context(), rec), w.finish(t.Context())); err != nil {
			t.Fatal(err)
		}
		r, err := ingest.NewDatasetReader(t.Context(), readBack{sink}, schema)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rows := int64(0)
		for {
			got, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.NumRows() {
				row := got.NewSlice(i, i+1)
				if !array.RecordEqual(row, rec) {
					t.Errorf("%v was read, want %v", row, rec)
				}
				row.Release()
			}
			rows += got.NumRows()
		}
		if rows != 3 {
			t.Errorf("%d rows, want 3", rows)
		}
	})
}
