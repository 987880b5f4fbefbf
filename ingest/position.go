package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Position is how far a [ListReader] has read, to be stored as JSON and given to
// [ResumeListReader].
//
// Digest is one of user IDs. Where it covers few of them they can be guessed from
// it, so a position is to be erased with the rest of what a job staged.
type Position struct {
	Listing string `json:"listing"` // digest of the files' paths, sizes and versions
	File    int    `json:"file"`    // index of the file that is read next; the number of files at the end
	Name    string `json:"name"`    // that file's path inside the location, for errors; "" at the end
	Records int64  `json:"records"` // read from that file
	Digest  string `json:"digest"`  // of these records; "" if there are none
	IDs     int64  `json:"ids"`     // read from all files

	Sums savedSums `json:"sums"` // of the files before
}

// Position is where the last Read that didn't fail ended (io.EOF is no failure):
// resuming there goes on with the ID behind the last one returned.
func (r *ListReader) Position() Position { return r.position }

// mark makes the current place the reader's position.
func (r *ListReader) mark() {
	p := Position{Listing: r.listing, File: r.stream.index, Records: r.records, IDs: r.ids, Sums: r.stream.sums.save()}
	if p.File < len(r.stream.files) {
		p.Name = r.stream.files[p.File].Path
	}
	if p.Records > 0 {
		p.Digest = r.digest.sum()
	}
	r.position = p
}

// ResumeListReader goes on from a position. It lists the files and reads those
// records of the current file again that were read before. It fails with
// [ErrChanged] unless the files and these records are the same as then.
func ResumeListReader(ctx context.Context, src Source, p Position) (_ *ListReader, err error) {
	r, err := NewListReader(ctx, src)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	files := r.stream.files
	if r.listing != p.Listing {
		return nil, changedListing(files, p)
	}
	if p.File < 0 || p.File > len(files) || p.Records < 0 || p.IDs < p.Records || p.File == len(files) && p.Records > 0 {
		return nil, errors.New("resume list: position is damaged; start the list from its beginning")
	}
	if err := r.stream.sums.resume(p.Sums); err != nil || p.Sums.Files != int64(p.File) {
		return nil, errors.New("resume list: position is damaged; start the list from its beginning")
	}
	r.stream.skip(p.File)
	for r.records < p.Records {
		if _, err := r.next(); err != nil {
			return nil, replayError(files[p.File], err)
		}
		if r.stream.index != p.File {
			return nil, ChangedError(files[p.File].Name)
		}
	}
	if p.Records > 0 && r.digest.sum() != p.Digest {
		return nil, ChangedError(files[p.File].Name)
	}
	r.ids = p.IDs
	r.mark()
	r.stream.rows.Store(r.ids)
	return r, nil
}

// replayError turns a problem in records that were fine before, or that are no
// longer there, into ErrChanged. Other errors pass.
func replayError(f File, err error) error {
	var e *Error
	if err == io.EOF || errors.As(err, &e) && e.Line > 0 {
		return ChangedError(f.Name)
	}
	return fmt.Errorf("resume list: %w", err)
}

// changedListing blames the file that was being read, if it is gone. For the
// others a position knows only that there was a change, so that its size doesn't
// depend on the number of files.
func changedListing(files []File, p Position) error {
	e := ChangedError(p.Name)
	for _, f := range files {
		if f.Path == p.Name || p.Name == "" {
			e.File = f.Name
			e.Problem = "this file, or one listed with it, was changed, added or removed since the list was begun; put them back, or start the list from its beginning"
			return e
		}
	}
	e.Problem = "the file was removed since the list was begun; put it back, or start the list from its beginning"
	return e
}

// digestListing covers what has to be the same for a position to hold.
func digestListing(files []File) string {
	h := sha256.New()
	var b []byte
	for _, f := range files {
		b = b[:0]
		for _, s := range []string{f.Path, f.Version} {
			b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
			b = append(b, s...)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(f.Size))
		h.Write(b) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}
