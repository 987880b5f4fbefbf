package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomImport begins an import of random rows in records of random sizes, by some appenders or none.
func (m *model) randomImport(g *modelGroup) (im *Import, typ DatasetType, mode ImportMode, rows []row) {
	typ = []DatasetType{Users, Items, Interactions, Interactions}[m.r.IntN(4)]
	mode = ImportIncremental
	if m.r.IntN(4) == 0 {
		mode = ImportFull
	}
	rows = m.randomRows(typ, g.rows[typ])
	m.op = fmt.Sprintf("%s import of %d rows of %s", mode, len(rows), typ)
	im, err := m.s.BeginImport(context.Background(), g.name, typ, mode)
	if err != nil {
		m.t.Fatal(err)
	}
	appendParts(m.t, m.r, im, typ, rows, m.r.IntN(4))
	return im, typ, mode, rows
}

// appendParts appends rows in records of random sizes; those of a chunk go to one of so many appenders, each of which is by
// itself how far it is at any time. Without any, the import takes them itself.
func appendParts(t testing.TB, r *rand.Rand, im *Import, typ DatasetType, rows []row, appenders int) {
	t.Helper()
	type part struct {
		chunk int64
		rows  []row
	}
	waiting := make([][]part, max(appenders, 1))
	to := 0
	for chunk := int64(0); len(rows) > 0; {
		n := 1 + r.IntN(len(rows))
		waiting[to] = append(waiting[to], part{chunk, rows[:n]})
		if rows = rows[n:]; r.IntN(3) > 0 {
			chunk++
			to = r.IntN(len(waiting))
		}
	}
	var all []*Appender
	for range appenders {
		all = append(all, im.NewAppender())
	}
	for len(waiting) > 0 {
		i := r.IntN(len(waiting))
		if len(waiting[i]) == 0 {
			waiting = slices.Delete(waiting, i, i+1)
			all = slices.Delete(all, min(i, len(all)), min(i+1, len(all)))
			continue
		}
		p := waiting[i][0]
		waiting[i] = waiting[i][1:]
		rec := record(typ, p.rows)
		err := error(nil)
		if appenders == 0 {
			err = im.Append(rec)
		} else {
			err = all[i].Append(p.chunk, rec)
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Release()
	}
}

func (m *model) importRows(g *modelGroup) {
	im, typ, mode, rows := m.randomImport(g)
	got, err := im.Finish(context.Background(), nil, func(*Tx, ImportResult) error { return nil })
	if err != nil {
		m.t.Fatal(err)
	}
	kept, out := g.leaveOut(typ, mode, rows)
	after, other, want := applyImport(typ, mode, g.rows[typ], g.put[typ], kept)
	want.Read, want.Suppressed = int64(len(rows)), out
	want.Duplicate += int64(len(rows)-len(kept)) - out
	if got != want {
		m.t.Errorf("%s: %+v, want %+v", m.op, got, want)
	}
	g.rows[typ], g.put[typ] = after, other
	g.know(typ, kept)
	if m.r.IntN(3) > 0 {
		m.sweep(g)
	}
}

// know adds the users of rows to those whom the dictionary has.
func (g *modelGroup) know(typ DatasetType, rows []row) {
	if typ == Items {
		return
	}
	for _, r := range rows {
		g.known[r[0].(string)] = true
	}
}

// applyImport says what an import should do to the rows of its kind and to the others.
func applyImport(typ DatasetType, mode ImportMode, there, other, rows []row) (after, others []row, res ImportResult) {
	res.Read = int64(len(rows))
	if mode == ImportFull {
		res.Added, res.Replaced = res.Read, int64(len(there))
		return slices.Clone(rows), other, res
	}
	after = slices.Clone(there)
	if typ == Interactions {
		seen := make(map[string]bool)
		for _, r := range slices.Concat(there, other) {
			seen[r.String()] = true
		}
		for _, r := range rows {
			if !seen[r.String()] {
				seen[r.String()] = true
				after = append(after, r)
			}
		}
		res.Added = int64(len(after) - len(there))
		res.Duplicate = res.Read - res.Added
		return after, other, res
	}
	last := make(map[any]row)
	for _, r := range rows {
		last[r[0]] = r
	}
	replaced := func(r row) bool { return last[r[0]] != nil }
	after, others = slices.DeleteFunc(after, replaced), slices.DeleteFunc(slices.Clone(other), replaced)
	res.Replaced = int64(len(there) - len(after) + len(other) - len(others))
	res.Added = int64(len(last))
	res.Duplicate = res.Read - res.Added
	for i, r := range rows {
		if !slices.ContainsFunc(rows[i+1:], func(later row) bool { return later[0] == r[0] }) {
			after = append(after, r)
		}
	}
	return after, others, res
}

// leaveOut returns the rows that an import takes of those that it is given, and how many it leaves out.
func (g *modelGroup) leaveOut(typ DatasetType, mode ImportMode, rows []row) (kept []row, out int64) {
	if !g.suppress || typ == Items {
		return rows, 0
	}
	for i, r := range rows {
		again := func(later row) bool { return later[0] == r[0] }
		switch {
		case !g.out[r[0].(string)]:
			kept = append(kept, r)
		case typ == Users && mode == ImportIncremental && slices.ContainsFunc(rows[i+1:], again): // which is a duplicate
		default:
			out++
		}
	}
	return kept, out
}

func (m *model) abortImport(g *modelGroup) {
	ctx := context.Background()
	im, _, _, _ := m.randomImport(g)
	m.op = "aborted " + m.op
	if m.r.IntN(2) == 0 {
		stop := errors.New("stop")
		if _, err := im.Finish(ctx, nil, func(*Tx, ImportResult) error { return stop }); !errors.Is(err, stop) {
			m.t.Fatal(err)
		}
		mustCheck(m.t, m.s)
		m.compare(g)
		if err := m.s.Tombstone(ctx, g.name, 1<<40, 0, nil); !errors.Is(err, ErrImporting) {
			m.t.Errorf("tombstone during an import: %v", err)
		}
	}
	if err := im.Abort(ctx); err != nil {
		m.t.Error(err)
	}
}

func (m *model) sweep(g *modelGroup) {
	if err := m.s.Sweep(context.Background(), g.name); err != nil {
		m.t.Error(err)
	}
	clear(g.known)
	for typ, rows := range g.all() {
		g.know(typ, rows)
	}
	g.forgetSessions(func(user string) bool { return !g.known[user] })
}

// mergeLayers merges until there is nothing to merge.
func (m *model) mergeLayers() {
	m.op = "merge layers"
	for more := true; more; {
		var err error
		if more, err = m.s.MergeLayers(context.Background()); err != nil {
			m.t.Fatal(err)
		}
	}
}
