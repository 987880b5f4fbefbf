package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestModel runs random operations against a store and a naive model of it, with limits so small that little data takes
// the paths of much. The seed is the subtest's name.
func TestModel(t *testing.T) {
	seeds := 30
	if os.Getenv("EXPUNGE_TEST_LONG") != "" {
		seeds = 1000
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			m := newModel(t, uint64(seed))
			for m.step = range 25 {
				m.random()
				if t.Failed() {
					t.Fatalf("after step %d: %s", m.step, m.op)
				}
			}
			m.quiesce()
			m.atRest()
		})
	}
}

// mark begins every ID and every city of a model, so that all of them can be found in a file.
const (
	mark      = "@~ID"
	tokenSize = 16
)

type modelGroup struct {
	name  string
	rows  map[DatasetType][]row // in bulk layers
	put   map[DatasetType][]row // in individual ones
	known map[string]bool       // users whom the dictionary has, with rows or waiting for a sweep

	waiting  map[DatasetType][]modelPut // in the journal
	sessions map[string]*modelSession

	suppress bool            // imports leave users out
	out      map[string]bool // whom
}

type heldSnapshot struct {
	sn   *Snapshot
	rows map[DatasetType][]row
}

type pendingDeletion struct {
	job   uint64
	group string
	epoch uint64
	after uint64 // of snapshots from then on none holds it; 0 until a clean waited for older ones
}

type model struct {
	t      *testing.T
	r      *rand.Rand
	s      *Store
	opts   Options
	limits limits
	groups []*modelGroup
	held   []heldSnapshot
	jobs   []pendingDeletion
	job    uint64
	city   int
	step   int
	op     string
}

func newModel(t *testing.T, seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 1))
	workers(t, 1+r.IntN(4))
	m := &model{t: t, r: r, limits: smallLimits(r), opts: Options{Codec: CodecNone, BlockRows: 1 + r.IntN(40)}}
	m.s = openQuick(t, filepath.Join(t.TempDir(), "model.expunge"), m.opts, m.limits)
	setSeed(t, m.s, seed)
	for i := range 1 + r.IntN(3) {
		g := &modelGroup{
			name: fmt.Sprint("group", i), rows: make(map[DatasetType][]row), put: make(map[DatasetType][]row), known: make(map[string]bool),
			waiting: make(map[DatasetType][]modelPut), sessions: make(map[string]*modelSession), out: make(map[string]bool),
		}
		createGroup(t, m.s, g.name)
		m.groups = append(m.groups, g)
		m.startOrdinals(g.name)
	}
	return m
}

// startOrdinals lets the dictionaries begin short of where a chunk of them, or of a bitmap, ends.
func (m *model) startOrdinals(group string) {
	starts := []uint32{0, 0, reverseSlots - 5, refSlots - 7, 1<<16 - 9}
	err := m.s.Update(context.Background(), func(tx *Tx) error {
		g, err := tx.Group(group)
		for _, kind := range []dictKind{dictUsers, dictItems} {
			next := starts[m.r.IntN(len(starts))]
			err = errors.Join(err, tx.putDictState(dictID{g.ID, kind}, dictState{Next: next}))
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) random() {
	g := m.groups[m.r.IntN(len(m.groups))]
	switch n := m.r.IntN(130); {
	case n >= 118:
		m.putRows(g)
	case n >= 106:
		m.fold(g)
	case n >= 105:
		m.replaceGroup(g)
	case n >= 100:
		m.replaceDataset(g)
	case n < 35:
		m.importRows(g)
	case n < 40:
		m.abortImport(g)
	case n < 60:
		m.deleteUsers(g)
	case n < 68:
		m.clean()
	case n < 74:
		m.mergeLayers()
	case n < 77:
		m.hold(g)
		if m.r.IntN(3) > 0 { // a deletion in the same group or another, while it is held
			m.deleteUsers(m.groups[m.r.IntN(len(m.groups))])
			m.clean()
		}
	case n < 82:
		m.releaseOne()
	case n < 85:
		m.op = "scrub"
		if _, err := m.s.Scrub(context.Background()); err != nil {
			m.t.Error(err)
		}
	case n < 88:
		m.quiesce()
	case n < 90:
		m.reopen()
	case n < 92:
		m.kill()
	case n < 94:
		m.backup()
	case n < 97:
		m.suppress(g)
	default:
		m.op = "sweep"
		m.sweep(g)
	}
	mustCheck(m.t, m.s)
	for _, h := range m.held {
		m.compareSnapshot(h.sn, h.rows)
	}
	m.compare(g)
	m.checkSuppressed(g)
}

// compare checks that the store shows the model's rows now.
func (m *model) compare(g *modelGroup) {
	sn, err := m.s.Snapshot(context.Background(), g.name)
	if err != nil {
		m.t.Fatal(err)
	}
	defer sn.Release()
	m.compareSnapshot(sn, g.all())
	m.compareDistinct(sn, g)
	key := m.user()
	now, err := m.s.RowsOf(context.Background(), g.name, Interactions, []byte(key))
	if err != nil {
		m.t.Fatal(err)
	}
	then, err := sn.RowsOf(context.Background(), Interactions, []byte(key))
	if err != nil {
		m.t.Fatal(err)
	}
	if got, want := rowsAndRelease(now), rowsAndRelease(then); !slices.EqualFunc(got, want, slices.Equal) {
		m.t.Errorf("rows of one user are %v, and those of a snapshot %v", got, want)
	}
}

func (m *model) compareSnapshot(sn *Snapshot, want map[DatasetType][]row) {
	m.t.Helper()
	for _, typ := range []DatasetType{Users, Items, Interactions} {
		got := sortedStrings(scanAll(m.t, sn, typ))
		if wanted := sortedStrings(want[typ]); !slices.Equal(got, wanted) {
			m.t.Errorf("%s: scan gave %d rows, want %d: %v and %v", typ, len(got), len(wanted), got, wanted)
		}
		if sn.Rows(typ) != int64(len(want[typ])) {
			m.t.Errorf("%s: Rows says %d, want %d", typ, sn.Rows(typ), len(want[typ]))
		}
		key := m.user()
		if typ == Items {
			key = m.item()
		}
		rec, err := sn.RowsOf(context.Background(), typ, []byte(key))
		if err != nil {
			m.t.Error(err)
			return
		}
		rows := rowsAndRelease(rec)
		wanted := slices.DeleteFunc(slices.Clone(want[typ]), func(r row) bool { return r[0] != key })
		if got, wanted := sortedStrings(rows), sortedStrings(wanted); !slices.Equal(got, wanted) {
			m.t.Errorf("%s: rows of one key are %d, want %d", typ, len(got), len(wanted))
		}
	}
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

func (m *model) hold(g *modelGroup) {
	m.op = "hold a snapshot"
	sn, err := m.s.Snapshot(context.Background(), g.name)
	if err != nil {
		m.t.Fatal(err)
	}
	m.held = append(m.held, heldSnapshot{sn, g.all()})
}

func (m *model) releaseOne() {
	m.op = "release a snapshot"
	if len(m.held) == 0 {
		return
	}
	i := m.r.IntN(len(m.held))
	m.held[i].sn.Release()
	m.held = slices.Delete(m.held, i, i+1)
}

// reopen closes the store, opens it read-only, which must not change a byte, and opens it again.
func (m *model) reopen() {
	m.op = "reopen"
	ctx := context.Background()
	for len(m.held) > 0 {
		m.releaseOne()
	}
	if err := m.s.Close(ctx); err != nil {
		m.t.Fatal(err)
	}
	before, err := os.ReadFile(m.s.path)
	if err != nil {
		m.t.Fatal(err)
	}
	ro := m.opts
	ro.ReadOnly = true
	if m.s, err = Open(ctx, m.s.path, ro); err != nil {
		m.t.Fatal(err)
	}
	mustCheck(m.t, m.s)
	for _, g := range m.groups {
		m.compare(g)
	}
	if err := m.s.Close(ctx); err != nil {
		m.t.Fatal(err)
	}
	after, err := os.ReadFile(m.s.path)
	if err != nil || !bytes.Equal(before, after) {
		m.t.Errorf("reading changed the file: %v", err)
	}
	m.s = openQuick(m.t, m.s.path, m.opts, m.limits)
	m.forget()
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
	m.forget()
}

// forget is for what the store knew in memory: a snapshot taken before the first clean of a new process, which may replace
// blocks that it reads, holds them.
func (m *model) forget() {
	for i := range m.jobs {
		m.jobs[i].after = 0
	}
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
