package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	if err := b.liveDays(ctx, p, dir, deletedRows, want); err != nil {
		return err
	}
	if err := b.measureAge(ctx, p, b.workPath(), "Aged", "after all days", want[p.days]); err != nil {
		return err
	}
	return b.measureFresh(ctx, p, dir, want[p.days])
}

func (b *bed) liveDays(ctx context.Context, p *dailyPlan, dir string, deletedRows []int64, want []Totals) (err error) {
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
	return nil
}

// measureFresh measures a store into which the rows that the last day left are imported at once.
func (b *bed) measureFresh(ctx context.Context, p *dailyPlan, dir string, want Totals) (err error) {
	source, path := filepath.Join(dir, "fresh.csv"), filepath.Join(dir, "fresh.expunge")
	if err := p.writeFresh(ctx, source); err != nil {
		return fmt.Errorf("write what is left: %w", err)
	}
	e, err := create(ctx, path)
	if err != nil {
		return err
	}
	_, err = e.Import(ctx, engine.NewDatasetImportJob{Group: group, Type: engine.Interactions, Source: source, Mode: engine.ImportFull})
	if err := errors.Join(err, e.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	return b.measureAge(ctx, p, path, "Fresh", "the same rows, fresh", want)
}

// measureAge measures what can become worse with time, in a store that was closed and is opened again.
func (b *bed) measureAge(ctx context.Context, p *dailyPlan, path, name, title string, want Totals) (err error) {
	size, err := allocated(path)
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, path, engine.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close(context.WithoutCancel(ctx))) }()
	if err := check(ctx, e, want); err != nil {
		return err
	}
	deleted := p.deletedOn()
	for run := range b.rc.Runs {
		b.step(title, run+1, b.rc.Runs)
		sample, err := measureScan(ctx, scanOf(e), want)
		if err != nil {
			return err
		}
		sample.Size = size
		b.add(name+"Scan", ScenarioDaily, title+": scan", sample)
		sample, err = b.readUsers(ctx, e, func(user int) bool { return deleted[uint32(user)] == 0 && !p.repeats })
		if err != nil {
			return err
		}
		b.add(name+"UserRows", ScenarioDaily, title+": one user's rows", sample)
	}
	return nil
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
