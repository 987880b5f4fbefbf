package engine_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/expunge-db/expunge/engine"
)

// FuzzLedgerExport checks exported ledgers: one that is accepted is no longer so when its first receipt is left out.
func FuzzLedgerExport(f *testing.F) {
	e := open(f, storePath(f), engine.Options{})
	users := importSmall(f, e)
	deleteUsers(f, e, "g", users[0])
	deleteUsers(f, e, "g", users[1])
	var lines []byte
	for entry, err := range e.Ledger(context.Background()) {
		if err != nil {
			f.Fatal(err)
		}
		lines = append(append(lines, entry.Line...), '\n')
	}
	if report, err := engine.VerifyLedgerExport(bytes.NewReader(lines), ""); err != nil || report.Receipts != 2 {
		f.Fatalf("%+v, %v", report, err)
	}
	f.Add(lines)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		report, err := engine.VerifyLedgerExport(bytes.NewReader(lines), "")
		if err != nil || report.Receipts < 2 {
			return
		}
		_, rest, _ := bytes.Cut(lines, []byte("\n"))
		if _, err := engine.VerifyLedgerExport(bytes.NewReader(rest), ""); err == nil {
			t.Error("nobody notices that the first receipt is missing")
		}
	})
}
