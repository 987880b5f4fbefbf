package jobs

import (
	"errors"
	"fmt"
	"time"
)

// Transition moves a job from one status to another and returns it as stored. mutate, which can be nil, sets
// what goes with the new status: FailureReason for FAILED, NumDeleted for a COMPLETED deletion job. It sees the
// job with its new status, and can change Counts, Checkpoint, StatusReason and Released too. A job that ends
// loses its checkpoint and status reason.
//
// Errors, after which nothing has changed: [ErrNotFound]; [ErrConflict] if the status isn't from, or if a Released
// job would become FAILED. A transition that the lifecycle doesn't have and a mutate that breaks a rule are errors too.
func Transition(tx Tx, seq uint64, from, to Status, now time.Time, mutate func(*Job)) (Job, error) {
	if !from.canBecome(to) {
		return Job{}, fmt.Errorf("move job from %s to %s: the lifecycle has no such transition", from, to)
	}
	return change(tx, seq, from, to, now, mutate)
}

// Modify changes a job without changing its status, which must be from: PENDING or IN_PROGRESS. mutate can change
// Counts, Checkpoint, StatusReason and Released; once true, Released stays so. Errors as for [Transition].
func Modify(tx Tx, seq uint64, from Status, now time.Time, mutate func(*Job)) (Job, error) {
	if from.Terminal() {
		return Job{}, fmt.Errorf("modify job: a job that is %s can't change", from)
	}
	return change(tx, seq, from, from, now, mutate)
}

func change(tx Tx, seq uint64, from, to Status, now time.Time, mutate func(*Job)) (Job, error) {
	before, err := GetSeq(tx, seq)
	if err != nil {
		return Job{}, err
	}
	if before.Status != from {
		return Job{}, apiErrorf(ErrConflict, "The job %s is %s, not %s. Describe it and decide again.", before.ARN, before.Status, from)
	}
	if before.Released && to == StatusFailed {
		return Job{}, apiErrorf(ErrConflict, "The job %s has passed the point of no return and can only complete. "+
			"Let it finish.", before.ARN)
	}
	// Read again: a copy by assignment would share tags and counts with the one to compare with.
	j, err := GetSeq(tx, seq)
	if err != nil {
		return Job{}, err
	}
	j.Status = to
	if mutate != nil {
		mutate(&j)
	}
	if !sameOrigin(&j, &before) || j.Status != to || before.Released && !j.Released {
		return Job{}, errors.New("change job: identity, tags and status are not for mutate to change, nor is Released to be taken back")
	}
	if to.Terminal() {
		j.Checkpoint, j.StatusReason = nil, ""
	}
	if now = stamp(now); now.After(j.Updated) {
		j.Updated = now
	}
	if err := put(tx, &j); err != nil {
		return Job{}, fmt.Errorf("change job to %s: %w", to, err)
	}
	if to.Terminal() {
		if err := tx.Delete(seqKey(openPrefix, seq)); err != nil {
			return Job{}, fmt.Errorf("write index of unfinished jobs: %w", err)
		}
	}
	return GetSeq(tx, seq)
}
