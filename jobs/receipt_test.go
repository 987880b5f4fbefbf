package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLedger: receipts form a chain in which every change, gap and exchange is found.
func TestLedger(t *testing.T) {
	db := newMemDB()
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for i := range 5 {
		db.update(t, func(tx Tx) error {
			r, err := AppendReceipt(tx, Receipt{Name: "job", Seq: uint64(i + 1), Created: at, NumDeleted: int64(i), Number: 77, Previous: "x"})
			if err == nil && (r.Number != uint64(i+1) || (r.Previous == "") != (i == 0)) {
				t.Errorf("receipt %d: %+v", i, r)
			}
			return err
		})
	}
	var lines [][]byte
	err := db.View(t.Context(), func(tx Tx) error {
		return Receipts(tx, 0, func(r Receipt, line []byte) error {
			again, err := json.Marshal(r)
			if err != nil || !bytes.Equal(again, line) {
				t.Errorf("receipt %d is %s and was stored as %s: %v", r.Number, again, line, err)
			}
			lines = append(lines, bytes.Clone(line))
			return nil
		})
	})
	if err != nil || len(lines) != 5 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	verify := func(lines [][]byte) (Chain, error) {
		var c Chain
		for _, line := range lines {
			r, err := ParseReceipt(line)
			if err != nil {
				return c, err
			}
			if err := c.Add(r, line); err != nil {
				return c, err
			}
		}
		return c, nil
	}
	whole, err := verify(lines)
	if err != nil || whole.Count != 5 || whole.Head != Digest(lines[4]) {
		t.Errorf("chain %+v, %v", whole, err)
	}
	edited := func(i int, old, new string) [][]byte {
		out := slices.Clone(lines)
		out[i] = []byte(strings.Replace(string(lines[i]), old, new, 1))
		if bytes.Equal(out[i], lines[i]) {
			t.Fatalf("%q isn't in %s", old, lines[i])
		}
		return out
	}
	for name, bad := range map[string][][]byte{
		"changed":        edited(2, `"numDeleted":2`, `"numDeleted":1`),
		"left out":       slices.Delete(slices.Clone(lines), 1, 2),
		"first left out": lines[1:],
		"exchanged":      {lines[0], lines[2], lines[1], lines[3]},
		"twice":          {lines[0], lines[0]},
		"spaces":         edited(3, `{`, `{ `),
		"member":         edited(3, `"jobName"`, `"userId"`),
		"two":            edited(4, `}`, `}{}`),
	} {
		if _, err := verify(bad); err == nil {
			t.Errorf("%s: nothing was found", name)
		}
	}
	if cut, err := verify(lines[:3]); err != nil || cut.Head == whole.Head {
		t.Errorf("cut off: %+v, %v; its digest must differ", cut, err)
	}
	n := 0
	err = db.View(t.Context(), func(tx Tx) error {
		return Receipts(tx, 3, func(r Receipt, _ []byte) error {
			n++
			if r.Number != 4 {
				t.Errorf("receipt %d comes after receipt 3", r.Number)
			}
			return ErrStop
		})
	})
	if err != nil || n != 1 {
		t.Errorf("%d receipts, %v", n, err)
	}
}

// TestDamagedReceipt: a flipped bit is found and named.
func TestDamagedReceipt(t *testing.T) {
	db := newMemDB()
	db.update(t, func(tx Tx) error {
		_, err := AppendReceipt(tx, Receipt{Name: "job", Seq: 1})
		return err
	})
	key := string(seqKey(receiptPrefix, 1))
	for i := range len(db.data[key]) {
		damaged := []byte(db.data[key])
		damaged[i] ^= 1
		other := newMemDB()
		other.data[key] = string(damaged)
		err := other.View(t.Context(), func(tx Tx) error {
			return Receipts(tx, 0, func(Receipt, []byte) error { return nil })
		})
		var c *CorruptError
		if !errors.As(err, &c) || !strings.Contains(err.Error(), "receipt 1") {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// FuzzReceipt reads lines of an exported ledger: what is accepted has one place in a chain, and can be stored.
func FuzzReceipt(f *testing.F) {
	f.Add([]byte(`{"receipt":1,"previous":"","jobName":"a","scrubbed":{"pages":1,"bytesWritten":2,"bytesPunched":0,"method":"write"}}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{}{}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseReceipt(line)
		if err != nil {
			return
		}
		chain := Chain{Count: r.Number - 1, Head: r.Previous}
		if err := chain.Add(r, line); err != nil {
			t.Error(err)
		}
		if err := chain.Add(r, line); err == nil {
			t.Error("a receipt comes after itself")
		}
		if _, _, err := decodeReceipt(seqKey(receiptPrefix, r.Number), sealJSON(line)); err != nil {
			t.Error(err)
		}
	})
}
