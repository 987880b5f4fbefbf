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

	"github.com/expunge-db/expunge/engine"
)

// dailyList is how many users are deleted on a day, unless the dataset has few.
const dailyList = 200

// daily lives through the last days of the dataset. Users are deleted at the end of a day, so a user's later
// events come in again and stay.
func (b *bed) daily(ctx context.Context) (err error) {
	p := newDailyPlan(b.c, b.rc)
	want, deletedRows, err := p.expect(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "daily")
	if err := p.split(ctx, b.files.Interactions, dir); err != nil {
		return fmt.Errorf("split by day: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := removeStore(b.workPath()); err != nil {
		return err
	}
	e, err := create(ctx, b.workPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	first := engine.NewDatasetImportJob{Group: group, Type: engine.Interactions, Source: p.file(dir, 0, 0), Mode: engine.ImportFull}
	if _, err := e.Import(ctx, first); err != nil {
		return err
	}
	for day := 1; day <= p.days; day++ {
		b.step("daily life", day, p.days)
		if err := b.liveDay(ctx, e, p, dir, day, deletedRows[day], want[day]); err != nil {
			return fmt.Errorf("day %d: %w", day, err)
		}
	}
	if err := check(ctx, e, want[p.days]); err != nil {
		return err
	}
	deleted := p.deletedOn()
	sample, err := b.readUsers(ctx, e, func(user int) bool { return deleted[uint32(user)] == 0 && !p.repeats })
	b.add("DailyUserRows", ScenarioDaily, "after all days: one user's rows", sample)
	return err
}

func (b *bed) liveDay(ctx context.Context, e *engine.Engine, p *dailyPlan, dir string, day int, deletedRows int64, want Totals) error {
	sample, err := measure(func() error {
		for part := range p.parts {
			path := p.file(dir, day, part)
			if _, err := e.Import(ctx, engine.NewDatasetImportJob{
				Group: group, Type: engine.Interactions, Source: path, Mode: engine.ImportIncremental,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.add("DailyImport", ScenarioDaily, "a day's events in", sample)

	list := filepath.Join(dir, "list.csv")
	if err := p.writeList(list, day); err != nil {
		return err
	}
	sample, d, err := b.measureDelete(ctx, e, list)
	if err != nil {
		return err
	}
	b.add("DailyDelete", ScenarioDaily, "a day's users out: erased", sample)
	if err := checkDeleted(d.job, deletedRows); err != nil {
		return err
	}

	sample, err = measureScan(ctx, scanOf(e), want)
	b.add("DailyScan", ScenarioDaily, "a day's scan", sample)
	return err
}

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
	on := p.deletedOn()
	// An incremental import drops a row that is there already. Equal rows are of one second.
	second, seen := int64(0), make(map[uint64]bool)
	err = p.c.each(ctx, func(r *row) {
		d, t := p.day(r.at), totalsOf(r)
		if d > 0 {
			if r.at != second {
				second = r.at
				clear(seen)
			}
			if seen[t.Digest] {
				p.repeats = true
				return
			}
			seen[t.Digest] = true
		}
		added[d] = added[d].Plus(t)
		if out := on[r.user]; out > 0 && d <= out {
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
