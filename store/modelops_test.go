package store

import (
	"context"
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

// verify looks for users who are in a group and for some who aren't. Only a store without jobs is free of those.
func (m *model) verify(g *modelGroup) {
	ctx := context.Background()
	there := make(map[string]bool)
	for _, typ := range []DatasetType{Users, Interactions} {
		for _, r := range g.all()[typ] {
			there[r[0].(string)] = true
		}
		for _, p := range g.waiting[typ] {
			for _, r := range p.rows {
				if p.known {
					there[r[0].(string)] = true
				}
			}
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
