package store

import "bytes"

// trackers checks that each belongs to a group of its own.
func (c *checker) trackers() {
	all, err := c.tx.EventTrackers()
	if err != nil {
		c.problem(err)
		return
	}
	seen := make(map[string]bool)
	for _, t := range all {
		if _, err := c.tx.Group(t.Group); err != nil {
			c.problemf("event tracker %s: %w", t.ID(), err)
		}
		if seen[t.Group] {
			c.problemf("dataset group %s has two event trackers", t.Group)
		}
		seen[t.Group] = true
	}
}

// journal checks that each entry can be read and has a dataset that it fits.
func (c *checker) journal(byID map[uint32]Dataset) {
	err := c.tx.b.Bucket(bucketJournal).ForEach(func(k, v []byte) error {
		if len(k) != 12 {
			c.problemf("journal: a key has the wrong length")
			return c.ctx.Err()
		}
		d, ok := byID[uint32At(k, 0)]
		if !ok {
			c.problemf("journal: an entry belongs to no dataset")
			return c.ctx.Err()
		}
		p, err := readPut(d.Type, k, v)
		if err != nil {
			c.problem(err)
			return c.ctx.Err()
		}
		if l, err := d.layout(); err != nil {
			c.problem(err)
		} else if !p.fits(l) {
			c.problemf("journal: an entry of dataset %d doesn't fit it", d.ID)
		}
		return c.ctx.Err()
	})
	if err != nil {
		c.problem(err)
	}
}

// sessions checks the order and the ranges of the sessions, and that their users have been given ordinals.
func (c *checker) sessions(byID map[uint32]Dataset) {
	var last session
	var dataset uint32
	var low uint64
	err := c.tx.b.Bucket(bucketSessions).ForEach(func(k, v []byte) error {
		chunk, err := readSessions(k, v)
		if err != nil {
			c.problem(err)
			return c.ctx.Err()
		}
		d, ok := byID[uint32At(k, 0)]
		if !ok {
			c.problemf("sessions belong to no dataset")
			return c.ctx.Err()
		}
		if first := d.ID != dataset; first && chunk.low != 0 || !first && chunk.low <= low {
			c.problemf("sessions of dataset %d: a hash range is missing", d.ID)
		} else if first {
			last = session{}
		}
		dataset, low = d.ID, chunk.low
		st, err := c.tx.dictState(dictID{d.GroupID, dictUsers})
		if err != nil {
			c.problem(err)
			return c.ctx.Err()
		}
		l, err := d.layout()
		if err != nil {
			c.problem(err)
			return c.ctx.Err()
		}
		if !l.items {
			c.problemf("dataset %d has sessions and isn't one of interactions", d.ID)
			return c.ctx.Err()
		}
		for _, s := range chunk.sessions {
			switch {
			case len(last.id) > 0 && compareSessions(last, s) >= 0 || s.hash < chunk.low:
				c.problemf("sessions of dataset %d are out of order", d.ID)
			case c.tx.s.hashID(s.id) != s.hash:
				c.problemf("sessions of dataset %d: one has another hash than its ID", d.ID)
			case s.user > st.Next:
				c.problemf("sessions of dataset %d: one is that of a user who was never there", d.ID)
			case s.user > 0 && len(s.pending) > 0:
				c.problemf("sessions of dataset %d: rows wait for a user who is known", d.ID)
			}
			for _, b := range s.pending {
				if _, ok := pendingRow(l, b); !ok {
					c.problemf("sessions of dataset %d: a row can't be read", d.ID)
				}
			}
			last = session{hash: s.hash, id: bytes.Clone(s.id)}
		}
		return c.ctx.Err()
	})
	if err != nil {
		c.problem(err)
	}
}
