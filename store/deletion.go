package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/RoaringBitmap/roaring"
)

// A deletion reads its list in batches ([Store.StageUsers]); what it has read so far commits with the caller's record of
// the job, and no reader sees anything of it. [Store.Tombstone] then makes all users invisible in one commit.
//
// Staged are, under the job's number: a bitmap of the ordinals found, and for each batch the IDs not found, as a list
// sorted by (hash, ID) in parts.
const (
	stageBitmap  = 'b'
	stageUnknown = 'u'
)

// ErrImporting is returned by [Store.Tombstone] while an import into the group is in flight: it could bring users back.
var ErrImporting = errors.New("an import into the dataset group is in flight")

// Staged counts what [Store.StageUsers] found in one batch.
type Staged struct {
	Matched   int64 // users found for the first time in this job
	Unknown   int64 // IDs not found, each once a batch
	Duplicate int64 // IDs that came before in the batch, or were matched in an earlier one
}

func stageKey(job uint64, kind byte, batch, part uint32) []byte {
	b := append(uint64Key(job), kind)
	if kind == stageBitmap {
		return b
	}
	return appendUint32s(b, batch, part)
}

// sortedIDs is a batch of IDs without repeats, sorted by (hash, ID).
type sortedIDs struct {
	hashes []uint64
	ids    packedIDs
}

func (s *sortedIDs) add(hash uint64, id []byte) {
	s.hashes = append(s.hashes, hash)
	s.ids.append(id)
}

// sortIDs sorts the n IDs that at returns, and counts the repeats that it drops.
func (s *Store) sortIDs(n int, at func(int) []byte) (out sortedIDs, repeats int64) {
	hashes := make([]uint64, n)
	order := make([]int32, n)
	for i := range n {
		hashes[i], order[i] = s.hashID(at(i)), int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := cmp.Compare(hashes[a], hashes[b]); c != 0 {
			return c
		}
		return bytes.Compare(at(int(a)), at(int(b)))
	})
	for i, n := range order {
		if i > 0 && hashes[n] == hashes[order[i-1]] && bytes.Equal(at(int(n)), at(int(order[i-1]))) {
			repeats++
			continue
		}
		out.add(hashes[n], at(int(n)))
	}
	return out, repeats
}

// matched is what the user dictionary has of a batch.
type matched struct {
	users    *roaring.Bitmap
	ordinals []uint32 // of known, in its order
	known    sortedIDs
	unknown  sortedIDs
}

// match looks a batch up in the user dictionary.
func (tx *Tx) match(group uint32, batch sortedIDs) (m matched, err error) {
	view, err := tx.dictView(dictID{group, dictUsers}, 0)
	if err != nil {
		return m, err
	}
	l := tx.lookup(&view)
	m.users = roaring.New()
	for i, hash := range batch.hashes {
		id := batch.ids.at(i)
		ordinal, ok, err := l.ordinal(hash, id)
		if err != nil {
			return m, err
		}
		if !ok {
			m.unknown.add(hash, id)
			continue
		}
		m.users.Add(ordinal)
		m.ordinals = append(m.ordinals, ordinal)
		m.known.add(hash, id)
	}
	return m, nil
}

// hashes returns the keyed hashes of the known users that aren't in before.
func (m *matched) hashes(key *idKey, group string, before *roaring.Bitmap) []IDHash {
	var out []IDHash
	for i, o := range m.ordinals {
		if !before.Contains(o) {
			out = append(out, key.hash(group, m.known.ids.at(i)))
		}
	}
	return out
}

// appendTo writes the IDs in the form that [idCursor] reads.
func (b sortedIDs) appendTo(dst []byte) []byte {
	for i, hash := range b.hashes {
		id := b.ids.at(i)
		dst = binary.AppendUvarint(appendHash(dst, hash), uint64(len(id)))
		dst = append(dst, id...)
	}
	return dst
}

// StageUsers adds a batch of n listed IDs to a deletion. batch numbers the job's batches from 0. The caller's commit, which
// runs in the same transaction, records how far the list was read, and counts: after an unknown outcome the caller looks
// at its record to know whether to stage the batch again. The IDs that at returns are not kept.
//
// What is kept of a matched user is the ordinal: the caller has to see to it that between a job's first StageUsers and
// its Tombstone nothing makes the users of the list leave the dictionary and lets them come back. Running a group's
// deletions and imports one at a time does, with folds in between but no [Store.Sweep].
func (s *Store) StageUsers(ctx context.Context, group string, job uint64, batch uint32, n int, at func(int) []byte, commit func(*Tx, Staged) error) error {
	sorted, repeats := s.sortIDs(n, at)
	return s.Update(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		m, err := tx.match(g.ID, sorted)
		if err != nil {
			return err
		}
		all, err := tx.staged(job)
		if err != nil {
			return err
		}
		if err := tx.putHashes(job, batch, m.hashes(s.key, group, all)); err != nil {
			return err
		}
		before := all.GetCardinality()
		all.Or(m.users)
		st := Staged{Matched: int64(all.GetCardinality() - before), Unknown: int64(len(m.unknown.hashes))}
		st.Duplicate = repeats + int64(m.users.GetCardinality()) - st.Matched
		if err := tx.putStaged(job, all); err != nil {
			return err
		}
		part := uint32(0)
		for data := range slices.Chunk(m.unknown.appendTo(nil), s.limits.stagePart) {
			key := stageKey(job, stageUnknown, batch, part)
			if err := putSealed(tx.b.Bucket(bucketStage), key, slices.Clone(data)); err != nil {
				return err
			}
			part++
		}
		return commit(tx, st)
	})
}

// staged returns the users that a job has matched so far.
func (tx *Tx) staged(job uint64) (*roaring.Bitmap, error) {
	v, err := getSealed(tx.b.Bucket(bucketStage), "staged users of a job", stageKey(job, stageBitmap, 0, 0))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return roaring.New(), nil
	}
	bm, ok := decodeBitmap(v)
	if !ok {
		return nil, &CorruptError{What: "staged users of a job", Problem: "can't be read"}
	}
	return bm, nil
}

func (tx *Tx) putStaged(job uint64, bm *roaring.Bitmap) error {
	v, err := encodeBitmap(bm)
	if err != nil {
		return err
	}
	return putSealed(tx.b.Bucket(bucketStage), stageKey(job, stageBitmap, 0, 0), v)
}

// stagedReader reads the parts of one batch one after the other, each in a short transaction.
type stagedReader struct {
	ctx   context.Context
	s     *Store
	job   uint64
	batch uint32
	part  uint32
	data  []byte
}

func (r *stagedReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		err := r.s.View(r.ctx, func(tx *Tx) error {
			v, err := getSealed(tx.b.Bucket(bucketStage), "staged IDs of a job", stageKey(r.job, stageUnknown, r.batch, r.part))
			r.data = append(r.data[:0], v...)
			return err
		})
		if err != nil {
			return 0, err
		}
		if len(r.data) == 0 {
			return 0, io.EOF
		}
		r.part++
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// eachUnknown calls fn for the IDs of a batch that matched nobody.
func (s *Store) eachUnknown(ctx context.Context, job uint64, batch uint32, fn func(c *idCursor, first bool) error) error {
	r := bufio.NewReaderSize(&stagedReader{ctx: ctx, s: s, job: job, batch: batch}, 4<<10)
	return mergeIDs([]*bufio.Reader{r}, fn)
}

// DistinctUnknown counts the different IDs of a job's list that matched nobody, over all its batches, and those that came
// in more than one.
func (s *Store) DistinctUnknown(ctx context.Context, job uint64, batches uint32) (distinct, repeats int64, err error) {
	lists := make([]*bufio.Reader, batches)
	for i := range lists {
		lists[i] = bufio.NewReaderSize(&stagedReader{ctx: ctx, s: s, job: job, batch: uint32(i)}, 4<<10)
	}
	err = mergeIDs(lists, func(_ *idCursor, first bool) error {
		if first {
			distinct++
		} else {
			repeats++
		}
		return nil
	})
	return distinct, repeats, err
}

// Deleted is what [Store.Tombstone] made invisible.
type Deleted struct {
	Rows  map[DatasetType]int64 // rows that Scan returned before and doesn't any more, for each dataset of the group
	Late  int64                 // users matched now that were unknown when the list was read
	Epoch uint64                // of the commit; see [Store.Clean]
}

// Tombstone makes every row of the users that a job has staged invisible to new readers, all in one commit, which also
// runs commit. From then on the users can come back only as new ones. Nothing is off the disk yet: that is for
// [Store.Clean] and [Store.Scrub]. When the commit itself fails its outcome is unknown, and the caller has to look at
// its own record. Errors: [ErrImporting].
func (s *Store) Tombstone(ctx context.Context, group string, job uint64, batches uint32, commit func(*Tx, Deleted) error) error {
	late, hashes, err := s.lateUsers(ctx, group, job, batches)
	if err != nil {
		return err
	}
	return s.Update(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		if busy, err := tx.importing(g.ID); err != nil || busy {
			return errors.Join(err, fmt.Errorf("delete users of group %s: %w: wait for it", group, ErrImporting))
		}
		users, err := tx.staged(job)
		if err != nil {
			return err
		}
		before := users.GetCardinality()
		users.Or(late)
		del := Deleted{Rows: make(map[DatasetType]int64), Epoch: tx.nextEpoch()}
		if del.Late = int64(users.GetCardinality() - before); del.Late > 0 {
			if err := tx.putStaged(job, users); err != nil {
				return err
			}
		}
		if err := tx.putHashes(job, lateBatch, hashes); err != nil {
			return err
		}
		if err := tx.endSuppressing(g, job); err != nil {
			return err
		}
		datasets, err := tx.Datasets(group)
		if err != nil {
			return err
		}
		for _, d := range datasets {
			if d.Type == Items {
				continue
			}
			n, err := tx.killRows(ctx, &d, del.Epoch, users)
			if err != nil {
				return err
			}
			del.Rows[d.Type] = n
			if n > 0 {
				if err := tx.putDataset(d); err != nil {
					return err
				}
			}
		}
		if err := tx.addLeaving(dictID{g.ID, dictUsers}, del.Epoch, users); err != nil {
			return err
		}
		return commit(tx, del)
	})
}

// lateUsers matches a job's unknown IDs once more: between the batch that found them unknown and now, others may have
// come into the dictionary.
func (s *Store) lateUsers(ctx context.Context, group string, job uint64, batches uint32) (late *roaring.Bitmap, hashes []IDHash, err error) {
	late = roaring.New()
	var chunk sortedIDs
	flush := func() error {
		return s.View(ctx, func(tx *Tx) error {
			g, err := tx.Group(group)
			if err != nil {
				return err
			}
			m, err := tx.match(g.ID, chunk)
			if err == nil {
				hashes = append(hashes, m.hashes(s.key, group, late)...)
				late.Or(m.users)
			}
			chunk.hashes = chunk.hashes[:0]
			chunk.ids.reset()
			return err
		})
	}
	for batch := range batches {
		err := s.eachUnknown(ctx, job, batch, func(c *idCursor, _ bool) error {
			chunk.add(c.hash, c.id)
			if chunk.ids.len() < s.limits.resolveBatch && len(chunk.ids.data) < s.limits.resolveBytes {
				return nil
			}
			return flush()
		})
		if err == nil && chunk.ids.len() > 0 {
			err = flush()
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return late, hashes, nil
}

// DropStaged removes what a job has staged. commit, which may be nil, runs in the first of its transactions, so that the
// caller can keep what can't be found out without that.
func (s *Store) DropStaged(ctx context.Context, job uint64, commit func(*Tx) error) error {
	if err := s.dropPrefix(ctx, bucketStage, uint64Key(job), commit); err != nil {
		return fmt.Errorf("drop what the job staged: %w", err)
	}
	return nil
}
