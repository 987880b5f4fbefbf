package jobs

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// stamp is how times are stored.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Create stores a new PENDING job and returns it. Call [Runner.Wake] once the transaction has committed. That
// the group and the dataset exist is for the caller to check, in the same transaction.
//
// Errors: [ErrInvalid], [ErrExists], [ErrLimit] when the group has [MaxPending] deletion jobs waiting.
func Create(tx Tx, account Account, spec Spec, now time.Time) (Job, error) {
	if err := spec.Validate(); err != nil {
		return Job{}, err
	}
	if _, found, err := lookup(tx, spec.Kind, spec.Name); err != nil {
		return Job{}, err
	} else if found {
		return Job{}, apiErrorf(ErrExists, "Another resource with Arn %s already exists. Choose another job name.",
			account.ARN(string(spec.Kind), spec.Name))
	}
	if spec.Kind == KindDeletion {
		if err := checkPending(tx, spec.GroupARN); err != nil {
			return Job{}, err
		}
	}
	last, err := lastSeq(tx)
	if err != nil {
		return Job{}, err
	}
	j := Job{
		Spec:    spec,
		Seq:     last + 1,
		ARN:     account.ARN(string(spec.Kind), spec.Name),
		Status:  StatusPending,
		Created: stamp(now),
		Updated: stamp(now),
	}
	if err := put(tx, &j); err != nil {
		return Job{}, err
	}
	if err := tx.Put(nameKey(j.Kind, j.Name), binary.BigEndian.AppendUint64(nil, j.Seq)); err != nil {
		return Job{}, fmt.Errorf("write index of job names: %w", err)
	}
	if err := tx.Put(seqKey(openPrefix, j.Seq), nil); err != nil {
		return Job{}, fmt.Errorf("write index of unfinished jobs: %w", err)
	}
	// Read back, so that what is returned shares no memory with spec.
	return GetSeq(tx, j.Seq)
}

// checkPending is an [ErrLimit] if the group can't take another deletion job. Only PENDING counts.
func checkPending(tx Tx, groupARN string) error {
	pending := 0
	err := ascendOpen(tx, func(j Job) error {
		if j.Kind == KindDeletion && j.GroupARN == groupARN && j.Status == StatusPending {
			pending++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if pending >= MaxPending {
		return apiErrorf(ErrLimit, "More than %d resources with PENDING status. "+
			"Wait until a data deletion job of the dataset group has started and try again, or put all users into one list.", MaxPending)
	}
	return nil
}

// Get returns the job of that kind with that name or ARN. The error is an [ErrNotFound] if there is none, or if
// the ARN is of another kind or another account than the job's.
func Get(tx Tx, kind Kind, nameOrARN string) (Job, error) {
	notFound := func(what string) (Job, error) {
		return Job{}, apiErrorf(ErrNotFound, "%s does not exist. List the jobs to see their names.", what)
	}
	name, isARN := nameOrARN, strings.HasPrefix(nameOrARN, "arn:")
	what := "The job"
	if isARN {
		_, arnKind, id, err := ParseARN(nameOrARN)
		if err != nil {
			return Job{}, err
		}
		what = "Resource Arn " + nameOrARN
		if Kind(arnKind) != kind {
			return notFound(what)
		}
		name = id
	}
	j, found, err := lookup(tx, kind, name)
	if err != nil {
		return Job{}, err
	}
	if !found || isARN && j.ARN != nameOrARN {
		return notFound(what)
	}
	return j, nil
}

// GetSeq returns the job with that sequence number, or an [ErrNotFound].
func GetSeq(tx Tx, seq uint64) (Job, error) {
	record := tx.Get(seqKey(recordPrefix, seq))
	if record == nil {
		return Job{}, apiErrorf(ErrNotFound, "The job with sequence number %d does not exist.", seq)
	}
	return decodeRecord(seq, record)
}

// Filter selects jobs. Each field that isn't empty must be equal to the job's.
type Filter struct {
	Kind       Kind
	GroupARN   string
	DatasetARN string
}

func (f Filter) matches(j *Job) bool {
	return (f.Kind == "" || f.Kind == j.Kind) &&
		(f.GroupARN == "" || f.GroupARN == j.GroupARN) &&
		(f.DatasetARN == "" || f.DatasetARN == j.DatasetARN)
}

// List returns the jobs that the filter selects, newest first, at most limit of them, and whether there are more.
// It begins after the job with sequence number after, or with the newest if that is 0; so the Seq of a page's last
// job is the place where the next page goes on, whatever was created meanwhile. A limit below 1 selects nothing.
func List(tx Tx, filter Filter, after uint64, limit int) (page []Job, more bool, err error) {
	if limit < 1 {
		return nil, false, nil
	}
	err = tx.Descend(recordPrefix, func(key, value []byte) error {
		seq, err := keySeq(key)
		if err != nil {
			return err
		}
		if after != 0 && seq >= after {
			return nil
		}
		j, err := decodeRecord(seq, value)
		if err != nil {
			return err
		}
		if !filter.matches(&j) {
			return nil
		}
		if len(page) == limit {
			more = true
			return ErrStop
		}
		page = append(page, j)
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return page, more, nil
}

// Unfinished returns all jobs that are PENDING or IN_PROGRESS, in the order of creation. It doesn't read the others.
func Unfinished(tx Tx) ([]Job, error) {
	var open []Job
	err := ascendOpen(tx, func(j Job) error {
		open = append(open, j)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return open, nil
}
