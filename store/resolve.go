package store

import (
	"bytes"
	"context"
	"fmt"
)

// resolver gives the IDs of an import their ordinals: those that the dictionary has, and new ones, in the order of
// hashes, for the others. IDs come in the order of (hash, ID), so that the dictionary is read and written in its order.
type resolver struct {
	im   *Import
	dict dictID

	ids    packedIDs
	hashes []uint64
	uses   []idUse
	emit   func(run int, g rowGroup, ordinal uint32) error

	ordinals []uint32
	missing  []int
	fresh    newIDs
}

// idUse is one run's use of an ID of the batch.
type idUse struct {
	id    uint32 // in the batch
	run   uint32
	group rowGroup
}

func newResolver(im *Import, kind dictKind) *resolver {
	return &resolver{im: im, dict: dictID{im.rec.GroupID, kind}}
}

// add takes the ID that c stands on. emit is called for it later, in the order of the calls of add.
func (r *resolver) add(ctx context.Context, c *idCursor, first bool, emit func(run int, g rowGroup, ordinal uint32) error) error {
	r.emit = emit
	if first {
		if l := &r.im.s.limits; r.ids.len() >= l.resolveBatch || len(r.ids.data) >= l.resolveBytes || len(r.uses) >= 4*l.resolveBatch {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
		r.ids.append(c.id)
		r.hashes = append(r.hashes, c.hash)
	}
	r.uses = append(r.uses, idUse{
		id: uint32(r.ids.len() - 1), run: uint32(c.run),
		group: rowGroup{rows: uint32(c.rows), off: c.off, bytes: int64(c.bytes)},
	})
	return nil
}

// finish resolves what is left.
func (r *resolver) finish(ctx context.Context) error {
	if r.ids.len() == 0 {
		return nil
	}
	return r.flush(ctx)
}

func (r *resolver) flush(ctx context.Context) error {
	if err := r.find(ctx); err != nil {
		return err
	}
	if len(r.missing) > 0 {
		if err := r.create(ctx); err != nil {
			return err
		}
	}
	for _, u := range r.uses {
		if err := r.emit(int(u.run), u.group, r.ordinals[u.id]); err != nil {
			return err
		}
	}
	r.ids.reset()
	r.hashes, r.uses = r.hashes[:0], r.uses[:0]
	return nil
}

// find looks the batch up, and pins the items that it finds.
func (r *resolver) find(ctx context.Context) error {
	s := r.im.s
	if r.dict.kind == dictItems {
		s.pins.finding.RLock()
		defer s.pins.finding.RUnlock()
	}
	r.ordinals, r.missing = r.ordinals[:0], r.missing[:0]
	var found []uint32
	err := s.View(ctx, func(tx *Tx) error {
		view, err := tx.dictView(r.dict, r.im.rec.ID)
		if err != nil {
			return err
		}
		l := tx.lookup(&view)
		for i, hash := range r.hashes {
			ordinal, ok, err := l.ordinal(hash, r.ids.at(i))
			if err != nil {
				return err
			}
			if ok {
				found = append(found, ordinal)
			} else {
				r.missing = append(r.missing, i)
			}
			r.ordinals = append(r.ordinals, ordinal)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look up IDs: %w", err)
	}
	if r.dict.kind == dictItems {
		s.pins.pin(r.im.rec.ID, found)
	}
	return nil
}

// create adds the missing IDs to the dictionary, for this import's eyes only.
func (r *resolver) create(ctx context.Context) error {
	r.fresh.reset()
	for _, i := range r.missing {
		r.fresh.add(r.hashes[i], r.ids.at(i))
	}
	err := r.im.s.Update(ctx, func(tx *Tx) error {
		first, err := tx.reserve(r.dict, r.im.rec.ID, r.fresh.len())
		if err != nil {
			return err
		}
		for n, i := range r.missing {
			r.ordinals[i] = first + uint32(n)
		}
		return tx.addIDs(r.dict, first, &r.fresh)
	})
	if err != nil {
		return fmt.Errorf("add IDs: %w", err)
	}
	return nil
}

// existingRows tells whether a row is in a dataset already, or came before in the same import. Rows are asked for in
// the order of ordinals, so it holds the rows of one key, and of each layer the block that they were found in last, since
// the next key's are likely there too.
type existingRows struct {
	sn      *Snapshot
	view    *datasetView
	open    []openBlock // by layer
	ordinal uint32
	rows    map[string]struct{}
	buf     []byte
}

// openBlock is a copy of a stored block.
type openBlock struct {
	id    uint64
	index *rowIndex
	data  *pagedRows
}

func newExistingRows(ctx context.Context, im *Import) (*existingRows, error) {
	sn, err := im.s.Snapshot(ctx, im.rec.Group, im.rec.Type)
	if err != nil {
		return nil, err
	}
	view := sn.datasets[im.rec.Type]
	return &existingRows{sn: sn, view: view, open: make([]openBlock, len(view.layers))}, nil
}

func (e *existingRows) close() { e.sn.Release() }

// seen reports whether an equal record was there, and remembers this one.
func (e *existingRows) seen(ctx context.Context, ordinal uint32, rec []byte) (bool, error) {
	if e.rows == nil || e.ordinal != ordinal {
		e.ordinal, e.rows = ordinal, make(map[string]struct{})
		for i := range e.view.layers {
			if err := e.read(ctx, i); err != nil {
				return false, err
			}
		}
	}
	if _, ok := e.rows[string(rec)]; ok {
		return true, nil
	}
	e.rows[string(rec)] = struct{}{}
	return false, nil
}

// read adds the live rows of the key in one layer.
func (e *existingRows) read(ctx context.Context, n int) error {
	layer, layout := e.view.layers[n], e.view.layout
	for i := firstBlock(layer, e.ordinal); i < len(layer) && layer[i].least <= e.ordinal; i++ {
		if e.open[n].id != layer[i].id {
			if err := e.load(ctx, n, layer[i].id); err != nil {
				return err
			}
		}
		d := newDecodedBlock(layout)
		if err := d.read(e.open[n].data, e.open[n].index, layer[i].dead, &e.ordinal); err != nil {
			return err
		}
		for row := range d.rows() {
			e.buf = layout.recordOf(e.buf[:0], d.cols, row)
			e.rows[string(e.buf)] = struct{}{}
		}
	}
	return nil
}

func (e *existingRows) load(ctx context.Context, n int, id uint64) error {
	return e.sn.s.View(ctx, func(tx *Tx) error {
		index, err := tx.readIndex(id)
		if err != nil {
			return err
		}
		data, err := parsePages(id, bytes.Clone(tx.b.Bucket(bucketBlocks).Bucket(uint64Key(id)).Get(keyData)), e.view.layout, index)
		if err != nil {
			return err
		}
		e.open[n] = openBlock{id, index, data}
		return nil
	})
}
