package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Receipt says what a COMPLETED deletion job was asked, what it did, and when. It holds no user ID.
//
// The receipts of a store form a chain: each holds the digest of the one before it, so that none can be changed, put in or
// left out without changing all digests after it. Only at the end could some be taken away: whoever keeps the newest
// digest elsewhere finds that out too.
type Receipt struct {
	Number   uint64 `json:"number"`   // from 1, without gaps
	Previous string `json:"previous"` // digest of the receipt before, "" for the first

	Name     string      `json:"jobName"`
	ARN      string      `json:"dataDeletionJobArn"`
	Seq      uint64      `json:"seq"`
	GroupARN string      `json:"datasetGroupArn"`
	Source   string      `json:"dataLocation"`
	Files    SourceFiles `json:"files"`
	Counts   Counts      `json:"counts"`
	// NumDeleted is the number of rows that a scan returned before the job and doesn't after it.
	NumDeleted int64 `json:"numDeleted"`

	// In UTC, to the millisecond: the job was created; no new reader saw the users from then on; their bytes were off the
	// disk; the job became COMPLETED.
	Created   time.Time `json:"created"`
	Invisible time.Time `json:"invisible"`
	Erased    time.Time `json:"erased"`
	Completed time.Time `json:"completed"`

	Verified Verified `json:"verified"`
	Scrubbed Scrubbed `json:"scrubbed"`
	Hashes   Hashes   `json:"hashes"`
	// Suppressed says that imports keep the users of the list out from then on.
	Suppressed bool   `json:"suppressed"`
	Version    string `json:"version"` // of the program
}

// SourceFiles identifies the files that a job read.
type SourceFiles struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"` // as stored
	// SHA256 is in hex: of one file that of its bytes, of several that of lines as sha256sum prints them.
	SHA256 string `json:"sha256"`
}

// Verified is what was looked at before a job completed, in which nothing of its users was found.
type Verified struct {
	Users  int64 `json:"users"`  // whose entries in the dictionary are gone
	Blocks int64 `json:"blocks"` // whose indexes could have held them, by their fences
}

// Scrubbed is what was overwritten right before a job completed. Jobs that completed together share it.
type Scrubbed struct {
	Pages   int64  `json:"pages"`
	Written int64  `json:"bytesWritten"`
	Punched int64  `json:"bytesPunched"`
	Method  string `json:"method"` // none, write, punch or write+punch
}

// Hashes are those of the users whom a job matched, which the store keeps beside the ledger.
type Hashes struct {
	Count  int64  `json:"count"`
	SHA256 string `json:"sha256"` // of them all, in hex
}

// Digest returns the SHA-256, in hex, of a receipt as the ledger keeps it.
func Digest(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// AppendReceipt adds a receipt to the end of the ledger. Number and Previous are filled in.
func AppendReceipt(tx Tx, r Receipt) (Receipt, error) {
	r.Number, r.Previous = 1, ""
	err := tx.Descend(receiptPrefix, func(key, value []byte) error {
		last, line, err := decodeReceipt(key, value)
		if err != nil {
			return err
		}
		r.Number, r.Previous = last.Number+1, Digest(line)
		return ErrStop
	})
	if err != nil {
		return Receipt{}, err
	}
	line, err := json.Marshal(r)
	if err != nil {
		return Receipt{}, fmt.Errorf("encode receipt: %w", err)
	}
	if err := tx.Put(seqKey(receiptPrefix, r.Number), sealJSON(line)); err != nil {
		return Receipt{}, fmt.Errorf("write receipt: %w", err)
	}
	return r, nil
}

// Receipts calls fn for the receipts after a number, in their order, with each also as the line of JSON that its digest is
// of. The line is valid inside the call. An error of fn ends the walk and is returned, except [ErrStop].
func Receipts(tx Tx, after uint64, fn func(r Receipt, line []byte) error) error {
	return tx.Ascend(receiptPrefix, func(key, value []byte) error {
		if number, err := keySeq(key); err != nil || number <= after {
			return err
		}
		r, line, err := decodeReceipt(key, value)
		if err != nil {
			return err
		}
		return fn(r, line)
	})
}

func decodeReceipt(key, value []byte) (r Receipt, line []byte, err error) {
	number, err := keySeq(key)
	if err != nil {
		return r, nil, err
	}
	corrupt := func(problem string) (Receipt, []byte, error) {
		return Receipt{}, nil, &CorruptError{Problem: fmt.Sprintf("receipt %d: %s", number, problem)}
	}
	line, problem := unsealJSON(value)
	if problem != "" {
		return corrupt(problem)
	}
	if r, err = ParseReceipt(line); err != nil {
		return corrupt(err.Error())
	}
	if r.Number != number {
		return corrupt("its number differs from the key's")
	}
	return r, line, nil
}

// ParseReceipt reads a line of an exported ledger, without its newline. The error says nothing of what it holds.
func ParseReceipt(line []byte) (r Receipt, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if dec.Decode(&r) != nil {
		return Receipt{}, errors.New("not the JSON of a receipt")
	}
	if _, err := dec.Token(); err != io.EOF {
		return Receipt{}, errors.New("more than one JSON value")
	}
	return r, nil
}

// Chain checks the order of receipts, one after the other. The zero value is at the beginning of a ledger.
type Chain struct {
	Count uint64
	Head  string // digest of the last receipt
}

// Add checks that a receipt comes next. line is what its digest is of.
func (c *Chain) Add(r Receipt, line []byte) error {
	if r.Number != c.Count+1 {
		return fmt.Errorf("receipt %d comes after receipt %d: some are missing, or out of order", r.Number, c.Count)
	}
	if r.Previous != c.Head {
		return fmt.Errorf("receipt %d doesn't follow the one before it: one of the two was changed", r.Number)
	}
	c.Count, c.Head = r.Number, Digest(line)
	return nil
}
