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

// putRows puts some rows into the journal, those of interactions with a user, a session, or both.
func (m *model) putRows(g *modelGroup) {
	if g.suppress || len(g.out) > 0 {
		return
	}
	g.puts = true
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
		err := m.s.Update(context.Background(), func(tx *Tx) error {
			d, err := tx.Dataset(g.name, typ)
			if err != nil {
				return err
			}
			p, err := NewPut(d, rec, []byte(session), !known)
			if err == nil {
				_, err = tx.Put(p)
			}
			return err
		})
		rec.Release()
		if err != nil {
			m.t.Fatal(err)
		}
		for _, r := range rows {
			if !known {
				r = append(row{nil}, r[1:]...)
			}
			g.waiting[typ] = append(g.waiting[typ], modelPut{session, known, r})
		}
	}
}

// fold makes layers of the journal of a group.
func (m *model) fold(g *modelGroup) {
	m.op = "fold"
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		for more := true; more; {
			var err error
			if _, more, err = m.s.Fold(context.Background(), g.name, typ); err != nil {
				m.t.Fatal(err)
			}
		}
		var rows []row
		for _, p := range g.waiting[typ] {
			rows = append(rows, m.foldRow(g, p)...)
		}
		g.waiting[typ] = nil
		g.put[typ], g.rows[typ], _ = applyImport(typ, ImportIncremental, g.put[typ], g.rows[typ], rows)
	}
}

// foldRow returns the rows whose user an entry of the journal makes known.
func (m *model) foldRow(g *modelGroup, p modelPut) []row {
	if p.session == "" {
		return []row{p.row}
	}
	s := g.sessions[p.session]
	if s == nil {
		s = new(modelSession)
		g.sessions[p.session] = s
	}
	var out []row
	if p.known {
		s.user = p.row[0].(string)
		for _, r := range s.pending {
			out = append(out, append(row{s.user}, r[1:]...))
		}
		s.pending = nil
		return append(out, p.row)
	}
	if s.user != "" {
		return []row{append(row{s.user}, p.row[1:]...)}
	}
	if s.pending = append(s.pending, p.row); len(s.pending) > m.limits.sessionRows {
		s.pending = s.pending[1:]
	}
	return nil
}

// compareDistinct compares what an export would write.
func (m *model) compareDistinct(sn *Snapshot, g *modelGroup) {
	m.t.Helper()
	typ := []DatasetType{Users, Items, Interactions}[m.r.IntN(3)]
	kind := Kind(m.r.IntN(3))
	rows := map[Kind][]row{KindBulk: g.rows[typ], KindPut: g.put[typ], KindAll: slices.Concat(g.put[typ], g.rows[typ])}[kind]
	seen := make(map[string]bool)
	var want []row
	for i, r := range rows {
		if kind == KindAll && typ != Interactions && slices.ContainsFunc(rows[i+1:], func(later row) bool { return later[0] == r[0] }) {
			continue
		}
		if !seen[r.String()] {
			seen[r.String()] = true
			want = append(want, r)
		}
	}
	var got []row
	for rec, err := range sn.Distinct(context.Background(), typ, kind) {
		if err != nil {
			m.t.Fatal(err)
		}
		got = append(got, rowsOf(rec)...)
		rec.Release()
	}
	if got, want := sortedStrings(got), sortedStrings(want); !slices.Equal(got, want) {
		m.t.Errorf("distinct rows of kind %d of %s are %v, want %v", kind, typ, got, want)
	}
}
