package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
)

// avroJSON writes a schema; each field is JSON without its braces.
func avroJSON(name string, fields ...string) []byte {
	for i, f := range fields {
		fields[i] = "{" + f + "}"
	}
	return fmt.Appendf(nil, `{"type":"record","name":%q,"namespace":"com.amazonaws.personalize.schema","fields":[%s],"version":"1.0"}`,
		name, strings.Join(fields, ","))
}

const (
	userID    = `"name":"USER_ID","type":"string"`
	itemID    = `"name":"ITEM_ID","type":"string"`
	timestamp = `"name":"TIMESTAMP","type":"long"`
)

func TestParseSchema(t *testing.T) {
	in := avroJSON("Interactions", timestamp, itemID, userID,
		`"name":"EVENT_TYPE","type":["null","string"]`, `"name":"EVENT_VALUE","type":"float"`,
		`"name":"A1","type":["int","null"]`, `"name":"B","type":{"type":"double"},"categorical":true,"doc":"x"`,
		`"name":"C","type":"boolean","categorical":false`)
	s, err := ParseSchema(in)
	if err != nil {
		t.Fatal(err)
	}
	want := []Field{
		{Name: "TIMESTAMP", Type: Long}, {Name: "ITEM_ID", Type: String}, {Name: "USER_ID", Type: String},
		{Name: "EVENT_TYPE", Type: String, Nullable: true}, {Name: "EVENT_VALUE", Type: Float},
		{Name: "A1", Type: Int, Nullable: true}, {Name: "B", Type: Double, Categorical: true}, {Name: "C", Type: Boolean},
	}
	if s.Type != Interactions || fmt.Sprint(s.Fields) != fmt.Sprint(want) {
		t.Errorf("got %v; want %v", s.Fields, want)
	}
	if string(s.JSON()) != string(in) {
		t.Error("JSON is not what was given")
	}
	s.JSON()[0] = 'x'
	if s.JSON()[0] != '{' {
		t.Error("JSON hands out its own bytes")
	}

	for _, accepted := range [][]byte{
		avroJSON("Users", userID, `"name":"A","type":"string"`),
		avroJSON("Users", userID, `"name":"user_id","type":"string"`),
		avroJSON("Items", itemID, `"name":"A","type":["string","null"],"textual":true`),
		avroJSON("Items", itemID, `"name":"CREATION_TIMESTAMP","type":["null","long"]`),
		avroJSON("Interactions", userID, itemID, timestamp),
		[]byte(strings.Replace(string(avroJSON("com.amazonaws.personalize.schema.Users", userID, `"name":"A","type":"long"`)),
			`"namespace":"com.amazonaws.personalize.schema",`, "", 1)),
	} {
		if _, err := ParseSchema(accepted); err != nil {
			t.Errorf("%s: %v", accepted, err)
		}
	}
}

func TestParseSchemaErrors(t *testing.T) {
	many := func(n int, first ...string) []string {
		for i := range n {
			first = append(first, fmt.Sprintf(`"name":"M%d","type":"long"`, i))
		}
		return first
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want []string
	}{
		{"nothing", nil, []string{"not a valid Avro schema"}},
		{"no record", []byte(`"string"`), []string{"has to be record"}},
		{"twice the same", avroJSON("Users", userID, userID), []string{"USER_ID"}},
		{"characters", avroJSON("Users", userID, `"name":"A-B","type":"long"`), []string{"A-B"}},
		{"namespace", []byte(strings.Replace(string(avroJSON("Users", userID, `"name":"A","type":"long"`)), "amazonaws", "x", 1)), []string{"namespace"}},
		{"name", avroJSON("users", userID), []string{`name is "users"`}},
		{"actions", avroJSON("Actions", userID), []string{"Interactions, Users or Items"}},
		{"all at once", avroJSON("Interactions", `"name":"USER_ID","type":"long"`, `"name":"TIMESTAMP","type":["null","long"]`,
			`"name":"A","type":{"type":"array","items":"string"}`, `"name":"EVENT_TYPE","type":"string","categorical":true`,
			`"name":"EVENT_VALUE","type":"double"`, `"name":"B_C","type":"long"`, `"name":"BC_","type":"long"`),
			[]string{"field USER_ID: type has to be string", "field TIMESTAMP: type has to be long, without null", "field ITEM_ID: is missing",
				"field A: type is not supported", "field EVENT_TYPE: is reserved and can't be categorical",
				"field EVENT_VALUE: is reserved and its type has to be float", "field BC_: is the same name as B_C"}},
		{"null alone", avroJSON("Users", userID, `"name":"A","type":"null"`), []string{"field A: type"}},
		{"bytes", avroJSON("Users", userID, `"name":"A","type":"bytes"`), []string{"field A: type"}},
		{"nested", avroJSON("Users", userID, `"name":"A","type":{"type":"record","name":"R","fields":[]}`), []string{"field A: type"}},
		{"wide union", avroJSON("Users", userID, `"name":"A","type":["null","long","string"]`), []string{"field A: type"}},
		{"union without null", avroJSON("Users", userID, `"name":"A","type":["long","string"]`), []string{"field A: type"}},
		{"union of one", avroJSON("Users", userID, `"name":"A","type":["long"]`), []string{"field A: type"}},
		{"attribute", avroJSON("Users", userID, `"name":"A","type":"string","categorical":"true"`), []string{"field A: categorical"}},
		{"textual number", avroJSON("Items", itemID, `"name":"A","type":"long","textual":true`), []string{"field A: textual"}},
		{"textual user", avroJSON("Users", userID, `"name":"A","type":"string","textual":true`), []string{"field A: textual"}},
		{"two textual", avroJSON("Items", itemID, `"name":"A","type":"string","textual":true`, `"name":"B","type":"string","textual":true`), []string{"2 fields"}},
		{"no metadata", avroJSON("Users", userID), []string{"no metadata"}},
		{"no metadata", avroJSON("Items", itemID), []string{"no metadata"}},
		{"too many users' fields", avroJSON("Users", many(26, userID)...), []string{"26 metadata", "25"}},
		{"too many items' fields", avroJSON("Items", many(101, itemID)...), []string{"101 metadata", "100"}},
		{"too many interactions' fields", avroJSON("Interactions", many(6, userID, itemID, timestamp, `"name":"EVENT_VALUE","type":"float"`)...), []string{"6 metadata", "5"}},
		{"underscores", avroJSON("Users", userID, `"name":"__","type":"long"`), []string{"field __: has no letter"}},
		{"long", avroJSON("Users", userID, `"name":"A","type":"long","doc":"`+strings.Repeat("é", 20000)+`"`), []string{"20000 characters"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseSchema(tt.in)
			wantError(t, err, tt.want...)
		})
	}
	for _, in := range [][]byte{
		avroJSON("Users", many(25, userID)...), avroJSON("Items", many(100, itemID)...),
		avroJSON("Interactions", many(5, userID, itemID, timestamp, `"name":"EVENT_VALUE","type":"float"`)...),
	} {
		if _, err := ParseSchema(in); err != nil {
			t.Errorf("at the limit: %v", err)
		}
	}
}

func FuzzParseSchema(f *testing.F) {
	f.Add(avroJSON("Users", userID, `"name":"A","type":["null","long"]`))
	f.Add(avroJSON("Interactions", userID, itemID, timestamp, `"name":"A","type":{"type":"array","items":"int"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := ParseSchema(in)
		if (s == nil) == (err == nil) {
			t.Fatalf("got %v, %v", s, err)
		}
		if err == nil && s.Arrow().NumFields() != len(s.Fields) {
			t.Fatal("Arrow schema has other fields")
		}
	})
}

func TestDeriveSchema(t *testing.T) {
	for _, tt := range []struct {
		dataset DatasetType
		header  string
		json    string
	}{
		{Interactions, "TIMESTAMP,USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,Device_2",
			`{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[` +
				`{"name":"TIMESTAMP","type":"long"},{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},` +
				`{"name":"EVENT_TYPE","type":"string"},{"name":"EVENT_VALUE","type":["null","float"]},` +
				`{"name":"Device_2","type":["null","string"]}],"version":"1.0"}`},
		{Users, "USER_ID,SUBSCRIPTION_MODEL",
			`{"type":"record","name":"Users","namespace":"com.amazonaws.personalize.schema","fields":[` +
				`{"name":"USER_ID","type":"string"},{"name":"SUBSCRIPTION_MODEL","type":["null","string"],"categorical":true}],"version":"1.0"}`},
		{Items, "ITEM_ID,PRICE,CREATION_TIMESTAMP,PRODUCT_DESCRIPTION,GENRES",
			`{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[` +
				`{"name":"ITEM_ID","type":"string"},{"name":"PRICE","type":["null","float"]},{"name":"CREATION_TIMESTAMP","type":["null","long"]},` +
				`{"name":"PRODUCT_DESCRIPTION","type":["null","string"],"textual":true},{"name":"GENRES","type":["null","string"],"categorical":true}],"version":"1.0"}`},
	} {
		s, err := DeriveSchema(tt.dataset, strings.Split(tt.header, ","))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.JSON()); got != tt.json {
			t.Errorf("got %s; want %s", got, tt.json)
		}
		again, err := ParseSchema(s.JSON())
		if err != nil || fmt.Sprint(again.Fields) != fmt.Sprint(s.Fields) || again.Type != tt.dataset {
			t.Errorf("parsed again: %v, %v", again, err)
		}
	}
	// Every field that the tables know passes the rules.
	for _, r := range allRules {
		for _, table := range []map[string]Field{r.reserved, domainFields[r.dataset]} {
			for name, f := range table {
				header := []string{name}
				for _, f := range r.required {
					header = append(header, f.Name)
				}
				s, err := DeriveSchema(r.dataset, header)
				if err != nil || s.Fields[0] != f || f.Name != name {
					t.Errorf("%s %s: %v, %v", r.name, name, s, err)
				}
			}
		}
	}
}

func TestDeriveSchemaErrors(t *testing.T) {
	for _, tt := range []struct {
		dataset DatasetType
		header  string
		want    string
	}{
		{Interactions, "secret-1,secret-2,1400000000", "Input CSV is missing the following columns: [USER_ID, ITEM_ID, TIMESTAMP]"},
		{Interactions, "USER_ID,secret", "[ITEM_ID, TIMESTAMP]"},
		{Interactions, "user_id,ITEM_ID,TIMESTAMP", "[USER_ID]"},
		{Users, "USERID,SECRET", "[USER_ID]"},
		{Users, "USER_ID,se cret,A", "column 2 "},
		{Users, "USER_ID,,A", "column 2 "},
		{Users, "USER_ID,2secret,A,_", "column 2, 4 "},
		{Users, "USER_ID,A,USER_ID", "column 3 has the name"},
		{Users, "USER_ID,SECRET_1,SECRET1", "column 3 has the name"},
		{Users, "USER_ID", "no metadata"},
		{Interactions, "USER_ID,ITEM_ID,TIMESTAMP,SECRETA,SECRETB,C,D,E,F", "6 metadata"},
		{"ACTIONS", "USER_ID", "not supported"},
		{Users, "USER_ID" + strings.Repeat(",!", 20), "column 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and others"},
	} {
		_, err := DeriveSchema(tt.dataset, strings.Split(tt.header, ","))
		wantError(t, err, tt.want)
	}
}

func TestParseDatasetType(t *testing.T) {
	for s, want := range map[string]DatasetType{"users": Users, "Users": Users, "ITEMS": Items, "Interactions": Interactions, "actions": "", "": "", "User": ""} {
		got, err := ParseDatasetType(s)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", s, got, err)
		}
	}
}

func TestSchemaArrow(t *testing.T) {
	s, err := ParseSchema(avroJSON("Items", itemID, `"name":"A","type":["null","int"]`, `"name":"B","type":"long"`, `"name":"C","type":"float"`,
		`"name":"D","type":"double"`, `"name":"E","type":"boolean"`, `"name":"F","type":"string","categorical":true`, `"name":"G","type":"string","textual":true`))
	if err != nil {
		t.Fatal(err)
	}
	yes := func(name string) arrow.Metadata { return arrow.NewMetadata([]string{name}, []string{"true"}) }
	want := arrow.NewSchema([]arrow.Field{
		{Name: "ITEM_ID", Type: arrow.BinaryTypes.String},
		{Name: "A", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "B", Type: arrow.PrimitiveTypes.Int64},
		{Name: "C", Type: arrow.PrimitiveTypes.Float32},
		{Name: "D", Type: arrow.PrimitiveTypes.Float64},
		{Name: "E", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "F", Type: arrow.BinaryTypes.String, Metadata: yes("categorical")},
		{Name: "G", Type: arrow.BinaryTypes.String, Metadata: yes("textual")},
	}, nil)
	if got := s.Arrow(); !got.Equal(want) || got.Fingerprint() != want.Fingerprint() {
		t.Errorf("got %v; want %v", got, want)
	}
}

func TestCheckDomain(t *testing.T) {
	schema := func(name, fields string) *Schema {
		s, err := ParseSchema([]byte(`{"type":"record","name":"` + name + `","namespace":"com.amazonaws.personalize.schema","fields":[` + fields + `],"version":"1.0"}`))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	item, user := `{"name":"ITEM_ID","type":"string"}`, `{"name":"USER_ID","type":"string"}`
	for what, tc := range map[string]struct {
		s      *Schema
		domain string
		says   string // "" if it is right
	}{
		"none":        {schema("Items", item+`,{"name":"X","type":"int"}`), "", ""},
		"unknown":     {schema("Items", item+`,{"name":"X","type":"int"}`), "SHOES", "domain is unknown"},
		"users":       {schema("Users", user+`,{"name":"X","type":"int"}`), ECommerce, ""},
		"complete":    {schema("Items", item+`,{"name":"PRICE","type":["null","float"]},{"name":"CATEGORY_L1","type":"string","categorical":true}`), ECommerce, ""},
		"attribute":   {schema("Items", item+`,{"name":"PRICE","type":"float"},{"name":"CATEGORY_L1","type":"string"}`), ECommerce, "CATEGORY_L1: has to be"},
		"type":        {schema("Items", item+`,{"name":"PRICE","type":"double"},{"name":"CATEGORY_L1","type":"string","categorical":true}`), ECommerce, "PRICE: has to be of type float"},
		"missing":     {schema("Items", item+`,{"name":"CREATION_TIMESTAMP","type":"long"}`), VideoOnDemand, "GENRES: is missing"},
		"no type":     {schema("Interactions", user+`,`+item+`,{"name":"TIMESTAMP","type":"long"}`), VideoOnDemand, "EVENT_TYPE: is missing"},
		"with a type": {schema("Interactions", user+`,`+item+`,{"name":"TIMESTAMP","type":"long"},{"name":"EVENT_TYPE","type":"string"}`), VideoOnDemand, ""},
	} {
		err := tc.s.CheckDomain(tc.domain)
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", what, err, tc.says)
		}
	}
}
