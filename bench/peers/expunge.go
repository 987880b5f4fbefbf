package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/expunge-db/expunge/bench"
	"github.com/expunge-db/expunge/engine"
)

var expungeEntry = entry{
	Name: "expunge", What: "Expunge, default options; strings summed by their bytes", New: func() peer { return &expungePeer{} },
	Delete: true, OneJob: true,
}

const group = "bench"

// expungePeer is Expunge through the calls that an embedder has.
type expungePeer struct {
	e   *engine.Engine
	job engine.Job // the deletion under way
}

func (p *expungePeer) Import(ctx context.Context, dir, csv string) error {
	if err := p.Open(ctx, dir); err != nil {
		return err
	}
	if _, err := p.e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: group}); err != nil {
		return err
	}
	if _, err := p.e.CreateSchema(ctx, engine.NewSchema{Name: "interactions", Avro: []byte(bench.InteractionsSchema)}); err != nil {
		return err
	}
	d := engine.NewDataset{Name: "interactions", Group: group, Type: engine.Interactions, Schema: "interactions"}
	if _, err := p.e.CreateDataset(ctx, d); err != nil {
		return err
	}
	_, err := p.e.Import(ctx, engine.NewDatasetImportJob{
		Group: group, Type: engine.Interactions, Source: csv, Mode: engine.ImportFull,
	})
	return err
}

func (p *expungePeer) Open(ctx context.Context, dir string) (err error) {
	p.e, err = engine.Open(ctx, filepath.Join(dir, "interactions.expunge"), engine.Options{})
	return err
}

func (p *expungePeer) Close(ctx context.Context) error { return p.e.Close(ctx) }

// Delete returns once the job is released, which it is in the commit that makes the rows invisible. The job itself is
// asked, as an embedder would; the pause is short against the commit's sync.
func (p *expungePeer) Delete(ctx context.Context, list string) (err error) {
	p.job, err = p.e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: group, Source: list})
	for err == nil && !p.job.Released && !p.job.Status.Terminal() {
		time.Sleep(100 * time.Microsecond)
		p.job, err = p.e.DescribeDataDeletionJob(ctx, p.job.Name)
	}
	return err
}

// Erase waits until the job is COMPLETED.
func (p *expungePeer) Erase(ctx context.Context, _ string) (err error) {
	p.job, err = p.e.Wait(ctx, p.job)
	return err
}

func (p *expungePeer) Scan(ctx context.Context) (total sums, err error) {
	for rec, err := range p.e.Scan(ctx, group, engine.Interactions) {
		if err != nil {
			return sums{}, err
		}
		s, err := sumRecord(rec)
		rec.Release()
		if err != nil {
			return sums{}, err
		}
		total.add(s)
	}
	return total, nil
}

func (p *expungePeer) Check(ctx context.Context) (sums, error) { return p.Scan(ctx) }

func (p *expungePeer) UserRows(ctx context.Context, id string) (sums, error) {
	rec, err := p.e.UserRows(ctx, group, engine.Interactions, id)
	if err != nil || rec == nil {
		return sums{}, err
	}
	defer rec.Release()
	return sumRecord(rec)
}

// sumRecord adds up every value of every column of a record.
func sumRecord(rec arrow.Record) (s sums, err error) {
	s.Rows = rec.NumRows()
	for i := range rec.Schema().NumFields() {
		f := rec.Schema().Field(i)
		switch c := rec.Column(i).(type) {
		case *array.String:
			n := int64(0)
			if c.Len() > 0 {
				n = int64(bench.SumBytes(c.ValueBytes()))
			}
			switch f.Name {
			case "USER_ID":
				s.User = n
			case "ITEM_ID":
				s.Item = n
			case "EVENT_TYPE":
				s.Event = n
			default:
				err = errors.Join(err, fmt.Errorf("column %s is not expected", f.Name))
			}
		case *array.Float32:
			s.Value = sumFloats(c.Float32Values())
		case *array.Int64:
			for _, v := range c.Int64Values() {
				s.Time += v
			}
		default:
			err = errors.Join(err, fmt.Errorf("column %s has type %s, which the harness doesn't sum", f.Name, f.Type))
		}
	}
	return s, err
}
