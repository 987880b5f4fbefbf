package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
)

// user and item return tokens; some users have many rows.
func (m *model) user() string {
	n := m.r.IntN(60)
	if m.r.IntN(4) == 0 {
		n = m.r.IntN(3)
	}
	return fmt.Sprintf("%su%011x", mark, uint64(n+1)*0x9e3779b9%(1<<40))
}

func (m *model) item() string {
	return fmt.Sprintf("%si%011x", mark, uint64(m.r.IntN(50)+1)*0x85ebca6b%(1<<40))
}

func (m *model) randomRow(typ DatasetType) row {
	switch typ {
	case Users:
		m.city++
		r := row{m.user(), m.r.IntN(90), fmt.Sprintf("%sc%011x", mark, m.city)}
		if m.r.IntN(4) == 0 {
			r[1], r[2] = nil, nil
		}
		return r
	case Items:
		return row{m.item(), float64(m.r.IntN(10)) / 2, m.r.IntN(2) == 0}
	default:
		r := row{m.user(), m.item(), []string{"view", "click"}[m.r.IntN(2)], nil, m.r.IntN(8) - 3}
		if m.r.IntN(2) == 0 {
			r[3] = float64(m.r.IntN(3))
		}
		return r
	}
}

// randomRows are random, with repeats of each other and of rows that are there.
func (m *model) randomRows(typ DatasetType, there []row) []row {
	n := m.r.IntN(60)
	if m.r.IntN(3) == 0 {
		n = m.r.IntN(3)
	}
	var rows []row
	for range n {
		switch k := m.r.IntN(10); {
		case k == 0 && len(rows) > 0:
			rows = append(rows, rows[m.r.IntN(len(rows))])
		case k < 3 && len(there) > 0:
			rows = append(rows, there[m.r.IntN(len(there))])
		default:
			rows = append(rows, m.randomRow(typ))
		}
	}
	return rows
}

// quiesce finishes everything and looks into the raw file.
func (m *model) quiesce() {
	m.op = "quiesce"
	for len(m.held) > 0 {
		m.releaseOne()
	}
	for range 2 { // the first leaves items with dead rows
		for _, g := range m.groups {
			m.sweep(g)
		}
		m.clean()
	}
	if len(m.jobs) > 0 {
		m.t.Error("deletions are left although no snapshot is open")
	}
	if _, err := m.s.Scrub(context.Background()); err != nil {
		m.t.Fatal(err)
	}
	m.compareFile()
	for _, g := range m.groups {
		m.verify(g)
	}
}

// compareFile checks that the file holds the tokens of the model's rows, and no other ones.
func (m *model) compareFile() {
	want := make(map[string]bool)
	expect := func(r row) {
		for _, v := range r {
			if s, ok := v.(string); ok && strings.HasPrefix(s, mark) {
				want[s] = true
			}
		}
	}
	for _, g := range m.groups {
		for _, rows := range g.all() {
			for _, r := range rows {
				expect(r)
			}
		}
		for _, puts := range g.waiting {
			for _, p := range puts {
				expect(row{p.session})
				expect(p.row)
			}
		}
		for id, s := range g.sessions {
			expect(row{id})
			for _, r := range s.pending {
				expect(r)
			}
		}
	}
	sameTokens(m.t, tokens(m.t, m.s.path), want)
}

// sameTokens checks that a file holds the tokens that it should, and no other ones.
func sameTokens(t testing.TB, got, want map[string]bool) {
	t.Helper()
	for tok := range want {
		if !got[tok] {
			t.Errorf("%s is not in the file", tok)
		}
	}
	for tok := range got {
		if !want[tok] {
			t.Errorf("%s is still in the file", tok)
		}
	}
}

// tokens returns all that begins with mark in a file.
func tokens(t testing.TB, path string) map[string]bool {
	out := make(map[string]bool)
	collectTokens(readFile(t, path), out)
	return out
}

func collectTokens(data []byte, out map[string]bool) {
	for i := bytes.Index(data, []byte(mark)); i >= 0; i = bytes.Index(data, []byte(mark)) {
		out[string(data[i:min(i+tokenSize, len(data))])] = true
		data = data[i+len(mark):]
	}
}
