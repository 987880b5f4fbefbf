package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Rows makes a record of rows that come one by one, with properties in JSON: what the events of the compatible service are.
// It is used for one record, by one goroutine.
//
// A property's key is the name of a field in camel case: numberOfRatings for NUMBER_OF_RATINGS. Its value is a string, a
// number or a boolean that the field's type can hold, under the rules of a CSV cell; numbers and booleans can be
// strings too. null, an empty string and a property that is missing are null.
type Rows struct {
	schema  *Schema
	fields  map[string]int // by property key
	columns []*column
	rows    int
}

// NewRows begins a record of at most so many rows.
func NewRows(schema *Schema, rows int) *Rows {
	r := &Rows{schema: schema, fields: make(map[string]int, len(schema.Fields))}
	rules := rulesOf(schema.Type)
	for i, f := range schema.Fields {
		r.fields[camelCase(f.Name)] = i
		r.columns = append(r.columns, newColumn(f, rules.isID(f.Name), rows))
	}
	return r
}

// camelCase returns the property key of a field.
func camelCase(field string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(field, "_") {
		part = strings.ToLower(part)
		if b.Len() > 0 && part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		b.WriteString(part)
	}
	return b.String()
}

// reservedProperties can't be properties of an interaction, in any case: an event has members for them.
var reservedProperties = map[string]bool{
	"userid": true, "sessionid": true, "eventtype": true, "timestamp": true, "recommendationid": true, "impression": true,
}

// Add adds a row. cells are the values of fields by name, as in a CSV file; those that the schema doesn't have are passed
// over. All others, and those that are empty, come from properties, a JSON object or nothing. The error says which field or
// property is wrong and why, and never holds a value; after it the rows are of no use.
func (r *Rows) Add(cells map[string]string, properties []byte) error {
	given := make([][]byte, len(r.columns))
	set := make([]bool, len(r.columns))
	for i, f := range r.schema.Fields {
		if cell, ok := cells[f.Name]; ok {
			given[i], set[i] = []byte(cell), cell != ""
		}
	}
	if len(properties) > 0 {
		if err := r.properties(properties, given, set); err != nil {
			return err
		}
	}
	for i, c := range r.columns {
		if problem := c.append(given[i]); problem != "" {
			return fmt.Errorf("field %s: %s", c.field.Name, problem)
		}
	}
	r.rows++
	return nil
}

var errProperties = errors.New("properties: not a JSON object of strings, numbers, booleans and nulls; nothing else can be in it")

// properties reads a JSON object. Errors of the decoder are left out: they can quote it.
func (r *Rows) properties(text []byte, given [][]byte, set []bool) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errProperties
	}
	for dec.More() {
		t, err := dec.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return errProperties
		}
		value, err := dec.Token()
		if err != nil {
			return errProperties
		}
		i, ok := r.fields[key]
		switch {
		case r.schema.Type == Interactions && reservedProperties[strings.ToLower(key)]:
			return fmt.Errorf("property %s: is reserved; give it as a member of the event", shown(key))
		case !ok:
			return fmt.Errorf("property %s: the schema has no such field; use the names of its fields in camel case", shown(key))
		case set[i]:
			return fmt.Errorf("property %s: its field %s has a value already; give it once", shown(key), r.schema.Fields[i].Name)
		}
		set[i] = true
		if given[i], ok = cellOf(r.schema.Fields[i].Type, value); !ok {
			return fmt.Errorf("property %s: wrong type; field %s is of type %s", shown(key), r.schema.Fields[i].Name, r.schema.Fields[i].Type)
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return errProperties
	}
	if _, err := dec.Token(); err != io.EOF {
		return errProperties
	}
	return nil
}

// shown returns a property's key for an error, if it can be the name of a field. Any other could be anybody's data.
func shown(key string) string {
	if len(key) == 0 || len(key) > 63 {
		return "(a key that is no name)"
	}
	for _, c := range []byte(key) {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "(a key that is no name)"
		}
	}
	return key
}

// cellOf returns a JSON value as a CSV file would have it; false if a field of that type can't hold it.
func cellOf(t FieldType, value json.Token) ([]byte, bool) {
	switch v := value.(type) {
	case nil:
		return nil, true
	case string:
		return []byte(v), true
	case json.Number:
		return []byte(v.String()), t != String && t != Boolean
	case bool:
		return fmt.Append(nil, v), t == Boolean
	}
	return nil, false // an object or an array
}

// Record returns the rows, in the order of the schema's fields. The caller releases it, and adds no more rows.
func (r *Rows) Record() arrow.Record {
	arrays := make([]arrow.Array, len(r.columns))
	for i, c := range r.columns {
		arrays[i] = c.array()
	}
	defer func() {
		for _, a := range arrays {
			a.Release()
		}
	}()
	return array.NewRecord(r.schema.Arrow(), arrays, int64(r.rows))
}
