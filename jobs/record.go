package jobs

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
)

// A stored job, or receipt, is
//
//	1 byte   format, recordFormat
//	4 bytes  CRC-32C of the format byte and the JSON, big endian
//	n bytes  JSON of it
//
// The JSON repeats the sequence number of the key, so that a sound record under the wrong key is found out.
const (
	recordFormat = 1
	recordHeader = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func recordSum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:1], castagnoli), castagnoli, record[recordHeader:])
}

// encodeRecord refuses a job that breaks the rules of [Job.consistent]: such a record could be read by nobody.
func encodeRecord(j *Job) ([]byte, error) {
	if err := j.consistent(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	return sealJSON(body), nil
}

// sealJSON puts the header before JSON.
func sealJSON(body []byte) []byte {
	record := append(make([]byte, recordHeader, recordHeader+len(body)), body...)
	record[0] = recordFormat
	binary.BigEndian.PutUint32(record[1:], recordSum(record))
	return record
}

// unsealJSON returns the JSON behind the header, aliasing record, or what is wrong with the record.
func unsealJSON(record []byte) (body []byte, problem string) {
	switch {
	case len(record) < recordHeader:
		return nil, "too short"
	case recordSum(record) != binary.BigEndian.Uint32(record[1:]):
		return nil, "checksum mismatch"
	case record[0] != recordFormat:
		return nil, fmt.Sprintf("format %d is unknown to this version", record[0])
	}
	return record[recordHeader:], ""
}

// decodeRecord reads the record of job seq. Every error is a [*CorruptError]. The job shares no memory with record.
func decodeRecord(seq uint64, record []byte) (Job, error) {
	corrupt := func(problem string) (Job, error) { return Job{}, &CorruptError{Seq: seq, Problem: problem} }
	body, problem := unsealJSON(record)
	if problem != "" {
		return corrupt(problem)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var j Job
	// The texts of these errors can quote what was stored: they are left out.
	if dec.Decode(&j) != nil {
		return corrupt("not the JSON of a job")
	}
	if _, err := dec.Token(); err != io.EOF {
		return corrupt("more than one JSON value")
	}
	if j.Seq != seq {
		return corrupt("sequence number differs from the key's")
	}
	if err := j.consistent(); err != nil {
		return corrupt(err.Error())
	}
	return j, nil
}
