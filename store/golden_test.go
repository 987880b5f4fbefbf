package store

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestFormat ties the stored format to the dump of a small file: its buckets, and every key and value but those that hold
// times. When it differs, [formatVersion] has to change, or files of the last version can't be read.
func TestFormat(t *testing.T) {
	limits := defaultLimits
	limits.forwardEntries, limits.pageRows = 4, 2
	s := openQuick(t, filepath.Join(t.TempDir(), "golden.expunge"), Options{Codec: CodecNone, BlockRows: 4, IDKey: []byte("a key for this test only")}, limits)
	setSeed(t, s, 1)
	createGroupNamed(t, s)
	importRows(t, s, "shop", Users, ImportFull, []row{{"ann", 31, "Rome"}, {"bob", nil, nil}, {"cy", 5, "Oslo"}, {"deb", 6, nil}, {"eve", 7, "Bonn"}})
	importRows(t, s, "shop", Items, ImportFull, []row{{"pen", 1.5, true}})
	importRows(t, s, "shop", Interactions, ImportFull, []row{
		{"ann", "pen", "view", nil, 10}, {"ann", "ink", "buy", 2.5, 20}, {"bob", "pen", "view", nil, 5}, {"fay", "cap", "view", 1.0, 7}, {"bob", "mug", "view", nil, 6}})
	sn, err := s.Snapshot(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Release()
	deleteUsers(t, s, "shop", 1, "bob", "zoe")
	if _, _, err := s.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	importRows(t, s, "shop", Items, ImportFull, nil)
	deleteUsers(t, s, "shop", 2, "ann")
	mustPut(t, s, Interactions, "s1", true, row{"", "pen", "view", nil, 8}) // waits
	mustPut(t, s, Interactions, "s2", false, row{"hal", "pen", "view", 0.5, 9})
	foldAll(t, s, "shop")
	mustPut(t, s, Users, "", false, row{"hal", 9, "Ulm"})
	err = s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.CreateEventTracker(EventTracker{Name: "clicks", TrackingID: "01234567-89", Group: "shop"}); err != nil {
			return err
		}
		if err := tx.CreateSchema(Schema{Name: "wider", Type: string(Users), Fields: append([]Field{{Name: "TIER", Type: TypeString, Nullable: true}}, testFields[Users]...)}); err != nil {
			return err
		}
		if _, err := tx.UpdateDataset("shop", Users, "wider", time.Time{}); err != nil {
			return err
		}
		if _, err := tx.CreateGroup(Group{Name: "shut"}); err != nil {
			return err
		}
		if _, err := tx.CreateDataset(Dataset{Group: "shut", Type: Items, Name: "d", Schema: string(Items)}); err != nil {
			return err
		}
		if err := tx.DeleteDataset("shut", Items); err != nil {
			return err
		}
		return tx.DeleteGroup("shut")
	})
	if err != nil {
		t.Fatal(err)
	}
	im, err := s.BeginImport(t.Context(), "shop", Items, ImportIncremental)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := im.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	rec := record(Items, []row{{"cup", 1.0, false}})
	defer rec.Release()
	if err := im.Append(rec); err != nil {
		t.Fatal(err)
	}
	if err := newLayerWriter(im, nil).write(t.Context()); err != nil { // as after a crash in the middle of Finish
		t.Fatal(err)
	}

	got := dump(t, s)
	golden := filepath.Join("testdata", fmt.Sprintf("format-%d.txt", formatVersion))
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("the format differs from %s in line %d:\n%s", golden, i+1, strings.Join(gotLines[min(i, len(gotLines)):min(i+1, len(gotLines))], ""))
		}
	}
}

// createGroupNamed is createGroup in a fixed order, so that the numbers are the same in each run.
func createGroupNamed(t *testing.T, s *Store) {
	err := s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.CreateGroup(Group{Name: "shop"}); err != nil {
			return err
		}
		for _, typ := range []DatasetType{Users, Items, Interactions} {
			if err := tx.CreateSchema(Schema{Name: string(typ), Fields: testFields[typ]}); err != nil {
				return err
			}
			if _, err := tx.CreateDataset(Dataset{Group: "shop", Type: typ, Name: "d", Schema: string(typ)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump writes every bucket, key and value: text as text, the rest in hexadecimal digits.
func dump(t *testing.T, s *Store) string {
	var out strings.Builder
	var walk func(b *bolt.Bucket, indent string) error
	walk = func(b *bolt.Bucket, indent string) error {
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				fmt.Fprintf(&out, "%s%x/\n", indent, k)
				return walk(b.Bucket(k), indent+"  ")
			}
			if string(k) == string(keyInfo) {
				v = nil // holds the time of creation
			}
			if len(v) > 2*sealSize && v[0] == '{' {
				fmt.Fprintf(&out, "%s%q = %s\n", indent, k, v[:len(v)-sealSize])
				return nil
			}
			fmt.Fprintf(&out, "%s%x = %x\n", indent, k, v)
			return nil
		})
	}
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			fmt.Fprintf(&out, "%s\n", name)
			return walk(b, "  ")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
