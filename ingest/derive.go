package ingest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// domainFields are the fields that the service's two domains reserve beyond
// those of a custom group. Their types agree between the domains. They allow
// null, as most of them do there: without a schema nobody promised values.
var domainFields = map[DatasetType]map[string]Field{
	Users: byName(category("SUBSCRIPTION_MODEL")),
	Items: byName(
		number("PRICE"), number("DURATION"), number("AVERAGE_RATING"),
		category("GENRES"), category("GENRE_L2"), category("GENRE_L3"),
		category("CONTENT_OWNER"), category("CONTENT_CLASSIFICATION"),
		category("CATEGORY_L1"), category("CATEGORY_L2"), category("CATEGORY_L3"),
		category("AGE_GROUP"), category("ADULT"), category("GENDER"),
		Field{Name: "PRODUCT_DESCRIPTION", Type: String, Nullable: true, Textual: true},
	),
}

func category(name string) Field {
	return Field{Name: name, Type: String, Nullable: true, Categorical: true}
}

func number(name string) Field { return Field{Name: name, Type: Float, Nullable: true} }

// DeriveSchema makes a schema for files that come without one, from their
// header: columns with a reserved name get its meaning, all others are strings
// that may be null. The header has to pass the rules of [ParseSchema]. Errors
// give the positions of columns and never their names unless they are required
// ones: without a header, the first line is data.
func DeriveSchema(t DatasetType, header []string) (*Schema, error) {
	r := rulesOf(t)
	if r == nil {
		return nil, fmt.Errorf("derive schema: dataset type %q is not supported; give Users, Items or Interactions", t)
	}
	columns := make(map[string]int, len(header))
	var invalid, repeated []int
	for i, name := range header {
		key := strings.ReplaceAll(name, "_", "")
		_, again := columns[key]
		switch {
		case !isFieldName(name) || key == "":
			invalid = append(invalid, i+1)
		case again:
			repeated = append(repeated, i+1)
		default:
			columns[key] = i
		}
	}
	var missing []string
	for _, f := range r.required {
		if i, ok := columns[strings.ReplaceAll(f.Name, "_", "")]; !ok || header[i] != f.Name {
			missing = append(missing, f.Name)
		}
	}
	switch {
	case len(missing) > 0:
		return nil, fmt.Errorf("derive schema: %s", missingColumns(missing))
	case len(invalid) > 0:
		return nil, fmt.Errorf("derive schema: the name of column %s is not a letter or underscore, then letters, digits and underscores; rename it",
			positions(invalid))
	case len(repeated) > 0:
		return nil, fmt.Errorf("derive schema: column %s has the name of a column before it (underscores don't count); rename it",
			positions(repeated))
	}

	required := byName(r.required...)
	fields := make([]Field, len(header))
	for i, name := range header {
		if f, ok := required[name]; ok {
			fields[i] = f
		} else if f, ok := r.reserved[name]; ok {
			fields[i] = f
		} else if f, ok := domainFields[t][name]; ok {
			fields[i] = f
		} else {
			fields[i] = Field{Name: name, Type: String, Nullable: true}
		}
	}
	s, err := ParseSchema(marshalSchema(r.name, fields))
	if err != nil {
		return nil, fmt.Errorf("derive schema: %w", err)
	}
	return s, nil
}

func marshalSchema(name string, fields []Field) []byte {
	type avroField struct {
		Name        string `json:"name"`
		Type        any    `json:"type"`
		Categorical bool   `json:"categorical,omitempty"`
		Textual     bool   `json:"textual,omitempty"`
	}
	record := struct {
		Type      string      `json:"type"`
		Name      string      `json:"name"`
		Namespace string      `json:"namespace"`
		Fields    []avroField `json:"fields"`
		Version   string      `json:"version"`
	}{Type: "record", Name: name, Namespace: schemaNamespace, Version: "1.0"}
	for _, f := range fields {
		a := avroField{Name: f.Name, Type: f.Type, Categorical: f.Categorical, Textual: f.Textual}
		if f.Nullable {
			a.Type = [2]FieldType{"null", f.Type}
		}
		record.Fields = append(record.Fields, a)
	}
	b, err := json.Marshal(record)
	if err != nil {
		panic(err) // strings and booleans: there is nothing that can fail
	}
	return b
}

func isFieldName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// missingColumns is worded as the compatible service words it.
func missingColumns(names []string) string {
	return fmt.Sprintf("Input CSV is missing the following columns: [%s]; write the column names into the first line",
		strings.Join(names, ", "))
}

// positions lists columns, from 1, and cuts the list where it gets long.
func positions(columns []int) string {
	const most = 10
	var b strings.Builder
	for i, c := range columns {
		if i == most {
			b.WriteString(" and others")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, c)
	}
	return b.String()
}
