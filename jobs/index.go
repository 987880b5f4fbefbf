package jobs

import (
	"encoding/binary"
	"fmt"
)

// The keys. A sequence number is 8 bytes, big endian, so that the order of keys is the order of creation.
//
//	j SEQ         the record
//	n KIND/NAME   SEQ of the job that has the name
//	o SEQ         empty; there while the job is neither COMPLETED nor FAILED
//	r NUMBER      the receipt, numbered by itself
var (
	recordPrefix  = []byte{'j'}
	namePrefix    = []byte{'n'}
	openPrefix    = []byte{'o'}
	receiptPrefix = []byte{'r'}
)

func seqKey(prefix []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), prefix...), seq)
}

func nameKey(kind Kind, name string) []byte {
	return []byte(string(namePrefix) + string(kind) + "/" + name)
}

// keySeq reads the sequence number at the end of a record's or an open entry's key.
func keySeq(key []byte) (uint64, error) {
	if len(key) != 9 {
		return 0, &CorruptError{Problem: "key of a wrong length"}
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

// put writes j's record. Creation and the end of a job change the indexes as well.
func put(tx Tx, j *Job) error {
	record, err := encodeRecord(j)
	if err != nil {
		return err
	}
	if err := tx.Put(seqKey(recordPrefix, j.Seq), record); err != nil {
		return fmt.Errorf("write job record: %w", err)
	}
	return nil
}

// lookup finds a job by kind and name; the error is a [*CorruptError].
func lookup(tx Tx, kind Kind, name string) (j Job, found bool, err error) {
	value := tx.Get(nameKey(kind, name))
	if value == nil {
		return Job{}, false, nil
	}
	if len(value) != 8 {
		return Job{}, false, &CorruptError{Problem: "name entry of a wrong length"}
	}
	seq := binary.BigEndian.Uint64(value)
	record := tx.Get(seqKey(recordPrefix, seq))
	if record == nil {
		return Job{}, false, &CorruptError{Seq: seq, Problem: "named in the index but not there"}
	}
	j, err = decodeRecord(seq, record)
	if err != nil {
		return Job{}, false, err
	}
	if j.Kind != kind || j.Name != name {
		return Job{}, false, &CorruptError{Seq: seq, Problem: "found under another job's name"}
	}
	return j, true, nil
}

// lastSeq is the sequence number of the newest job, 0 if there is none. Jobs are never removed, so it is the
// greatest that was ever given.
func lastSeq(tx Tx) (seq uint64, err error) {
	err = tx.Descend(recordPrefix, func(key, _ []byte) error {
		if seq, err = keySeq(key); err != nil {
			return err
		}
		return ErrStop
	})
	return seq, err
}

// ascendOpen calls fn for the unfinished jobs in the order of creation.
func ascendOpen(tx Tx, fn func(Job) error) error {
	return tx.Ascend(openPrefix, func(key, _ []byte) error {
		seq, err := keySeq(key)
		if err != nil {
			return err
		}
		record := tx.Get(seqKey(recordPrefix, seq))
		if record == nil {
			return &CorruptError{Seq: seq, Problem: "listed as unfinished but not there"}
		}
		j, err := decodeRecord(seq, record)
		if err != nil {
			return err
		}
		if j.Status.Terminal() {
			return &CorruptError{Seq: seq, Problem: "listed as unfinished but finished"}
		}
		return fn(j)
	})
}
