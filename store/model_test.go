package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	swept bool                  // the dictionaries hold only IDs that rows refer to

	waiting  map[DatasetType][]modelPut // in the journal
	sessions map[string]*modelSession

	puts     bool            // rows are put, and nobody is suppressed
	suppress bool            // imports leave users out
	out      map[string]bool // whom
}

type modelPut struct {
	session string
	known   bool // whose it is
	row     row
}

type modelSession struct {
	user    string // "" while nobody is known
	pending []row
}

type heldSnapshot struct {
	sn   *Snapshot
	rows map[DatasetType][]row
}

type pendingDeletion struct {
	job   uint64
	group string
	epoch uint64
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
	for i := range 1 + r.IntN(2) {
		g := &modelGroup{
			name: fmt.Sprint("group", i), rows: make(map[DatasetType][]row), put: make(map[DatasetType][]row), swept: true,
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
		var rows []row
		if rec != nil {
			rows = rowsOf(rec)
			rec.Release()
		}
		wanted := slices.DeleteFunc(slices.Clone(want[typ]), func(r row) bool { return r[0] != key })
		if got, wanted := sortedStrings(rows), sortedStrings(wanted); !slices.Equal(got, wanted) {
			m.t.Errorf("%s: rows of one key are %d, want %d", typ, len(got), len(wanted))
		}
	}
}

// randomImport begins an import of random rows in records of random sizes.
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
	for rest := rows; len(rest) > 0; {
		n := 1 + m.r.IntN(len(rest))
		rec := record(typ, rest[:n])
		if err := im.Append(rec); err != nil {
			m.t.Fatal(err)
		}
		rec.Release()
		rest = rest[n:]
	}
	return im, typ, mode, rows
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
	if mode == ImportFull || out > 0 {
		g.swept = false
	}
	if m.r.IntN(3) > 0 {
		m.sweep(g)
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
	g.swept = true
	users := make(map[any]bool)
	for _, typ := range []DatasetType{Users, Interactions} {
		for _, r := range g.all()[typ] {
			users[r[0]] = true
		}
	}
	g.forgetSessions(func(user string) bool { return !users[user] })
}

// deleteUsers runs a deletion up to its tombstones, and a dry run before it.
func (m *model) deleteUsers(g *modelGroup) {
	ctx := context.Background()
	m.job++
	var list []string
	for range m.r.IntN(25) {
		id := m.user()
		if m.r.IntN(5) == 0 {
			id = mark + strings.ToUpper(id[len(mark):]) // somebody else
		}
		list = append(list, id)
	}
	m.op = fmt.Sprintf("deletion of %d IDs", len(list))
	dry, err := m.s.BeginDryRun(ctx, g.name)
	if err != nil {
		m.t.Fatal(err)
	}
	var sum Staged
	batches := uint32(0)
	for rest := list; len(rest) > 0; batches++ {
		n := 1 + m.r.IntN(len(rest))
		batch := rest[:n]
		rest = rest[n:]
		at := func(i int) []byte { return []byte(batch[i]) }
		if err := dry.Add(ctx, n, at); err != nil {
			m.t.Fatal(err)
		}
		err := m.s.StageUsers(ctx, g.name, m.job, batches, n, at, func(_ *Tx, st Staged) error {
			sum.Matched, sum.Unknown, sum.Duplicate = sum.Matched+st.Matched, sum.Unknown+st.Unknown, sum.Duplicate+st.Duplicate
			return nil
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
	want, err := dry.Finish(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	distinct, repeats, err := m.s.DistinctUnknown(ctx, m.job, batches)
	if err != nil {
		m.t.Fatal(err)
	}
	if on, err := m.s.Suppress(ctx, g.name, m.job, batches); err != nil || on != g.suppress {
		m.t.Fatalf("suppress: %t, %v", on, err)
	}
	var del Deleted
	err = m.s.Tombstone(ctx, g.name, m.job, batches, func(_ *Tx, d Deleted) error {
		del = d
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.jobs = append(m.jobs, pendingDeletion{m.job, g.name, del.Epoch})
	got := DryRunResult{Listed: int64(len(list)), Matched: sum.Matched, Unknown: distinct, Duplicate: sum.Duplicate + repeats, Rows: del.Rows}
	if fmt.Sprint(got) != fmt.Sprint(want) || del.Late != 0 {
		m.t.Errorf("deletion gave %+v, its dry run %+v", got, want)
	}
	m.applyDeletion(g, list, want)
}

func (m *model) applyDeletion(g *modelGroup, list []string, got DryRunResult) {
	listed := make(map[string]bool)
	for _, id := range list {
		listed[id] = true
	}
	matched := make(map[string]bool)
	for _, typ := range []DatasetType{Users, Interactions} {
		n := int64(0)
		for _, rows := range []map[DatasetType][]row{g.rows, g.put} {
			before := len(rows[typ])
			rows[typ] = slices.DeleteFunc(slices.Clone(rows[typ]), func(r row) bool {
				id := r[0].(string)
				if listed[id] {
					matched[id] = true
				}
				return listed[id]
			})
			n += int64(before - len(rows[typ]))
		}
		if n != got.Rows[typ] {
			m.t.Errorf("%s: %d rows deleted, want %d", typ, got.Rows[typ], n)
		}
	}
	g.forgetSessions(func(user string) bool { return listed[user] })
	if g.swept {
		if got.Matched != int64(len(matched)) {
			m.t.Errorf("%d users matched, want %d", got.Matched, len(matched))
		}
		m.checkHashes(g, m.job, slices.Collect(maps.Keys(matched)))
	}
	if g.suppress {
		maps.Copy(g.out, listed)
	}
	if got.Matched+got.Unknown != int64(len(listed)) || got.Matched+got.Unknown+got.Duplicate != got.Listed {
		m.t.Errorf("of %d listed: %+v", len(listed), got)
	}
}

// clean cleans, and checks the promises about what is finished and what it waits for.
func (m *model) clean() {
	ctx := context.Background()
	m.op = fmt.Sprintf("clean with %d snapshots", len(m.held))
	done, waitsFor, err := m.s.Clean(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	older := m.s.Leases(waitsFor).Open
	if (waitsFor > 0) != (older > 0) {
		m.t.Errorf("clean waits for epoch %d and %d snapshots are older", waitsFor, older)
	}
	left := m.jobs[:0]
	for _, j := range m.jobs {
		if j.epoch > done {
			if waitsFor == 0 {
				m.t.Errorf("a deletion of epoch %d is not done at %d, and nothing is waited for", j.epoch, done)
			}
			left = append(left, j)
			continue
		}
		if _, err := m.s.CheckGone(ctx, j.group, j.job); err != nil {
			m.t.Error(err)
		}
		if err := m.s.DropStaged(ctx, j.job); err != nil {
			m.t.Error(err)
		}
	}
	m.jobs = left
}

// replaceDataset removes a dataset and makes an empty one in its place.
func (m *model) replaceDataset(g *modelGroup) {
	typ := []DatasetType{Users, Items, Interactions}[m.r.IntN(3)]
	m.op = fmt.Sprintf("replace %s", typ)
	err := m.s.Update(context.Background(), func(tx *Tx) error {
		d, err := tx.Dataset(g.name, typ)
		if err != nil {
			return err
		}
		if err := tx.DeleteDataset(g.name, typ); err != nil {
			return err
		}
		_, err = tx.CreateDataset(d)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	g.rows[typ], g.put[typ], g.waiting[typ], g.swept = nil, nil, nil, false
	if typ == Interactions {
		clear(g.sessions)
	}
	if m.r.IntN(3) > 0 {
		m.sweep(g)
	}
}

// replaceGroup removes a group that no deletion under way needs, and makes an empty one in its place.
func (m *model) replaceGroup(g *modelGroup) {
	if slices.ContainsFunc(m.jobs, func(j pendingDeletion) bool { return j.group == g.name }) {
		return
	}
	m.op = "replace group"
	err := m.s.Update(context.Background(), func(tx *Tx) error {
		old, err := tx.Group(g.name)
		if err != nil {
			return err
		}
		datasets, err := tx.Datasets(g.name)
		if err != nil {
			return err
		}
		if err := tx.DeleteGroup(g.name); !errors.Is(err, ErrInUse) {
			return fmt.Errorf("removing a group with datasets: %w", err)
		}
		for _, d := range datasets {
			if err := tx.DeleteDataset(g.name, d.Type); err != nil {
				return err
			}
		}
		if err := tx.DeleteGroup(g.name); err != nil {
			return err
		}
		if _, err := tx.CreateGroup(old); err != nil {
			return err
		}
		for _, d := range datasets {
			if _, err := tx.CreateDataset(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	clear(g.rows)
	clear(g.put)
	clear(g.waiting)
	clear(g.sessions)
	clear(g.out)
	g.puts, g.swept = false, true
	m.startOrdinals(g.name)
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
}
