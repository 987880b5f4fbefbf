package roles_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/buckets"
	"github.com/expunge-db/expunge/ingest/roles"
)

// Buckets are folders here, and one role may read a part of one.
func Example() {
	dir, err := os.MkdirTemp("", "expunge-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, "buckets", "gdpr", "lists"), 0o755); err != nil {
		log.Fatal(err)
	}
	const file = `{"arn:aws:iam::123456789012:role/erasure": {"read": ["s3://gdpr/lists/"]}}`
	if err := os.WriteFile(filepath.Join(dir, "roles.json"), []byte(file), 0o600); err != nil {
		log.Fatal(err)
	}

	inBuckets, err := buckets.New(filepath.Join(dir, "buckets"))
	if err != nil {
		log.Fatal(err)
	}
	defer inBuckets.Close()
	allowed, err := roles.Load(filepath.Join(dir, "roles.json"))
	if err != nil {
		log.Fatal(err)
	}
	locations := roles.Locations(inBuckets, allowed)

	for _, location := range []string{"s3://gdpr/lists/", "s3://gdpr/"} {
		src, err := locations.Source(location, "arn:aws:iam::123456789012:role/erasure", ingest.Recursive)
		if err != nil {
			log.Fatal(err)
		}
		_, err = src.List(context.Background())
		fmt.Println(err)
	}
	// Output:
	// s3://gdpr/lists/: the folder has no .csv, .csv.gz or .csv.zst file; check the location
	// s3://gdpr/: Insufficient privileges for accessing data in S3: role arn:aws:iam::123456789012:role/erasure lacks s3:ListBucket and s3:GetObject on gdpr/. Add it to the roles file.
}
