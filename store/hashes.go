package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
)

// A deletion leaves the hashes of the users that it matched, for as long as the store lives: so a list can be matched later
// against what was deleted, without an ID being kept. They lie under (job, batch of the list, part), sorted within a batch.
// They commit with what is staged, and go again if the job fails before its users are deleted.

const (
	hashesPerPart = 4096
	// lateBatch is the batch of the users that were unknown when the list was read and known at the tombstone commit.
	lateBatch = math.MaxUint32
)

func hashesKey(job uint64, batch, part uint32) []byte {
	return appendUint32s(uint64Key(job), batch, part)
}

// putHashes stores the hashes of a batch, which it sorts.
func (tx *Tx) putHashes(job uint64, batch uint32, hashes []IDHash) error {
	slices.SortFunc(hashes, compareHashes)
	part := uint32(0)
	for some := range slices.Chunk(hashes, hashesPerPart) {
		v := make([]byte, 0, len(some)*len(IDHash{})+sealSize)
		for i := range some {
			v = append(v, some[i][:]...)
		}
		if err := putSealed(tx.b.Bucket(bucketHashes), hashesKey(job, batch, part), v); err != nil {
			return err
		}
		part++
	}
	return nil
}

func compareHashes(a, b IDHash) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])); c != 0 {
		return c
	}
	return bytes.Compare(a[8:], b[8:])
}

// EachHash calls fn with the hashes of the users that a deletion matched, some thousand at a time, each in a short
// transaction. The slice is valid during the call. A batch's hashes come in order, and so do the batches.
func (s *Store) EachHash(ctx context.Context, job uint64, fn func([]IDHash) error) error {
	prefix := uint64Key(job)
	next := prefix
	var hashes []IDHash
	for {
		err := s.View(ctx, func(tx *Tx) error {
			k, v := tx.b.Bucket(bucketHashes).Cursor().Seek(next)
			next = nil
			if k == nil || !bytes.HasPrefix(k, prefix) {
				return nil
			}
			next = append(bytes.Clone(k), 0)
			what := fmt.Sprintf("hashes of the users of job %d", job)
			b, err := unseal(what, k, v)
			if err != nil {
				return err
			}
			if len(k) != 16 || len(b)%len(IDHash{}) != 0 {
				return &CorruptError{What: what, Problem: "can't be read"}
			}
			hashes = hashes[:0]
			for ; len(b) > 0; b = b[len(IDHash{}):] {
				hashes = append(hashes, IDHash(b))
			}
			return nil
		})
		if err != nil || next == nil {
			return err
		}
		if err := fn(hashes); err != nil {
			return err
		}
	}
}

// HashDigest returns how many users' hashes a deletion left, and the SHA-256, in hex, of them all in the order of EachHash.
func (s *Store) HashDigest(ctx context.Context, job uint64) (n int64, digest string, err error) {
	h := sha256.New()
	err = s.EachHash(ctx, job, func(hashes []IDHash) error {
		n += int64(len(hashes))
		for i := range hashes {
			h.Write(hashes[i][:]) // never fails
		}
		return nil
	})
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// HashIDs returns the hashes of n IDs of a group. Errors: [ErrKey] if the store was opened without its key.
func (s *Store) HashIDs(group string, n int, at func(int) []byte) ([]IDHash, error) {
	if s.key == nil {
		return nil, fmt.Errorf("%w: it was created with a key that you hold; give it", ErrKey)
	}
	out := make([]IDHash, n)
	for i := range n {
		out[i] = s.key.hash(group, at(i))
	}
	return out, nil
}

// DropFailed removes everything that a job has staged and that must not stay when it fails.
func (s *Store) DropFailed(ctx context.Context, group string, job uint64) error {
	if err := s.dropSuppressed(ctx, group, job); err != nil {
		return fmt.Errorf("drop what the job suppressed: %w", err)
	}
	if err := s.dropPrefix(ctx, bucketHashes, uint64Key(job), nil); err != nil {
		return fmt.Errorf("drop hashes of the job: %w", err)
	}
	return s.DropStaged(ctx, job, nil) // last: by it a caller finds the job, see [Store.StagedJobs]
}

// dropPrefix removes the entries of a bucket whose keys begin with prefix. commit, which may be nil, runs in the first of its
// transactions.
func (s *Store) dropPrefix(ctx context.Context, bucket, prefix []byte, commit func(*Tx) error) error {
	for done := false; !done; {
		err := s.Update(ctx, func(tx *Tx) error {
			if commit != nil {
				if err := commit(tx); err != nil {
					return err
				}
			}
			b := tx.b.Bucket(bucket)
			var keys [][]byte
			c := b.Cursor()
			k, _ := c.Seek(prefix)
			for ; k != nil && bytes.HasPrefix(k, prefix) && len(keys) < max(1, s.limits.stageBytes/s.limits.stagePart); k, _ = c.Next() {
				keys = append(keys, bytes.Clone(k))
			}
			done = k == nil || !bytes.HasPrefix(k, prefix)
			for _, k := range keys {
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		commit = nil
	}
	return nil
}
