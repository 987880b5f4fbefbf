package ingest

import (
	"fmt"
	"strings"
	"testing"
)

func propertiesSchema(t testing.TB) *Schema {
	s, err := ParseSchema([]byte(`{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"}, {"name":"ITEM_ID","type":"string"}, {"name":"TIMESTAMP","type":"long"},
		{"name":"EVENT_TYPE","type":"string"}, {"name":"EVENT_VALUE","type":["null","float"]},
		{"name":"NUMBER_OF_RATINGS","type":["null","int"]}, {"name":"MEMBERSHIP","type":["string","null"],"categorical":true},
		{"name":"Rated_By_Phone","type":["null","boolean"]}, {"name":"PRICE","type":["null","double"]}],"version":"1.0"}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var eventCells = map[string]string{"USER_ID": "ann", "ITEM_ID": "pen", "TIMESTAMP": "7", "EVENT_TYPE": "view", "PRICE": "", "IMPRESSION": "not in the schema"}

func TestRows(t *testing.T) {
	r := NewRows(propertiesSchema(t), 9)
	for _, properties := range []string{
		``, `{}`, `{"numberOfRatings":"12","membership":"gold|blue","ratedByPhone":true,"price":1e3,"eventValue":-2.5}`,
		` {"numberOfRatings": 12, "ratedByPhone":"FALSE", "price":"0.5","membership":null} `, `{"membership":""}`,
	} {
		if err := r.Add(eventCells, []byte(properties)); err != nil {
			t.Errorf("%s: %v", properties, err)
		}
	}
	rec := r.Record()
	defer rec.Release()
	var got []string
	for i := range int(rec.NumRows()) {
		var cells []string
		for _, c := range rec.Columns() {
			cells = append(cells, c.ValueStr(i))
		}
		got = append(got, strings.Join(cells, " "))
	}
	none := "ann pen 7 view (null) (null) (null) (null) (null)"
	want := []string{none, none, "ann pen 7 view -2.5 12 gold|blue true 1000", "ann pen 7 view (null) 12 (null) false 0.5", none}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRowsRefused(t *testing.T) {
	for properties, says := range map[string]string{
		`[]`:                                                 "properties: not a JSON object",
		`{"membership":"secret`:                              "properties: not a JSON object",
		`{"membership":"a"} secret`:                          "properties: not a JSON object",
		`{"membership":"a"}{}`:                               "properties: not a JSON object",
		`{"membership":["secret"]}`:                          "property membership: wrong type",
		`{"membership":{"secret":1}}`:                        "property membership: wrong type",
		`{"membership":12}`:                                  "property membership: wrong type",
		`{"numberOfRatings":true}`:                           "property numberOfRatings: wrong type",
		`{"numberOfRatings":"secret"}`:                       "field NUMBER_OF_RATINGS: not a whole number",
		`{"numberOfRatings":1.5}`:                            "field NUMBER_OF_RATINGS: not a whole number",
		`{"ratedByPhone":1}`:                                 "property ratedByPhone: wrong type",
		`{"eventValue":1e999}`:                               "field EVENT_VALUE: not a number",
		`{"membership":"a","membership":1}`:                  "give it once",
		`{"itemId":"secret"}`:                                "give it once",
		`{"USERID":"secret"}`:                                "property USERID: is reserved",
		`{"impression":"secret"}`:                            "property impression: is reserved",
		`{"MEMBERSHIP":"secret"}`:                            "property MEMBERSHIP: the schema has no such field",
		`{"secret@example.org":1}`:                           "property (a key that is no name): the schema has no such field",
		`{"membership":"` + strings.Repeat("s", 1001) + `"}`: "field MEMBERSHIP: value of more than 1000 characters",
	} {
		err := NewRows(propertiesSchema(t), 1).Add(eventCells, []byte(properties))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.60s: %v, want %q", properties, err, says)
		}
	}
	for name, says := range map[string]string{"USER_ID": "field USER_ID: empty ID", "EVENT_TYPE": "field EVENT_TYPE: empty value"} {
		cells := map[string]string{"USER_ID": "ann", "ITEM_ID": "pen", "TIMESTAMP": "7", "EVENT_TYPE": "view"}
		delete(cells, name)
		if err := NewRows(propertiesSchema(t), 1).Add(cells, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
