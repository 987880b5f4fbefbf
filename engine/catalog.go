package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// DatasetGroup is the unit that a deletion works on: at most one dataset of each type.
type DatasetGroup struct {
	Name    string
	ARN     string
	Created time.Time
	Tags    []Tag
}

// Schema is a named schema. Avro is its text, unchanged.
type Schema struct {
	Name    string
	ARN     string
	Type    DatasetType
	Avro    string
	Created time.Time
}

// Dataset is one dataset of a group.
type Dataset struct {
	Name      string
	ARN       string
	GroupARN  string
	SchemaARN string
	Type      DatasetType
	Created   time.Time
	Tags      []Tag
}

// Kinds of ARNs besides those of jobs.
const (
	kindGroup   = "dataset-group"
	kindSchema  = "schema"
	kindDataset = "dataset"
)

func (e *Engine) groupARN(name string) string { return e.account.ARN(kindGroup, name) }

func (e *Engine) datasetARN(group string, t DatasetType) string {
	return e.account.ARN(kindDataset, group+"/"+string(t))
}

// groupName returns the name in an ARN of a group, or s itself.
func (e *Engine) groupName(s string) string {
	return strings.TrimPrefix(s, e.groupARN(""))
}

// CreateDatasetGroup adds a dataset group. Names have 1 to 63 letters, digits, - and _, and begin with a letter or
// digit; they are unique in the store. Errors: [ErrInvalid], [ErrExists].
func (e *Engine) CreateDatasetGroup(ctx context.Context, name string, tags ...Tag) (DatasetGroup, error) {
	if err := errors.Join(jobs.ValidateName("name", name), jobs.ValidateTags(tags)); err != nil {
		return DatasetGroup{}, err
	}
	var g store.Group
	err := e.store.Update(ctx, func(tx *store.Tx) (err error) {
		g, err = tx.CreateGroup(store.Group{Name: name, Tags: storeTags(tags), Created: now()})
		return err
	})
	return e.group(g), mapError(err)
}

// DatasetGroup returns a group by its name or ARN. Errors: [ErrNotFound].
func (e *Engine) DatasetGroup(ctx context.Context, nameOrARN string) (DatasetGroup, error) {
	var g store.Group
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		g, err = tx.Group(e.groupName(nameOrARN))
		return err
	})
	return e.group(g), mapError(err)
}

// DatasetGroups returns all groups, by name.
func (e *Engine) DatasetGroups(ctx context.Context) (out []DatasetGroup, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		groups, err := tx.Groups()
		for _, g := range groups {
			out = append(out, e.group(g))
		}
		return err
	})
	return out, err
}

// CreateSchema adds a schema in Avro JSON, by the rules of the service that Expunge is compatible with. The error lists
// every rule that is broken. Errors: [ErrInvalid], [ErrExists].
func (e *Engine) CreateSchema(ctx context.Context, name string, avro []byte) (Schema, error) {
	parsed, err := ingest.ParseSchema(avro)
	if err != nil {
		err = ofKind(ErrInvalid, err)
	}
	if err := errors.Join(jobs.ValidateName("name", name), err); err != nil {
		return Schema{}, err
	}
	fields, err := store.FieldsOf(parsed.Arrow())
	if err != nil {
		return Schema{}, err
	}
	s := store.Schema{Name: name, Definition: string(avro), Type: string(parsed.Type), Fields: fields, Created: now()}
	err = e.store.Update(ctx, func(tx *store.Tx) error { return tx.CreateSchema(s) })
	return e.schema(s), mapError(err)
}

// Schema returns a schema by its name. Errors: [ErrNotFound].
func (e *Engine) Schema(ctx context.Context, name string) (Schema, error) {
	var s store.Schema
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		s, err = tx.Schema(strings.TrimPrefix(name, e.account.ARN(kindSchema, "")))
		return err
	})
	return e.schema(s), mapError(err)
}

// NewDataset is what a dataset is created from.
type NewDataset struct {
	Name   string
	Group  string // name or ARN
	Type   DatasetType
	Schema string // name or ARN; its type must be Type
	Tags   []Tag
}

// CreateDataset adds a dataset to a group. Errors: [ErrInvalid], [ErrNotFound], [ErrExists] if the group has one of that
// type.
func (e *Engine) CreateDataset(ctx context.Context, d NewDataset) (Dataset, error) {
	if err := errors.Join(jobs.ValidateName("name", d.Name), jobs.ValidateTags(d.Tags)); err != nil {
		return Dataset{}, err
	}
	var out store.Dataset
	err := e.store.Update(ctx, func(tx *store.Tx) error {
		s, err := tx.Schema(strings.TrimPrefix(d.Schema, e.account.ARN(kindSchema, "")))
		if err != nil {
			return err
		}
		if s.Type != string(d.Type) {
			return ofKind(ErrInvalid, fmt.Errorf("schema %s is for a dataset of type %s: give one for %s", s.Name, s.Type, d.Type))
		}
		out, err = tx.CreateDataset(store.Dataset{
			Group: e.groupName(d.Group), Type: d.Type, Name: d.Name, Schema: s.Name, Tags: storeTags(d.Tags), Created: now(),
		})
		return err
	})
	return e.dataset(out), mapError(err)
}

// Dataset returns a dataset of a group. Errors: [ErrNotFound].
func (e *Engine) Dataset(ctx context.Context, group string, t DatasetType) (Dataset, error) {
	var d store.Dataset
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		d, err = tx.Dataset(e.groupName(group), t)
		return err
	})
	return e.dataset(d), mapError(err)
}

func (e *Engine) group(g store.Group) DatasetGroup {
	return DatasetGroup{Name: g.Name, ARN: e.groupARN(g.Name), Created: g.Created, Tags: jobTags(g.Tags)}
}

func (e *Engine) schema(s store.Schema) Schema {
	return Schema{
		Name: s.Name, ARN: e.account.ARN(kindSchema, s.Name), Type: DatasetType(s.Type), Avro: s.Definition, Created: s.Created,
	}
}

func (e *Engine) dataset(d store.Dataset) Dataset {
	return Dataset{
		Name: d.Name, ARN: e.datasetARN(d.Group, d.Type), GroupARN: e.groupARN(d.Group),
		SchemaARN: e.account.ARN(kindSchema, d.Schema), Type: d.Type, Created: d.Created, Tags: jobTags(d.Tags),
	}
}

func storeTags(tags []Tag) (out []store.Tag) {
	for _, t := range tags {
		out = append(out, store.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

func jobTags(tags []store.Tag) (out []Tag) {
	for _, t := range tags {
		out = append(out, Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// now is the time as it is stored: UTC, to the millisecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
