package receipt

import "testing"

// TestChart: the longest bar fills the room, none that stands for something is invisible, and all figures fit.
func TestChart(t *testing.T) {
	c := chartRows(map[string]int64{"USERS": 1, "ITEMS": 0, "INTERACTIONS": 1_000_000_000})
	if len(c.Bars) != 3 || c.Bars[0].Length < 1 || c.Bars[1].Length != 0 || c.Bars[2].Value != "1,000,000,000" {
		t.Errorf("%+v", c.Bars)
	}
	for _, b := range c.Bars {
		if b.Y < 0 || b.Y+c.BarHeight > c.Height || b.ValueX+8*float64(len(b.Value)) > c.Width {
			t.Errorf("a bar lies outside: %+v in %+v", b, c)
		}
	}
	if c.Label != "Deleted: 1 rows of users, 0 rows of items, 1,000,000,000 rows of interactions" {
		t.Errorf("label %q", c.Label)
	}
}
