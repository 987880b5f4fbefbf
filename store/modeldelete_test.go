package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// deleteUsers runs a deletion up to its tombstones, and a dry run before it. What was put is folded first, as an engine
// does, or comes later.
func (m *model) deleteUsers(g *modelGroup) {
	ctx := context.Background()
	if m.r.IntN(2) == 0 {
		m.fold(g)
	}
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
	m.jobs = append(m.jobs, pendingDeletion{job: m.job, group: g.name, epoch: del.Epoch})
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
	for _, typ := range []DatasetType{Users, Interactions} {
		n := int64(0)
		for _, rows := range []map[DatasetType][]row{g.rows, g.put} {
			before := len(rows[typ])
			rows[typ] = slices.DeleteFunc(slices.Clone(rows[typ]), func(r row) bool { return listed[r[0].(string)] })
			n += int64(before - len(rows[typ]))
		}
		if n != got.Rows[typ] {
			m.t.Errorf("%s: %d rows deleted, want %d", typ, got.Rows[typ], n)
		}
	}
	g.forgetSessions(func(user string) bool { return listed[user] })
	var matched []string
	for id := range listed {
		if g.known[id] {
			matched = append(matched, id)
		}
		delete(g.known, id)
	}
	if got.Matched != int64(len(matched)) {
		m.t.Errorf("%d users matched, want %d", got.Matched, len(matched))
	}
	m.checkHashes(g, m.job, matched)
	if g.suppress {
		maps.Copy(g.out, listed)
	}
	if got.Matched+got.Unknown != int64(len(listed)) || got.Matched+got.Unknown+got.Duplicate != got.Listed {
		m.t.Errorf("of %d listed: %+v", len(listed), got)
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

// clean cleans, and checks the promises about what is finished and what it waits for.
func (m *model) clean() {
	ctx := context.Background()
	m.op = fmt.Sprintf("clean with %d snapshots", len(m.held))
	cleaned, err := m.s.Clean(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	oldest := make(map[uint32]uint64) // of the groups that snapshots are held of
	for _, h := range m.held {
		if epoch, ok := oldest[h.sn.group]; !ok || h.sn.Epoch() < epoch {
			oldest[h.sn.group] = h.sn.Epoch()
		}
	}
	ids := make(map[string]uint32)
	for _, g := range m.groups {
		id := m.groupID(g)
		ids[g.name] = id
		waitsFor := cleaned.WaitsFor(id)
		if older := m.s.Leases(id, waitsFor).Open; (waitsFor > 0) != (older > 0) {
			m.t.Errorf("group %d waits for epoch %d and %d snapshots are older", id, waitsFor, older)
		}
		if _, ok := oldest[id]; !ok && waitsFor > 0 {
			m.t.Errorf("group %d waits for epoch %d and no snapshot is held of it", id, waitsFor)
		}
	}
	m.checkHeld(oldest)
	left := m.jobs[:0]
	for _, j := range m.jobs {
		done := cleaned.Done(ids[j.group])
		epoch, held := oldest[ids[j.group]]
		if j.epoch > done && !held || j.epoch <= done && held && epoch < j.epoch {
			m.t.Errorf("a deletion of epoch %d, done %d, snapshot held %t of epoch %d", j.epoch, done, held, epoch)
		}
		if j.epoch > done {
			if j.after == 0 {
				j.after = cleaned.WaitsFor(ids[j.group])
			}
			if epoch >= j.after {
				m.t.Errorf("a deletion waits for snapshots before epoch %d, and the oldest is of %d", j.after, epoch)
			}
			left = append(left, j)
			continue
		}
		if _, err := m.s.CheckGone(ctx, j.group, j.job); err != nil {
			m.t.Error(err)
		}
		if err := m.s.DropStaged(ctx, j.job, nil); err != nil {
			m.t.Error(err)
		}
	}
	m.jobs = left
}

func (m *model) groupID(g *modelGroup) (id uint32) {
	err := m.s.View(context.Background(), func(tx *Tx) error {
		rec, err := tx.Group(g.name)
		id = rec.ID
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

// checkHeld checks after a clean that all that waits to be removed is of groups, some of them removed, that a snapshot is
// held of. No import is in flight that could hold items.
func (m *model) checkHeld(oldest map[uint32]uint64) {
	err := m.s.View(context.Background(), func(tx *Tx) error {
		datasets, err := tx.allDatasets()
		if err != nil {
			return err
		}
		of := make(map[uint32]uint32)
		for _, d := range datasets {
			of[d.ID] = d.GroupID
		}
		check := func(what string, group uint32, epoch uint64) {
			if least, held := oldest[group]; !held || epoch <= least {
				m.t.Errorf("%s of group %d of epoch %d: held %t, since %d", what, group, epoch, held, least)
			}
		}
		return errors.Join(
			tx.b.Bucket(bucketGarbage).ForEach(func(k, _ []byte) error {
				check("a discarded layer", of[uint32At(k, 2)], uint64At(k))
				return nil
			}),
			tx.b.Bucket(bucketRetired).ForEach(func(k, v []byte) error {
				group, err := retiredOf(k, v)
				check("a retired block", group, uint64At(k))
				return err
			}),
			tx.b.Bucket(bucketLeaving).ForEach(func(k, _ []byte) error {
				check("ordinals that leave", uint32At(k, 0), uint64At(k[len(k)-8:]))
				return nil
			}))
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// suppress switches suppression on or off, or lets some users come back.
func (m *model) suppress(g *modelGroup) {
	ctx := context.Background()
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
	g.rows[typ], g.put[typ], g.waiting[typ] = nil, nil, nil
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
	clear(g.known)
	clear(g.out)
	m.startOrdinals(g.name)
}
