package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// NewEventTracker is what an event tracker is created from.
type NewEventTracker struct {
	Name  string // unique among the store's event trackers
	Group string // name or ARN
	Tags  []Tag
}

// EventTracker lets events be put into a group's Interactions dataset. A group has at most one.
type EventTracker struct {
	Name             string
	ARN              string
	TrackingID       string // a UUID, which [Engine.PutEvents] takes
	GroupARN         string
	Account          string
	Created, Updated time.Time
	Tags             []Tag
}

// CreateEventTracker adds an event tracker to a group. Errors: [ErrInvalid], [ErrNotFound], [ErrExists] for the name,
// [ErrLimit] if the group has one.
func (e *Engine) CreateEventTracker(ctx context.Context, n NewEventTracker) (EventTracker, error) {
	if err := errors.Join(jobs.ValidateName("name", n.Name), jobs.ValidateTags(n.Tags)); err != nil {
		return EventTracker{}, err
	}
	var t store.EventTracker
	err := e.store.Update(ctx, func(tx *store.Tx) (err error) {
		t, err = tx.CreateEventTracker(store.EventTracker{
			Name: n.Name, TrackingID: newUUID(), Group: e.groupName(n.Group), Tags: storeTags(n.Tags), Created: now(),
		})
		return err
	})
	if errors.Is(err, store.ErrInUse) {
		return EventTracker{}, ofKind(ErrLimit, err)
	}
	return e.tracker(t), mapError(err)
}

// newUUID returns a random UUID, of version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: see its documentation
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// trackerID returns the ID in an ARN of an event tracker.
func (e *Engine) trackerID(arn string) string {
	return strings.TrimPrefix(arn, e.account.ARN(kindTracker, ""))
}

// EventTracker returns an event tracker. Errors: [ErrNotFound].
func (e *Engine) EventTracker(ctx context.Context, arn string) (EventTracker, error) {
	var t store.EventTracker
	err := e.store.View(ctx, func(tx *store.Tx) (err error) {
		t, err = tx.EventTracker(e.trackerID(arn))
		return err
	})
	return e.tracker(t), mapError(err)
}

// EventTrackers returns the event tracker of a group, whose name or ARN is given, or those of all groups for "", newest
// first.
func (e *Engine) EventTrackers(ctx context.Context, group string) (out []EventTracker, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.EventTrackers()
		newestFirst(all, func(t store.EventTracker) (time.Time, uint32) { return t.Created, 0 })
		for _, t := range all {
			if group == "" || t.Group == e.groupName(group) {
				out = append(out, e.tracker(t))
			}
		}
		return err
	})
	return out, err
}

// DeleteEventTracker removes an event tracker. The events that came by it stay. Errors: [ErrNotFound].
func (e *Engine) DeleteEventTracker(ctx context.Context, arn string) error {
	return mapError(e.store.Update(ctx, func(tx *store.Tx) error { return tx.DeleteEventTracker(e.trackerID(arn)) }))
}

func (e *Engine) tracker(t store.EventTracker) EventTracker {
	return EventTracker{
		Name: t.Name, ARN: e.account.ARN(kindTracker, t.ID()), TrackingID: t.TrackingID, GroupARN: e.groupARN(t.Group),
		Account: e.account.ID, Created: t.Created, Updated: t.Updated, Tags: jobTags(t.Tags),
	}
}
