package engine_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/expunge-db/expunge/engine"
)

var allTypes = []engine.DatasetType{engine.Users, engine.Items, engine.Interactions}

// Small schemas with every rule that a bad file can break.
var testSchemas = map[engine.DatasetType]string{
	engine.Users: `{"type":"record","name":"Users","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},
		{"name":"AGE","type":"int"},
		{"name":"CITY","type":["null","string"],"categorical":true}],"version":"1.0"}`,
	engine.Items: `{"type":"record","name":"Items","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"ITEM_ID","type":"string"},
		{"name":"GENRE","type":"string","categorical":true}],"version":"1.0"}`,
	engine.Interactions: `{"type":"record","name":"Interactions","namespace":"com.amazonaws.personalize.schema","fields":[
		{"name":"USER_ID","type":"string"},
		{"name":"ITEM_ID","type":"string"},
		{"name":"EVENT_TYPE","type":"string"},
		{"name":"EVENT_VALUE","type":["null","float"]},
		{"name":"TIMESTAMP","type":"long"}],"version":"1.0"}`,
}

func storePath(t testing.TB) string { return filepath.Join(t.TempDir(), "test.expunge") }

// open opens an engine. Unless the test closed it before, it is checked and closed at the test's end.
func open(t testing.TB, path string, opts engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Open(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := e.Check(context.Background()); !errors.Is(err, engine.ErrClosed) {
			mustCheck(t, e)
		}
		mustClose(t, e)
	})
	return e
}

func mustClose(t testing.TB, e *engine.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a test that failed may hold a snapshot
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}

func mustCheck(t testing.TB, e *engine.Engine) {
	t.Helper()
	report, err := e.Check(context.Background())
	if err := errors.Join(err, errors.Join(report.Problems...)); err != nil {
		t.Error(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// eventually waits for what the engine does in the background.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("it never came to this: %s", what)
}

// createGroup makes a group with a dataset for each schema.
func createGroup(t testing.TB, e *engine.Engine, group string, schemas map[engine.DatasetType]string) {
	t.Helper()
	ctx := context.Background()
	must[engine.DatasetGroup](t)(e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: group}))
	for typ, avro := range schemas {
		name := group + "-" + strings.ToLower(string(typ))
		must[engine.Schema](t)(e.CreateSchema(ctx, engine.NewSchema{Name: name, Avro: []byte(avro)}))
		must[engine.Dataset](t)(e.CreateDataset(ctx, engine.NewDataset{Name: name, Group: group, Type: typ, Schema: name}))
	}
}

func importFile(t testing.TB, e *engine.Engine, group string, typ engine.DatasetType, source string, mode engine.ImportMode) engine.Job {
	t.Helper()
	job, err := e.Import(context.Background(), engine.NewDatasetImportJob{Group: group, Type: typ, Source: source, Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func importText(t testing.TB, e *engine.Engine, group string, typ engine.DatasetType, mode engine.ImportMode, text string) engine.Job {
	t.Helper()
	return importFile(t, e, group, typ, writeFile(t, t.TempDir(), "rows.csv", text), mode)
}

func deleteUsers(t testing.TB, e *engine.Engine, group string, ids ...string) engine.Job {
	t.Helper()
	return deleteSource(t, e, group, listFile(t, ids...))
}

func deleteSource(t testing.TB, e *engine.Engine, group, source string) engine.Job {
	t.Helper()
	job, err := e.Delete(context.Background(), engine.NewDataDeletionJob{Group: group, Source: source})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func listFile(t testing.TB, ids ...string) string {
	t.Helper()
	return writeFile(t, t.TempDir(), "list.csv", "USER_ID\n"+strings.Join(ids, "\n")+"\n")
}

func writeFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

// copyFile copies a file into a folder of its own.
func copyFile(t testing.TB, from string) string {
	t.Helper()
	path := storePath(t)
	if err := os.WriteFile(path, readFile(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	return must[[]byte](t)(os.ReadFile(path))
}

// appendRow appends a row of a record in a form that is the same for equal rows only: a line of cells, null as one
// byte that no cell has.
func appendRow(b []byte, rec arrow.Record, i int) []byte {
	for n, col := range rec.Columns() {
		if n > 0 {
			b = append(b, '\x1f')
		}
		if col.IsNull(i) {
			b = append(b, '\x1e')
			continue
		}
		switch c := col.(type) {
		case *array.String:
			b = append(b, c.Value(i)...)
		case *array.Int32:
			b = strconv.AppendInt(b, int64(c.Value(i)), 10)
		case *array.Int64:
			b = strconv.AppendInt(b, c.Value(i), 10)
		case *array.Float32:
			b = strconv.AppendFloat(b, float64(c.Value(i)), 'g', -1, 32)
		case *array.Float64:
			b = strconv.AppendFloat(b, c.Value(i), 'g', -1, 64)
		case *array.Boolean:
			b = strconv.AppendBool(b, c.Value(i))
		default:
			panic(fmt.Sprintf("column of type %T", col))
		}
	}
	return b
}

// collect returns all rows of a scan, sorted.
func collect(t testing.TB, scan iter.Seq2[arrow.Record, error]) []string {
	t.Helper()
	var rows []string
	for rec, err := range scan {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(rec.NumRows()) {
			rows = append(rows, string(appendRow(nil, rec, i)))
		}
		rec.Release()
	}
	slices.Sort(rows)
	return rows
}

func scan(t testing.TB, e *engine.Engine, group string, typ engine.DatasetType) []string {
	t.Helper()
	return collect(t, e.Scan(context.Background(), group, typ))
}

// allRows returns the rows of all datasets of all groups.
func allRows(t testing.TB, e *engine.Engine) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	stats := must[engine.Stats](t)(e.Stats(context.Background()))
	for _, g := range stats.Groups {
		for _, d := range g.Datasets {
			out[g.Group.Name+"/"+string(d.Dataset.Type)] = scan(t, e, g.Group.Name, d.Dataset.Type)
		}
	}
	return out
}

func sameRows(t testing.TB, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	at := func(rows []string) string {
		if i < len(rows) {
			return strconv.Quote(rows[i])
		}
		return "nothing"
	}
	t.Errorf("%s: %d rows, want %d; at %d of the sorted rows: %s, want %s", what, len(got), len(want), i, at(got), at(want))
}

func sameData(t testing.TB, got, want map[string][]string) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("datasets %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for name := range want {
		sameRows(t, name, got[name], want[name])
	}
}

// readCSV reads a dataset without the code under test, in the form of appendRow, with the rows that keep wants.
func readCSV(t testing.TB, path, avro string, keep func(cells map[string]string) bool) []string {
	t.Helper()
	var schema struct {
		Fields []struct {
			Name string `json:"name"`
			Type any    `json:"type"`
		} `json:"fields"`
	}
	if err := json.Unmarshal([]byte(avro), &schema); err != nil {
		t.Fatal(err)
	}
	records := must[[][]string](t)(csv.NewReader(bytes.NewReader(readFile(t, path))).ReadAll())
	var rows []string
	for _, rec := range records[1:] {
		cells := make(map[string]string)
		for i, name := range records[0] {
			cells[name] = rec[i]
		}
		if !keep(cells) {
			continue
		}
		var out []string
		for _, f := range schema.Fields {
			cell, typ := cells[f.Name], fmt.Sprint(f.Type)
			switch {
			case cell == "" && strings.Contains(typ, "null"):
				cell = "\x1e"
			case strings.Contains(typ, "float"):
				v := must[float64](t)(strconv.ParseFloat(cell, 32))
				cell = strconv.FormatFloat(v, 'g', -1, 32)
			case strings.Contains(typ, "int"), strings.Contains(typ, "long"):
				cell = strconv.FormatInt(must[int64](t)(strconv.ParseInt(cell, 10, 64)), 10)
			}
			out = append(out, cell)
		}
		rows = append(rows, strings.Join(out, "\x1f"))
	}
	slices.Sort(rows)
	return rows
}

// rawIDLen is the length of the IDs that findIDs finds: letters a to z and digits.
const rawIDLen = 16

// findIDs returns which of the IDs are anywhere in the bytes of a file.
func findIDs(data []byte, ids map[[rawIDLen]byte]bool) map[[rawIDLen]byte]bool {
	found := make(map[[rawIDLen]byte]bool)
	var inID [256]bool
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789") {
		inID[c] = true
	}
	fit := 0 // bytes from i on that are known to be of an ID
	for i := 0; i+rawIDLen <= len(data); {
		k := rawIDLen - 1
		for k >= fit && inID[data[i+k]] {
			k--
		}
		if k >= fit {
			i, fit = i+k+1, rawIDLen-1-k
			continue
		}
		if id := [rawIDLen]byte(data[i:]); ids[id] {
			found[id] = true
		}
		i, fit = i+1, rawIDLen-1
	}
	return found
}

func idSet(ids iter.Seq[string]) map[[rawIDLen]byte]bool {
	set := make(map[[rawIDLen]byte]bool)
	for id := range ids {
		if len(id) != rawIDLen {
			panic("an ID of another length")
		}
		set[[rawIDLen]byte([]byte(id))] = true
	}
	return set
}

// folderFiles returns every file in the store's folder: nothing of a deleted user may be in any of them.
func folderFiles(t testing.TB, store string) []string {
	t.Helper()
	var files []string
	for _, entry := range must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(store))) {
		if !entry.IsDir() {
			files = append(files, filepath.Join(filepath.Dir(store), entry.Name()))
		}
	}
	return files
}

// inFolder reports whether the bytes are in any file of the store's folder.
func inFolder(t testing.TB, store, text string) bool {
	t.Helper()
	for _, path := range folderFiles(t, store) {
		if bytes.Contains(readFile(t, path), []byte(text)) {
			return true
		}
	}
	return false
}

func TestFindIDs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		data := make([]byte, rng.IntN(400))
		for i := range data {
			data[i] = "ab\x00"[min(2, rng.IntN(20)/9)]
		}
		ids, want := make(map[[rawIDLen]byte]bool), make(map[[rawIDLen]byte]bool)
		for at := 0; at+rawIDLen <= len(data); at++ {
			id := [rawIDLen]byte(data[at:])
			if !bytes.ContainsRune(id[:], 0) && rng.IntN(2) == 0 {
				ids[id], want[id] = true, true
			}
		}
		ids[[rawIDLen]byte{'x'}] = true
		if got := findIDs(data, ids); !maps.Equal(got, want) {
			t.Fatalf("found %d IDs, want %d", len(got), len(want))
		}
	}
}
