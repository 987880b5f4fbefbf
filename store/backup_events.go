package store

import (
	"bytes"
	"context"
	"slices"
)

// events copies the journal and the sessions, some at a time. The caller holds the writer's lock of the store that is
// copied, so that they are of the moment of the snapshots: what they hold isn't in a layer.
func (b *backup) events(ctx context.Context, from *Tx) error {
	if err := b.journal(ctx, from); err != nil {
		return err
	}
	c := from.b.Bucket(bucketSessions).Cursor()
	for k, v := c.First(); k != nil; {
		var of uint32 // the copy's dataset that the sessions are of
		var sessions []session
		for size := 0; k != nil && size < b.to.limits.stageBytes; k, v = c.Next() {
			dataset, ok := b.ids[uint32At(k, 0)]
			if !ok { // it was removed
				continue
			}
			if len(sessions) > 0 && dataset != of {
				break
			}
			chunk, err := readSessions(k, v)
			if err != nil {
				return err
			}
			for _, s := range chunk.sessions {
				s.hash = b.to.hashID(s.id)
				sessions = append(sessions, s)
			}
			of = dataset
			size += len(v)
		}
		slices.SortFunc(sessions, compareSessions)
		if err := b.to.Update(ctx, func(tx *Tx) error { return tx.changeSessions(of, sessions) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *backup) journal(ctx context.Context, from *Tx) error {
	c := from.b.Bucket(bucketJournal).Cursor()
	for k, v := c.First(); k != nil; {
		err := b.to.Update(ctx, func(tx *Tx) error {
			for size := 0; k != nil && size < b.to.limits.stageBytes; k, v = c.Next() {
				dataset, ok := b.ids[uint32At(k, 0)]
				if !ok {
					continue
				}
				value, err := unseal("an entry of the journal", k, v)
				if err != nil {
					return err
				}
				key := append(appendUint32s(nil, dataset), k[4:]...)
				if err := putSealed(tx.b.Bucket(bucketJournal), key, bytes.Clone(value)); err != nil {
					return err
				}
				size += len(v)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sessionUsers gives the sessions of a dataset in the copy the ordinals that their users have there. Those of users whom the
// snapshot doesn't see go.
func (b *backup) sessionUsers(ctx context.Context, sn *Snapshot, view *datasetView) error {
	prefix := appendUint32s(nil, b.ids[view.ID])
	for next := bytes.Clone(prefix); next != nil; {
		err := b.from.View(ctx, func(from *Tx) error {
			return b.to.Update(ctx, func(to *Tx) (err error) {
				next, err = b.someSessionUsers(from, to, sn, view, prefix, next)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// someSessionUsers does those from a key on, as many as fit a transaction, and returns the key to go on from.
func (b *backup) someSessionUsers(from, to *Tx, sn *Snapshot, view *datasetView, prefix, key []byte) (next []byte, err error) {
	there, err := to.dictView(dictID{b.ids[view.GroupID], dictUsers}, 0)
	if err != nil {
		return nil, err
	}
	ids, ordinals := from.lookup(&sn.users), to.lookup(&there)
	type change struct{ key, value []byte }
	var changed []change
	c := to.b.Bucket(bucketSessions).Cursor()
	size := 0
	for k, v := c.Seek(key); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if size > to.s.limits.stageBytes {
			next = bytes.Clone(k)
			break
		}
		size += len(v)
		chunk, err := readSessions(k, v)
		if err != nil {
			return nil, err
		}
		var value []byte
		for _, s := range chunk.sessions {
			if s.user > 0 {
				if !sn.users.visible(s.user - 1) {
					continue
				}
				id, err := ids.id(s.user - 1)
				if err != nil {
					return nil, err
				}
				ordinal, ok, err := ordinals.ordinal(to.s.hashID(id), id)
				if err != nil {
					return nil, err
				}
				if !ok {
					continue
				}
				s.user = ordinal + 1
			}
			value = s.appendTo(value)
		}
		changed = append(changed, change{bytes.Clone(k), value})
	}
	for _, ch := range changed {
		if err := putSealed(to.b.Bucket(bucketSessions), ch.key, ch.value); err != nil {
			return nil, err
		}
	}
	return next, nil
}
