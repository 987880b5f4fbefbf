package s3_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/s3"
	"github.com/expunge-db/expunge/ingest/s3/s3test"
)

// Reading the lists of a folder in a bucket. With Amazon, New needs no endpoint.
func Example() {
	server := s3test.New("gdpr")
	defer server.Close()
	if err := server.Put("gdpr", "lists/2026-11.csv", []byte("USER_ID\nann\nbob\n")); err != nil {
		log.Fatal(err)
	}
	os.Setenv("AWS_ACCESS_KEY_ID", "example")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "example")

	ctx := context.Background()
	locations, err := s3.New(ctx, s3.Options{Endpoint: server.URL, PathStyle: true})
	if err != nil {
		log.Fatal(err)
	}
	src, err := locations.Source("s3://gdpr/lists/", "", ingest.Recursive)
	if err != nil {
		log.Fatal(err)
	}
	r, err := ingest.NewListReader(ctx, src)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	var ids ingest.IDs
	if err := r.Read(&ids, 1000); err != nil && err != io.EOF {
		log.Fatal(err)
	}
	fmt.Println(ids.Len(), "users")
	// Output: 2 users
}
