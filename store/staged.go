package store

import (
	"context"
	"encoding/binary"
)

// StagedJobs returns the numbers of the jobs that have something staged, so that a caller finds what a job that is over
// couldn't drop.
func (s *Store) StagedJobs(ctx context.Context) (numbers []uint64, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		c := tx.b.Bucket(bucketStage).Cursor()
		for k, _ := c.First(); k != nil; {
			if len(k) < 8 {
				return &CorruptError{What: "staged users of a job", Problem: "a key can't be read"}
			}
			job := uint64At(k)
			numbers = append(numbers, job)
			k, _ = c.Seek(binary.BigEndian.AppendUint64(nil, job+1))
		}
		return nil
	})
	return numbers, err
}
