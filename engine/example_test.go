package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/expunge-db/expunge/engine"
)

// openShop opens a new store with the events of three users, and returns what closes and removes it.
func openShop(ctx context.Context) (e *engine.Engine, dir string, closeShop func()) {
	dir, err := os.MkdirTemp("", "shop")
	fail(err)
	e, err = engine.Open(ctx, filepath.Join(dir, "shop.expunge"), engine.Options{})
	fail(err)
	importShop(ctx, e, dir)
	return e, dir, func() { fail(errors.Join(e.Close(ctx), os.RemoveAll(dir))) }
}

func importShop(ctx context.Context, e *engine.Engine, dir string) {
	_, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "shop"})
	fail(err)
	_, err = e.CreateSchema(ctx, engine.NewSchema{Name: "events", Avro: []byte(eventsSchema)})
	fail(err)
	_, err = e.CreateDataset(ctx, engine.NewDataset{Name: "events", Group: "shop", Type: engine.Interactions, Schema: "events"})
	fail(err)
	events := write(dir, "events.csv", "USER_ID,ITEM_ID,TIMESTAMP\nann,book,1\nbob,lamp,2\nann,lamp,3\ncyd,vase,4\n")
	_, err = e.Import(ctx, engine.NewDatasetImportJob{Group: "shop", Type: engine.Interactions, Source: events, Mode: engine.ImportFull})
	fail(err)
}

func write(dir, name, text string) string {
	path := filepath.Join(dir, name)
	fail(os.WriteFile(path, []byte(text), 0o600))
	return path
}

func fail(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleEngine_Import() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()

	more := write(dir, "more.csv", "USER_ID,ITEM_ID,TIMESTAMP\ncyd,vase,4\ncyd,book,5\n")
	job, err := e.Import(ctx, engine.NewDatasetImportJob{
		Group: "shop", Type: engine.Interactions, Source: more, Mode: engine.ImportIncremental,
	})
	fail(err)
	fmt.Println(job.Status, job.Counts.RowsAdded, "added,", job.Counts.RowsDuplicate, "there already")

	// A bad line fails the whole job, which says where and what to do.
	bad := write(dir, "bad.csv", "USER_ID,ITEM_ID,TIMESTAMP\ndan,book,yesterday\n")
	_, err = e.Import(ctx, engine.NewDatasetImportJob{
		Group: "shop", Type: engine.Interactions, Source: bad, Mode: engine.ImportIncremental,
	})
	var failed *engine.JobError
	fmt.Println(errors.As(err, &failed), failed.Job.Status)
	// Output:
	// COMPLETED 1 added, 1 there already
	// true FAILED
}

func ExampleEngine_Scan() {
	ctx := context.Background()
	e, _, closeShop := openShop(ctx)
	defer closeShop()

	items := make(map[string]int)
	for rec, err := range e.Scan(ctx, "shop", engine.Interactions) {
		fail(err)
		column := rec.Column(1).(*array.String)
		for i := range column.Len() {
			items[column.Value(i)]++
		}
		rec.Release()
	}
	fmt.Println(items)
	// Output: map[book:1 lamp:2 vase:1]
}

func ExampleEngine_Delete() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()

	// All users in all files of a folder, with its subfolders.
	lists := filepath.Join(dir, "lists")
	fail(os.MkdirAll(filepath.Join(lists, "may"), 0o700))
	write(lists, "april.csv", "USER_ID\nann\n")
	write(lists, "may/1.csv", "USER_ID\nann\ndan\n")
	job, err := e.Delete(ctx, engine.NewDataDeletionJob{Name: "spring", Group: "shop", Source: lists})
	fail(err)
	fmt.Println(job.ARN)
	fmt.Println(job.Status, *job.NumDeleted, "rows")
	fmt.Println(job.Counts.Matched, "user,", job.Counts.Unknown, "unknown,", job.Counts.Duplicate, "listed again")
	// Output:
	// arn:aws:personalize:us-east-1:000000000000:data-deletion-job/spring
	// COMPLETED 2 rows
	// 1 user, 1 unknown, 1 listed again
}

func ExampleEngine_DryRunDeletion() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()

	list := write(dir, "list.csv", "USER_ID\nann\nbob\ndan\n")
	dry, err := e.DryRunDeletion(ctx, "shop", list)
	fail(err)
	fmt.Println("would delete", dry.NumDeleted(), "rows of", dry.Matched, "users;", dry.Unknown, "is unknown")
	// Output: would delete 3 rows of 2 users; 1 is unknown
}

// Train on one state of the data while users are deleted from it.
func ExampleEngine_Snapshot() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()

	training, err := e.Snapshot(ctx, "shop")
	fail(err)
	list := write(dir, "list.csv", "USER_ID\nann\n")
	job, err := e.CreateDataDeletionJob(ctx, engine.NewDataDeletionJob{Group: "shop", Source: list})
	fail(err)

	for epoch := range 2 {
		rows := int64(0)
		for rec, err := range training.Scan(ctx, engine.Interactions) {
			fail(err)
			rows += rec.NumRows()
			rec.Release()
		}
		fmt.Println("epoch", epoch, "has", rows, "rows")
	}

	training.Release() // the deletion waits for it
	job, err = e.Wait(ctx, job)
	fail(err)
	fmt.Println(job.Status, *job.NumDeleted)
	// Output:
	// epoch 0 has 4 rows
	// epoch 1 has 4 rows
	// COMPLETED 2
}

func ExampleEngine_ListDataDeletionJobs() {
	ctx := context.Background()
	e, dir, closeShop := openShop(ctx)
	defer closeShop()

	for _, name := range []string{"ann", "bob", "cyd"} {
		list := write(dir, name+".csv", "USER_ID\n"+name+"\n")
		_, err := e.Delete(ctx, engine.NewDataDeletionJob{Name: "delete-" + name, Group: "shop", Source: list})
		fail(err)
	}
	// Newest first, two at a time.
	after, more := uint64(0), true
	for more {
		var page []engine.Job
		var err error
		page, more, err = e.ListDataDeletionJobs(ctx, engine.ListJobs{Group: "shop", After: after, Limit: 2})
		fail(err)
		for _, job := range page {
			fmt.Println(job.Name, job.Status, *job.NumDeleted)
			after = job.Seq
		}
	}
	// Output:
	// delete-cyd COMPLETED 1
	// delete-bob COMPLETED 1
	// delete-ann COMPLETED 2
}
