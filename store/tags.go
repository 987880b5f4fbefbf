package store

// Tag is a label on a resource.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// TagGroup gives a group these tags in place of those that it has. Errors: [ErrNotFound].
func (tx *Tx) TagGroup(name string, tags []Tag) error {
	g, err := tx.Group(name)
	if err != nil {
		return err
	}
	g.Tags = tags
	return tx.putRecord(groupKey(name), g)
}

// TagDataset gives a dataset these tags in place of those that it has. Errors: [ErrNotFound].
func (tx *Tx) TagDataset(group string, t DatasetType, tags []Tag) error {
	d, err := tx.Dataset(group, t)
	if err != nil {
		return err
	}
	d.Tags = tags
	return tx.putDataset(d)
}

// TagEventTracker gives an event tracker these tags in place of those that it has. Errors: [ErrNotFound].
func (tx *Tx) TagEventTracker(id string, tags []Tag) error {
	t, err := tx.EventTracker(id)
	if err != nil {
		return err
	}
	t.Tags = tags
	return tx.putRecord(trackerKey(id), t)
}
