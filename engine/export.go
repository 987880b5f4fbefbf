package engine

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// Ingestion says which rows of a dataset an export writes.
type Ingestion = jobs.Ingestion

// The rows that an export can write, equal ones once. BULK is what imports brought, PUT what came row by row, without what
// was replaced since by a row of the same ID. ALL is both, and of each user or item the newest row.
const (
	IngestionBulk = jobs.IngestionBulk
	IngestionPut  = jobs.IngestionPut
	IngestionAll  = jobs.IngestionAll
)

// NewDatasetExportJob is what an export job is created from.
type NewDatasetExportJob struct {
	Name        string // unique among the store's export jobs; "" lets the engine choose one
	Group       string // name or ARN
	Type        DatasetType
	Ingestion   Ingestion // "" means PUT, as in the service that Expunge is compatible with
	Destination string    // a folder; see Options.Locations
	RoleARN     string    // handed to Options.Locations; files of this machine need none
	KMSKeyARN   string    // kept and shown, never used
	Tags        []Tag
}

// CreateDatasetExportJob creates a job that writes a dataset's rows as CSV files, and returns at once; see [Engine.Wait].
// The files are named JOB-00001.csv and so on, have at most a million rows each, and begin with the names of the schema's
// fields; there is one at least. The rows are those of one moment, when the job's turn comes: nobody who was deleted by a
// job before it is among them. Files of a job that fails can stay behind. Errors: [ErrInvalid], [ErrNotFound], [ErrExists],
// [ErrReadOnly].
func (e *Engine) CreateDatasetExportJob(ctx context.Context, n NewDatasetExportJob) (Job, error) {
	if err := checkType(n.Type); err != nil {
		return Job{}, err
	}
	if n.Ingestion == "" {
		n.Ingestion = IngestionPut
	}
	if _, err := e.locations.Sink(n.Destination, n.RoleARN); err != nil {
		return Job{}, ofKind(ErrInvalid, err)
	}
	destination := n.Destination
	if !strings.Contains(destination, "://") { // it means the same in every working directory
		var err error
		if destination, err = filepath.Abs(destination); err != nil {
			return Job{}, fmt.Errorf("find destination: %w", err)
		}
	}
	group := e.groupName(n.Group)
	return e.create(ctx, jobs.Spec{
		Kind: jobs.KindExport, Name: nameOr(n.Name, "export"), GroupARN: e.groupARN(group), DatasetARN: e.datasetARN(group, n.Type),
		Ingestion: n.Ingestion, Destination: destination, RoleARN: n.RoleARN, KMSKeyARN: n.KMSKeyARN, Tags: n.Tags,
	})
}

// DescribeDatasetExportJob returns an export job by its name or ARN. Errors: [ErrNotFound].
func (e *Engine) DescribeDatasetExportJob(ctx context.Context, nameOrARN string) (Job, error) {
	return e.describe(ctx, jobs.KindExport, nameOrARN)
}

// ListDatasetExportJobs returns export jobs, newest first, and whether there are more.
func (e *Engine) ListDatasetExportJobs(ctx context.Context, l ListJobs) (page []Job, more bool, err error) {
	return e.list(ctx, jobs.KindExport, l)
}

// Export runs an export job to its end: [Engine.CreateDatasetExportJob] and [Engine.Wait].
func (e *Engine) Export(ctx context.Context, n NewDatasetExportJob) (Job, error) {
	job, err := e.CreateDatasetExportJob(ctx, n)
	if err != nil {
		return job, err
	}
	return e.Wait(ctx, job)
}

// exportTurn writes the rows of a snapshot. An export that was interrupted begins again, and its files replace those that
// were there.
func (e *Engine) exportTurn(ctx context.Context, job Job) error {
	group, t := e.groupName(job.GroupARN), e.datasetType(job.DatasetARN)
	if err := e.fold(ctx, group); err != nil {
		return err
	}
	sink, err := e.locations.Sink(job.Destination, job.RoleARN)
	if err != nil {
		return err
	}
	sn, err := e.store.Snapshot(ctx, group, t)
	if err != nil {
		return mapError(err)
	}
	defer e.runner.Wake() // an erasure may have waited for it
	defer sn.Release()
	w := &csvFiles{sink: sink, name: job.Name, schema: sn.Schema(t), most: exportedRows}
	kind := map[Ingestion]store.Kind{IngestionBulk: store.KindBulk, IngestionPut: store.KindPut, IngestionAll: store.KindAll}[job.Ingestion]
	total := sn.Rows(t)
	for rec, err := range sn.Distinct(ctx, t, kind) {
		if err == nil {
			err = w.write(ctx, rec)
			rec.Release()
		}
		if err != nil {
			return errors.Join(err, w.abort())
		}
		e.setProgress(job.Seq, Progress{Step: StepExporting, Done: w.rows, Total: total, Unit: "rows"})
	}
	if err := w.finish(ctx); err != nil {
		return errors.Join(err, w.abort())
	}
	err = e.store.Update(ctx, func(tx *store.Tx) error {
		_, err := jobs.Transition(jobTx{tx.KV()}, job.Seq, StatusInProgress, StatusCompleted, now(), func(j *Job) {
			j.Counts.RowsExported, j.Counts.FilesExported = w.rows, w.files
		})
		return err
	})
	if err == nil {
		e.endProgress(job.Seq)
	}
	return err
}

// exportedRows is the most rows of one file.
const exportedRows = 1_000_000

// csvFiles writes records as CSV files (RFC 4180, but lines end in LF, as in all files of the service), null as nothing.
type csvFiles struct {
	sink   ingest.Sink
	name   string
	schema *arrow.Schema
	most   int64 // rows of a file

	file  ingest.SinkFile // nil between two files
	csv   *csv.Writer
	cells []string
	left  int64 // rows that the file can take
	rows  int64
	files int64
}

func (w *csvFiles) write(ctx context.Context, rec arrow.Record) error {
	for i := range int(rec.NumRows()) {
		if w.file == nil {
			if err := w.begin(ctx); err != nil {
				return err
			}
		}
		for c, col := range rec.Columns() {
			w.cells[c] = cell(col, i)
		}
		if err := w.csv.Write(w.cells); err != nil {
			return err
		}
		w.rows++
		if w.left--; w.left == 0 {
			if err := w.commit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin starts a file with its header.
func (w *csvFiles) begin(ctx context.Context) (err error) {
	w.files++
	if w.file, err = w.sink.Create(ctx, fmt.Sprintf("%s-%05d.csv", w.name, w.files)); err != nil {
		return err
	}
	w.csv = csv.NewWriter(bufio.NewWriterSize(w.file, 256<<10))
	w.left, w.cells = w.most, w.cells[:0]
	for _, f := range w.schema.Fields() {
		w.cells = append(w.cells, f.Name)
	}
	return w.csv.Write(w.cells)
}

func (w *csvFiles) commit() error {
	w.csv.Flush()
	if err := w.csv.Error(); err != nil {
		return err
	}
	file := w.file
	w.file = nil // not to be aborted, whatever comes of it
	return file.Commit()
}

// finish ends the last file; the only one, with a header alone, if there were no rows.
func (w *csvFiles) finish(ctx context.Context) error {
	if w.files == 0 {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	if w.file == nil {
		return nil
	}
	return w.commit()
}

// abort drops the file under way, if there is one.
func (w *csvFiles) abort() error {
	if w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	return file.Abort()
}

// cell returns a value as the reader of CSV files takes it.
func cell(col arrow.Array, i int) string {
	if col.IsNull(i) {
		return ""
	}
	switch c := col.(type) {
	case *array.String:
		return c.Value(i)
	case *array.Int32:
		return strconv.FormatInt(int64(c.Value(i)), 10)
	case *array.Int64:
		return strconv.FormatInt(c.Value(i), 10)
	case *array.Float32:
		return strconv.FormatFloat(float64(c.Value(i)), 'g', -1, 32)
	case *array.Float64:
		return strconv.FormatFloat(c.Value(i), 'g', -1, 64)
	case *array.Boolean:
		return strconv.FormatBool(c.Value(i))
	}
	panic("a column of a type that a store doesn't hold: " + col.DataType().Name())
}
