package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/twmb/avro"
)

const (
	schemaNamespace     = "com.amazonaws.personalize.schema"
	maxSchemaCharacters = 20000
)

// DatasetType is the kind of a dataset.
type DatasetType string

// The kinds of datasets.
const (
	Users        DatasetType = "USERS"
	Items        DatasetType = "ITEMS"
	Interactions DatasetType = "INTERACTIONS"
)

// ParseDatasetType reads a dataset type in any case.
func ParseDatasetType(s string) (DatasetType, error) {
	t := DatasetType(strings.ToUpper(s))
	if rulesOf(t) == nil {
		return "", fmt.Errorf("dataset type %q is not supported; give Users, Items or Interactions", s)
	}
	return t, nil
}

// FieldType is the type of a field's values, by its Avro name.
type FieldType string

// The types of fields, and the Arrow types that they are read as.
const (
	String  FieldType = "string"  // arrow.String
	Int     FieldType = "int"     // arrow.Int32
	Long    FieldType = "long"    // arrow.Int64
	Float   FieldType = "float"   // arrow.Float32
	Double  FieldType = "double"  // arrow.Float64
	Boolean FieldType = "boolean" // arrow.Boolean
)

var arrowTypes = map[FieldType]arrow.DataType{
	String:  arrow.BinaryTypes.String,
	Int:     arrow.PrimitiveTypes.Int32,
	Long:    arrow.PrimitiveTypes.Int64,
	Float:   arrow.PrimitiveTypes.Float32,
	Double:  arrow.PrimitiveTypes.Float64,
	Boolean: arrow.FixedWidthTypes.Boolean,
}

// Field is a column of a dataset.
type Field struct {
	Name        string
	Type        FieldType
	Nullable    bool
	Categorical bool
	Textual     bool
}

// Schema is the columns of a dataset. It must not be changed.
type Schema struct {
	Type   DatasetType
	Fields []Field

	json []byte
}

// JSON returns the schema in Avro JSON: the very bytes that ParseSchema was
// given, or what DeriveSchema wrote. The caller owns them.
func (s *Schema) JSON() []byte { return slices.Clone(s.json) }

// Arrow returns the schema of the records that a [DatasetReader] reads. Fields
// that are categorical or textual have a metadata entry of that name, with the
// value "true".
func (s *Schema) Arrow() *arrow.Schema {
	fields := make([]arrow.Field, len(s.Fields))
	for i, f := range s.Fields {
		var keys, values []string
		if f.Categorical {
			keys, values = append(keys, "categorical"), append(values, "true")
		}
		if f.Textual {
			keys, values = append(keys, "textual"), append(values, "true")
		}
		fields[i] = arrow.Field{
			Name:     f.Name,
			Type:     arrowTypes[f.Type],
			Nullable: f.Nullable,
			Metadata: arrow.NewMetadata(keys, values),
		}
	}
	return arrow.NewSchema(fields, nil)
}

// ParseSchema reads a schema in Avro JSON. The error joins all broken rules,
// each with the name of its field and what to do. Strict is only what the
// compatible service states: reserved fields other than the required ones may
// allow null or not, and attributes that mean nothing here are passed over.
func ParseSchema(avroJSON []byte) (*Schema, error) {
	if utf8.RuneCount(avroJSON) > maxSchemaCharacters {
		return nil, fmt.Errorf("parse schema: longer than %d characters; shorten it", maxSchemaCharacters)
	}
	parsed, err := avro.Parse(string(avroJSON))
	if err != nil {
		return nil, fmt.Errorf("parse schema: not a valid Avro schema: %w", err)
	}
	root := parsed.Root()
	if root.Type != "record" {
		return nil, fmt.Errorf("parse schema: type is %q; it has to be record", root.Type)
	}

	var broken []error
	refuse := func(format string, args ...any) {
		broken = append(broken, fmt.Errorf("parse schema: "+format, args...))
	}
	namespace, name := root.Namespace, root.Name
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		namespace, name = name[:dot], name[dot+1:]
	}
	if namespace != schemaNamespace {
		refuse("namespace is %q; it has to be %s", namespace, schemaNamespace)
	}
	s := &Schema{json: slices.Clone(avroJSON)}
	rules := rulesNamed(name)
	if rules == nil {
		refuse("name is %q; it has to be Interactions, Users or Items", name)
	} else {
		s.Type = rules.dataset
	}

	for _, node := range root.Fields {
		f, problem := parseField(node)
		if problem != "" {
			refuse("field %s: %s", node.Name, problem)
			// It goes on with its name, so that it isn't reported as missing too.
		}
		s.Fields = append(s.Fields, f)
	}
	broken = append(broken, checkNames(s.Fields)...)
	if rules != nil {
		broken = append(broken, rules.check(s.Fields)...)
	}
	if len(broken) > 0 {
		return nil, errors.Join(broken...)
	}
	return s, nil
}

// parseField returns a field, with an empty type if that is the problem.
func parseField(node avro.SchemaField) (f Field, problem string) {
	f.Name = node.Name
	f.Type, f.Nullable = parseType(node.Type)
	if f.Type == "" {
		return f, "type is not supported; use string, int, long, float, double or boolean, or a union of null and one of them"
	}
	for _, a := range []struct {
		name string
		to   *bool
	}{{"categorical", &f.Categorical}, {"textual", &f.Textual}} {
		value, ok := node.Props[a.name]
		if !ok {
			continue
		}
		if *a.to, ok = value.(bool); !ok {
			return f, a.name + " is neither true nor false; write it without quotes"
		}
	}
	if f.Textual && f.Type != String {
		return f, "textual on a type that is not string; remove it, or make the type string"
	}
	return f, ""
}

// parseType returns an empty type for what is not supported.
func parseType(node avro.SchemaNode) (t FieldType, nullable bool) {
	if node.Type == "union" {
		b := node.Branches
		if len(b) != 2 {
			return "", false
		}
		switch "null" {
		case b[0].Type:
			node = b[1]
		case b[1].Type:
			node = b[0]
		default:
			return "", false
		}
		nullable = true
	}
	t = FieldType(node.Type)
	if arrowTypes[t] == nil {
		return "", nullable
	}
	return t, nullable
}

// checkNames finds names that differ in underscores alone, which don't count.
// Equal names and invalid characters are found by the Avro parser.
func checkNames(fields []Field) (broken []error) {
	seen := make(map[string]string)
	for _, f := range fields {
		key := strings.ReplaceAll(f.Name, "_", "")
		if key == "" {
			broken = append(broken, fmt.Errorf("parse schema: field %s: has no letter; rename it", f.Name))
		} else if first, ok := seen[key]; ok {
			broken = append(broken, fmt.Errorf(
				"parse schema: field %s: is the same name as %s, since underscores don't count; rename one", f.Name, first))
		}
		seen[key] = f.Name
	}
	return broken
}
