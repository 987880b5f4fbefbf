package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// FoldResult counts what a fold did.
type FoldResult struct {
	ImportResult
	Waiting int64 // rows of sessions of which nobody is known, which were kept for when somebody is
	Dropped int64 // such rows that went, the oldest of sessions with too many
	// Forgotten are sessions that went because their user is suppressed.
	Forgotten int64
	Last      uint64 // number of the last entry; see [Store.LastPut]
}

// add adds the figures of another fold.
func (r *FoldResult) Add(o FoldResult) {
	r.Read, r.Added, r.Replaced, r.Duplicate = r.Read+o.Read, r.Added+o.Added, r.Replaced+o.Replaced, r.Duplicate+o.Duplicate
	r.Suppressed, r.Waiting, r.Dropped = r.Suppressed+o.Suppressed, r.Waiting+o.Waiting, r.Dropped+o.Dropped
	r.Forgotten += o.Forgotten
	r.Last = max(r.Last, o.Last)
}

// Fold makes an individual layer of the first entries of a dataset's journal, in one commit that removes these, and reports
// whether there are more. It is an incremental import: an interaction that is there already in every column is dropped, a
// Users or Items row replaces those of its key. A group must have no other import in flight. Errors: [ErrNotFound].
func (s *Store) Fold(ctx context.Context, group string, t DatasetType) (res FoldResult, more bool, err error) {
	empty := false
	err = s.View(ctx, func(tx *Tx) error {
		d, err := tx.Dataset(group, t)
		if err != nil {
			return err
		}
		prefix := appendUint32s(nil, d.ID)
		k, _ := tx.b.Bucket(bucketJournal).Cursor().Seek(prefix)
		empty = !bytes.HasPrefix(k, prefix)
		return nil
	})
	if err != nil || empty {
		return res, false, err
	}
	im, err := s.beginImport(ctx, group, t, ImportIncremental, true)
	if err != nil {
		return res, false, err
	}
	f := &folding{im: im, sessions: make(map[string]*foldedSession)}
	if err := f.run(ctx); err != nil {
		return res, false, errors.Join(err, im.Abort(context.WithoutCancel(ctx)))
	}
	f.result.ImportResult, f.result.Last = im.result, f.last
	return f.result, f.more, nil
}

// folding is a fold in flight. Nothing but a fold ties sessions to users, and there is one of a dataset at a time.
type folding struct {
	im       *Import
	sessions map[string]*foldedSession // that its entries name
	loaded   int                       // bytes of rows that waited in them
	last     uint64                    // number of the last entry
	more     bool
	rec      []byte // the record of a row, for a moment
	result   FoldResult
}

// foldedSession is a session as the entries so far make it.
type foldedSession struct {
	hash    uint64
	user    []byte // nil while nobody is known
	pending [][]byte
	changed bool
}

func (f *folding) run(ctx context.Context) error {
	im := f.im
	err := im.s.View(ctx, func(tx *Tx) (err error) {
		users, err := tx.dictView(dictID{im.rec.GroupID, dictUsers}, 0)
		if err != nil {
			return err
		}
		ids := tx.lookup(&users)
		f.last, f.more, err = tx.journal(im.dataset, func(p Put) (bool, error) {
			err := f.entry(tx, ids, p)
			return f.loaded > im.s.limits.foldBytes, err
		})
		return err
	})
	if err != nil {
		return err
	}
	_, err = im.Finish(ctx, nil, func(tx *Tx, _ ImportResult) error {
		if err := tx.dropJournal(im.rec.Dataset, f.last); err != nil {
			return err
		}
		return f.storeSessions(tx)
	})
	return err
}

// entry takes the rows of an entry to their user, or to their session.
func (f *folding) entry(tx *Tx, ids *lookup, p Put) error {
	if !p.fits(f.im.layout) {
		return &CorruptError{What: "an entry of the journal", Problem: "doesn't fit its dataset"}
	}
	if len(p.session) == 0 {
		return f.rows(p.cols, p.rows, nil)
	}
	s, err := f.session(tx, ids, p.session)
	if err != nil {
		return err
	}
	if p.forget {
		s.user, s.pending, s.changed = nil, nil, true
		f.result.Forgotten++
		return nil
	}
	for _, row := range p.rows {
		if len(row.key) > 0 {
			if err := f.tie(s, p.cols, row.key); err != nil {
				return err
			}
		}
		if len(row.key) > 0 || s.user != nil {
			if err := f.rows(p.cols, []putRow{row}, s.user); err != nil {
				return err
			}
			continue
		}
		s.pending, s.changed = append(s.pending, row.pending()), true
		f.result.Waiting++
		if len(s.pending) > f.im.s.limits.sessionRows {
			s.pending = s.pending[1:]
			f.result.Dropped++
		}
	}
	return nil
}

// session returns a session as it is by now.
func (f *folding) session(tx *Tx, ids *lookup, id []byte) (*foldedSession, error) {
	if s := f.sessions[string(id)]; s != nil {
		return s, nil
	}
	hash := f.im.s.hashID(id)
	stored, err := tx.findSession(f.im.rec.Dataset, hash, id)
	if err != nil {
		return nil, err
	}
	s := &foldedSession{hash: hash}
	for _, row := range stored.pending {
		s.pending = append(s.pending, bytes.Clone(row))
		f.loaded += len(row)
	}
	if stored.user > 0 && ids.view.visible(stored.user-1) {
		user, err := ids.id(stored.user - 1)
		if err != nil {
			return nil, err
		}
		s.user = bytes.Clone(user)
	}
	f.sessions[string(id)] = s
	return s, nil
}

// tie makes a session that of a user, with the rows that waited for it.
func (f *folding) tie(s *foldedSession, cols int, user []byte) error {
	if bytes.Equal(s.user, user) {
		return nil
	}
	s.user, s.changed = bytes.Clone(user), true
	for _, b := range s.pending {
		row, ok := pendingRow(f.im.layout, b)
		if !ok {
			return &CorruptError{What: "sessions of a dataset", Problem: "a row can't be read"}
		}
		if err := f.rows(cols, []putRow{row}, s.user); err != nil {
			return err
		}
	}
	s.pending = nil
	return nil
}

// rows gives the import rows. user is whose those without a key are.
func (f *folding) rows(cols int, rows []putRow, user []byte) error {
	im := f.im
	for _, r := range rows {
		key := r.key
		if len(key) == 0 {
			key = user
		}
		item := uint32(0)
		if im.layout.items {
			var err error
			if item, err = im.rows.items.code(r.item); err != nil {
				return err
			}
		}
		f.rec = append(f.rec[:0], r.rec...)
		for range len(im.layout.cols) - cols { // columns that came after the entry
			f.rec = append(f.rec, 0)
		}
		if im.layout.items {
			setRecordItem(f.rec, item)
		}
		if err := im.rows.parts.add(0, im.s.hashID(key), key, f.rec); err != nil {
			return err
		}
		im.result.Read++
	}
	return nil
}

// storeSessions stores the sessions that changed. It runs in the commit that makes the rows visible, so every user who has
// rows has an ordinal; one who hasn't is suppressed, and so is the session.
func (f *folding) storeSessions(tx *Tx) error {
	users, err := tx.dictView(dictID{f.im.rec.GroupID, dictUsers}, 0)
	if err != nil {
		return err
	}
	var changed []session
	ids := tx.lookup(&users)
	for id, s := range f.sessions {
		if !s.changed {
			continue
		}
		out := session{hash: s.hash, id: []byte(id), pending: s.pending}
		if s.user != nil {
			ordinal, ok, err := ids.ordinal(f.im.s.hashID(s.user), s.user)
			if err != nil {
				return err
			}
			if ok {
				out.user = ordinal + 1
			}
		}
		changed = append(changed, out)
	}
	slices.SortFunc(changed, compareSessions)
	return tx.changeSessions(f.im.rec.Dataset, changed)
}
