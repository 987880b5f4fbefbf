package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"
)

const userIDColumn = "USER_ID"

// maxListBytes ends a batch of IDs early, well within what IDs can address.
const maxListBytes = 64 << 20

// IDs is a list of user IDs, one behind the other. The zero value is empty.
type IDs struct {
	Data []byte
	Ends []uint32 // where each ID ends in Data; it starts where the one before ends
}

// Len returns the number of IDs.
func (l *IDs) Len() int { return len(l.Ends) }

// At returns an ID: a slice of Data, which must not be changed.
func (l *IDs) At(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = l.Ends[i-1]
	}
	return l.Data[start:l.Ends[i]:l.Ends[i]]
}

// Append adds a copy of an ID. Data must stay below 4 GiB.
func (l *IDs) Append(id []byte) {
	l.Data = append(l.Data, id...)
	l.Ends = append(l.Ends, uint32(len(l.Data)))
}

// Reset empties the list and keeps its memory.
func (l *IDs) Reset() { l.Data, l.Ends = l.Data[:0], l.Ends[:0] }

// ListReader reads a deletion list: the user IDs in every file of a source, in
// order and as often as they are there.
//
// Each file's header is USER_ID and nothing else, each record one ID of 1 to 256
// characters. It is byte-exact once it is unquoted: nothing is trimmed or folded.
//
// A reader belongs to one goroutine, except for Progress.
type ListReader struct {
	stream  *stream
	listing string // digest of the files
	records int64  // of the open file
	ids     int64  // of all files
	digest  recordDigest

	position Position // after the last Read that didn't fail
	err      error    // what Read returns from now on
}

// NewListReader lists the source's files. It opens none of them yet. ctx governs
// all reading, until Close.
func NewListReader(ctx context.Context, src Source) (*ListReader, error) {
	s, err := newStream(ctx, src)
	if err != nil {
		return nil, err
	}
	s.sums = newFileSums()
	r := &ListReader{stream: s, listing: digestListing(s.files), digest: newRecordDigest()}
	r.mark()
	return r, nil
}

// Read resets dst and puts 1 to max IDs into it, which may come from more than
// one file; max has to be positive. io.EOF, with no IDs, is the end of all files,
// each of which was found to be as listed. After another error dst is empty and
// every later call returns the same error; problems with the files are an
// [Error]. A file that turns out to be changed gives [ErrChanged] only at its
// end, so nothing that can't be undone may be done before io.EOF.
func (r *ListReader) Read(dst *IDs, max int) error {
	dst.Reset()
	if max <= 0 {
		return fmt.Errorf("read list: cannot read %d IDs; ask for one at least", max)
	}
	if r.err != nil {
		return r.err
	}
	for dst.Len() < max && len(dst.Data) < maxListBytes {
		id, err := r.next()
		if err == io.EOF && dst.Len() > 0 {
			break // the next call finds the end again
		}
		if err != nil {
			dst.Reset()
			r.err = err
			if err == io.EOF {
				r.mark()
			}
			return err
		}
		dst.Append(id)
	}
	r.mark()
	r.stream.rows.Store(r.ids)
	return nil
}

// next returns the next ID, a slice that holds until the call after.
func (r *ListReader) next() ([]byte, error) {
	csv := &r.stream.csv
	for {
		if r.stream.body == nil {
			if err := r.open(); err != nil {
				return nil, err
			}
		}
		err := csv.next()
		if err == nil {
			break
		}
		if err != io.EOF {
			return nil, err
		}
		if err := r.finish(); err != nil {
			return nil, err
		}
	}
	if len(csv.fields) != 1 {
		return nil, csv.failField(1, "", "second column; a list has one, so remove it, or quote IDs with commas in them")
	}
	id := csv.field(0)
	if len(id) == 0 {
		return nil, csv.failField(0, userIDColumn, "empty ID; fill it in, or remove the line")
	}
	if len(id) > maxIDCharacters && utf8.RuneCount(id) > maxIDCharacters {
		return nil, csv.failField(0, userIDColumn, "ID of more than 256 characters; correct it or remove the line")
	}
	r.records++
	r.ids++
	r.digest.add(id)
	return id, nil
}

func (r *ListReader) open() error {
	if err := r.stream.open(); err != nil {
		return err
	}
	csv := &r.stream.csv
	if len(csv.fields) != 1 || string(csv.field(0)) != userIDColumn {
		return csv.failField(0, "", "header is not exactly USER_ID; make that the first line, and keep one column")
	}
	return nil
}

func (r *ListReader) finish() error {
	r.records = 0
	r.digest.reset()
	return r.stream.finish()
}

// Digest identifies the files that were read; it is whole once Read has returned
// io.EOF.
func (r *ListReader) Digest() Digest { return r.stream.sums.digest() }

// Progress may be called from any goroutine, also after Close. Rows are the IDs
// that Read returned, before a resume too.
func (r *ListReader) Progress() Progress { return r.stream.progress() }

// Close closes the file that is open. Calling it again does nothing.
func (r *ListReader) Close() error {
	if r.err == nil {
		r.err = errors.New("read list: reader is closed")
	}
	return r.stream.close()
}

// recordDigest is a SHA-256 over records and the borders between them. It
// collects them, since hashing a few bytes at a time is slow.
type recordDigest struct {
	hash    hash.Hash
	pending []byte
}

func newRecordDigest() recordDigest { return recordDigest{hash: sha256.New()} }

func (d *recordDigest) add(record []byte) {
	d.pending = binary.LittleEndian.AppendUint32(d.pending, uint32(len(record)))
	d.pending = append(d.pending, record...)
	if len(d.pending) >= 16<<10 {
		d.flush()
	}
}

func (d *recordDigest) flush() {
	d.hash.Write(d.pending) // never fails
	d.pending = d.pending[:0]
}

// sum is the digest of the records so far, to which more can be added.
func (d *recordDigest) sum() string {
	d.flush()
	return hex.EncodeToString(d.hash.Sum(nil))
}

func (d *recordDigest) reset() {
	d.hash.Reset()
	d.pending = d.pending[:0]
}
