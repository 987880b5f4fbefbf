package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Check reads all records, both indexes and the ledger and reports everything that is wrong with them, joined, each a
// [*CorruptError]. It holds one entry for each job in memory.
func Check(tx Tx) error {
	var errs []error
	bad := func(seq uint64, format string, args ...any) {
		errs = append(errs, &CorruptError{Seq: seq, Problem: fmt.Sprintf(format, args...)})
	}
	type entry struct {
		name     string // as in the key of the name index
		open     bool
		receipts int // that it may have
	}
	records := make(map[uint64]entry)
	err := tx.Ascend(recordPrefix, func(key, value []byte) error {
		seq, err := keySeq(key)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		j, err := decodeRecord(seq, value)
		if err != nil {
			errs = append(errs, err)
			// Its index entries can't be judged, but they aren't strays.
			records[seq] = entry{}
			return nil
		}
		e := entry{name: string(nameKey(j.Kind, j.Name)), open: !j.Status.Terminal()}
		if j.NumDeleted != nil {
			e.receipts = 1
		}
		records[seq] = e
		return nil
	})
	if err != nil {
		return fmt.Errorf("read job records: %w", err)
	}

	var chain Chain
	err = Receipts(tx, 0, func(r Receipt, line []byte) error {
		e, ok := records[r.Seq]
		if !ok || e.name != "" && e.name != string(nameKey(KindDeletion, r.Name)) {
			bad(r.Seq, "receipt %d is of no such job", r.Number)
		}
		e.receipts--
		records[r.Seq] = e
		if err := chain.Add(r, line); err != nil {
			bad(r.Seq, "%v", err)
			chain = Chain{Count: r.Number, Head: Digest(line)}
		}
		return nil
	})
	if err != nil {
		errs = append(errs, err)
	}
	for seq, r := range records {
		if r.receipts < 0 && r.name != "" {
			bad(seq, "has a receipt that it shouldn't have")
		}
	}

	named := make(map[uint64]bool, len(records))
	err = tx.Ascend(namePrefix, func(key, value []byte) error {
		if len(value) != 8 {
			bad(0, "name entry of a wrong length")
			return nil
		}
		seq := binary.BigEndian.Uint64(value)
		r, ok := records[seq]
		switch {
		case !ok:
			bad(seq, "named in the index but not there")
		case r.name != "" && r.name != string(key):
			bad(seq, "found under another job's name")
		}
		named[seq] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("read index of job names: %w", err)
	}

	open := make(map[uint64]bool)
	err = tx.Ascend(openPrefix, func(key, _ []byte) error {
		seq, err := keySeq(key)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		r, ok := records[seq]
		switch {
		case !ok:
			bad(seq, "listed as unfinished but not there")
		case r.name != "" && !r.open:
			bad(seq, "listed as unfinished but finished")
		}
		open[seq] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("read index of unfinished jobs: %w", err)
	}

	for seq, r := range records {
		if r.name != "" && !named[seq] {
			bad(seq, "missing in the index of names")
		}
		if r.open && !open[seq] {
			bad(seq, "missing in the index of unfinished jobs")
		}
	}
	return errors.Join(errs...)
}
