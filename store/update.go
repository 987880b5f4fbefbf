package store

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// DatasetUpdate is a change of a dataset's schema.
type DatasetUpdate struct {
	Schema  string    `json:"schema"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// ErrSchema is returned by [Tx.UpdateDataset] for a schema that the dataset can't move to. The text says why.
var ErrSchema = errors.New("dataset can't move to the schema")

// UpdateDataset gives a Users or Items dataset another schema. It has to keep all fields of the old one, with their types
// and attributes, and its new fields have to allow null: that is what the rows that are there have in them. No row is
// rewritten: new columns are stored after the old ones, and a block that lacks them reads as nulls. Errors: [ErrNotFound],
// [ErrSchema] with every problem; [ErrInUse] while an import into it is in flight.
func (tx *Tx) UpdateDataset(group string, t DatasetType, schema string, now time.Time) (Dataset, error) {
	d, err := tx.Dataset(group, t)
	if err != nil {
		return d, err
	}
	s, err := tx.Schema(schema)
	if err != nil {
		return d, err
	}
	if busy, err := tx.importingInto(d.ID); err != nil || busy {
		return d, errors.Join(err, fmt.Errorf("dataset %s of group %s is %w: %w: wait for it", t, group, ErrInUse, ErrImporting))
	}
	added, err := movesTo(d, s)
	if err != nil {
		return d, err
	}
	stored := d.Stored
	if stored == nil {
		for _, f := range d.Fields {
			stored = append(stored, f.Name)
		}
	}
	d.Schema, d.Fields, d.Stored, d.Updated = s.Name, s.Fields, append(stored, added...), now
	d.Update = &DatasetUpdate{Schema: s.Name, Created: now, Updated: now}
	if _, err := d.layout(); err != nil {
		return d, err
	}
	return d, tx.putDataset(d)
}

// movesTo returns the names of the fields that a schema adds to a dataset's, or why the dataset can't move to it.
func movesTo(d Dataset, s Schema) (added []string, err error) {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if d.Type == Interactions {
		refuse("the schema of an %s dataset can't be changed: make another dataset", d.Type)
	}
	if s.Type != string(d.Type) {
		refuse("schema %s is for a dataset of type %s: give one for %s", s.Name, s.Type, d.Type)
	}
	fields := make(map[string]Field)
	for _, f := range s.Fields {
		fields[f.Name] = f
	}
	old := make(map[string]bool)
	for _, f := range d.Fields {
		old[f.Name] = true
		switch to, ok := fields[f.Name]; {
		case !ok:
			refuse("field %s is missing: keep it", f.Name)
		case to.Type != f.Type || to.Nullable != f.Nullable || !maps.Equal(to.Metadata, f.Metadata):
			refuse("field %s has another type or attribute: keep those that it has", f.Name)
		}
	}
	for _, f := range s.Fields {
		if old[f.Name] {
			continue
		}
		if !f.Nullable {
			refuse("field %s is new: its type has to allow null", f.Name)
		}
		added = append(added, f.Name)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrSchema, errors.Join(errs...))
	}
	return added, nil
}
