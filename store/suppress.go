package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// A group can be set to suppress deleted users: then every ID of a deletion list, known or not, is kept as its hash, and
// imports leave out rows that have one. Suppressed are (hash, job) entries, sorted by hash, in chunks of hash ranges:
//
//	(group, least prefix of the range) -> entries
//
// A deletion adds its entries before its tombstone commit, in transactions of bounded size. Until that commit the group
// says whose they are, and they don't count; if the job fails they go again.
const (
	suppressedSize = 16 + 8
	// suppressedPerChunk bounds what a lookup reads and what adding one entry rewrites.
	suppressedPerChunk = 256
	// suppressedPerTx is how many chunks one transaction rewrites.
	suppressedPerTx = 512
)

func suppressedKey(group uint32, prefix uint64) []byte {
	return binary.BigEndian.AppendUint64(appendUint32s(nil, group), prefix)
}

func (h IDHash) prefix() uint64 { return binary.BigEndian.Uint64(h[:]) }

// suppressedChunk is the entries of a hash range.
type suppressedChunk struct {
	low, up uint64 // prefixes from low on and, unless up is 0, below up
	entries []byte
}

// suppressedAt returns the chunk whose range has a prefix. It aliases the transaction's memory.
func (tx *Tx) suppressedAt(group uint32, prefix uint64) (c suppressedChunk, err error) {
	of := appendUint32s(nil, group)
	cur := tx.b.Bucket(bucketSuppressed).Cursor()
	k, v := cur.Seek(suppressedKey(group, prefix))
	if k == nil || !bytes.Equal(k, suppressedKey(group, prefix)) {
		if k == nil {
			k, v = cur.Last()
		} else {
			k, v = cur.Prev()
		}
	}
	if k == nil || !bytes.HasPrefix(k, of) {
		return c, nil
	}
	if c, err = readSuppressed(k, v); err != nil {
		return c, err
	}
	cur.Seek(k)
	if k, _ = cur.Next(); k != nil && bytes.HasPrefix(k, of) && len(k) == 12 {
		c.up = uint64At(k[4:])
	}
	return c, nil
}

func readSuppressed(k, v []byte) (c suppressedChunk, err error) {
	const what = "suppressed users of a group"
	if c.entries, err = unseal(what, k, v); err != nil {
		return c, err
	}
	if len(k) != 12 || len(c.entries)%suppressedSize != 0 {
		return c, &CorruptError{What: what, Problem: "can't be read"}
	}
	c.low = uint64At(k[4:])
	return c, nil
}

// putSuppressed stores the entries of a chunk, as several if they are too many. Entries of one prefix stay together.
func (tx *Tx) putSuppressed(group uint32, low uint64, entries []byte) error {
	b := tx.b.Bucket(bucketSuppressed)
	if n := len(entries) / suppressedSize; n > suppressedPerChunk {
		mid := n / 2
		for mid < n && binary.BigEndian.Uint64(entries[mid*suppressedSize:]) == binary.BigEndian.Uint64(entries[(mid-1)*suppressedSize:]) {
			mid++
		}
		if mid < n {
			if err := tx.putSuppressed(group, low, entries[:mid*suppressedSize]); err != nil {
				return err
			}
			rest := entries[mid*suppressedSize:]
			return tx.putSuppressed(group, binary.BigEndian.Uint64(rest), rest)
		}
	}
	key := suppressedKey(group, low)
	if len(entries) == 0 && low > 0 {
		return b.Delete(key)
	}
	return putSealed(b, key, slices.Clone(entries))
}

// mergeSuppressed returns the entries of a with those for hashes that it doesn't have; from job.
func mergeSuppressed(a []byte, hashes []IDHash, job uint64) []byte {
	out := make([]byte, 0, len(a)+len(hashes)*suppressedSize)
	for i, h := range hashes {
		if i > 0 && h == hashes[i-1] {
			continue
		}
		for len(a) > 0 && bytes.Compare(a[:16], h[:]) < 0 {
			out, a = append(out, a[:suppressedSize]...), a[suppressedSize:]
		}
		if len(a) > 0 && bytes.Equal(a[:16], h[:]) {
			continue
		}
		out = binary.BigEndian.AppendUint64(append(out, h[:]...), job)
	}
	return append(out, a...)
}

// Suppress adds the users of a job's list, all batches of which are staged, to those that imports into the group leave
// out, if the group is set to, which it reports. They count from the job's [Store.Tombstone] on. It can be called again
// after an error or a crash.
func (s *Store) Suppress(ctx context.Context, group string, job uint64, batches uint32) (on bool, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		on = g.Suppress
		return err
	})
	if err != nil {
		return false, err
	}
	if !on { // though it was, perhaps, when an earlier process began to
		return false, s.dropSuppressed(ctx, group, job)
	}
	err = s.Update(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		g.Suppressing = job
		return tx.putRecord(groupKey(group), g)
	})
	if err == nil {
		err = s.EachHash(ctx, job, func(hashes []IDHash) error { return s.addSuppressed(ctx, group, job, hashes) })
	}
	for batch := uint32(0); err == nil && batch < batches; batch++ {
		err = s.suppressUnknown(ctx, group, job, batch)
	}
	if err != nil {
		return false, fmt.Errorf("suppress users: %w", err)
	}
	return true, nil
}

// suppressUnknown adds the IDs of a batch that nobody has.
func (s *Store) suppressUnknown(ctx context.Context, group string, job uint64, batch uint32) error {
	var hashes []IDHash
	flush := func() error {
		err := s.addSuppressed(ctx, group, job, hashes)
		hashes = hashes[:0]
		return err
	}
	err := s.eachUnknown(ctx, job, batch, func(c *idCursor, _ bool) error {
		if hashes = append(hashes, s.key.hash(group, c.id)); len(hashes) < s.limits.resolveBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// addSuppressed adds hashes, which it sorts.
func (s *Store) addSuppressed(ctx context.Context, group string, job uint64, hashes []IDHash) error {
	slices.SortFunc(hashes, compareHashes)
	return s.changeSuppressed(ctx, group, hashes, func(_ Group, entries []byte, of []IDHash) []byte {
		return mergeSuppressed(entries, of, job)
	})
}

// changeSuppressed calls change for each chunk whose range has some of the sorted hashes, with these, and stores what it
// returns if that is longer or shorter.
func (s *Store) changeSuppressed(ctx context.Context, group string, hashes []IDHash, change func(g Group, entries []byte, of []IDHash) []byte) error {
	for len(hashes) > 0 {
		rest := hashes
		err := s.Update(ctx, func(tx *Tx) error {
			rest = hashes
			g, err := tx.Group(group)
			if err != nil {
				return err
			}
			for range suppressedPerTx {
				if len(rest) == 0 {
					return nil
				}
				c, err := tx.suppressedAt(g.ID, rest[0].prefix())
				if err != nil {
					return err
				}
				n := len(rest)
				if c.up > 0 {
					n, _ = slices.BinarySearchFunc(rest, c.up, func(h IDHash, up uint64) int { return cmp.Compare(h.prefix(), up) })
				}
				if changed := change(g, c.entries, rest[:n]); len(changed) != len(c.entries) {
					if err := tx.putSuppressed(g.ID, c.low, changed); err != nil {
						return err
					}
				}
				rest = rest[n:]
			}
			return nil
		})
		if err != nil {
			return err
		}
		hashes = rest
	}
	return nil
}

// endSuppressing makes the entries of a job count. It runs in the tombstone commit.
func (tx *Tx) endSuppressing(g Group, job uint64) error {
	if g.Suppressing != job {
		return nil
	}
	g.Suppressing = 0
	return tx.putRecord(groupKey(g.Name), g)
}

// dropSuppressed removes the entries of a job that fails.
func (s *Store) dropSuppressed(ctx context.Context, group string, job uint64) error {
	pending := false
	err := s.View(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		pending = g.Suppressing == job && job > 0
		return err
	})
	if err != nil || !pending {
		return err
	}
	if _, err := s.filterSuppressed(ctx, group, func(_ Group, of uint64) bool { return of != job }); err != nil {
		return err
	}
	return s.Update(ctx, func(tx *Tx) error {
		g, err := tx.Group(group)
		if err != nil {
			return err
		}
		return tx.endSuppressing(g, job)
	})
}

// filterSuppressed keeps the entries of those jobs that keep says, and returns how many it removed.
func (s *Store) filterSuppressed(ctx context.Context, group string, keep func(g Group, job uint64) bool) (removed int64, err error) {
	next := uint64(0)
	for done := false; !done; {
		n := int64(0)
		err := s.Update(ctx, func(tx *Tx) error {
			n = 0
			g, err := tx.Group(group)
			if err != nil {
				return err
			}
			at := next
			for range suppressedPerTx {
				c, err := tx.suppressedAt(g.ID, at)
				if err != nil {
					return err
				}
				var left []byte
				for e := c.entries; len(e) > 0; e = e[suppressedSize:] {
					if keep(g, uint64At(e[16:])) {
						left = append(left, e[:suppressedSize]...)
					} else {
						n++
					}
				}
				if len(left) < len(c.entries) {
					if err := tx.putSuppressed(g.ID, c.low, left); err != nil {
						return err
					}
				}
				if at = c.up; at == 0 {
					break
				}
			}
			next, done = at, at == 0
			return nil
		})
		if err != nil {
			return removed, err
		}
		removed += n
	}
	return removed, nil
}

// suppressed looks users up among those that imports leave out.
type suppressed struct {
	tx    *Tx
	group Group
}

func (l suppressed) has(id []byte) (bool, error) {
	h := l.tx.s.key.hash(l.group.Name, id)
	c, err := l.tx.suppressedAt(l.group.ID, h.prefix())
	if err != nil {
		return false, err
	}
	at := sort.Search(len(c.entries)/suppressedSize, func(i int) bool {
		return bytes.Compare(c.entries[i*suppressedSize:][:len(h)], h[:]) >= 0
	}) * suppressedSize
	found := at < len(c.entries) && bytes.Equal(c.entries[at:][:len(h)], h[:])
	return found && uint64At(c.entries[at+len(h):]) != l.group.Suppressing, nil
}

// SetSuppression says whether users whom later deletions into the group list are kept out of later imports. Those that are
// kept out already stay so while it is on; see [Store.LiftSuppression]. Errors: [ErrNotFound].
func (tx *Tx) SetSuppression(group string, on bool) error {
	g, err := tx.Group(group)
	if err != nil {
		return err
	}
	g.Suppress = on
	return tx.putRecord(groupKey(group), g)
}

// Suppressed counts the users whom imports into a group leave out, by the job that listed them first.
func (s *Store) Suppressed(ctx context.Context, group string) (byJob map[uint64]int64, err error) {
	byJob = make(map[uint64]int64)
	next := uint64(0)
	for done := false; !done; {
		err := s.View(ctx, func(tx *Tx) error {
			g, err := tx.Group(group)
			if err != nil {
				return err
			}
			for range suppressedPerTx {
				c, err := tx.suppressedAt(g.ID, next)
				if err != nil {
					return err
				}
				for e := c.entries; len(e) > 0; e = e[suppressedSize:] {
					if job := uint64At(e[16:]); job != g.Suppressing {
						byJob[job]++
					}
				}
				if next = c.up; next == 0 {
					done = true
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return byJob, nil
}

// LiftSuppression lets n users come back by imports, and returns how many of them were suppressed. A job between [Store.Suppress]
// and [Store.Tombstone] isn't to run meanwhile: it would count on those whom an earlier one suppressed.
func (s *Store) LiftSuppression(ctx context.Context, group string, n int, at func(int) []byte) (lifted int64, err error) {
	hashes, err := s.HashIDs(group, n, at)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(hashes, compareHashes)
	err = s.changeSuppressed(ctx, group, slices.Compact(hashes), func(g Group, entries []byte, of []IDHash) []byte {
		var left []byte
		for ; len(entries) > 0; entries = entries[suppressedSize:] {
			_, found := slices.BinarySearchFunc(of, IDHash(entries), compareHashes)
			if found && uint64At(entries[16:]) != g.Suppressing { // which don't count yet: of a job that was stopped
				lifted++
			} else {
				left = append(left, entries[:suppressedSize]...)
			}
		}
		return left
	})
	return lifted, err
}

// LiftAllSuppression lets everybody come back, and returns how many users were suppressed; see [Store.LiftSuppression].
func (s *Store) LiftAllSuppression(ctx context.Context, group string) (lifted int64, err error) {
	return s.filterSuppressed(ctx, group, func(g Group, job uint64) bool { return job == g.Suppressing })
}
