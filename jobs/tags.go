package jobs

import "slices"

// MergeTags returns the tags of a resource that has some and gets others: those with a key that it has replace the old
// value. have isn't changed. Errors: [ErrInvalid], [ErrTooManyTags].
func MergeTags(have, tags []Tag) ([]Tag, error) {
	// Checked by themselves first: a key given twice would be hidden by the merge.
	var v validation
	v.tags(tags)
	if err := v.err(); err != nil {
		return nil, err
	}
	have = slices.Clone(have)
	for _, t := range tags {
		if i := slices.IndexFunc(have, func(h Tag) bool { return h.Key == t.Key }); i >= 0 {
			have[i] = t
		} else {
			have = append(have, t)
		}
	}
	v.tags(have)
	return have, v.err()
}

// WithoutTags returns the tags of a resource without those that have one of the keys. Keys that it doesn't have are passed
// over. Errors: [ErrTooManyTagKeys].
func WithoutTags(have []Tag, keys []string) ([]Tag, error) {
	if len(keys) > MaxTags {
		var v validation
		v.add(ErrTooManyTagKeys, "tagKeys", "have length less than or equal to %d", MaxTags)
		return nil, v.err()
	}
	return slices.DeleteFunc(slices.Clone(have), func(t Tag) bool { return slices.Contains(keys, t.Key) }), nil
}

// EditTags gives a job the tags that edit makes of those that it has. Tags can change at any time, since they aren't part of
// what the job does: also when it is finished, and without a change of Updated. Errors: [ErrNotFound], and those of edit.
func EditTags(tx Tx, seq uint64, edit func([]Tag) ([]Tag, error)) (Job, error) {
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
