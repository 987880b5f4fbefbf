package personalize

import (
	"context"
	"time"

	"github.com/expunge-db/expunge/engine"
)

func createEventTracker(ctx context.Context, h *Handler, in object) (any, error) {
	group, err := arn(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	t, err := h.backend.CreateEventTracker(ctx, engine.NewEventTracker{Name: in.text("name"), Group: group, Tags: tagsOf(in)})
	if err != nil {
		return nil, err
	}
	return struct {
		ARN        string `json:"eventTrackerArn"`
		TrackingID string `json:"trackingId"`
	}{t.ARN, t.TrackingID}, nil
}

func describeEventTracker(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "eventTrackerArn", trackerKind)
	if err != nil {
		return nil, err
	}
	t, err := h.backend.EventTracker(ctx, a)
	if err != nil {
		return nil, err
	}
	out := trackerSummary(t)
	out.Account, out.TrackingID, out.GroupARN = t.Account, t.TrackingID, t.GroupARN
	return named{"eventTracker": out}, nil
}

func trackerSummary(t engine.EventTracker) eventTracker {
	return eventTracker{Name: t.Name, ARN: t.ARN, Status: active, Created: epoch(t.Created), Updated: epoch(t.Updated)}
}

func (t eventTracker) place() (time.Time, string) { return time.Time(t.Created), t.ARN }

func listEventTrackers(ctx context.Context, h *Handler, in object) (any, error) {
	group, err := filter(in, "datasetGroupArn", groupKind)
	if err != nil {
		return nil, err
	}
	trackers, err := h.backend.EventTrackers(ctx, group)
	page, next, err := listed(h, "ListEventTrackers", group, in, trackers, trackerSummary, err)
	return struct {
		Page []eventTracker `json:"eventTrackers"`
		Next string         `json:"nextToken,omitempty"`
	}{page, next}, err
}

func deleteEventTracker(ctx context.Context, h *Handler, in object) (any, error) {
	a, err := arn(in, "eventTrackerArn", trackerKind)
	if err != nil {
		return nil, err
	}
	return nil, h.backend.DeleteEventTracker(ctx, a)
}

func tagResource(ctx context.Context, h *Handler, in object) (any, error) {
	return struct{}{}, h.backend.TagResource(ctx, in.text("resourceArn"), tagsOf(in))
}

func untagResource(ctx context.Context, h *Handler, in object) (any, error) {
	return struct{}{}, h.backend.UntagResource(ctx, in.text("resourceArn"), in.texts("tagKeys"))
}

func listTags(ctx context.Context, h *Handler, in object) (any, error) {
	tags, err := h.backend.ResourceTags(ctx, in.text("resourceArn"))
	if err != nil {
		return nil, err
	}
	out := make([]tag, len(tags))
	for i, t := range tags {
		out[i] = tag{t.Key, t.Value}
	}
	return named{"tags": out}, nil
}
