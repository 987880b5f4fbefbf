package personalize

import (
	"bytes"
	"context"
	"encoding/json"
	"math"

	"github.com/expunge-db/expunge/engine"
)

// errProperties is what the service says when the string in properties isn't a JSON object.
func errProperties() error { return invalidf("Error parsing properties json") }

// properties returns the JSON that a member properties holds as a string, nil if there is none. All clients send a string,
// though the model calls it a JSON value.
func properties(o object) ([]byte, error) {
	text, ok := o["properties"].(string)
	if !ok {
		return nil, nil
	}
	// What two readers would read differently is refused here, as in the request itself.
	if _, err := readObject([]byte(text)); err != nil {
		return nil, errProperties()
	}
	return []byte(text), nil
}

// size is the length of an event in compact JSON.
func size(event object) int {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(event); err != nil {
		return math.MaxInt // it was JSON before
	}
	return b.Len() - 1
}

func putEvents(ctx context.Context, h *Handler, in object) (any, error) {
	list := in.list("eventList")
	events := make([]engine.Event, len(list))
	for i, v := range list {
		o := v.(object)
		if size(o) > maxEvent {
			return nil, invalidf("Event %d of the list has more than %d bytes.", i+1, maxEvent)
		}
		props, err := properties(o)
		if err != nil {
			return nil, err
		}
		events[i] = engine.Event{
			Type: o.text("eventType"), Value: o.float("eventValue"), ItemID: o.text("itemId"), Properties: props, SentAt: o.time("sentAt"),
			RecommendationID: o.text("recommendationId"), Impression: o.texts("impression"), EventID: o.text("eventId"),
			AttributionSource: o.object("metricAttribution").text("eventAttributionSource"),
		}
	}
	return nil, h.backend.PutEvents(ctx, in.text("trackingId"), in.text("userId"), in.text("sessionId"), events)
}

func putUsers(ctx context.Context, h *Handler, in object) (any, error) {
	return putRows(ctx, in, "users", "userId", h.backend.PutUsers)
}

func putItems(ctx context.Context, h *Handler, in object) (any, error) {
	return putRows(ctx, in, "items", "itemId", h.backend.PutItems)
}

func putRows(ctx context.Context, in object, list, id string, put func(context.Context, string, []engine.PutRow) error) (any, error) {
	a, err := arn(in, "datasetArn", datasetKind)
	if err != nil {
		return nil, err
	}
	values := in.list(list)
	rows := make([]engine.PutRow, len(values))
	for i, v := range values {
		o := v.(object)
		props, err := properties(o)
		if err != nil {
			return nil, err
		}
		rows[i] = engine.PutRow{ID: o.text(id), Properties: props}
	}
	return nil, put(ctx, a, rows)
}
