package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// TestExportValues puts values that CSV files have to quote, and numbers at their limits, and takes them through an export
// into another store.
func TestExportValues(t *testing.T) {
	ctx := context.Background()
	schema := map[engine.DatasetType]string{engine.Users: `{"type":"record","name":"Users","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"TEXT","type":["null","string"]},
		{"name":"USER_ID","type":"string"},
		{"name":"KIND","type":["null","string"],"categorical":true},
		{"name":"COUNT","type":["null","int"]}, {"name":"BIG","type":["null","long"]},
		{"name":"RATE","type":["null","float"]}, {"name":"EXACT","type":["null","double"]},
		{"name":"YES","type":["null","boolean"]}],"version":"1.0"}`}
	from, to := open(t, storePath(t), engine.Options{}), open(t, storePath(t), engine.Options{})
	createGroup(t, from, "g", schema)
	createGroup(t, to, "g", schema)
	arn := must[engine.Dataset](t)(from.Dataset(ctx, "g", engine.Users)).ARN
	texts := []string{
		`"`, `""`, `a"b`, ",", "\n", "\r", "\r\n", "a\r\nb", "a\rb\n", "\n\r", " a ", "\ta", `\.`, "\\", "null", "#x", "=1+1",
		"\ufeff", "\ufeffx", "\x00", "\x7f", "\u2028", "𝄞", "é", "USER_ID", "'", "|", "a|b", "\u0085",
	}
	numbers := []string{
		`"count":2147483647,"big":9223372036854775807,"rate":3.4028234e38,"exact":1.7976931348623157e308,"yes":true`,
		`"count":-2147483648,"big":-9223372036854775808,"rate":1e-45,"exact":5e-324,"yes":false`,
		`"rate":0.1,"exact":0.1`, `"rate":-0.0,"exact":-0.0`, `"rate":16777217,"exact":9007199254740993`, `"count":"0","big":"-0"`,
	}
	n := 0
	put := func(id, properties string) {
		t.Helper()
		n++
		if err := from.PutUsers(ctx, arn, []engine.PutRow{{ID: id, Properties: []byte(properties)}}); err != nil {
			t.Errorf("%q %s: %v", id, properties, err)
		}
	}
	for i, text := range texts {
		b := must[[]byte](t)(json.Marshal(text))
		put(fmt.Sprint("user", i), fmt.Sprintf(`{"text":%s,"kind":%s}`, b, b))
		put(text, `{}`)
	}
	for i, values := range numbers {
		put(fmt.Sprint("number", i), "{"+values+"}")
	}
	dir := t.TempDir()
	must[engine.Job](t)(from.Export(ctx, engine.NewDatasetExportJob{Group: "g", Type: engine.Users, Ingestion: engine.IngestionPut, Destination: dir}))
	importFile(t, to, "g", engine.Users, dir, engine.ImportFull)
	want := scan(t, from, "g", engine.Users)
	if len(want) != n {
		t.Errorf("%d rows, want %d", len(want), n)
	}
	sameRows(t, "read back", scan(t, to, "g", engine.Users), want)
}
