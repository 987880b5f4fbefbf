package engine_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// ledger returns the entries of an engine's ledger.
func ledger(t *testing.T, e *engine.Engine) (entries []engine.LedgerEntry) {
	t.Helper()
	for entry, err := range e.Ledger(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	return entries
}

// export returns the lines of a ledger as they are exported.
func export(entries ...engine.LedgerEntry) string {
	var b strings.Builder
	for _, entry := range entries {
		b.Write(entry.Line)
		b.WriteByte('\n')
	}
	return b.String()
}

func TestReceipt(t *testing.T) {
	ctx := context.Background()
	e := open(t, storePath(t), engine.Options{})
	importSmall(t, e)
	if report, err := e.VerifyLedger(ctx, ""); err != nil || report != (engine.LedgerReport{}) {
		t.Errorf("a ledger of nothing: %+v, %v", report, err)
	}
	list := listFile(t, "user-03", "nobody", "user-04", "user-03")
	job := deleteSource(t, e, "g", list)
	folder := t.TempDir()
	writeFile(t, folder, "a.csv", "USER_ID\nuser-05\n")
	writeFile(t, folder, "b/c.csv", "USER_ID\nuser-06\nuser-07\n")
	second := deleteSource(t, e, "g", folder)

	r := must[engine.LedgerEntry](t)(e.Receipt(ctx, job.Name))
	sum := sha256.Sum256(readFile(t, list))
	if r.Number != 1 || r.Previous != "" || r.ARN != job.ARN || r.Seq != job.Seq || r.GroupARN != job.GroupARN || r.Source != list {
		t.Errorf("receipt %+v", r)
	}
	if r.Files.Files != 1 || r.Files.SHA256 != hex.EncodeToString(sum[:]) || r.Files.Bytes != int64(len(readFile(t, list))) {
		t.Errorf("files %+v", r.Files)
	}
	if fmt.Sprint(r.Counts) != fmt.Sprint(job.Counts) || r.NumDeleted != *job.NumDeleted || r.NumDeleted != 22 || r.Suppressed {
		t.Errorf("counts %+v, %d deleted, suppressed %t", r.Counts, r.NumDeleted, r.Suppressed)
	}
	if r.Verified.Users != 2 || r.Verified.Blocks == 0 || r.Hashes.Count != 2 || r.Scrubbed.Pages == 0 || r.Version == "" {
		t.Errorf("verified %+v, hashes %+v, scrubbed %+v, version %q", r.Verified, r.Hashes, r.Scrubbed, r.Version)
	}
	if r.Invisible.Before(r.Created) || r.Erased.Before(r.Invisible) || r.Completed.Before(r.Erased) || !r.Completed.Equal(job.Updated) {
		t.Errorf("created %v, invisible %v, erased %v, completed %v", r.Created, r.Invisible, r.Erased, r.Completed)
	}
	if strings.Contains(string(r.Line), "user-0") || strings.Contains(string(r.Line), "nobody") {
		t.Error("the receipt holds an ID")
	}
	next := must[engine.LedgerEntry](t)(e.Receipt(ctx, second.ARN))
	if next.Number != 2 || next.Previous != r.Digest() || next.Files.Files != 2 || next.Hashes.Count != 3 {
		t.Errorf("second receipt %+v", next)
	}

	// None for what isn't there, for a job that failed, and for one under way.
	if _, err := e.Receipt(ctx, "nothing"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such job: %v", err)
	}
	bad, err := e.Delete(ctx, engine.NewDataDeletionJob{Group: "g", Source: listFile(t, "a,b")})
	if _, missing := e.Receipt(ctx, bad.Name); err == nil || !errors.Is(missing, engine.ErrNotFound) {
		t.Errorf("a job that failed: %v, %v", err, missing)
	}
	sn := must[*engine.Snapshot](t)(e.Snapshot(ctx, "g"))
	waits := create(t, e, "g", "user-08")
	waitFor(t, e, waits, "waited", isWaiting)
	if _, err := e.Receipt(ctx, waits.Name); !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "IN_PROGRESS") {
		t.Errorf("a job under way: %v", err)
	}
	if report, err := e.VerifyLedger(ctx, r.Digest()); err != nil || report.Receipts != 2 || report.Hashes != 5 || report.Head != next.Digest() {
		t.Errorf("meanwhile: %+v, %v", report, err)
	}
	sn.Release()
	must[engine.Job](t)(e.Wait(ctx, waits))
	if _, err := e.VerifyLedger(ctx, next.Digest()); err != nil {
		t.Error(err)
	}
}

// manyReceipts makes a closed store with a ledger of five receipts.
func manyReceipts(t *testing.T) (path string, entries []engine.LedgerEntry) {
	t.Helper()
	path = storePath(t)
	e := open(t, path, engine.Options{})
	importSmall(t, e)
	for i := range 5 {
		deleteUsers(t, e, "g", fmt.Sprintf("user-%02d", 2*i), fmt.Sprintf("user-%02d", 2*i+1))
	}
	entries = ledger(t, e)
	mustClose(t, e)
	return path, entries
}

// rebuild makes the chain anew from some place on, as somebody would who changed a receipt.
func rebuild(t *testing.T, lines [][]byte) (out [][]byte) {
	t.Helper()
	previous := ""
	for i, line := range lines {
		r := must[jobs.Receipt](t)(jobs.ParseReceipt(line))
		r.Number, r.Previous = uint64(i+1), previous
		out = append(out, must[[]byte](t)(json.Marshal(r)))
		previous = jobs.Digest(out[i])
	}
	return out
}

// TestTamperedStore changes receipts and hashes in the store as somebody would who knows its format.
func TestTamperedStore(t *testing.T) {
	ctx := context.Background()
	path, entries := manyReceipts(t)
	head := entries[4].Digest()
	lines := func() (out [][]byte) {
		for _, entry := range entries {
			out = append(out, entry.Line)
		}
		return out
	}
	edited := func(i int) []byte {
		return bytes.Replace(entries[i].Line, []byte(`"numDeleted":22`), []byte(`"numDeleted":21`), 1)
	}
	for name, c := range map[string]struct {
		lines [][]byte // what the ledger is replaced by
		do    func(s *store.Store) error
		alone bool // it is found without the head
	}{
		"untouched":        {lines(), nil, false},
		"changed":          {slices.Replace(lines(), 2, 3, edited(2)), nil, true},
		"newest changed":   {slices.Replace(lines(), 4, 5, edited(4)), nil, false},
		"chain made anew":  {rebuild(t, slices.Replace(lines(), 2, 3, edited(2))), nil, false},
		"cut":              {lines()[:4], nil, true},
		"cut to nothing":   {nil, nil, true},
		"left out":         {slices.Delete(lines(), 1, 2), nil, true},
		"left out, anew":   {rebuild(t, slices.Delete(lines(), 1, 2)), nil, true},
		"exchanged":        {[][]byte{lines()[0], lines()[2], lines()[1], lines()[3], lines()[4]}, nil, true},
		"exchanged, anew":  {rebuild(t, [][]byte{lines()[0], lines()[2], lines()[1], lines()[3], lines()[4]}), nil, false},
		"put in twice":     {append(lines(), lines()[4]), nil, true},
		"hashes dropped":   {lines(), func(s *store.Store) error { return s.DropFailed(ctx, "g", entries[1].Seq) }, true},
		"hashes put in":    {lines(), func(s *store.Store) error { return stage(s, entries[1].Seq, 9, "user-20") }, true},
		"hashes exchanged": {lines(), func(s *store.Store) error { return stage(s, entries[1].Seq, 0, "user-20", "user-21") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			copied := storePath(t)
			writeFile(t, strings.TrimSuffix(copied, "/test.expunge"), "test.expunge", string(readFile(t, path)))
			s := must[*store.Store](t)(store.Open(ctx, copied, store.Options{}))
			err := s.Update(ctx, func(tx *store.Tx) error {
				for i := range entries {
					if err := tx.KV().Delete(receiptKey(i)); err != nil {
						return err
					}
				}
				for i, line := range c.lines {
					if err := tx.KV().Put(receiptKey(i), sealed(line)); err != nil {
						return err
					}
				}
				return nil
			})
			if c.do != nil {
				err = errors.Join(err, c.do(s))
			}
			if err := errors.Join(err, s.Close(ctx)); err != nil {
				t.Fatal(err)
			}
			e := must[*engine.Engine](t)(engine.Open(ctx, copied, engine.Options{ReadOnly: true}))
			defer mustClose(t, e)
			_, alone := e.VerifyLedger(ctx, "")
			_, expected := e.VerifyLedger(ctx, head)
			if errors.Is(alone, engine.ErrLedger) != c.alone {
				t.Errorf("without the head: %v", alone)
			}
			if errors.Is(expected, engine.ErrLedger) != (name != "untouched") {
				t.Errorf("with the head: %v", expected)
			}
		})
	}
}

func receiptKey(i int) []byte { return binary.BigEndian.AppendUint64([]byte{'r'}, uint64(i+1)) }

// sealed puts the header before a receipt that its record has.
func sealed(line []byte) []byte {
	sum := crc32.Checksum(append([]byte{1}, line...), crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32([]byte{1}, sum), line...)
}

// stage makes hashes of users of a job.
func stage(s *store.Store, job uint64, batch uint32, ids ...string) error {
	ctx := context.Background()
	err := s.StageUsers(ctx, "g", job, batch, len(ids), func(i int) []byte { return []byte(ids[i]) }, func(*store.Tx, store.Staged) error { return nil })
	return errors.Join(err, s.DropStaged(ctx, job, nil))
}

func TestTamperedExport(t *testing.T) {
	_, entries := manyReceipts(t)
	_, others := manyReceipts(t)
	head := entries[4].Digest()
	all := export(entries...)
	verify := func(text, expect string) (engine.LedgerReport, error) {
		return engine.VerifyLedgerExport(strings.NewReader(text), expect)
	}
	report, err := verify(all, head)
	if err != nil || report != (engine.LedgerReport{Receipts: 5, Head: head}) {
		t.Errorf("%+v, %v", report, err)
	}
	for _, entry := range entries { // each was a head once
		if _, err := verify(all, entry.Digest()); err != nil {
			t.Error(err)
		}
	}
	if report, err := verify("", ""); err != nil || report.Receipts != 0 {
		t.Errorf("an export of nothing: %+v, %v", report, err)
	}
	for i := range len(all) { // each byte changed
		b := []byte(all)
		b[i] ^= 1
		if _, err := verify(string(b), head); !errors.Is(err, engine.ErrLedger) {
			t.Fatalf("byte %d of %d changed: %v", i, len(all), err)
		}
	}
	for name, c := range map[string]struct {
		text  string
		alone bool // it is found without the head
	}{
		"cut":         {export(entries[:3]...), false},
		"cut in line": {all[:len(all)-100], true},
		"nothing":     {"", false},
		"begin cut":   {export(entries[1:]...), true},
		"left out":    {export(entries[0], entries[1], entries[3], entries[4]), true},
		"exchanged":   {export(entries[0], entries[2], entries[1], entries[3], entries[4]), true},
		"twice":       {export(append(entries, entries[4])...), true},
		"spliced":     {export(entries[0], entries[1], others[2], others[3], others[4]), true},
		"another":     {export(others...), false},
		"blank line":  {"\n" + all, true},
		"two in one":  {strings.Replace(all, "\n", " ", 1), true},
		"long line":   {strings.Repeat(" ", 17<<20), true},
		"binary":      {"\xff\x00", true},
	} {
		_, err := verify(c.text, "")
		if (err != nil) != c.alone {
			t.Errorf("%s, without the head: %v", name, err)
		}
		if _, err := verify(c.text, head); err == nil {
			t.Errorf("%s, with the head: nothing was found", name)
		}
	}
}

func TestMatchLedger(t *testing.T) {
	ctx := context.Background()
	path, key := storePath(t), bytes.Repeat([]byte("k"), 32)
	e := open(t, path, engine.Options{IDKey: key})
	importSmall(t, e)
	createGroup(t, e, "other", testSchemas)
	const users = "USER_ID,AGE,CITY\n"
	importText(t, e, "other", engine.Users, engine.ImportFull, users+"user-01,1,\n")
	one := deleteUsers(t, e, "g", "user-01", "user-02", "nobody")
	importText(t, e, "g", engine.Users, engine.ImportIncremental, users+"user-01,1,\n") // who comes back
	two := deleteUsers(t, e, "g", "user-01", "user-03")
	far := deleteUsers(t, e, "other", "user-01")

	var many strings.Builder // in more than one batch
	many.WriteString("USER_ID\nuser-01\nuser-02\nuser-04\n")
	for i := range 70_000 {
		fmt.Fprintf(&many, "stranger-%d\n", i)
	}
	many.WriteString("user-03\nuser-02\nnobody\n")
	long := writeFile(t, t.TempDir(), "long.csv", many.String())
	for _, c := range []struct {
		group, list     string
		listed, deleted int64
		by              map[string]int64
	}{
		{"g", listFile(t, "user-01"), 1, 1, map[string]int64{one.Name: 1, two.Name: 1}},
		{"g", listFile(t, "user-02", "user-02", "User-02", "user-020"), 4, 2, map[string]int64{one.Name: 2}},
		{"g", listFile(t, "nobody", "user-04"), 2, 0, map[string]int64{}},
		{"g", long, 70_006, 4, map[string]int64{one.Name: 3, two.Name: 2}},
		{"other", long, 70_006, 1, map[string]int64{far.Name: 1}},
		{one.GroupARN, listFile(t), 0, 0, map[string]int64{}},
	} {
		listed, deleted, by, err := e.MatchLedger(ctx, c.group, c.list)
		got := make(map[string]int64)
		for _, m := range by {
			got[m.Receipt.Name] = m.Users
		}
		if err != nil || listed != c.listed || deleted != c.deleted || fmt.Sprint(got) != fmt.Sprint(c.by) {
			t.Errorf("group %s: %d listed, %d deleted, by %v, %v; want %d, %d, %v", c.group, listed, deleted, got, err, c.listed, c.deleted, c.by)
		}
	}
	if _, _, _, err := e.MatchLedger(ctx, "nothing", long); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such group: %v", err)
	}
	var input *engine.InputError
	if _, _, _, err := e.MatchLedger(ctx, "g", listFile(t, "a", "SECRET,b")); !errors.As(err, &input) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a bad list: %v", err)
	}
	mustClose(t, e)
	for _, with := range [][]byte{nil, key} {
		ro := must[*engine.Engine](t)(engine.Open(ctx, path, engine.Options{ReadOnly: true, IDKey: with}))
		if _, err := ro.VerifyLedger(ctx, ""); err != nil {
			t.Errorf("the chain needs no key: %v", err)
		}
		if _, _, _, err := ro.MatchLedger(ctx, "g", long); errors.Is(err, engine.ErrKey) != (with == nil) {
			t.Errorf("matched with key %q: %v", with, err)
		}
		mustClose(t, ro)
	}
}
