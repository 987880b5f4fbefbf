package engine

import (
	"context"
	"fmt"

	"github.com/expunge-db/expunge/jobs"
	"github.com/expunge-db/expunge/store"
)

// TagResource gives a dataset group, a dataset, an event tracker or a job tags: those with a key that it has replace the old
// value. A resource has 50 at most. Errors: [ErrNotFound], [ErrInvalid], [ErrTooManyTags].
func (e *Engine) TagResource(ctx context.Context, arn string, tags []Tag) error {
	return e.changeTags(ctx, arn, func(have []Tag) ([]Tag, error) { return jobs.MergeTags(have, tags) })
}

// UntagResource takes the tags with these keys, 50 at most, from a resource. Keys that it doesn't have are passed over.
// Errors: [ErrNotFound], [ErrInvalid], [ErrTooManyTagKeys].
func (e *Engine) UntagResource(ctx context.Context, arn string, keys []string) error {
	return e.changeTags(ctx, arn, func(have []Tag) ([]Tag, error) { return jobs.WithoutTags(have, keys) })
}

// ResourceTags returns the tags of a resource. Errors: [ErrNotFound], [ErrInvalid].
func (e *Engine) ResourceTags(ctx context.Context, arn string) (tags []Tag, err error) {
	err = e.store.View(ctx, func(tx *store.Tx) error {
		r, err := e.taggable(tx, arn)
		tags = r.tags
		return err
	})
	return tags, mapError(err)
}

func (e *Engine) changeTags(ctx context.Context, arn string, edit func([]Tag) ([]Tag, error)) error {
	return mapError(e.store.Update(ctx, func(tx *store.Tx) error {
		r, err := e.taggable(tx, arn)
		if err != nil {
			return err
		}
		tags, err := edit(r.tags)
		if err != nil {
			return err
		}
		return r.set(tags)
	}))
}

// taggable is a resource with tags, within a transaction.
type taggable struct {
	tags []Tag
	set  func([]Tag) error
}

func (e *Engine) taggable(tx *store.Tx, arn string) (taggable, error) {
	account, kind, id, err := jobs.ParseARN(arn)
	if err != nil {
		return taggable{}, err
	}
	if account != e.account {
		return taggable{}, ofKind(ErrNotFound, fmt.Errorf("there is no resource with that ARN in this store"))
	}
	switch kind {
	case kindGroup:
		g, err := tx.Group(id)
		return taggable{jobTags(g.Tags), func(tags []Tag) error { return tx.TagGroup(id, storeTags(tags)) }}, err
	case kindDataset:
		group, t, err := e.splitDatasetARN(arn)
		if err != nil {
			return taggable{}, err
		}
		d, err := tx.Dataset(group, t)
		return taggable{jobTags(d.Tags), func(tags []Tag) error { return tx.TagDataset(group, t, storeTags(tags)) }}, err
	case kindTracker:
		t, err := tx.EventTracker(id)
		return taggable{jobTags(t.Tags), func(tags []Tag) error { return tx.TagEventTracker(id, storeTags(tags)) }}, err
	case string(KindDeletion), string(KindImport), string(KindExport):
		j, err := jobs.Get(jobTx{tx.KV()}, JobKind(kind), arn)
		return taggable{j.Tags, func(tags []Tag) error {
			_, err := jobs.EditTags(jobTx{tx.KV()}, j.Seq, func([]Tag) ([]Tag, error) { return tags, nil })
			return err
		}}, err
	}
	return taggable{}, ofKind(ErrInvalid, fmt.Errorf("resources of kind %q have no tags: give the ARN of a dataset group, a dataset, an event tracker or a job", kind))
}

func storeTags(tags []Tag) (out []store.Tag) {
	for _, t := range tags {
		out = append(out, store.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

func jobTags(tags []store.Tag) (out []Tag) {
	for _, t := range tags {
		out = append(out, Tag{Key: t.Key, Value: t.Value})
	}
	return out
}
