package engine

import (
	"context"

	"github.com/expunge-db/expunge/ingest"
)

// DatasetSchema is the columns of a dataset, as a schema in Avro JSON or a CSV header describes them.
type DatasetSchema = ingest.Schema

// ParseSchema reads a schema in Avro JSON, by the rules of the service that Expunge is compatible with. The error lists
// every rule that is broken.
func ParseSchema(avro []byte) (*DatasetSchema, error) { return ingest.ParseSchema(avro) }

// ReadHeader returns the header of the first file of an import source on this machine, for [DeriveSchema]. If the file has no header this is
// its first row: personal data, not to be shown or logged before DeriveSchema accepted it. Errors: [ErrInvalid] for a
// location that can't be one, *[InputError].
func ReadHeader(ctx context.Context, source string) ([]string, error) {
	src, err := ingest.Open(source, ingest.FirstLevel)
	if err != nil {
		return nil, ofKind(ErrInvalid, err)
	}
	return ingest.ReadHeader(ctx, src)
}

// DeriveSchema makes a schema for a CSV file without one: columns that the service knows get the type that they have
// there, all others are strings that may be empty. Its JSON is what [Engine.CreateSchema] takes.
func DeriveSchema(t DatasetType, header []string) (*DatasetSchema, error) {
	return ingest.DeriveSchema(ingest.DatasetType(t), header)
}
