package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestGolden holds the bytes of datasets. A change of a digest is a change of the package's contract.
func TestGolden(t *testing.T) {
	small := Config{Users: 500, Items: 300, Interactions: 20_000, Seed: 7}
	shop := small
	shop.Shape = Shop
	for _, test := range []struct {
		name, want string
		write      func(io.Writer) error
	}{
		{"users", "94ff6dd7d045c77a292f2ff81d351fc619e32703a441aa66a9ed5f2b3c68652c", small.WriteUsers},
		{"items", "192c6ab5f9d1022d2d3b1d82ee9936377635259dac76b774dd540e580cc64d5f", small.WriteItems},
		{"list", "2f923977751950c42cff4c86673f494f1152a5df1c83b03fcc793a4011a6b22d", func(w io.Writer) error { return small.WriteList(w, 50) }},
		{"ratings", "8cc18efae1ae76684e7e5a5864bd91c41c4fb7b03840afce728c7fa5bf5cb022", func(w io.Writer) error { return small.WriteInteractions(t.Context(), w, nil) }},
		{"shop", "169327d1e99ef8fc4c405598bf4fc661d4bd4784b9e4ccafe3c51e3654d2a3d9", func(w io.Writer) error { return shop.WriteInteractions(t.Context(), w, nil) }},
		{"defaults", "59d17037fa4c196baa1bbd9ff0334661d95a95f0c53bbd3af388782e7699f957", func(w io.Writer) error { return Config{}.WriteInteractions(t.Context(), w, nil) }},
	} {
		for range 2 {
			h := sha256.New()
			if err := test.write(h); err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(h.Sum(nil)); got != test.want {
				t.Errorf("%s: digest %s, want %s", test.name, got, test.want)
			}
		}
	}
}

func TestZeroConfigIsTheDefaults(t *testing.T) {
	var a, b bytes.Buffer
	if err := (Config{}).WriteUsers(&a); err != nil {
		t.Fatal(err)
	}
	if err := (Config{Users: 10_000, Items: 2_000, Interactions: 500_000, Days: 365, Seed: 1, Shape: Ratings}).WriteUsers(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the documented defaults give another dataset than the zero value")
	}
}

func TestValidateReportsAllProblems(t *testing.T) {
	bad := Config{Users: -1, Items: MaxItems + 1, Interactions: -5, Days: MaxDays + 1, Shape: "round"}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Users", "Items", "Interactions", "Days", "Shape"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q doesn't name %s", err, field)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("zero value: %v", err)
	}
	for name, write := range map[string]func() error{
		"users":        func() error { return bad.WriteUsers(io.Discard) },
		"items":        func() error { return bad.WriteItems(io.Discard) },
		"interactions": func() error { return bad.WriteInteractions(t.Context(), io.Discard, nil) },
		"list":         func() error { return bad.WriteList(io.Discard, 1) },
	} {
		if write() == nil {
			t.Errorf("%s: written from a bad configuration", name)
		}
	}
}

func TestInteractionsHoldTheirContract(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := Config{
			Users:        rapid.IntRange(1, 300).Draw(rt, "users"),
			Items:        rapid.IntRange(1, 300).Draw(rt, "items"),
			Interactions: rapid.Int64Range(1, 2000).Draw(rt, "interactions"),
			Days:         rapid.IntRange(1, 10).Draw(rt, "days"),
			Seed:         rapid.Uint64().Draw(rt, "seed"),
			Shape:        rapid.SampledFrom([]Shape{Ratings, Shop}).Draw(rt, "shape"),
		}
		ids := map[string]bool{}
		for i := range c.Users {
			ids[c.UserID(i)] = true
		}
		if len(ids) != c.Users {
			rt.Fatalf("%d distinct IDs for %d users", len(ids), c.Users)
		}
		rows := interactions(t, c)
		if int64(len(rows)) != c.Interactions {
			rt.Fatalf("%d rows, want %d", len(rows), c.Interactions)
		}
		seen, last := map[string]bool{}, int64(Start)
		for i, r := range rows {
			if !ids[r.user] {
				rt.Fatalf("row %d has a user that is not in the users", i)
			}
			seen[r.user] = true
			if r.item >= fmt.Sprintf("i%07d", c.Items) || len(r.item) != 8 {
				rt.Fatalf("row %d has item %s of %d", i, r.item, c.Items)
			}
			if r.at < last || r.at >= Start+int64(c.Days)*day {
				rt.Fatalf("row %d is at %d after %d", i, r.at, last)
			}
			last = r.at
		}
		if want := min(int64(c.Users), c.Interactions); int64(len(seen)) < want {
			rt.Fatalf("%d users have rows, want %d", len(seen), want)
		}
	})
}

func TestUserIDsOccurNowhereElse(t *testing.T) {
	c := Config{Users: 3000, Items: 2000, Interactions: 20_000}
	files, err := Generate(t.Context(), c, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i := range c.Users {
		ids[c.UserID(i)] = true
	}
	for path, rows := range map[string]int64{files.Users: int64(c.Users), files.Items: 0, files.Interactions: c.Interactions} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var found int64
		for i := 0; i+UserIDLen <= len(data); i++ {
			if !ids[string(data[i:i+UserIDLen])] {
				continue
			}
			found++
			if i == 0 || data[i-1] != '\n' || data[i+UserIDLen] != ',' {
				t.Errorf("%s: a USER_ID at byte %d, which is not a cell of its own", filepath.Base(path), i)
			}
		}
		if found != rows {
			t.Errorf("%s: %d USER_IDs, want %d", filepath.Base(path), found, rows)
		}
		// Without the USER_ID column nothing is left that could be one, whatever the seed.
		run := 0
		for line := range bytes.Lines(data) {
			if rows > 0 {
				_, line, _ = bytes.Cut(line, []byte(","))
			}
			for _, ch := range line {
				if ch >= 'a' && ch <= 'z' || ch >= '0' && ch <= '9' || ch >= 'A' && ch <= 'Z' {
					run++
				} else {
					run = 0
				}
				if run >= UserIDLen {
					t.Fatalf("%s: %d letters and digits in a row outside of USER_ID", filepath.Base(path), run)
				}
			}
		}
	}
}

func TestCatalogs(t *testing.T) {
	c := Config{Users: 2000, Items: 3000}
	var users, items bytes.Buffer
	if err := errors.Join(c.WriteUsers(&users), c.WriteItems(&items)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		schema string
		data   []byte
		rows   int
	}{{UsersSchema, users.Bytes(), c.Users}, {ItemsSchema, items.Bytes(), c.Items}} {
		records := parse(t, test.data)
		if len(records) != test.rows+1 || !slices.Equal(records[0], columns(t, test.schema)) {
			t.Errorf("%d records with header %q", len(records), records[0])
		}
		seen := map[string]bool{}
		for _, r := range records[1:] {
			seen[r[0]] = true
		}
		if len(seen) != test.rows {
			t.Errorf("%d distinct IDs of %d", len(seen), test.rows)
		}
	}
	var quotes, commas, empty, other int
	for _, r := range parse(t, items.Bytes())[1:] {
		d := r[4]
		if d == "" {
			empty++
		}
		if strings.Contains(d, `"`) {
			quotes++
		}
		if strings.Contains(d, ",") {
			commas++
		}
		if strings.ContainsFunc(d, func(ch rune) bool { return ch > 127 }) {
			other++
		}
	}
	if quotes == 0 || commas == 0 || empty == 0 || other == 0 {
		t.Errorf("descriptions: %d with quotes, %d with commas, %d empty, %d beyond ASCII; want some of each", quotes, commas, empty, other)
	}
}

func columns(t *testing.T, schema string) []string {
	t.Helper()
	var s struct {
		Type, Name, Namespace, Version string
		Fields                         []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		t.Fatal(err)
	}
	if s.Type != "record" || s.Namespace != "com.amazonaws.personalize.schema" || s.Version != "1.0" {
		t.Errorf("schema %s: %+v", s.Name, s)
	}
	var names []string
	for _, f := range s.Fields {
		names = append(names, f.Name)
	}
	return names
}

func TestGenerate(t *testing.T) {
	c := Config{Users: 200, Items: 100, Interactions: 5000}
	dir := filepath.Join(t.TempDir(), "new", "folder")
	var last, total int64
	files, err := Generate(t.Context(), c, dir, func(done, all int64) {
		if done < last {
			t.Errorf("progress fell from %d to %d", last, done)
		}
		last, total = done, all
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != 5300 || total != 5300 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	want := []string{"interactions.csv", "interactions.schema.json", "items.csv", "items.schema.json", "users.csv", "users.schema.json"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %v", got)
	}
	for path, schema := range map[string]string{files.Users: files.UsersSchema, files.Items: files.ItemsSchema, files.Interactions: files.InteractionsSchema} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(schema)
		if err != nil {
			t.Fatal(err)
		}
		if header := parse(t, data)[0]; !slices.Equal(header, columns(t, string(text))) {
			t.Errorf("%s has columns %v", filepath.Base(path), header)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	sort.Strings(list)
	return list
}

func TestCancelledGenerateLeavesTheFolderAsItWas(t *testing.T) {
	dir := t.TempDir()
	before := []byte("what was there\n")
	if err := os.WriteFile(filepath.Join(dir, "users.csv"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	for _, at := range []int64{0, 100, 20_000} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := Generate(ctx, Config{Users: 1000, Items: 1000, Interactions: 500_000}, dir, func(done, _ int64) {
			if done >= at {
				cancel(cause)
			}
		})
		cancel(nil)
		if !errors.Is(err, cause) {
			t.Errorf("cancelled at row %d: error %v", at, err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{"users.csv"}) {
			t.Errorf("cancelled at row %d: files %v", at, got)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "users.csv")); err != nil || !bytes.Equal(got, before) {
		t.Errorf("users.csv was changed (%v)", err)
	}
}

func TestFailedRenameLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "interactions.csv", "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(t.Context(), Config{Users: 10, Items: 10, Interactions: 100}, dir, nil); err == nil {
		t.Fatal("no error")
	}
	for _, name := range names(t, dir) {
		if strings.HasPrefix(name, ".") {
			t.Errorf("left %s", name)
		}
	}
}

// failingWriter fails after n bytes.
type failingWriter struct{ n int }

var errFull = errors.New("full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorsAreReturned(t *testing.T) {
	c := Config{}
	for _, room := range []int{0, 70_000} {
		for name, write := range map[string]func(io.Writer) error{
			"users": c.WriteUsers, "items": c.WriteItems,
			"list":         func(w io.Writer) error { return c.WriteList(w, 10_000) },
			"interactions": func(w io.Writer) error { return c.WriteInteractions(t.Context(), w, nil) },
		} {
			if err := write(&failingWriter{room}); !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: error %v", name, room, err)
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := Config{Users: 20_000_000, Items: MaxItems, Interactions: 5_000_000, Days: 30}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := new(countingWriter)
	if err := c.WriteInteractions(t.Context(), w, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("%d bytes allocated for %d bytes written", got, w.n)
	}
	if perRow := float64(w.n) / 5_000_000; perRow < 44 || perRow > 50 {
		t.Errorf("%.1f bytes a row", perRow)
	}
}
