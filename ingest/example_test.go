package ingest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/expunge-db/expunge/ingest"
)

func write(name, content string) string {
	dir, err := os.MkdirTemp("", "expunge-example")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}
	return path
}

// Reading a dataset that comes without a schema.
func ExampleDatasetReader() {
	path := write("interactions.csv", "USER_ID,ITEM_ID,TIMESTAMP,DEVICE\nann,lamp,1700000000,phone\nbob,desk,1700000001,\n")
	defer os.RemoveAll(filepath.Dir(path))

	ctx := context.Background()
	src, err := ingest.Open(path, ingest.FirstLevel)
	if err != nil {
		log.Fatal(err)
	}
	header, err := ingest.ReadHeader(ctx, src)
	if err != nil {
		log.Fatal(err)
	}
	schema, err := ingest.DeriveSchema(ingest.Interactions, header)
	if err != nil {
		log.Fatal(err)
	}
	r, err := ingest.NewDatasetReader(ctx, src, schema)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		for i, c := range rec.Columns() {
			fmt.Println(rec.ColumnName(i), c)
		}
	}
	// Output:
	// USER_ID ["ann" "bob"]
	// ITEM_ID ["lamp" "desk"]
	// TIMESTAMP [1700000000 1700000001]
	// DEVICE ["phone" (null)]
}

// Reading a deletion list, and going on after a stop.
func ExampleResumeListReader() {
	path := write("list.csv", "USER_ID\nann\nbob\neve\n")
	defer os.RemoveAll(filepath.Dir(path))

	ctx := context.Background()
	src, err := ingest.Open(filepath.Dir(path), ingest.Recursive)
	if err != nil {
		log.Fatal(err)
	}
	r, err := ingest.NewListReader(ctx, src)
	if err != nil {
		log.Fatal(err)
	}
	var ids ingest.IDs
	if err := r.Read(&ids, 2); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ids.Len(), "IDs, the last is", string(ids.At(1)))
	position := r.Position()
	if err := r.Close(); err != nil {
		log.Fatal(err)
	}

	r, err = ingest.ResumeListReader(ctx, src, position)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if err := r.Read(&ids, 2); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ids.Len(), "more:", string(ids.At(0)))
	// Output:
	// 2 IDs, the last is bob
	// 1 more: eve
}
