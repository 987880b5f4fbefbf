package engine_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/expunge-db/expunge/engine"
)

const eventsSchema = `{
  "type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema",
  "fields": [
    {"name": "USER_ID", "type": "string"},
    {"name": "ITEM_ID", "type": "string"},
    {"name": "TIMESTAMP", "type": "long"}
  ],
  "version": "1.0"
}`

// Import events, delete a user from them, and train on what is left.
func ExampleEngine() {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := run(context.Background(), dir); err != nil {
		log.Fatal(err)
	}
	// Output:
	// imported 3 rows
	// deleted 2 rows of 1 user
	// train on 1 row
}

func run(ctx context.Context, dir string) error {
	events, list := filepath.Join(dir, "events.csv"), filepath.Join(dir, "list.csv")
	if err := os.WriteFile(events, []byte("USER_ID,ITEM_ID,TIMESTAMP\nann,book,1\nbob,lamp,2\nann,lamp,3\n"), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(list, []byte("USER_ID\nann\n"), 0o600); err != nil {
		return err
	}

	e, err := engine.Open(ctx, filepath.Join(dir, "shop.expunge"), engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close(ctx)
	if _, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: "shop"}); err != nil {
		return err
	}
	if _, err := e.CreateSchema(ctx, engine.NewSchema{Name: "events", Avro: []byte(eventsSchema)}); err != nil {
		return err
	}
	_, err = e.CreateDataset(ctx, engine.NewDataset{Name: "events", Group: "shop", Type: engine.Interactions, Schema: "events"})
	if err != nil {
		return err
	}

	imported, err := e.Import(ctx, engine.NewDatasetImportJob{
		Group: "shop", Type: engine.Interactions, Source: events, Mode: engine.ImportFull,
	})
	if err != nil {
		return err
	}
	fmt.Println("imported", imported.Counts.RowsAdded, "rows")

	deleted, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "shop", Source: list})
	if err != nil {
		return err
	}
	fmt.Println("deleted", *deleted.NumDeleted, "rows of", deleted.Counts.Matched, "user")

	for rec, err := range e.Scan(ctx, "shop", engine.Interactions) {
		if err != nil {
			return err
		}
		fmt.Println("train on", rec.NumRows(), "row")
		rec.Release()
	}
	return e.Close(ctx)
}
