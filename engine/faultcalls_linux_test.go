//go:build linux && (amd64 || arm64)

package engine_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// exportName is the folder beside the store that the export goes to.
const exportName = "export"

// putCall returns the events of a call: pairs of calls share a session, whose user only the second one knows.
func putCall(k int) (user, session string, ev engine.Event) {
	if k%2 == 1 {
		user = fmt.Sprintf("put-user-%05d", k/2)
	}
	return user, fmt.Sprintf("put-session-%05d", k/2), view("item-00000001", int64(k))
}

// putOp puts events one by one and waits until they are seen.
func putOp(f faultFiles) *faultOp {
	op := &faultOp{name: "put and fold", store: f.Store, puts: 24}
	rows := func(e *engine.Engine) (n int64, err error) {
		st, err := e.Stats(context.Background())
		if err != nil {
			return 0, err
		}
		for _, d := range st.Groups[0].Datasets {
			if d.Dataset.Type == engine.Interactions {
				n = d.Rows
			}
		}
		return n, nil
	}
	op.run = func(w waiting, e *engine.Engine, _ string) error {
		before, err := rows(e)
		if err != nil {
			return err
		}
		for k := range op.puts {
			user, session, ev := putCall(k)
			if err := e.PutEvents(context.Background(), f.TrackingID, user, session, []engine.Event{ev}); err != nil {
				return err
			}
			op.durable++
		}
		return w.until(func() (bool, error) {
			n, err := rows(e)
			return n == before+int64(op.puts), err
		})
	}
	return op
}

// removeOp removes a dataset and waits until its bytes are out of the file.
func removeOp(f faultFiles) *faultOp {
	op := &faultOp{name: "removal of a dataset", store: f.Store, removes: true, gone: f.Cities}
	op.run = func(w waiting, e *engine.Engine, dir string) error {
		d, err := e.Dataset(context.Background(), "g", engine.Users)
		if err == nil {
			err = e.DeleteDataset(context.Background(), d.ARN)
		}
		if err != nil {
			return err
		}
		op.durable++
		return w.until(func() (bool, error) {
			data, err := os.ReadFile(filepath.Join(dir, filepath.Base(f.Store)))
			for _, text := range op.gone {
				if err != nil || bytes.Contains(data, []byte(text)) {
					return false, err
				}
			}
			return true, nil
		})
	}
	return op
}

// settleCalls returns what a store holds after calls that are no jobs, once what was put is folded, and what it should hold:
// what calls that returned made durable, and of the others some.
func (op *faultOp) settleCalls(t *testing.T, e *engine.Engine, got faultState, where string) (_, want faultState) {
	t.Helper()
	switch {
	case op.removes && (op.durable > 0 || got.equal(op.after)):
		return got, op.after
	case op.puts > 0:
		must[engine.DryRun](t)(e.DryRunDeletion(context.Background(), "g", listFile(t, "nobody"))) // which folds
		got = stateOf(t, e)
		want = op.before
		want.rows = maps.Clone(want.rows)
		rows := want.rows[engine.Interactions]
		n := int(got.rows[engine.Interactions].n - rows.n)
		if n < op.durable-op.durable%2 {
			t.Errorf("%s: %d rows are there and %d calls have returned", where, n, op.durable)
		}
		for k := range min(n, op.puts) {
			user, _, _ := putCall(k | 1)
			_, _, ev := putCall(k)
			rows.add(fmt.Appendf(nil, "%s\x1f%s\x1fview\x1f\x1e\x1f%d", user, ev.ItemID, ev.SentAt.Unix()))
		}
		want.rows[engine.Interactions] = rows
		return got, want
	}
	return got, op.before
}

// sameExport compares the files of an export with the rows of its dataset.
func sameExport(t *testing.T, dir string, want rowsDigest, where string) {
	t.Helper()
	var got rowsDigest
	for _, path := range must[[]string](t)(filepath.Glob(filepath.Join(dir, "*"))) {
		records, err := csv.NewReader(strings.NewReader(string(readFile(t, path)))).ReadAll()
		if err != nil || len(records) == 0 || strings.Join(records[0], ",")+"\n" != eventHeader {
			t.Errorf("%s: an exported file can't be read: %v", where, err)
			continue
		}
		for _, cells := range records[1:] {
			for i, c := range cells {
				if c == "" {
					cells[i] = "\x1e"
				}
			}
			got.add([]byte(strings.Join(cells, "\x1f")))
		}
	}
	if got != want {
		t.Errorf("%s: %d rows were exported, want %d, or others", where, got.n, want.n)
	}
}
