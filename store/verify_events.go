package store

import "github.com/RoaringBitmap/roaring"

// events looks for listed users among the rows that were put and aren't in a layer yet, and among those whose sessions are
// known.
func (v *verifier) events(g Group, users *roaring.Bitmap) error {
	of := make(map[uint32]Dataset)
	all, err := v.tx.allDatasets()
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.GroupID == g.ID && d.Type != Items {
			of[d.ID] = d
		}
	}
	err = v.tx.b.Bucket(bucketJournal).ForEach(func(k, value []byte) error {
		d, ok := of[uint32At(k, 0)]
		if !ok {
			return v.ctx.Err()
		}
		p, err := readPut(d.Type, k, value)
		if err != nil {
			return err
		}
		for _, r := range p.rows {
			if v.listed[string(r.key)] {
				v.r.found(-1, "journal of dataset %d: a row of a listed user", d.ID)
			}
		}
		return v.ctx.Err()
	})
	if err != nil {
		return err
	}
	return v.tx.b.Bucket(bucketSessions).ForEach(func(k, value []byte) error {
		if _, ok := of[uint32At(k, 0)]; !ok {
			return v.ctx.Err()
		}
		chunk, err := readSessions(k, value)
		if err != nil {
			return err
		}
		for _, s := range chunk.sessions {
			if s.of(users) {
				v.r.found(-1, "sessions of dataset %d: one is a listed user's", uint32At(k, 0))
			}
		}
		return v.ctx.Err()
	})
}

// mapEvents maps the values of the journal and of the sessions. The bytes of an ID in them are part of something else,
// unless a row is the listed user's or a session is named as the user is.
func (v *verifier) mapEvents(m *fileMap) error {
	datasets := make(map[uint32]Dataset)
	all, err := v.tx.allDatasets()
	if err != nil {
		return err
	}
	for _, d := range all {
		datasets[d.ID] = d
	}
	err = v.tx.b.Bucket(bucketJournal).ForEach(func(k, value []byte) error {
		val := mapped{what: "in the journal", living: true, owned: make(map[string]bool)}
		d := datasets[uint32At(k, 0)]
		p, err := readPut(d.Type, k, value)
		if err != nil {
			return err
		}
		v.own(val.owned, d, p.session)
		for _, r := range p.rows {
			if d.Type != Items {
				v.own(val.owned, d, r.key)
			}
		}
		m.add(value, v.r.Bytes, val)
		return v.ctx.Err()
	})
	if err != nil {
		return err
	}
	return v.tx.b.Bucket(bucketSessions).ForEach(func(k, value []byte) error {
		val := mapped{what: "among the sessions", living: true, owned: make(map[string]bool)}
		chunk, err := readSessions(k, value)
		if err != nil {
			return err
		}
		for _, s := range chunk.sessions {
			v.own(val.owned, datasets[uint32At(k, 0)], s.id)
		}
		m.add(value, v.r.Bytes, val)
		return v.ctx.Err()
	})
}

// own adds an ID to those that a value holds as such, if it is listed. Users of other groups are other users.
func (v *verifier) own(owned map[string]bool, d Dataset, id []byte) {
	if d.GroupID == v.group && v.listed[string(id)] {
		owned[string(id)] = true
	}
}
