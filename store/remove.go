package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// What is removed from the catalog leaves its name at once; what it held leaves the file when no older snapshot is left, by
// [Store.Clean]. Until then its record stays under another key: a compaction has to know the columns of a layer.
const (
	removedGroups   = "x/g/"
	removedDatasets = "x/d/"
)

func removedKey(kind string, id uint32) []byte { return fmt.Appendf(nil, "%s%08x", kind, id) }

// allGroups returns the groups, also those that were removed and of which something is left.
func (tx *Tx) allGroups() ([]Group, error) {
	groups, err := tx.Groups()
	if err != nil {
		return nil, err
	}
	removed, err := records(tx, removedGroups, func(g Group) string { return g.Name })
	return append(groups, removed...), err
}

// allDatasets returns the datasets of all groups, also those that were removed and of which something is left.
func (tx *Tx) allDatasets() ([]Dataset, error) {
	datasets, err := records(tx, "d/", func(d Dataset) string { return d.Group })
	if err != nil {
		return nil, err
	}
	removed, err := records(tx, removedDatasets, func(d Dataset) string { return d.Group })
	return append(datasets, removed...), err
}

// DeleteSchema removes a schema. Errors: [ErrNotFound]; [ErrInUse] while a dataset has it.
func (tx *Tx) DeleteSchema(name string) error {
	if _, err := tx.Schema(name); err != nil {
		return err
	}
	all, err := records(tx, "d/", func(d Dataset) string { return d.Group })
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Schema == name {
			return fmt.Errorf("schema %s is %w: dataset %s of group %s has it: delete the dataset first", name, ErrInUse, d.Type, d.Group)
		}
	}
	return tx.b.Bucket(bucketCatalog).Delete(schemaKey(name))
}

// DeleteDataset removes a dataset and its rows. IDs that nobody else has leave the dictionaries with the next [Store.Sweep].
// Errors: [ErrNotFound]; [ErrInUse] while an import into it is in flight, or, of interactions, while the group has an
// event tracker.
func (tx *Tx) DeleteDataset(group string, t DatasetType) error {
	d, err := tx.Dataset(group, t)
	if err != nil {
		return err
	}
	if busy, err := tx.importingInto(d.ID); err != nil || busy {
		return errors.Join(err, fmt.Errorf("dataset %s of group %s is %w: %w: wait for it", t, group, ErrInUse, ErrImporting))
	}
	if t == Interactions {
		if tracker, err := tx.EventTrackerOf(group); err == nil {
			return fmt.Errorf("dataset %s of group %s is %w: event tracker %s belongs to it: delete that first", t, group, ErrInUse, tracker.Name)
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	epoch := tx.nextEpoch()
	for _, layer := range d.Layers {
		if err := tx.discardLayer(epoch, d.ID, layer); err != nil {
			return err
		}
	}
	d.Layers, d.Put = nil, nil
	if err := tx.putRecord(removedKey(removedDatasets, d.ID), d); err != nil {
		return err
	}
	if err := tx.b.Bucket(bucketCatalog).Delete(datasetKey(group, t)); err != nil {
		return err
	}
	return tx.setSweep(group)
}

// DeleteGroup removes a dataset group, with the users that it suppresses. Errors: [ErrNotFound]; [ErrInUse] while it has
// datasets or an event tracker, or an import into it is in flight.
func (tx *Tx) DeleteGroup(name string) error {
	g, err := tx.Group(name)
	if err != nil {
		return err
	}
	datasets, err := tx.Datasets(name)
	if err != nil {
		return err
	}
	if len(datasets) > 0 {
		return fmt.Errorf("dataset group %s is %w: it has %d datasets: delete them first", name, ErrInUse, len(datasets))
	}
	if tracker, err := tx.EventTrackerOf(name); err == nil {
		return fmt.Errorf("dataset group %s is %w: it has event tracker %s: delete that first", name, ErrInUse, tracker.Name)
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	if busy, err := tx.importing(g.ID); err != nil || busy {
		return errors.Join(err, fmt.Errorf("dataset group %s is %w: %w: wait for it", name, ErrInUse, ErrImporting))
	}
	if _, err := tx.sweep(g); err != nil { // all IDs
		return err
	}
	g.Sweep = false
	if err := tx.putRecord(removedKey(removedGroups, g.ID), g); err != nil {
		return err
	}
	return tx.b.Bucket(bucketCatalog).Delete(groupKey(name))
}

// importingInto reports whether an import into a dataset is in flight.
func (tx *Tx) importingInto(dataset uint32) (bool, error) {
	busy := false
	recs, err := tx.importRecords()
	for _, rec := range recs {
		busy = busy || rec.Dataset == dataset && rec.Mode != modeMerge
	}
	return busy, err
}

// dropRemoved removes what is left of removed datasets and groups whose rows and IDs are gone. Only [Store.Clean] calls it,
// so no merge of a removed dataset is in flight.
func (s *Store) dropRemoved(ctx context.Context) error {
	var removed, datasets []Dataset
	var groups []Group
	err := s.View(ctx, func(tx *Tx) (err error) {
		if removed, err = records(tx, removedDatasets, func(d Dataset) string { return d.Group }); err != nil {
			return err
		}
		datasets, groups, err = tx.goneForGood(removed)
		return err
	})
	for _, d := range removed { // no snapshot sees these
		for _, bucket := range [][]byte{bucketJournal, bucketSessions} {
			if err == nil {
				err = s.dropPrefix(ctx, bucket, appendUint32s(nil, d.ID), nil)
			}
		}
	}
	for _, d := range datasets {
		if err == nil {
			err = s.dropRecord(ctx, removedKey(removedDatasets, d.ID))
		}
	}
	for _, g := range groups {
		if err == nil {
			err = s.dropGroup(ctx, g)
		}
	}
	if err != nil {
		return fmt.Errorf("drop what is left of removed datasets: %w", err)
	}
	return nil
}

// goneForGood returns those of the removed datasets that have no layer any more, and removed groups without them whose IDs
// are gone.
func (tx *Tx) goneForGood(removed []Dataset) (datasets []Dataset, groups []Group, err error) {
	left := make(map[uint32]bool) // datasets and groups; they have different numbers
	err = tx.b.Bucket(bucketGarbage).ForEach(func(k, _ []byte) error {
		if len(k) == 16 {
			left[uint32At(k, 2)] = true
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, d := range removed {
		if left[d.ID] {
			left[d.GroupID] = true
		} else {
			datasets = append(datasets, d)
		}
	}
	all, err := records(tx, removedGroups, func(g Group) string { return g.Name })
	if err != nil {
		return nil, nil, err
	}
	leaving := tx.b.Bucket(bucketLeaving).Cursor()
	for _, g := range all {
		prefix := appendUint32s(nil, g.ID)
		if k, _ := leaving.Seek(prefix); !left[g.ID] && !bytes.HasPrefix(k, prefix) {
			groups = append(groups, g)
		}
	}
	return datasets, groups, nil
}

func (s *Store) dropGroup(ctx context.Context, g Group) error {
	// Of the dictionaries only what holds no ID is left. The record goes last.
	for _, bucket := range [][]byte{bucketSuppressed, bucketForward, bucketReverse, bucketDicts} {
		if err := s.dropPrefix(ctx, bucket, appendUint32s(nil, g.ID), nil); err != nil {
			return err
		}
	}
	return s.dropRecord(ctx, removedKey(removedGroups, g.ID))
}

func (s *Store) dropRecord(ctx context.Context, key []byte) error {
	return s.Update(ctx, func(tx *Tx) error { return tx.b.Bucket(bucketCatalog).Delete(key) })
}
