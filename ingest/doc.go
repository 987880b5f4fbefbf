// Package ingest goes from a location to typed batches: it lists and opens the
// files of a location ([Source]), and reads them as Arrow records of a dataset
// ([DatasetReader]) or as the user IDs of a deletion list ([ListReader]).
// [ParseSchema] and [DeriveSchema] say which columns a dataset has.
//
// [Open] reads files of this machine. What other locations mean, an embedder
// says with [Locations]: package ingest/s3 has those of S3, ingest/buckets
// folders in its place, and ingest/roles who may use which. Exports are written
// by way of the same interface ([Sink]).
//
// It is not a general CSV library, and it knows nothing of stores, jobs or the
// wire protocol.
//
// # Reading CSV
//
// Datasets and lists go through one parser of our own. The files are RFC 4180:
// a field may be quoted and then hold commas, line ends and doubled quotes.
// Lines end in LF or CRLF, the last one may end without either. A byte order
// mark at a file's start and empty lines outside quotes are passed over; a line
// with blanks in it is not empty, since IDs are byte-exact. NUL is a character
// like others. Refused with their position are: bytes that are not UTF-8, a
// quote inside an unquoted field, text after a closing quote, a quote that is
// never closed, a CR outside quotes that no LF and no end of file follows (as
// in files with the line ends of old Macs, which would otherwise be one long
// record), and a record above 16 MiB. The parser exists because imports are
// bound by it: it looks at eight bytes at a time for the few characters that
// matter and hands out slices of one buffer, where encoding/csv allocates a
// string per record.
//
// # What an error may say
//
// The files are personal data. Problems with them are an [Error], which holds a
// position and column names that come from the schema, and never an ID, a cell,
// or a header cell that the schema doesn't know: without a header, the first
// line is somebody's data.
//
// # Memory
//
// A reader holds one file open, one buffer of 256 KiB that grows to at most
// 32 MiB for long records, and for each parser another such buffer and a batch,
// which it uses again. zstd files may ask for a window of 32 MiB at most.
package ingest
