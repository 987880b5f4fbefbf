package receipt

import (
	"strings"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/humanize"
)

// chart draws the deleted rows of each dataset as bars, in units of CSS pixels.
type chart struct {
	Width, Height, BarAt, BarHeight float64
	Label                           string // for readers who don't see it
	Bars                            []bar
}

type bar struct {
	Y, TextY, Length, ValueX float64
	Name, Value              string
}

// datasetTypes are all types, in the order in which they are shown.
var datasetTypes = []engine.DatasetType{engine.Users, engine.Items, engine.Interactions}

func chartRows(rows map[string]int64) chart {
	const barAt, room, rowHeight, barHeight = 120.0, 480.0, 34.0, 18.0
	c := chart{Width: 720, BarAt: barAt, BarHeight: barHeight}
	most := int64(1)
	for _, n := range rows {
		most = max(most, n)
	}
	var parts []string
	for _, t := range datasetTypes {
		n, ok := rows[string(t)]
		if !ok {
			continue
		}
		b := bar{
			Y: c.Height + (rowHeight-barHeight)/2, TextY: c.Height + rowHeight/2 + 5,
			Length: room * float64(n) / float64(most), Name: strings.ToLower(string(t)), Value: humanize.Count(n),
		}
		if n > 0 {
			b.Length = max(b.Length, 2)
		}
		b.ValueX = barAt + b.Length + 10
		c.Bars = append(c.Bars, b)
		c.Height += rowHeight
		parts = append(parts, b.Value+" rows of "+b.Name)
	}
	c.Label = "Deleted: " + strings.Join(parts, ", ")
	return c
}
