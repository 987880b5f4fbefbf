package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring"
)

// An event can name a session and no user. Its row is kept with the session, where no reader sees it, until an event
// with the session and a user comes: then it is that user's, and so are later ones of the session. Sessions lie in chunks
// of hash ranges, as the IDs of a dictionary do:
//
//	(dataset, least hash of the range) -> sessions, sorted by (hash, ID)
//
// A session whose user is known holds the user's ordinal and no rows. When the user leaves the dictionary the session does
// too: until [Store.Clean] has removed it, an ordinal that nobody sees stands for a session that isn't there.

// session is one of a chunk.
type session struct {
	hash    uint64
	id      []byte
	user    uint32 // ordinal + 1, or 0 while nobody is known
	pending [][]byte
}

func compareSessions(a, b session) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.id, b.id))
}

func (s *session) appendTo(b []byte) []byte {
	b = appendBytes(appendHash(b, s.hash), s.id)
	b = binary.AppendUvarint(b, uint64(s.user))
	b = binary.AppendUvarint(b, uint64(len(s.pending)))
	for _, row := range s.pending {
		b = appendBytes(b, row)
	}
	return b
}

// pendingRow is a row of nobody known, as a session keeps it: ITEM_ID and record.
func (r putRow) pending() []byte { return append(appendBytes(nil, r.item), r.rec...) }

// pendingRow reads one of a dataset with the layout, whose columns stay what they are.
func pendingRow(l *rowLayout, b []byte) (r putRow, ok bool) {
	br := byteReader{b: b}
	r.item = br.bytes()
	r.rec = br.b
	return r, len(r.item) > 0 && len(r.item) <= maxIDBytes && l.isRecord(r.rec, len(l.cols))
}

// sessionChunk is the sessions of a hash range [low, up).
type sessionChunk struct {
	low, up  uint64
	sessions []session // alias the transaction's memory
}

func sessionKey(dataset uint32, low uint64) []byte {
	return appendHash(appendUint32s(make([]byte, 0, 9), dataset), low)
}

// sessionsAt returns the chunk of a hash.
func (tx *Tx) sessionsAt(dataset uint32, hash uint64) (c sessionChunk, err error) {
	prefix := appendUint32s(nil, dataset)
	c.up = 1 << hashBits
	cur := tx.b.Bucket(bucketSessions).Cursor()
	k, v := cur.Seek(sessionKey(dataset, hash))
	if at := bytes.HasPrefix(k, prefix) && len(k) == 9 && hashAt(k[4:]) == hash; !at {
		if k == nil {
			k, v = cur.Last()
		} else {
			k, v = cur.Prev()
		}
	}
	if !bytes.HasPrefix(k, prefix) {
		return c, nil
	}
	if c, err = readSessions(k, v); err != nil {
		return c, err
	}
	c.up = 1 << hashBits
	cur.Seek(k)
	if k, _ = cur.Next(); bytes.HasPrefix(k, prefix) && len(k) == 9 {
		c.up = hashAt(k[4:])
	}
	return c, nil
}

// readSessions reads a chunk, but for where its range ends.
func readSessions(k, v []byte) (c sessionChunk, err error) {
	const what = "sessions of a dataset"
	b, err := unseal(what, k, v)
	if err != nil {
		return c, err
	}
	damaged := &CorruptError{What: what, Problem: "can't be read"}
	if len(k) != 9 {
		return c, damaged
	}
	c.low = hashAt(k[4:])
	r := byteReader{b: b}
	for len(r.b) > 0 {
		h := r.take(hashBytes)
		if r.bad {
			return c, damaged
		}
		s := session{hash: hashAt(h), id: r.bytes(), user: uint32(r.uvarint())}
		for n := r.uvarint(); n > 0 && !r.bad; n-- {
			s.pending = append(s.pending, r.bytes())
		}
		if r.bad {
			return c, damaged
		}
		c.sessions = append(c.sessions, s)
	}
	return c, nil
}

// putSessions stores the sessions of a range. It is halved in the middle and not between two sessions, so that no key says
// anything of an ID; a half without sessions is stored too, since it is where its range ends.
func (tx *Tx) putSessions(dataset uint32, low, up uint64, sessions []session) error {
	var b []byte
	for i := range sessions {
		b = sessions[i].appendTo(b)
	}
	if len(b) <= tx.s.limits.sessionBytes || len(sessions) < 2 || up-low < 2 {
		return putSealed(tx.b.Bucket(bucketSessions), sessionKey(dataset, low), b)
	}
	mid := low + (up-low)/2
	at, _ := slices.BinarySearchFunc(sessions, mid, func(s session, hash uint64) int { return cmp.Compare(s.hash, hash) })
	if err := tx.putSessions(dataset, low, mid, sessions[:at]); err != nil {
		return err
	}
	return tx.putSessions(dataset, mid, up, sessions[at:])
}

// findSession returns a session, or one without user and rows if there is none. It aliases the transaction's memory.
func (tx *Tx) findSession(dataset uint32, hash uint64, id []byte) (session, error) {
	want := session{hash: hash, id: id}
	c, err := tx.sessionsAt(dataset, hash)
	if err != nil {
		return want, err
	}
	if i, found := slices.BinarySearchFunc(c.sessions, want, compareSessions); found {
		return c.sessions[i], nil
	}
	return want, nil
}

// changeSessions puts sessions, sorted, in the place of those with their IDs. One without user and rows is removed.
func (tx *Tx) changeSessions(dataset uint32, changed []session) error {
	for len(changed) > 0 {
		c, err := tx.sessionsAt(dataset, changed[0].hash)
		if err != nil {
			return err
		}
		n, _ := slices.BinarySearchFunc(changed, c.up, func(s session, up uint64) int { return cmp.Compare(s.hash, up) })
		var out []session
		old := c.sessions
		for _, s := range changed[:n] {
			for len(old) > 0 && compareSessions(old[0], s) < 0 {
				out, old = append(out, old[0]), old[1:]
			}
			if len(old) > 0 && compareSessions(old[0], s) == 0 {
				old = old[1:]
			}
			if s.user > 0 || len(s.pending) > 0 {
				out = append(out, s)
			}
		}
		if err := tx.putSessions(dataset, c.low, c.up, append(out, old...)); err != nil {
			return err
		}
		changed = changed[n:]
	}
	return nil
}

// purgeSessions removes the sessions of users who leave the dictionaries, some chunks in each transaction.
func (s *Store) purgeSessions(ctx context.Context) error {
	for from := []byte{}; from != nil; {
		var found [][]byte
		err := s.View(ctx, func(tx *Tx) (err error) {
			found, from, err = tx.sessionsToPurge(from)
			return err
		})
		if err == nil && len(found) > 0 {
			err = s.Update(ctx, func(tx *Tx) error { return tx.purgeSessions(found) })
		}
		if err != nil {
			return fmt.Errorf("purge sessions: %w", err)
		}
	}
	return nil
}

// sessionsToPurge returns the keys of chunks with sessions of users who leave, from a key on and as many as fit a
// transaction, and the key to go on from. It looks at some tens of megabytes at most: a scrub, and who comes after it, waits
// for readers.
func (tx *Tx) sessionsToPurge(from []byte) (found [][]byte, next []byte, err error) {
	c := tx.b.Bucket(bucketSessions).Cursor()
	k, v := c.Seek(from)
	if k == nil {
		return nil, nil, nil
	}
	gone, err := tx.leavingUsers()
	if err != nil || len(gone) == 0 {
		return nil, nil, err
	}
	size, looked := 0, 0
	for ; k != nil; k, v = c.Next() {
		if size > tx.s.limits.stageBytes || looked > 16*tx.s.limits.stageBytes {
			return found, bytes.Clone(k), nil
		}
		looked += len(v)
		chunk, err := readSessions(k, v)
		if err != nil {
			return nil, nil, err
		}
		if users := gone[uint32At(k, 0)]; users != nil && slices.ContainsFunc(chunk.sessions, func(s session) bool { return s.of(users) }) {
			found = append(found, bytes.Clone(k))
			size += len(v)
		}
	}
	return found, nil, nil
}

func (tx *Tx) purgeSessions(keys [][]byte) error {
	gone, err := tx.leavingUsers()
	if err != nil {
		return err
	}
	b := tx.b.Bucket(bucketSessions)
	for _, k := range keys {
		v := b.Get(k)
		if v == nil { // of a dataset that was removed meanwhile
			continue
		}
		chunk, err := readSessions(k, v)
		if err != nil {
			return err
		}
		users := gone[uint32At(k, 0)]
		var kept []byte
		for i := range chunk.sessions {
			if users == nil || !chunk.sessions[i].of(users) {
				kept = chunk.sessions[i].appendTo(kept)
			}
		}
		if err := putSealed(b, k, kept); err != nil {
			return err
		}
	}
	return nil
}

// of reports whether the session is that of a user of a set.
func (s session) of(users *roaring.Bitmap) bool { return s.user > 0 && users.Contains(s.user-1) }

// leavingUsers returns the users who leave the dictionaries, for each Interactions dataset of their group.
func (tx *Tx) leavingUsers() (map[uint32]*roaring.Bitmap, error) {
	out := make(map[uint32]*roaring.Bitmap)
	all, err := tx.allDatasets()
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if d.Type != Interactions {
			continue
		}
		err := tx.eachLeaving(dictID{d.GroupID, dictUsers}, func(_ []byte, _ uint64, bm *roaring.Bitmap) error {
			if out[d.ID] == nil {
				out[d.ID] = roaring.New()
			}
			out[d.ID].Or(bm)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkSessionsGone makes sure that no session is that of a user of a set.
func (tx *Tx) checkSessionsGone(dataset uint32, users *roaring.Bitmap) error {
	prefix := appendUint32s(nil, dataset)
	c := tx.b.Bucket(bucketSessions).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		chunk, err := readSessions(k, v)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(chunk.sessions, func(s session) bool { return s.of(users) }) {
			return fmt.Errorf("dataset %d still holds sessions of deleted users", dataset)
		}
	}
	return nil
}
