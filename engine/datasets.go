package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// NewDataset is what a dataset is created from.
type NewDataset struct {
	Name   string
	Group  string // name or ARN
	Type   DatasetType
	Schema string // name or ARN; its type must be Type, its domain the group's
	Tags   []Tag
}

// Dataset is one dataset of a group.
type Dataset struct {
	Name             string
	ARN              string
	GroupARN         string
	SchemaARN        string
	Type             DatasetType
	Created, Updated time.Time
	Tags             []Tag
	// TrackingID is that of the group's event tracker, in an Interactions dataset; "" if there is none.
	TrackingID string
	// Latest is the newest change of the schema; nil if there was none.
	Latest *DatasetUpdate
}

// DatasetUpdate is a change of a dataset's schema. It is finished when [Engine.UpdateDataset] returns.
type DatasetUpdate struct {
	SchemaARN        string
	Created, Updated time.Time
}

func (e *Engine) datasetARN(group string, t DatasetType) string {
	return e.account.ARN(kindDataset, group+"/"+string(t))
}

// splitDatasetARN returns the group and the type in an ARN of a dataset. The error is an [ErrNotFound].
func (e *Engine) splitDatasetARN(arn string) (group string, t DatasetType, err error) {
	id, ok := strings.CutPrefix(arn, e.account.ARN(kindDataset, ""))
	group, typ, whole := strings.Cut(id, "/")
	if !ok || !whole {
		return "", "", ofKind(ErrNotFound, fmt.Errorf("there is no dataset with that ARN: it has the form %s", e.datasetARN("GROUP", "TYPE")))
	}
	return group, DatasetType(typ), nil
}

// CreateDataset adds a dataset to a group. Errors: [ErrInvalid], [ErrNotFound], [ErrExists] if the group has one of that
// type.
func (e *Engine) CreateDataset(ctx context.Context, d NewDataset) (Dataset, error) {
	if err := errors.Join(jobs.ValidateName("name", d.Name), jobs.ValidateTags(d.Tags)); err != nil {
		return Dataset{}, err
	}
	return e.changeDataset(ctx, func(tx *store.Tx) (store.Dataset, error) {
		s, err := tx.Schema(e.schemaName(d.Schema))
		if err != nil {
			return store.Dataset{}, err
		}
		if s.Type != string(d.Type) {
			return store.Dataset{}, ofKind(ErrInvalid, fmt.Errorf("schema %s is for a dataset of type %s: give one for %s", s.Name, s.Type, d.Type))
		}
		if err := e.sameDomain(tx, e.groupName(d.Group), s); err != nil {
			return store.Dataset{}, err
		}
		return tx.CreateDataset(store.Dataset{
			Group: e.groupName(d.Group), Type: d.Type, Name: d.Name, Schema: s.Name, Tags: storeTags(d.Tags), Created: now(),
		})
	})
}

// changeDataset runs a transaction that creates or changes a dataset.
func (e *Engine) changeDataset(ctx context.Context, fn func(*store.Tx) (store.Dataset, error)) (out Dataset, err error) {
	err = e.store.Update(ctx, func(tx *store.Tx) error {
		d, err := fn(tx)
		if err == nil {
			out, err = e.dataset(tx, d)
		}
		return err
	})
	if err != nil {
		return Dataset{}, mapError(err)
	}
	return out, nil
}

// sameDomain is an [ErrInvalid] if a schema isn't of the domain of a group.
func (e *Engine) sameDomain(tx *store.Tx, group string, s store.Schema) error {
	g, err := tx.Group(group)
	if err != nil || g.Domain == s.Domain {
		return err
	}
	if g.Domain == "" {
		return ofKind(ErrInvalid, fmt.Errorf("schema %s is of domain %s and dataset group %s of none: give a schema without domain", s.Name, s.Domain, group))
	}
	return ofKind(ErrInvalid, fmt.Errorf("dataset group %s is of domain %s: give a schema of that domain", group, g.Domain))
}

// Dataset returns a dataset of a group, whose name or ARN is given. Errors: [ErrNotFound].
func (e *Engine) Dataset(ctx context.Context, group string, t DatasetType) (out Dataset, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		d, err := tx.Dataset(e.groupName(group), t)
		if err == nil {
			out, err = e.dataset(tx, d)
		}
		return err
	})
	return out, mapError(err)
}

// DatasetByARN returns a dataset. Errors: [ErrNotFound].
func (e *Engine) DatasetByARN(ctx context.Context, arn string) (Dataset, error) {
	group, t, err := e.splitDatasetARN(arn)
	if err != nil {
		return Dataset{}, err
	}
	return e.Dataset(ctx, group, t)
}

// Datasets returns the datasets of a group, whose name or ARN is given, newest first; "" returns those of all groups. A group
// that doesn't exist has none.
func (e *Engine) Datasets(ctx context.Context, group string) (out []Dataset, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		groups := []store.Group{{Name: e.groupName(group)}}
		if group == "" {
			if groups, err = tx.Groups(); err != nil {
				return err
			}
		}
		var all []store.Dataset
		for _, g := range groups {
			of, err := tx.Datasets(g.Name)
			if err != nil {
				return err
			}
			all = append(all, of...)
		}
		newestFirst(all, func(d store.Dataset) (time.Time, uint32) { return d.Created, d.ID })
		for _, d := range all {
			shown, err := e.dataset(tx, d)
			if err != nil {
				return err
			}
			out = append(out, shown)
		}
		return nil
	})
	return out, err
}

// UpdateDataset gives an Items or Users dataset another schema, by name or ARN. It has to keep all fields of the old one,
// with their types and attributes, and its new fields have to allow null: rows that are there have null in them. Errors:
// [ErrInvalid], [ErrNotFound], [ErrInUse] while an import into the dataset is unfinished.
func (e *Engine) UpdateDataset(ctx context.Context, datasetARN, schema string) (Dataset, error) {
	group, t, err := e.splitDatasetARN(datasetARN)
	if err != nil {
		return Dataset{}, err
	}
	var out Dataset
	err = e.whenFolded(ctx, group, func() (err error) {
		out, err = e.updateDataset(ctx, group, t, schema)
		return err
	})
	return out, err
}

func (e *Engine) updateDataset(ctx context.Context, group string, t DatasetType, schema string) (Dataset, error) {
	return e.changeDataset(ctx, func(tx *store.Tx) (store.Dataset, error) {
		if _, err := tx.Dataset(group, t); err != nil {
			return store.Dataset{}, err
		}
		s, err := tx.Schema(e.schemaName(schema))
		if err != nil {
			return store.Dataset{}, err
		}
		imports := func(j Job) bool { return j.Kind == jobs.KindImport && j.DatasetARN == e.datasetARN(group, t) }
		if err := errors.Join(e.sameDomain(tx, group, s), unlessUsed(tx, "dataset "+e.datasetARN(group, t), imports)); err != nil {
			return store.Dataset{}, err
		}
		return tx.UpdateDataset(group, t, s.Name, now())
	})
}

// DeleteDataset removes a dataset with its rows. No reader that comes after sees them; their bytes, and the IDs that only
// they had, leave the disk in the background, once the snapshots that still see them are released. Errors: [ErrNotFound],
// [ErrInUse] while a job that imports into it or exports it is unfinished, or, of interactions, while the group has an event
// tracker.
func (e *Engine) DeleteDataset(ctx context.Context, datasetARN string) error {
	group, t, err := e.splitDatasetARN(datasetARN)
	if err != nil {
		return err
	}
	return e.whenFolded(ctx, group, func() error {
		return e.remove(ctx, func(tx *store.Tx) error {
			if _, err := tx.Dataset(group, t); err != nil {
				return err
			}
			uses := func(j Job) bool { return j.DatasetARN == e.datasetARN(group, t) }
			if err := unlessUsed(tx, "dataset "+datasetARN, uses); err != nil {
				return err
			}
			return tx.DeleteDataset(group, t)
		})
	})
}

// whenFolded calls fn, and again once a fold has ended that kept it from changing the catalog: a fold is no job, which a
// caller could wait for.
func (e *Engine) whenFolded(ctx context.Context, group string, fn func() error) error {
	err := fn()
	if !errors.Is(err, store.ErrImporting) {
		return err
	}
	unlock, err := e.turns.lock(ctx, group)
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.store.EndImports(ctx, group); err != nil {
		return err
	}
	return fn()
}

func (e *Engine) dataset(tx *store.Tx, d store.Dataset) (Dataset, error) {
	out := Dataset{
		Name: d.Name, ARN: e.datasetARN(d.Group, d.Type), GroupARN: e.groupARN(d.Group), SchemaARN: e.schemaARN(d.Schema),
		Type: d.Type, Created: d.Created, Updated: d.Updated, Tags: jobTags(d.Tags),
	}
	if u := d.Update; u != nil {
		out.Latest = &DatasetUpdate{SchemaARN: e.schemaARN(u.Schema), Created: u.Created, Updated: u.Updated}
	}
	if d.Type == Interactions {
		t, err := tx.EventTrackerOf(d.Group)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		out.TrackingID = t.TrackingID
	}
	return out, nil
}
