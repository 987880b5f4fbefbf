package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// workers lets the test run on some number of processors, since that many goroutines share the work of an operation.
func workers(t *testing.T, n int) {
	was := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

// suppress switches suppression on or off, or lets some users come back. It does nothing in a group in which rows are put:
// for both together see [TestPutSuppressed].
func (m *model) suppress(g *modelGroup) {
	ctx := context.Background()
	if g.puts {
		return
	}
	if m.r.IntN(3) > 0 {
		g.suppress = !g.suppress
		m.op = fmt.Sprint("suppression is ", g.suppress)
		if err := m.s.Update(ctx, func(tx *Tx) error { return tx.SetSuppression(g.name, g.suppress) }); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	ids := []string{m.user(), m.user(), m.user()}
	m.op = "lift suppression"
	lifted, err := m.s.LiftSuppression(ctx, g.name, len(ids), func(i int) []byte { return []byte(ids[i]) })
	if err != nil {
		m.t.Fatal(err)
	}
	want := int64(0)
	for _, id := range ids {
		if g.out[id] {
			want++
		}
		delete(g.out, id)
	}
	if lifted != want {
		m.t.Errorf("%d users come back, want %d", lifted, want)
	}
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

// checkSuppressed compares the number of suppressed users, and the hashes that a deletion left, with the model.
func (m *model) checkSuppressed(g *modelGroup) {
	by, err := m.s.Suppressed(context.Background(), g.name)
	if err != nil {
		m.t.Fatal(err)
	}
	n := int64(0)
	for _, users := range by {
		n += users
	}
	if n != int64(len(g.out)) {
		m.t.Errorf("%d users are suppressed, want %d", n, len(g.out))
	}
}

// checkHashes compares the hashes of the users whom a job matched with those of users.
func (m *model) checkHashes(g *modelGroup, job uint64, users []string) {
	ctx := context.Background()
	want, err := m.s.HashIDs(g.name, len(users), func(i int) []byte { return []byte(users[i]) })
	if err != nil {
		m.t.Fatal(err)
	}
	slices.SortFunc(want, compareHashes)
	var got []IDHash
	err = m.s.EachHash(ctx, job, func(some []IDHash) error {
		got = append(got, some...)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	slices.SortFunc(got, compareHashes)
	if !slices.Equal(got, want) {
		m.t.Errorf("job %d has %d hashes of users, want %d", job, len(got), len(want))
	}
}

// verify looks for users who are in a group and for some who aren't. Only a store without jobs is free of those.
func (m *model) verify(g *modelGroup) {
	ctx := context.Background()
	there := make(map[string]bool)
	for _, typ := range []DatasetType{Users, Interactions} {
		for _, r := range g.all()[typ] {
			there[r[0].(string)] = true
		}
		for _, p := range g.waiting[typ] {
			if id, ok := p.row[0].(string); ok {
				there[id] = true
			}
		}
	}
	for _, s := range g.sessions {
		if s.user != "" {
			there[s.user] = true
		}
	}
	absent := make(map[string]bool)
	for range 40 {
		if id := m.user(); !there[id] {
			absent[id] = true
		}
	}
	look := func(ids []string) (r VerifyReport) {
		if err := m.s.VerifyAbsent(ctx, g.name, len(ids), func(i int) []byte { return []byte(ids[i]) }, &r); err != nil {
			m.t.Fatal(err)
		}
		return r
	}
	if r := look(slices.Collect(maps.Keys(absent))); r.Found > 0 {
		m.t.Errorf("of %d users who aren't in %s something is found: %+v", len(absent), g.name, r.Findings)
	}
	if r := look(slices.Collect(maps.Keys(there))); r.Found < int64(len(there)) {
		m.t.Errorf("of %d users who are in %s %d places are found", len(there), g.name, r.Found)
	}
}

// backup makes a copy, which holds what the store shows and nothing else.
func (m *model) backup() {
	ctx := context.Background()
	m.op = "backup"
	dest := filepath.Join(filepath.Dir(m.s.path), "backup.expunge")
	if _, err := m.s.Backup(ctx, dest, func(*Tx) (uint64, error) { return m.job, nil }); err != nil {
		m.t.Fatal(err)
	}
	from := m.s
	var err error
	if m.s, err = Open(ctx, dest, Options{ReadOnly: true}); err != nil {
		m.t.Fatal(err)
	}
	mustCheck(m.t, m.s)
	for _, g := range m.groups {
		m.compare(g)
		m.checkSuppressed(g)
	}
	m.compareFile()
	for job := range m.job {
		n, digest, err := from.HashDigest(ctx, job+1)
		n2, digest2, err2 := m.s.HashDigest(ctx, job+1)
		if err != nil || err2 != nil || n != n2 || digest != digest2 {
			m.t.Errorf("hashes of job %d: %d and in the backup %d, %v, %v", job+1, n, n2, err, err2)
		}
	}
	if err := m.s.Close(ctx); err != nil {
		m.t.Error(err)
	}
	m.s = from
	if err := os.Remove(dest); err != nil {
		m.t.Error(err)
	}
}

// kill ends the store as a killed process would, and opens it again.
func (m *model) kill() {
	for len(m.held) > 0 {
		m.releaseOne()
	}
	m.op = "kill"
	if err := m.s.closeFiles(); err != nil {
		m.t.Fatal(err)
	}
	m.s = openQuick(m.t, m.s.path, m.opts, m.limits)
}

// atRest checks that a closed store's free pages read as zeros, and that nothing else is in it than the model's rows.
func (m *model) atRest() {
	m.op = "close"
	path := m.s.path
	if err := m.s.Close(context.Background()); err != nil {
		m.t.Error(err)
		return
	}
	m.compareFile()
	data, page := readFile(m.t, path), os.Getpagesize()
	used := usedPages(m.t, path)
	for p := 2; p < len(data)/page; p++ {
		if !used[p] && len(bytes.TrimLeft(data[p*page:(p+1)*page], "\x00")) > 0 {
			m.t.Errorf("page %d isn't in use and holds bytes", p)
		}
	}
}
