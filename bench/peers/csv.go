package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sync/errgroup"
)

// row is one line of interactions.csv. Its slices point into the buffer that the line is in.
type row struct {
	user, item, event []byte
	value             float32
	time              int64
}

// parseRow reads a line without its line break. The generator quotes nothing in this file.
func parseRow(line []byte) (r row, err error) {
	var cells [5][]byte
	for i := range 4 {
		k := bytes.IndexByte(line, ',')
		if k < 0 {
			return row{}, errors.New("parse interactions: a line has too few cells")
		}
		cells[i], line = line[:k], line[k+1:]
	}
	r.user, r.item, r.event = cells[0], cells[1], cells[2]
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(cells[3]), len(cells[3])), 32)
	if err != nil {
		return row{}, errors.New("parse interactions: EVENT_VALUE is no number")
	}
	r.value = float32(v)
	if r.time, err = strconv.ParseInt(unsafe.String(unsafe.SliceData(line), len(line)), 10, 64); err != nil {
		return row{}, errors.New("parse interactions: TIMESTAMP is no number")
	}
	return r, nil
}

func (r row) sums() sums {
	return sums{1, byteSum(r.user), byteSum(r.item), byteSum(r.event), float64(r.value), r.time}
}

const chunkBytes = 4 << 20

// eachChunk reads a CSV file in chunks of whole lines, without the header. work is called by one goroutine for each
// processor, with the number of the chunk, from 0; the chunk is its own until it returns.
func eachChunk(ctx context.Context, path string, work func(worker, chunk int, lines []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	type job struct {
		n          int
		lines, buf []byte
	}
	workers := runtime.GOMAXPROCS(0)
	full, free := make(chan job), make(chan []byte, workers+1)
	for range cap(free) {
		free <- make([]byte, chunkBytes)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(full)
		var rest []byte
		header := true
		for n := 0; ; n++ {
			var buf []byte
			select {
			case buf = <-free:
			case <-ctx.Done():
				return nil
			}
			k, err := io.ReadFull(f, buf[copy(buf, rest):])
			end := err == io.EOF || err == io.ErrUnexpectedEOF
			if err != nil && !end {
				return err
			}
			have := buf[:len(rest)+k]
			cut := len(have)
			if !end {
				cut = bytes.LastIndexByte(have, '\n') + 1
			}
			rest = append(rest[:0], have[cut:]...)
			lines := have[:cut]
			if header {
				lines, header = lines[bytes.IndexByte(lines, '\n')+1:], false
			}
			select {
			case full <- job{n, lines, buf}:
			case <-ctx.Done():
				return nil
			}
			if end {
				return nil
			}
		}
	})
	for w := range workers {
		g.Go(func() error {
			for j := range full {
				if err := work(w, j.n, j.lines); err != nil {
					return err
				}
				free <- j.buf
			}
			return nil
		})
	}
	return g.Wait()
}

// eachLine calls fn for each line, without its line break.
func eachLine(lines []byte, fn func(line []byte) error) error {
	for len(lines) > 0 {
		k := bytes.IndexByte(lines, '\n')
		if k < 0 {
			return fn(lines)
		}
		if err := fn(lines[:k]); err != nil {
			return err
		}
		lines = lines[k+1:]
	}
	return nil
}

// readList reads the IDs of a deletion list.
func readList(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, b, _ = bytes.Cut(b, []byte("\n"))
	var ids []string
	err = eachLine(b, func(line []byte) error { ids = append(ids, string(line)); return nil })
	return ids, err
}

// sortedRows is the whole file in memory, in the order of (USER_ID, TIMESTAMP, line): for stores that take rows in
// the order of their key faster than in any other. Both processors parse, and each sorts half.
type sortedRows struct {
	data []byte // the file
	refs []rowRef
}

// rowRef is a row's key and where its line begins. USER_ID is held as its first 8 bytes and, in data, the rest.
type rowRef struct {
	prefix uint64
	time   int64
	at     uint32 // of the line in data; files are below 4 GiB
}

func sortRows(ctx context.Context, path string) (*sortedRows, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if uint64(len(data)) > 1<<32-1 {
		return nil, fmt.Errorf("%s is larger than 4 GiB: rivals that sort in memory can't take it", path)
	}
	s := &sortedRows{data: data}
	begin := bytes.IndexByte(data, '\n') + 1
	half := begin + (len(data)-begin)/2
	half += bytes.IndexByte(data[half:], '\n') + 1
	var parts [2][]rowRef
	var g errgroup.Group
	for i, r := range [2][2]int{{begin, half}, {half, len(data)}} {
		g.Go(func() error {
			refs := make([]rowRef, 0, (r[1]-r[0])/40)
			for at := r[0]; at < r[1]; {
				end := at + bytes.IndexByte(data[at:], '\n')
				line := data[at:end]
				k := bytes.LastIndexByte(line, ',')
				t, err := strconv.ParseInt(string(line[k+1:]), 10, 64)
				if err != nil {
					return errors.New("parse interactions: TIMESTAMP is no number")
				}
				refs = append(refs, rowRef{binary.BigEndian.Uint64(line), t, uint32(at)})
				at = end + 1
			}
			slices.SortFunc(refs, s.compare)
			parts[i] = refs
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s.refs = make([]rowRef, 0, len(parts[0])+len(parts[1]))
	a, b := parts[0], parts[1]
	for len(a) > 0 && len(b) > 0 {
		if s.compare(a[0], b[0]) <= 0 {
			s.refs, a = append(s.refs, a[0]), a[1:]
		} else {
			s.refs, b = append(s.refs, b[0]), b[1:]
		}
	}
	s.refs = append(append(s.refs, a...), b...)
	return s, ctx.Err()
}

func (s *sortedRows) compare(a, b rowRef) int {
	switch {
	case a.prefix != b.prefix:
		if a.prefix < b.prefix {
			return -1
		}
		return 1
	case a.at == b.at:
		return 0
	}
	if c := bytes.Compare(s.data[a.at+8:a.at+userIDLen], s.data[b.at+8:b.at+userIDLen]); c != 0 {
		return c
	}
	if a.time != b.time {
		return int(min(max(a.time-b.time, -1), 1))
	}
	return int(min(max(int64(a.at)-int64(b.at), -1), 1))
}

// row parses the i-th row.
func (s *sortedRows) row(i int) (row, error) {
	line := s.data[s.refs[i].at:]
	return parseRow(line[:bytes.IndexByte(line, '\n')])
}
