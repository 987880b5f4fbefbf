package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
)

// DatasetType is what a dataset holds. A group has at most one dataset of each type.
type DatasetType string

// The types of datasets.
const (
	Users        DatasetType = "USERS"
	Items        DatasetType = "ITEMS"
	Interactions DatasetType = "INTERACTIONS"
)

// Columns with a meaning of their own.
const (
	ColumnUserID    = "USER_ID"
	ColumnItemID    = "ITEM_ID"
	ColumnTimestamp = "TIMESTAMP"
)

// Group is a dataset group: the unit that a deletion works on. IDs of users and items mean the same in all its datasets.
type Group struct {
	ID      uint32    `json:"id"`
	Name    string    `json:"name"`
	Domain  string    `json:"domain,omitempty"`
	Role    string    `json:"role,omitempty"` // kept and shown, never used; as is Key
	Key     string    `json:"key,omitempty"`
	Tags    []Tag     `json:"tags,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Sweep is set after an import replaced a layer, until the dictionaries were searched for IDs that nothing refers
	// to any more.
	Sweep bool `json:"sweep,omitempty"`
	// Suppress says that users whom deletions list are left out of later imports. Suppressing is the job whose users don't
	// count yet.
	Suppress    bool   `json:"suppress,omitempty"`
	Suppressing uint64 `json:"suppressing,omitempty"`
}

// Schema is a named schema. Definition is the text that it was created from, unchanged.
type Schema struct {
	ID         uint32    `json:"id"`
	Name       string    `json:"name"`
	Domain     string    `json:"domain,omitempty"`
	Definition string    `json:"definition"`
	Type       string    `json:"type"`
	Fields     []Field   `json:"fields"`
	Created    time.Time `json:"created"`
}

// Field is a column of a schema.
type Field struct {
	Name     string    `json:"name"`
	Type     FieldType `json:"type"`
	Nullable bool      `json:"nullable,omitempty"`
	// Metadata is kept for the Arrow field and not looked at.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// FieldType is the type of a column's values.
type FieldType string

// The types that a column can have.
const (
	TypeString  FieldType = "string"
	TypeInt32   FieldType = "int"
	TypeInt64   FieldType = "long"
	TypeFloat32 FieldType = "float"
	TypeFloat64 FieldType = "double"
	TypeBool    FieldType = "boolean"
)

var arrowTypes = map[FieldType]arrow.DataType{
	TypeString: arrow.BinaryTypes.String, TypeInt32: arrow.PrimitiveTypes.Int32, TypeInt64: arrow.PrimitiveTypes.Int64,
	TypeFloat32: arrow.PrimitiveTypes.Float32, TypeFloat64: arrow.PrimitiveTypes.Float64, TypeBool: arrow.FixedWidthTypes.Boolean,
}

// FieldsOf returns the columns of an Arrow schema. Types other than string, int32, int64, float32, float64 and bool are
// an error.
func FieldsOf(as *arrow.Schema) ([]Field, error) {
	fields := make([]Field, 0, as.NumFields())
	for _, f := range as.Fields() {
		t := FieldType("")
		for name, at := range arrowTypes {
			if arrow.TypeEqual(at, f.Type) {
				t = name
			}
		}
		if t == "" {
			return nil, fmt.Errorf("column %s: a store can't hold type %s", f.Name, f.Type)
		}
		fields = append(fields, Field{Name: f.Name, Type: t, Nullable: f.Nullable, Metadata: f.Metadata.ToMap()})
	}
	return fields, nil
}

// arrowSchema returns the Arrow schema of fields.
func arrowSchema(fields []Field) *arrow.Schema {
	afs := make([]arrow.Field, len(fields))
	for i, f := range fields {
		afs[i] = arrow.Field{Name: f.Name, Type: arrowTypes[f.Type], Nullable: f.Nullable}
		if len(f.Metadata) > 0 {
			afs[i].Metadata = arrow.MetadataFrom(f.Metadata)
		}
	}
	return arrow.NewSchema(afs, nil)
}

// Dataset is one dataset of a group.
type Dataset struct {
	ID      uint32      `json:"id"`
	GroupID uint32      `json:"groupId"`
	Group   string      `json:"group"`
	Type    DatasetType `json:"type"`
	Name    string      `json:"name"`
	Schema  string      `json:"schema"`
	Fields  []Field     `json:"fields"`
	// Stored are the names of the columns in the order in which blocks hold them, once an update of the schema made that
	// another than the order of Fields.
	Stored  []string  `json:"stored,omitempty"`
	Tags    []Tag     `json:"tags,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Layers are what imports made, oldest first, and Put are those of them that are individual.
	Layers []uint32 `json:"layers,omitempty"`
	Put    []uint32 `json:"put,omitempty"`
	// Killed is the epoch of the newest commit that made rows of a layer invisible.
	Killed uint64 `json:"killed,omitempty"`
	// Update is the newest change of the schema.
	Update *DatasetUpdate `json:"update,omitempty"`
}

func (d Dataset) layout() (*rowLayout, error) { return newRowLayout(d.Type, d.Fields, d.Stored) }

// ArrowSchema returns the Arrow schema of the dataset's rows.
func (d Dataset) ArrowSchema() *arrow.Schema { return arrowSchema(d.Fields) }

// Names in the catalog are names of resources, never of users, so they may be keys.
func groupKey(name string) []byte                   { return []byte("g/" + name) }
func schemaKey(name string) []byte                  { return []byte("s/" + name) }
func datasetKey(group string, t DatasetType) []byte { return []byte("d/" + group + "/" + string(t)) }

func (tx *Tx) getRecord(key []byte, v any) error {
	what := "catalog entry"
	b, err := getSealed(tx.b.Bucket(bucketCatalog), what, key)
	if err != nil {
		return err
	}
	if b == nil {
		return ErrNotFound
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &CorruptError{What: what, Problem: "can't be read", Err: err}
	}
	return nil
}

func (tx *Tx) hasRecord(key []byte) (bool, error) {
	v, err := getSealed(tx.b.Bucket(bucketCatalog), "catalog entry", key)
	return v != nil, err
}

func (tx *Tx) putRecord(key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return putSealed(tx.b.Bucket(bucketCatalog), key, b)
}

func records[T any](tx *Tx, prefix string, name func(T) string) ([]T, error) {
	var out []T
	c := tx.b.Bucket(bucketCatalog).Cursor()
	for k, v := c.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
		b, err := unseal("catalog entry", k, v)
		if err != nil {
			return nil, err
		}
		var r T
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, &CorruptError{What: "catalog entry", Problem: "can't be read", Err: err}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return out, nil
}

// CreateGroup adds a dataset group. Name, Domain, Role, Key, Tags, Suppress and Created are the caller's; the rest is filled in.
// Errors: [ErrExists].
func (tx *Tx) CreateGroup(g Group) (Group, error) {
	if exists, err := tx.hasRecord(groupKey(g.Name)); err != nil {
		return Group{}, err
	} else if exists {
		return Group{}, fmt.Errorf("dataset group %s: %w", g.Name, ErrExists)
	}
	g.ID, g.Updated, g.Sweep, g.Suppressing = tx.newID(), g.Created, false, 0
	return g, tx.putRecord(groupKey(g.Name), g)
}

// Group returns a dataset group. Errors: [ErrNotFound].
func (tx *Tx) Group(name string) (g Group, err error) {
	if err = tx.getRecord(groupKey(name), &g); err != nil {
		err = fmt.Errorf("dataset group %s: %w", name, err)
	}
	return g, err
}

// Groups returns all dataset groups, by name.
func (tx *Tx) Groups() ([]Group, error) {
	return records(tx, "g/", func(g Group) string { return g.Name })
}

// CreateSchema adds a schema, whose ID it fills in. Errors: [ErrExists].
func (tx *Tx) CreateSchema(s Schema) error {
	if exists, err := tx.hasRecord(schemaKey(s.Name)); err != nil {
		return err
	} else if exists {
		return fmt.Errorf("schema %s: %w", s.Name, ErrExists)
	}
	s.ID = tx.newID()
	return tx.putRecord(schemaKey(s.Name), s)
}

// Schema returns a schema. Errors: [ErrNotFound].
func (tx *Tx) Schema(name string) (s Schema, err error) {
	if err = tx.getRecord(schemaKey(name), &s); err != nil {
		err = fmt.Errorf("schema %s: %w", name, err)
	}
	return s, err
}

// Schemas returns all schemas, by name.
func (tx *Tx) Schemas() ([]Schema, error) {
	return records(tx, "s/", func(s Schema) string { return s.Name })
}

// CreateDataset adds a dataset with the columns of its schema. Group, Type, Name, Schema, Tags and Created are the
// caller's; the rest is filled in. Errors: [ErrExists] when the group has one of that type, [ErrNotFound] for the group
// or the schema.
func (tx *Tx) CreateDataset(d Dataset) (Dataset, error) {
	g, err := tx.Group(d.Group)
	if err != nil {
		return Dataset{}, err
	}
	s, err := tx.Schema(d.Schema)
	if err != nil {
		return Dataset{}, err
	}
	if _, err := newRowLayout(d.Type, s.Fields, nil); err != nil {
		return Dataset{}, err
	}
	key := datasetKey(d.Group, d.Type)
	if exists, err := tx.hasRecord(key); err != nil {
		return Dataset{}, err
	} else if exists {
		return Dataset{}, fmt.Errorf("dataset %s of group %s: %w", d.Type, d.Group, ErrExists)
	}
	d.ID, d.GroupID, d.Fields, d.Stored, d.Updated = tx.newID(), g.ID, s.Fields, nil, d.Created
	d.Layers, d.Put = nil, nil
	return d, tx.putRecord(key, d)
}

// Dataset returns a dataset. Errors: [ErrNotFound].
func (tx *Tx) Dataset(group string, t DatasetType) (d Dataset, err error) {
	if err = tx.getRecord(datasetKey(group, t), &d); err != nil {
		err = fmt.Errorf("dataset %s of group %s: %w", t, group, err)
	}
	return d, err
}

// Datasets returns the datasets of a group.
func (tx *Tx) Datasets(group string) ([]Dataset, error) {
	all, err := records(tx, "d/"+group+"/", func(d Dataset) string { return string(d.Type) })
	return slices.DeleteFunc(all, func(d Dataset) bool { return d.Group != group }), err // of a group "x/y"
}

func (tx *Tx) putDataset(d Dataset) error { return tx.putRecord(datasetKey(d.Group, d.Type), d) }
