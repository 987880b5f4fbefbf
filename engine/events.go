package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/store"
)

// Event is an interaction that is recorded when it happens.
type Event struct {
	Type   string
	Value  *float64
	ItemID string // can be in Properties instead, as itemId
	// Properties is a JSON object, or nil: the other fields of the schema by their names in camel case. It can't hold
	// userId, sessionId, eventType, timestamp, recommendationId or impression, in any case.
	Properties       []byte
	SentAt           time.Time // kept to the second
	RecommendationID string
	Impression       []string // items that were shown
	// EventID is not kept: two events are one if all their fields are equal.
	EventID           string
	AttributionSource string
}

// PutRow is a user or an item.
type PutRow struct {
	ID string
	// Properties is a JSON object, or nil: the fields of the schema by their names in camel case.
	Properties []byte
}

// PutEvents records events of a user in the Interactions dataset of the group whose event tracker has a tracking ID. They
// are durable when it returns nil; concurrent calls share a commit. Scans see them shortly after, unless an import into the
// group is under way: then when it has ended. A FULL import leaves them. An event that is there already in every field is
// dropped. Type, value, impression, recommendation and attribution are kept if the schema has a field for them.
//
// sessionID can be "". With userID "" the events are the session's only, and no scan returns them: they become a user's,
// and so do later ones of the session, once an event comes with both. A session keeps its newest 1000 such events. A
// deletion of the user deletes the session with everything in it; and a session is forgotten when a full import takes away
// the last row that its user has in the group, as it does if the user's events were all there in bulk already.
//
// If the user is suppressed nothing is recorded. Errors: [ErrInvalid], which names the field that is wrong and never a
// value, also for an unknown tracking ID; [ErrReadOnly], [ErrClosed].
func (e *Engine) PutEvents(ctx context.Context, trackingID, userID, sessionID string, events []Event) error {
	if userID == "" && sessionID == "" {
		return invalidf("events need a user ID or a session ID")
	}
	if n := len([]rune(sessionID)); n > 256 {
		return invalidf("the session ID is longer than 256 characters")
	}
	var target putTarget
	err := e.store.View(ctx, func(tx *store.Tx) error {
		t, err := tx.EventTracker(trackingID[:min(8, len(trackingID))])
		if errors.Is(err, store.ErrNotFound) || err == nil && t.TrackingID != trackingID {
			return invalidf("no event tracker has that tracking ID")
		}
		if err != nil {
			return err
		}
		if target, err = e.putTarget(tx, t.Group, Interactions); errors.Is(err, store.ErrNotFound) {
			return invalidf("dataset group %s has no Interactions dataset: create it first", t.Group)
		}
		return err
	})
	if err != nil {
		return err
	}
	rows := ingest.NewRows(target.schema, len(events))
	for i, ev := range events {
		if ev.SentAt.IsZero() {
			return invalidf("event %d: it has no time: give when it was sent", i+1)
		}
		if err := rows.Add(ev.cells(userID, sessionID), ev.Properties); err != nil {
			return invalidf("event %d: %w", i+1, err)
		}
	}
	return e.put(ctx, target, rows, len(events), sessionID, userID == "")
}

// cells returns the fields of an event by the names in the schema.
func (ev Event) cells(userID, sessionID string) map[string]string {
	cells := map[string]string{
		"USER_ID": userID, "TIMESTAMP": strconv.FormatInt(ev.SentAt.Unix(), 10), "EVENT_TYPE": ev.Type,
		"RECOMMENDATION_ID": ev.RecommendationID, "EVENT_ATTRIBUTION_SOURCE": ev.AttributionSource,
		"IMPRESSION": strings.Join(ev.Impression, "|"),
	}
	if userID == "" {
		cells["USER_ID"] = sessionID // nobody's, and not stored: but there has to be one
	}
	if ev.ItemID != "" {
		cells["ITEM_ID"] = ev.ItemID
	}
	if ev.Value != nil {
		cells["EVENT_VALUE"] = strconv.FormatFloat(*ev.Value, 'g', -1, 64)
	}
	return cells
}

// PutUsers adds users to a Users dataset one by one, as [Engine.PutEvents] does events: a user replaces those with the same
// ID, whatever brought them. Errors: [ErrInvalid], [ErrNotFound], [ErrReadOnly], [ErrClosed].
func (e *Engine) PutUsers(ctx context.Context, datasetARN string, users []PutRow) error {
	return e.putRows(ctx, datasetARN, Users, users)
}

// PutItems is [Engine.PutUsers] for an Items dataset.
func (e *Engine) PutItems(ctx context.Context, datasetARN string, items []PutRow) error {
	return e.putRows(ctx, datasetARN, Items, items)
}

func (e *Engine) putRows(ctx context.Context, datasetARN string, t DatasetType, put []PutRow) error {
	group, of, err := e.splitDatasetARN(datasetARN)
	if err != nil {
		return err
	}
	if of != t {
		return invalidf("the dataset is of type %s: give one of type %s", of, t)
	}
	var target putTarget
	err = e.store.View(ctx, func(tx *store.Tx) (err error) {
		target, err = e.putTarget(tx, group, t)
		return err
	})
	if err != nil {
		return mapError(err)
	}
	id := "USER_ID"
	if t == Items {
		id = "ITEM_ID"
	}
	rows := ingest.NewRows(target.schema, len(put))
	for i, row := range put {
		if err := rows.Add(map[string]string{id: row.ID}, row.Properties); err != nil {
			return invalidf("row %d: %w", i+1, err)
		}
	}
	return e.put(ctx, target, rows, len(put), "", false)
}

func invalidf(format string, args ...any) error {
	return ofKind(ErrInvalid, fmt.Errorf(format, args...))
}

// putTarget is a dataset that rows are put into.
type putTarget struct {
	dataset store.Dataset
	schema  *ingest.Schema
}

func (e *Engine) putTarget(tx *store.Tx, group string, t DatasetType) (putTarget, error) {
	d, err := tx.Dataset(group, t)
	if err != nil {
		return putTarget{}, err
	}
	s, err := tx.Schema(d.Schema)
	if err != nil {
		return putTarget{}, err
	}
	schema, err := e.parsed.schema(s)
	return putTarget{d, schema}, err
}

// parsedSchemas keeps schemas that were parsed: that takes longer than putting rows.
type parsedSchemas struct {
	mu  sync.Mutex
	all map[string]parsedSchema // by name; guarded by mu
}

type parsedSchema struct {
	text   string
	schema *ingest.Schema
}

func (p *parsedSchemas) schema(s store.Schema) (*ingest.Schema, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if have, ok := p.all[s.Name]; ok && have.text == s.Definition {
		return have.schema, nil
	}
	schema, err := ingest.ParseSchema([]byte(s.Definition))
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", s.Name, err)
	}
	if p.all == nil {
		p.all = make(map[string]parsedSchema)
	}
	p.all[s.Name] = parsedSchema{s.Definition, schema}
	return schema, nil
}

// put appends rows to the journal.
func (e *Engine) put(ctx context.Context, target putTarget, rows *ingest.Rows, n int, session string, anonymous bool) error {
	if e.committer == nil {
		return ErrReadOnly
	}
	if n == 0 {
		return invalidf("there is nothing to put: give 1 row or more")
	}
	rec := rows.Record()
	defer rec.Release()
	p, err := store.NewPut(target.dataset, rec, []byte(session), anonymous)
	if err != nil {
		return err
	}
	return mapError(e.committer.put(ctx, p))
}
