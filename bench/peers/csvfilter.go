package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

var csvEntry = entry{
	Name: "csv", What: "CSV file, filtered into a new one by both processors", New: func() peer { return &csvPeer{} }, NoStore: true,
}

// csvPeer keeps the CSV file that it was given.
type csvPeer struct{ dir string }

func (p *csvPeer) path() string { return filepath.Join(p.dir, "interactions.csv") }

func (p *csvPeer) Import(_ context.Context, dir, csv string) error {
	p.dir = dir
	if err := copyFile(csv, p.path()); err != nil {
		return err
	}
	return syncTree(dir)
}

func (p *csvPeer) Open(_ context.Context, dir string) error { p.dir = dir; return nil }
func (p *csvPeer) Close(context.Context) error              { return nil }

func (p *csvPeer) Delete(context.Context, string) error { return nil }

// Erase filters chunks on both processors and writes them in their order. The synced new file takes the old one's name.
func (p *csvPeer) Erase(ctx context.Context, list string) error {
	ids, err := readList(list)
	if err != nil {
		return err
	}
	gone := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		gone[id] = struct{}{}
	}
	out, err := os.Create(p.path() + ".new")
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := out.WriteString("USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n"); err != nil {
		return err
	}
	var mu sync.Mutex
	turn, next := sync.NewCond(&mu), 0
	err = eachChunk(ctx, p.path(), func(_, chunk int, lines []byte) error {
		kept := filterLines(lines, gone)
		mu.Lock()
		defer mu.Unlock()
		// Chunks are handed out in order, so the one whose turn it is always has a worker.
		for next != chunk {
			turn.Wait()
		}
		next++
		turn.Broadcast()
		_, err := out.Write(kept)
		return err
	})
	if err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return replaceFile(out.Name(), p.path())
}

// filterLines takes the lines of some users out, in place.
func filterLines(lines []byte, gone map[string]struct{}) []byte {
	kept := lines[:0]
	from, at := 0, 0 // lines[from:at] are to be kept
	for at < len(lines) {
		end := at + indexNewline(lines[at:]) + 1
		if _, ok := gone[string(lines[at:at+userIDLen])]; ok {
			kept = append(kept, lines[from:at]...)
			from = end
		}
		at = end
	}
	return append(kept, lines[from:]...)
}

// indexNewline is quicker than a search for the newline from the line's beginning: no line is shorter than an ID.
func indexNewline(line []byte) int {
	for i := userIDLen; i < len(line); i++ {
		if line[i] == '\n' {
			return i
		}
	}
	return len(line) - 1
}

func (p *csvPeer) Scan(ctx context.Context) (sums, error) {
	return p.scan(ctx, func([]byte) bool { return true })
}

func (p *csvPeer) Check(ctx context.Context) (sums, error) { return p.Scan(ctx) }

func (p *csvPeer) UserRows(ctx context.Context, id string) (sums, error) {
	return p.scan(ctx, func(line []byte) bool { return string(line[:userIDLen]) == id })
}

func (p *csvPeer) scan(ctx context.Context, want func(line []byte) bool) (total sums, err error) {
	parts := make([]sums, runtime.GOMAXPROCS(0))
	err = eachChunk(ctx, p.path(), func(worker, _ int, lines []byte) error {
		var s sums
		err := eachLine(lines, func(line []byte) error {
			if !want(line) {
				return nil
			}
			r, err := parseRow(line)
			s.add(r.sums())
			return err
		})
		parts[worker].add(s)
		return err
	})
	for _, s := range parts {
		total.add(s)
	}
	if err != nil {
		return sums{}, fmt.Errorf("scan csv: %w", err)
	}
	return total, nil
}
