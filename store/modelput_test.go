package store

import (
	"context"
	"fmt"
	"slices"
)

// all returns the rows of both kinds.
func (g *modelGroup) all() map[DatasetType][]row {
	out := make(map[DatasetType][]row)
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		out[typ] = slices.Concat(g.rows[typ], g.put[typ])
	}
	return out
}

// forgetSessions removes the sessions of users who leave.
func (g *modelGroup) forgetSessions(gone func(user string) bool) {
	for id, s := range g.sessions {
		if s.user != "" && gone(s.user) {
			delete(g.sessions, id)
		}
	}
}

// modelPut is an entry of the journal.
type modelPut struct {
	session string
	known   bool  // whose it is
	rows    []row // none: the session is forgotten
}

type modelSession struct {
	user    string // "" while nobody is known
	pending []row
}

// putRows puts some rows into the journal, those of interactions with a user, a session, or both.
func (m *model) putRows(g *modelGroup) {
	typ := []DatasetType{Users, Items, Interactions, Interactions}[m.r.IntN(4)]
	for range 1 + m.r.IntN(6) {
		var rows []row
		for range 1 + m.r.IntN(3) {
			rows = append(rows, m.randomRow(typ))
			if there := g.all()[typ]; len(there) > 0 && m.r.IntN(3) == 0 {
				rows[len(rows)-1] = slices.Clone(there[m.r.IntN(len(there))])
			}
		}
		session, known := "", true
		if typ == Interactions {
			if m.r.IntN(3) > 0 {
				session, known = fmt.Sprintf("%ss%011d", mark, m.r.IntN(6)), m.r.IntN(3) == 0
			}
			for _, r := range rows {
				r[0] = rows[0][0]
			}
		}
		m.op = fmt.Sprintf("put %d rows of %s", len(rows), typ)
		rec := record(typ, rows)
		leftOut := 0
		err := m.s.Update(context.Background(), func(tx *Tx) error {
			d, err := tx.Dataset(g.name, typ)
			if err != nil {
				return err
			}
			p, err := NewPut(d, rec, []byte(session), !known)
			if err == nil {
				leftOut, err = tx.Put(p)
			}
			return err
		})
		rec.Release()
		if err != nil {
			m.t.Fatal(err)
		}
		m.applyPut(g, typ, modelPut{session, known, rows}, leftOut)
	}
}

func (m *model) applyPut(g *modelGroup, typ DatasetType, p modelPut, leftOut int) {
	if !p.known {
		for i, r := range p.rows {
			p.rows[i] = append(row{nil}, r[1:]...)
		}
	}
	n := len(p.rows)
	if p.known && typ != Items && g.suppress {
		p.rows = slices.DeleteFunc(p.rows, func(r row) bool { return g.out[r[0].(string)] })
	}
	if n -= len(p.rows); n != leftOut {
		m.t.Errorf("%d rows of suppressed users were left out, want %d", leftOut, n)
	}
	if len(p.rows) > 0 || p.session != "" {
		g.waiting[typ] = append(g.waiting[typ], p)
	}
}

// fold makes layers of the journal of a group.
func (m *model) fold(g *modelGroup) {
	m.op = "fold"
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		for more := true; more; {
			last, err := m.s.LastPut(context.Background(), g.name, typ)
			if err != nil {
				m.t.Fatal(err)
			}
			var got FoldResult
			if got, more, err = m.s.Fold(context.Background(), g.name, typ); err != nil {
				m.t.Fatal(err)
			}
			n := len(g.waiting[typ]) - m.journaled(g, typ)
			want := m.applyFold(g, typ, g.waiting[typ][:n])
			g.waiting[typ] = g.waiting[typ][n:]
			want.Last = last - uint64(len(g.waiting[typ])) // 0 if there was nothing
			if got != want {
				m.t.Errorf("a fold of %d entries of %s: %+v, want %+v", n, typ, got, want)
			}
			if more == (len(g.waiting[typ]) == 0) {
				m.t.Errorf("a fold says %t for more and %d entries are left", more, len(g.waiting[typ]))
			}
		}
	}
}

// journaled returns how many entries a dataset's journal has.
func (m *model) journaled(g *modelGroup, typ DatasetType) (n int) {
	err := m.s.View(context.Background(), func(tx *Tx) error {
		d, err := tx.Dataset(g.name, typ)
		if err != nil {
			return err
		}
		return tx.b.Bucket(bucketJournal).ForEach(func(k, _ []byte) error {
			if uint32At(k, 0) == d.ID {
				n++
			}
			return nil
		})
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// applyFold makes the rows of some entries of the journal those of their users, or of their sessions. A session whose user
// is kept out, and so not known, is forgotten.
func (m *model) applyFold(g *modelGroup, typ DatasetType, puts []modelPut) (res FoldResult) {
	var rows []row
	for _, p := range puts {
		if len(p.rows) == 0 {
			delete(g.sessions, p.session)
			res.Forgotten++
		}
		for _, r := range p.rows {
			rows = append(rows, m.foldRow(g, p, r, &res)...)
		}
	}
	kept, out := g.leaveOut(typ, ImportIncremental, rows)
	g.put[typ], g.rows[typ], res.ImportResult = applyImport(typ, ImportIncremental, g.put[typ], g.rows[typ], kept)
	res.Read, res.Suppressed = int64(len(rows)), out
	res.Duplicate += int64(len(rows)-len(kept)) - out
	g.know(typ, kept)
	g.forgetSessions(func(user string) bool { return !g.known[user] })
	return res
}

// foldRow returns the rows whose user a row of an entry makes known.
func (m *model) foldRow(g *modelGroup, p modelPut, r row, res *FoldResult) []row {
	if p.session == "" {
		return []row{r}
	}
	s := g.sessions[p.session]
	if s == nil {
		s = new(modelSession)
		g.sessions[p.session] = s
	}
	var out []row
	if p.known {
		s.user = r[0].(string)
		for _, r := range s.pending {
			out = append(out, append(row{s.user}, r[1:]...))
		}
		s.pending = nil
		return append(out, r)
	}
	if s.user != "" {
		return []row{append(row{s.user}, r[1:]...)}
	}
	res.Waiting++
	if s.pending = append(s.pending, r); len(s.pending) > m.limits.sessionRows {
		s.pending = s.pending[1:]
		res.Dropped++
	}
	return nil
}
