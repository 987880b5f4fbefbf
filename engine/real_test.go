package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/expunge-db/expunge/engine"
)

// realData returns the folder of a real dataset, or skips the test.
func realData(t *testing.T, name string) string {
	dir := os.Getenv("EXPUNGE_TEST_DATA")
	if dir == "" {
		t.Skip("EXPUNGE_TEST_DATA is unset: set it to a folder with online-retail and movietweetings-100k to test with real data")
	}
	return filepath.Join(dir, name)
}

// dataFolder is where the CSVs and schemas of a group lie.
type dataFolder struct {
	csv     map[engine.DatasetType]string
	schemas map[engine.DatasetType]string
}

func readFolder(t *testing.T, dir string) dataFolder {
	f := dataFolder{make(map[engine.DatasetType]string), make(map[engine.DatasetType]string)}
	for _, typ := range allTypes {
		name := strings.ToLower(string(typ))
		f.csv[typ] = filepath.Join(dir, name+".csv")
		f.schemas[typ] = string(readFile(t, filepath.Join(dir, name+".schema.json")))
	}
	return f
}

func (f dataFolder) importAll(t *testing.T, e *engine.Engine, group string) {
	createGroup(t, e, group, f.schemas)
	for _, typ := range allTypes {
		job := importFile(t, e, group, typ, f.csv[typ], engine.ImportFull)
		if want := int64(len(f.rows(t, typ, nil))); job.Counts.RowsRead != want || job.Counts.RowsAdded != want {
			t.Errorf("import of %s: %+v, want %d rows", typ, job.Counts, want)
		}
	}
}

// rows reads a dataset without the users of a set, by an independent reader.
func (f dataFolder) rows(t *testing.T, typ engine.DatasetType, without map[string]bool) []string {
	return readCSV(t, f.csv[typ], f.schemas[typ], func(cells map[string]string) bool { return !without[cells["USER_ID"]] })
}

// users returns every n-th of the users, so that there are some 200, and all of them.
func (f dataFolder) users(t *testing.T) (listed, all []string) {
	records := must[[][]string](t)(csv.NewReader(bytes.NewReader(readFile(t, f.csv[engine.Users]))).ReadAll())
	for _, rec := range records[1:] {
		all = append(all, rec[slices.Index(records[0], "USER_ID")])
	}
	step := len(all) / 200
	for i := range 200 {
		listed = append(listed, all[i*step])
	}
	return listed, all
}

// writeLists divides IDs among the kinds of files that a folder of lists can hold.
func writeLists(t *testing.T, ids []string) (dir string) {
	dir = t.TempDir()
	text := func(ids []string) string { return "USER_ID\r\n" + strings.Join(ids, "\r\n") }
	writeFile(t, dir, "a.csv", text(ids[:50]))
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	fmt.Fprint(w, text(ids[50:100]))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "nested/B.CSV.GZ", gz.String())
	zw := must[*zstd.Encoder](t)(zstd.NewWriter(nil))
	writeFile(t, dir, "nested/deeper/c.csv.zst", string(zw.EncodeAll([]byte("\ufeff"+text(ids[100:150])), nil)))
	writeFile(t, dir, "nested/deeper/d.csv", text(ids[150:])+"\r\n\r\n")
	writeFile(t, dir, "_SUCCESS", "not a list")
	return dir
}

func TestRealData(t *testing.T) {
	for _, name := range []string{"online-retail", "movietweetings-100k"} {
		for _, how := range []string{"file", "folder"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				data := readFolder(t, realData(t, name))
				e := open(t, storePath(t), engine.Options{})
				data.importAll(t, e, "real")
				for _, typ := range allTypes {
					sameRows(t, string(typ), scan(t, e, "real", typ), data.rows(t, typ, nil))
				}
				listed, _ := data.users(t)
				source := listFile(t, listed...)
				if how == "folder" {
					source = writeLists(t, listed)
				}
				checkDeletion(t, e, data, "real", source, listed)
			})
		}
	}
}

// checkDeletion deletes and compares every surviving row with an independent reading.
func checkDeletion(t *testing.T, e *engine.Engine, data dataFolder, group, source string, listed []string) engine.Job {
	t.Helper()
	ctx := context.Background()
	gone := make(map[string]bool)
	for _, id := range listed {
		gone[id] = true
	}
	want := make(map[engine.DatasetType]int64)
	sum := int64(0)
	for _, typ := range []engine.DatasetType{engine.Users, engine.Interactions} {
		want[typ] = int64(len(data.rows(t, typ, nil)) - len(data.rows(t, typ, gone)))
		sum += want[typ]
	}
	dry := must[engine.DryRun](t)(e.DryRunDeletion(ctx, group, source))
	job := deleteSource(t, e, group, source)
	if *job.NumDeleted != sum || dry.NumDeleted() != sum {
		t.Errorf("deleted %d rows, dry run %d, want %d", *job.NumDeleted, dry.NumDeleted(), sum)
	}
	for typ, n := range want {
		if job.Counts.Deleted[string(typ)] != n || dry.Rows[typ] != n {
			t.Errorf("deleted %d rows of %s, dry run %d, want %d", job.Counts.Deleted[string(typ)], typ, dry.Rows[typ], n)
		}
	}
	if c := job.Counts; c.Listed != int64(len(listed)) || c.Matched != int64(len(gone)) || c.Unknown != 0 {
		t.Errorf("counts %+v of a list of %d", c, len(listed))
	}
	for _, typ := range allTypes {
		sameRows(t, string(typ), scan(t, e, group, typ), data.rows(t, typ, gone))
	}
	mustCheck(t, e)
	return job
}

// rekeyed copies a folder with every user's ID replaced by 16 letters and digits, the same in all datasets.
func rekeyed(t *testing.T, from dataFolder) dataFolder {
	dir := t.TempDir()
	to := dataFolder{make(map[engine.DatasetType]string), from.schemas}
	for _, typ := range allTypes {
		records := must[[][]string](t)(csv.NewReader(bytes.NewReader(readFile(t, from.csv[typ]))).ReadAll())
		if at := slices.Index(records[0], "USER_ID"); at >= 0 {
			for _, rec := range records[1:] {
				sum := sha256.Sum256([]byte(rec[at]))
				rec[at] = hex.EncodeToString(sum[:rawIDLen/2])
			}
		}
		var buf bytes.Buffer
		if err := csv.NewWriter(&buf).WriteAll(records); err != nil {
			t.Fatal(err)
		}
		to.csv[typ] = writeFile(t, dir, string(typ)+".csv", buf.String())
	}
	return to
}

// TestRealDataRaw searches the store's files for the IDs.
func TestRealDataRaw(t *testing.T) {
	for _, name := range []string{"online-retail", "movietweetings-100k"} {
		for _, codec := range []engine.Codec{engine.CodecNone, engine.CodecPacked} {
			t.Run(name+"/"+string(codec), func(t *testing.T) {
				data := rekeyed(t, readFolder(t, realData(t, name)))
				path := storePath(t)
				e := open(t, path, engine.Options{Codec: codec})
				data.importAll(t, e, "real")
				listed, users := data.users(t)
				all, gone := idSet(slices.Values(users)), idSet(slices.Values(listed))
				if found := findIDs(readFile(t, path), all); codec == engine.CodecNone && len(found) != len(all) {
					t.Fatalf("%d of %d IDs are in the file before, so a search can't prove anything", len(found), len(all))
				}
				checkDeletion(t, e, data, "real", listFile(t, listed...), listed)
				search := func(when string) {
					found := make(map[[rawIDLen]byte]bool)
					for _, file := range folderFiles(t, path) {
						maps.Copy(found, findIDs(readFile(t, file), all))
					}
					left := 0
					for id := range gone {
						if found[id] {
							left++
						}
					}
					if left > 0 {
						t.Errorf("%s: %d of %d deleted IDs are in the store's files", when, left, len(gone))
					}
					if codec == engine.CodecNone && len(found)-left != len(all)-len(gone) {
						t.Errorf("%s: %d IDs are still found, want %d", when, len(found)-left, len(all)-len(gone))
					}
				}
				search("after the job")
				mustClose(t, e)
				search("after closing")
			})
		}
	}
}

func TestIDsThatDifferInCase(t *testing.T) {
	e := open(t, storePath(t), engine.Options{})
	createGroup(t, e, "g", testSchemas)
	importText(t, e, "g", engine.Users, engine.ImportFull, "USER_ID,AGE,CITY\nann,1,\nAnn,2,\nANN,3,\n ann,4,\nann ,5,\n")
	job := deleteUsers(t, e, "g", "Ann")
	if *job.NumDeleted != 1 {
		t.Errorf("deleted %d rows, want 1", *job.NumDeleted)
	}
	want := []string{" ann\x1f4\x1f\x1e", "ANN\x1f3\x1f\x1e", "ann\x1f1\x1f\x1e", "ann \x1f5\x1f\x1e"}
	sameRows(t, "users", scan(t, e, "g", engine.Users), want)
}

func TestRepeatedRows(t *testing.T) {
	e := open(t, storePath(t), engine.Options{})
	createGroup(t, e, "g", testSchemas)
	file := writeFile(t, t.TempDir(), "rows.csv", "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n"+
		"u,i,view,,1\nu,i,view,,1\nu,i,view,0,1\nv,i,view,,1\n")
	importFile(t, e, "g", engine.Interactions, file, engine.ImportFull)
	full := scan(t, e, "g", engine.Interactions)
	if len(full) != 4 {
		t.Errorf("a FULL import kept %d rows of 4", len(full))
	}
	job := importFile(t, e, "g", engine.Interactions, file, engine.ImportIncremental)
	if job.Counts.RowsAdded != 0 || job.Counts.RowsDuplicate != 4 {
		t.Errorf("an INCREMENTAL import of the same rows: %+v", job.Counts)
	}
	sameRows(t, "after the same rows again", scan(t, e, "g", engine.Interactions), full)
	if job := deleteUsers(t, e, "g", "u"); *job.NumDeleted != 3 {
		t.Errorf("deleted %d rows, want 3", *job.NumDeleted)
	}
	job = importFile(t, e, "g", engine.Interactions, file, engine.ImportIncremental)
	if job.Counts.RowsAdded != 2 || job.Counts.RowsDuplicate != 2 {
		t.Errorf("an INCREMENTAL import with exact repeats: %+v, want one of them added", job.Counts)
	}
}
