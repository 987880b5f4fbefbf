package store

import (
	"bytes"
	"context"
)

// Stats says what a store holds.
type Stats struct {
	Info      Info
	Allocated int64 // bytes on the disk
	Length    int64 // bytes of the file, holes included
	Groups    []GroupStats
}

// GroupStats says what a dataset group holds.
type GroupStats struct {
	Group    Group
	Users    int64 // different USER_IDs in Users and Interactions
	Items    int64 // different ITEM_IDs in Items and Interactions
	Datasets []DatasetStats
}

// DatasetStats says what a dataset holds.
type DatasetStats struct {
	Dataset Dataset
	Rows    int64 // that Scan returns
	Dead    int64 // that it doesn't any more and that aren't gone yet
	Blocks  int64
	Bytes   int64 // of its blocks
}

// Stats counts what is in the store. It reads no rows; its cost goes with the number of blocks and dictionary chunks.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	st := Stats{Info: s.info}
	err := s.View(ctx, func(tx *Tx) error {
		groups, err := tx.Groups()
		if err != nil {
			return err
		}
		for _, g := range groups {
			gs := GroupStats{Group: g}
			if gs.Users, err = tx.countIDs(dictID{g.ID, dictUsers}); err != nil {
				return err
			}
			if gs.Items, err = tx.countIDs(dictID{g.ID, dictItems}); err != nil {
				return err
			}
			datasets, err := tx.Datasets(g.Name)
			if err != nil {
				return err
			}
			for _, d := range datasets {
				ds, err := tx.datasetStats(d)
				if err != nil {
					return err
				}
				gs.Datasets = append(gs.Datasets, ds)
			}
			st.Groups = append(st.Groups, gs)
		}
		return nil
	})
	if err == nil {
		st.Allocated, st.Length, err = s.FileSize()
	}
	return st, err
}

func (tx *Tx) datasetStats(d Dataset) (DatasetStats, error) {
	ds := DatasetStats{Dataset: d}
	for _, layer := range d.Layers {
		all := int64(0)
		err := tx.eachFence(d.ID, layer, func(_ []byte, f fence) error {
			all += int64(f.Rows)
			ds.Blocks++
			ds.Bytes += int64(f.Bytes)
			return nil
		})
		if err != nil {
			return ds, err
		}
		live, err := tx.liveRows(d.ID, layer)
		if err != nil {
			return ds, err
		}
		ds.Rows += live
		ds.Dead += all - live
	}
	return ds, nil
}

// countIDs counts the IDs of a dictionary that everybody sees.
func (tx *Tx) countIDs(d dictID) (int64, error) {
	view, err := tx.dictView(d, 0)
	if err != nil {
		return 0, err
	}
	var n int64
	prefix := d.prefix()
	c := tx.b.Bucket(bucketForward).Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		entries, err := unseal(d.String(), k, v)
		if err != nil {
			return 0, err
		}
		for ; len(entries) >= entrySize; entries = entries[entrySize:] {
			if view.visible(ordinalAt(entries)) {
				n++
			}
		}
	}
	return n, nil
}
