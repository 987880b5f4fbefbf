package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// dailyPlan says what happens on which day. Day 0 is all before the first one.
type dailyPlan struct {
	c       Config
	days    int
	parts   int   // files a day
	users   int   // deleted a day
	first   int64 // when day 1 begins
	repeats bool  // events were dropped because the same was there; set by expect
}

func newDailyPlan(c Config, rc RunConfig) *dailyPlan {
	return &dailyPlan{
		c: c, days: rc.Days, parts: rc.ImportsPerDay,
		users: min(dailyList, max(1, c.Users/(2*rc.Days))),
		first: Start + int64(c.Days-rc.Days)*day,
	}
}

func (p *dailyPlan) day(at int64) int {
	if at < p.first {
		return 0
	}
	return int((at-p.first)/day) + 1
}

// part returns in which file of its day an event is.
func (p *dailyPlan) part(at int64) int {
	if at < p.first {
		return 0
	}
	return int((at - p.first) % day * int64(p.parts) / day)
}

// deletedOn returns the users who are deleted, by number, and on which day. With few users the last lists can be
// shorter.
func (p *dailyPlan) deletedOn() map[uint32]int {
	order, on := newPermutation(p.c.Users, p.c.Seed, streamDeletions), make(map[uint32]int)
	for i := range min(p.days*p.users, p.c.Users) {
		on[uint32(order.at(uint64(i)))] = i/p.users + 1
	}
	return on
}

func (p *dailyPlan) writeList(path string, onDay int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, ColumnUser)
	for user, day := range p.deletedOn() {
		if day == onDay {
			fmt.Fprintln(w, p.c.UserID(int(user)))
		}
	}
	return w.Flush()
}

// expect returns what must be there at the end of each day, and how many rows each day's list deletes.
func (p *dailyPlan) expect(ctx context.Context) (atEnd []Totals, deletedRows []int64, err error) {
	added, deleted := make([]Totals, p.days+1), make([]Totals, p.days+1)
	err = p.each(ctx, func(r *row, in, out int) {
		t := totalsOf(r)
		added[in] = added[in].Plus(t)
		if out > 0 {
			deleted[out] = deleted[out].Plus(t)
		}
	})
	var now Totals
	for d := range added {
		now = now.Plus(added[d])
		if d > 0 {
			now = now.Minus(deleted[d])
		}
		atEnd, deletedRows = append(atEnd, now), append(deletedRows, deleted[d].Rows)
	}
	return atEnd, deletedRows, err
}

// each calls fn for each row that is imported, with the days on which it comes in and is deleted, 0 for never.
func (p *dailyPlan) each(ctx context.Context, fn func(r *row, in, out int)) error {
	deletedOn := p.deletedOn()
	// An incremental import drops a row that is there already. Equal rows are of one second.
	second, seen := int64(0), make(map[uint64]bool)
	return p.c.each(ctx, func(r *row) {
		in, out := p.day(r.at), deletedOn[r.user]
		if in > 0 {
			if r.at != second {
				second = r.at
				clear(seen)
			}
			h := r.hash()
			if seen[h] {
				p.repeats = true
				return
			}
			seen[h] = true
		}
		if in > out {
			out = 0
		}
		fn(r, in, out)
	})
}

// writeFresh writes the rows that are left after the last day.
func (p *dailyPlan) writeFresh(ctx context.Context, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 256<<10)
	fmt.Fprintf(w, "%s,%s,%s,%s,%s\n", ColumnUser, ColumnItem, ColumnEvent, ColumnValue, ColumnTimestamp)
	err = p.each(ctx, func(r *row, _, out int) {
		if out == 0 {
			w.Write(r.line) // Flush returns its error
		}
	})
	return errors.Join(err, w.Flush())
}

func (p *dailyPlan) file(dir string, day, part int) string {
	return filepath.Join(dir, fmt.Sprintf("day-%d-%d.csv", day, part))
}

// split writes the rows of the file, which are in the order of time, to those of the days. Every file is there
// in the end, if only with a header.
func (p *dailyPlan) split(ctx context.Context, path, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	r := bufio.NewReaderSize(in, 1<<20)
	header, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	line, err := r.ReadBytes('\n')
	for day := range p.days + 1 {
		for part := range p.parts {
			if day == 0 && part > 0 {
				break
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			line, err = p.writePart(p.file(dir, day, part), header, line, r, func(at int64) bool {
				return p.day(at) == day && p.part(at) == part
			})
			if err != nil {
				return err
			}
		}
	}
	if len(line) > 0 {
		return errors.New("rows are left over: they are not in the order of time")
	}
	return nil
}

// writePart writes the lines from line on for as long as they belong to the file. It returns the first that
// doesn't, or none at the end of the input.
func (p *dailyPlan) writePart(path string, header, line []byte, r *bufio.Reader, belongs func(at int64) bool) (_ []byte, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 256<<10)
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	for len(line) > 0 {
		stamp := bytes.TrimSuffix(line[bytes.LastIndexByte(line, ',')+1:], []byte{'\n'})
		at, err := strconv.ParseInt(string(stamp), 10, 64)
		if err != nil {
			return nil, errors.New("a row has no timestamp in its last column")
		}
		if !belongs(at) {
			break
		}
		if _, err := w.Write(line); err != nil {
			return nil, err
		}
		if line, err = r.ReadSlice('\n'); err != nil && err != io.EOF {
			return nil, err
		}
	}
	return bytes.Clone(line), w.Flush()
}
