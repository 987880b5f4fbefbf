package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// Domain is what the datasets of a group are about, which gives their schemas more rules: "" (none), "ECOMMERCE" or
// "VIDEO_ON_DEMAND".
type Domain = string

// NewDatasetGroup is what a dataset group is created from.
type NewDatasetGroup struct {
	Name               string // unique in the store: 1 to 63 letters, digits, - and _; it begins with a letter or digit
	Domain             Domain
	RoleARN, KMSKeyARN string // kept and shown, never used
	Tags               []Tag
}

// DatasetGroup is the unit that a deletion works on: at most one dataset of each type.
type DatasetGroup struct {
	Name               string
	ARN                string
	Domain             Domain
	RoleARN, KMSKeyARN string
	Created, Updated   time.Time
	Tags               []Tag
}

// NewSchema is what a schema is created from.
type NewSchema struct {
	Name   string // as a group's
	Avro   []byte // Avro JSON
	Domain Domain
}

// Schema is a named schema. Avro is its text, unchanged; it never changes.
type Schema struct {
	Name             string
	ARN              string
	Domain           Domain
	Type             DatasetType
	Avro             string
	Created, Updated time.Time
}

// Kinds of ARNs besides those of jobs.
const (
	kindGroup   = "dataset-group"
	kindSchema  = "schema"
	kindDataset = "dataset"
	kindTracker = "event-tracker"
)

func (e *Engine) groupARN(name string) string { return e.account.ARN(kindGroup, name) }

// groupName returns the name in an ARN of a group, or s itself.
func (e *Engine) groupName(s string) string {
	return strings.TrimPrefix(s, e.groupARN(""))
}

func (e *Engine) schemaARN(name string) string { return e.account.ARN(kindSchema, name) }

// schemaName returns the name in an ARN of a schema, or s itself.
func (e *Engine) schemaName(s string) string {
	return strings.TrimPrefix(s, e.schemaARN(""))
}

// CreateDatasetGroup adds a dataset group. Errors: [ErrInvalid], [ErrExists].
func (e *Engine) CreateDatasetGroup(ctx context.Context, n NewDatasetGroup) (DatasetGroup, error) {
	if err := errors.Join(jobs.ValidateName("name", n.Name), checkDomain(n.Domain), jobs.ValidateTags(n.Tags)); err != nil {
		return DatasetGroup{}, err
	}
	var g store.Group
	err := e.store.Update(ctx, func(tx *store.Tx) (err error) {
		g, err = tx.CreateGroup(store.Group{
			Name: n.Name, Domain: n.Domain, Role: n.RoleARN, Key: n.KMSKeyARN, Tags: storeTags(n.Tags), Created: now(),
		})
		return err
	})
	return e.group(g), mapError(err)
}

func checkDomain(d Domain) error {
	switch d {
	case "", ingest.ECommerce, ingest.VideoOnDemand:
		return nil
	}
	return ofKind(ErrInvalid, fmt.Errorf("no such domain: use %s or %s, or none", ingest.ECommerce, ingest.VideoOnDemand))
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

// DatasetGroups returns all groups, newest first.
func (e *Engine) DatasetGroups(ctx context.Context) (out []DatasetGroup, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		groups, err := tx.Groups()
		newestFirst(groups, func(g store.Group) (time.Time, uint32) { return g.Created, g.ID })
		for _, g := range groups {
			out = append(out, e.group(g))
		}
		return err
	})
	return out, err
}

// newestFirst sorts resources by their time of creation, and those of one millisecond by their numbers.
func newestFirst[T any](all []T, by func(T) (time.Time, uint32)) {
	slices.SortFunc(all, func(a, b T) int {
		at, an := by(a)
		bt, bn := by(b)
		return cmp.Or(bt.Compare(at), cmp.Compare(bn, an))
	})
}

// DeleteDatasetGroup removes a group, and with it the users that it suppresses. Its finished jobs and its receipts stay.
// Errors: [ErrNotFound]; [ErrInUse] while it has datasets, an event tracker or unfinished jobs.
func (e *Engine) DeleteDatasetGroup(ctx context.Context, nameOrARN string) error {
	name := e.groupName(nameOrARN)
	return e.whenFolded(ctx, name, func() error {
		return e.remove(ctx, func(tx *store.Tx) error {
			if _, err := tx.Group(name); err != nil {
				return err
			}
			if err := unlessUsed(tx, "dataset group "+name, func(j Job) bool { return j.GroupARN == e.groupARN(name) }); err != nil {
				return err
			}
			return tx.DeleteGroup(name)
		})
	})
}

// remove runs a transaction that removes something with rows or IDs, whose bytes then leave the disk in the background.
func (e *Engine) remove(ctx context.Context, fn func(*store.Tx) error) error {
	if e.runner == nil {
		return ErrReadOnly
	}
	if err := e.store.Update(ctx, fn); err != nil {
		return mapError(err)
	}
	e.setReplaced()
	e.runner.Wake()
	return nil
}

// unlessUsed is an [ErrInUse] if an unfinished job uses a resource.
func unlessUsed(tx *store.Tx, what string, uses func(Job) bool) error {
	open, err := jobs.Unfinished(jobTx{tx.KV()})
	if err != nil {
		return err
	}
	for _, j := range open {
		if uses(j) {
			return fmt.Errorf("%s is %w: job %s is %s: wait until it has finished", what, ErrInUse, j.Name, j.Status)
		}
	}
	return nil
}

// CreateSchema adds a schema in Avro JSON, by the rules of the service that Expunge is compatible with. The error lists
// every rule that is broken. Errors: [ErrInvalid], [ErrExists].
func (e *Engine) CreateSchema(ctx context.Context, n NewSchema) (Schema, error) {
	parsed, err := ingest.ParseSchema(n.Avro)
	if err == nil && checkDomain(n.Domain) == nil {
		err = parsed.CheckDomain(n.Domain)
	}
	if err != nil {
		err = ofKind(ErrInvalid, err)
	}
	if err := errors.Join(jobs.ValidateName("name", n.Name), checkDomain(n.Domain), err); err != nil {
		return Schema{}, err
	}
	fields, err := store.FieldsOf(parsed.Arrow())
	if err != nil {
		return Schema{}, err
	}
	s := store.Schema{
		Name: n.Name, Domain: n.Domain, Definition: string(n.Avro), Type: string(parsed.Type), Fields: fields, Created: now(),
	}
	err = e.store.Update(ctx, func(tx *store.Tx) error { return tx.CreateSchema(s) })
	return e.schema(s), mapError(err)
}

// Schema returns a schema by its name or ARN. Errors: [ErrNotFound].
func (e *Engine) Schema(ctx context.Context, nameOrARN string) (Schema, error) {
	var s store.Schema
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		s, err = tx.Schema(e.schemaName(nameOrARN))
		return err
	})
	return e.schema(s), mapError(err)
}

// Schemas returns all schemas, newest first.
func (e *Engine) Schemas(ctx context.Context) (out []Schema, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		schemas, err := tx.Schemas()
		newestFirst(schemas, func(s store.Schema) (time.Time, uint32) { return s.Created, s.ID })
		for _, s := range schemas {
			out = append(out, e.schema(s))
		}
		return err
	})
	return out, err
}

// DeleteSchema removes a schema. Errors: [ErrNotFound]; [ErrInUse] while a dataset refers to it.
func (e *Engine) DeleteSchema(ctx context.Context, nameOrARN string) error {
	return mapError(e.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteSchema(e.schemaName(nameOrARN)) }))
}

func (e *Engine) group(g store.Group) DatasetGroup {
	return DatasetGroup{
		Name: g.Name, ARN: e.groupARN(g.Name), Domain: g.Domain, RoleARN: g.Role, KMSKeyARN: g.Key,
		Created: g.Created, Updated: g.Updated, Tags: jobTags(g.Tags),
	}
}

func (e *Engine) schema(s store.Schema) Schema {
	return Schema{
		Name: s.Name, ARN: e.schemaARN(s.Name), Domain: s.Domain, Type: DatasetType(s.Type), Avro: s.Definition,
		Created: s.Created, Updated: s.Created,
	}
}

// now is the time as it is stored: UTC, to the millisecond.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
