package receipt

import (
	"strings"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/humanize"
)

// bar is the deleted rows of one dataset in a chart. Its name and value are text beside it, which keeps its size however
// narrow the page is.
type bar struct {
	Name, Value string
	Length      float64 // percent of the longest
}

// datasetTypes are all types, in the order in which they are shown.
var datasetTypes = []engine.DatasetType{engine.Users, engine.Items, engine.Interactions}

func chartRows(rows map[string]int64) (bars []bar) {
	most := int64(1)
	for _, n := range rows {
		most = max(most, n)
	}
	for _, t := range datasetTypes {
		n, ok := rows[string(t)]
		if !ok {
			continue
		}
		b := bar{Name: strings.ToLower(string(t)), Value: humanize.Count(n), Length: 100 * float64(n) / float64(most)}
		if n > 0 {
			b.Length = max(b.Length, 0.5) // so that it is seen
		}
		bars = append(bars, b)
	}
	return bars
}
