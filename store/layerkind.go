package store

import "slices"

// isPut reports whether a layer is individual.
func (d *Dataset) isPut(layer uint32) bool { return slices.Contains(d.Put, layer) }

// layersOf returns the layers of one kind, oldest first.
func (d *Dataset) layersOf(put bool) (out []uint32) {
	for _, layer := range d.Layers {
		if d.isPut(layer) == put {
			out = append(out, layer)
		}
	}
	return out
}

func (d *Dataset) removeLayers(gone []uint32) {
	of := func(layer uint32) bool { return slices.Contains(gone, layer) }
	d.Layers, d.Put = slices.DeleteFunc(d.Layers, of), slices.DeleteFunc(d.Put, of)
}

// insertLayer adds a layer at a place among all of them.
func (d *Dataset) insertLayer(at int, layer uint32, put bool) {
	d.Layers = slices.Insert(d.Layers, at, layer)
	if put {
		d.Put = append(d.Put, layer)
	}
}

// only returns a view of the layers of one kind.
func (v *datasetView) only(put bool) *datasetView {
	out := *v
	out.Layers, out.layers, out.rows = nil, nil, 0
	for i, layer := range v.Layers {
		if v.isPut(layer) != put {
			continue
		}
		out.Layers, out.layers = append(out.Layers, layer), append(out.layers, v.layers[i])
		for _, ref := range v.layers[i] {
			out.rows += int64(ref.rows)
			if ref.dead != nil {
				out.rows -= int64(ref.dead.GetCardinality())
			}
		}
	}
	return &out
}
