package store

import (
	"fmt"
	"time"
)

// EventTracker lets events be put into a group's Interactions dataset. A group has at most one.
type EventTracker struct {
	Name       string    `json:"name"` // unique
	TrackingID string    `json:"trackingId"`
	Group      string    `json:"group"`
	Tags       []Tag     `json:"tags,omitempty"`
	Created    time.Time `json:"created"`
	Updated    time.Time `json:"updated"`
}

// trackerIDSize is how much of a tracking ID, which begins with as many random digits, is the tracker's own ID.
const trackerIDSize = 8

// ID returns the ID that is in the tracker's ARN: the first 8 digits of the tracking ID.
func (t EventTracker) ID() string { return t.TrackingID[:min(trackerIDSize, len(t.TrackingID))] }

func trackerKey(id string) []byte { return []byte("t/" + id) }

// CreateEventTracker adds an event tracker. All fields but Updated are the caller's. Errors: [ErrNotFound] for the group,
// [ErrExists] for the name or the ID, [ErrInUse] if the group has one.
func (tx *Tx) CreateEventTracker(t EventTracker) (EventTracker, error) {
	if _, err := tx.Group(t.Group); err != nil {
		return t, err
	}
	all, err := tx.EventTrackers()
	if err != nil {
		return t, err
	}
	for _, other := range all {
		switch {
		case other.Name == t.Name || other.ID() == t.ID():
			return t, fmt.Errorf("event tracker %s: %w", t.Name, ErrExists)
		case other.Group == t.Group:
			return t, fmt.Errorf("dataset group %s is %w: it has event tracker %s, and a group has one at most", t.Group, ErrInUse, other.Name)
		}
	}
	t.Updated = t.Created
	return t, tx.putRecord(trackerKey(t.ID()), t)
}

// EventTracker returns the event tracker with an ID, the one in its ARN. Errors: [ErrNotFound].
func (tx *Tx) EventTracker(id string) (t EventTracker, err error) {
	if err = tx.getRecord(trackerKey(id), &t); err != nil {
		err = fmt.Errorf("event tracker: %w", err)
	}
	return t, err
}

// EventTrackers returns all event trackers, by name.
func (tx *Tx) EventTrackers() ([]EventTracker, error) {
	return records(tx, "t/", func(t EventTracker) string { return t.Name })
}

// EventTrackerOf returns the event tracker of a group. Errors: [ErrNotFound].
func (tx *Tx) EventTrackerOf(group string) (EventTracker, error) {
	all, err := tx.EventTrackers()
	if err != nil {
		return EventTracker{}, err
	}
	for _, t := range all {
		if t.Group == group {
			return t, nil
		}
	}
	return EventTracker{}, fmt.Errorf("event tracker of group %s: %w", group, ErrNotFound)
}

// DeleteEventTracker removes the event tracker with an ID. Events that were put stay. Errors: [ErrNotFound].
func (tx *Tx) DeleteEventTracker(id string) error {
	if _, err := tx.EventTracker(id); err != nil {
		return err
	}
	return tx.b.Bucket(bucketCatalog).Delete(trackerKey(id))
}
