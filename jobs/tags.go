package jobs

import "slices"

// SetTags gives a job tags: those with a key that it has replace the old value, the others are added. Tags can
// change at any time, since they aren't part of what the job does: also when it is finished, and without a
// change of Updated. Errors: [ErrNotFound], [ErrInvalid], [ErrTooManyTags].
func SetTags(tx Tx, seq uint64, tags []Tag) (Job, error) {
	return changeTags(tx, seq, func(have []Tag) ([]Tag, error) {
		// Checked by themselves first: a key given twice would be hidden by the merge.
		var v validation
		v.tags(tags)
		if err := v.err(); err != nil {
			return nil, err
		}
		for _, t := range tags {
			if i := slices.IndexFunc(have, func(h Tag) bool { return h.Key == t.Key }); i >= 0 {
				have[i] = t
			} else {
				have = append(have, t)
			}
		}
		v.tags(have)
		return have, v.err()
	})
}

// RemoveTags takes the tags with these keys from a job. Keys that it doesn't have are passed over.
func RemoveTags(tx Tx, seq uint64, keys []string) (Job, error) {
	return changeTags(tx, seq, func(have []Tag) ([]Tag, error) {
		return slices.DeleteFunc(have, func(t Tag) bool { return slices.Contains(keys, t.Key) }), nil
	})
}

func changeTags(tx Tx, seq uint64, edit func([]Tag) ([]Tag, error)) (Job, error) {
	j, err := GetSeq(tx, seq)
	if err != nil {
		return Job{}, err
	}
	if j.Tags, err = edit(j.Tags); err != nil {
		return Job{}, err
	}
	if err := put(tx, &j); err != nil {
		return Job{}, err
	}
	return GetSeq(tx, seq)
}
