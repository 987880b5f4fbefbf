package receipt

import (
	"slices"
	"testing"
)

// TestChart: the longest bar fills the room, and none that stands for something is invisible.
func TestChart(t *testing.T) {
	got := chartRows(map[string]int64{"USERS": 1, "ITEMS": 0, "INTERACTIONS": 1_000_000_000})
	want := []bar{{"users", "1", 0.5}, {"items", "0", 0}, {"interactions", "1,000,000,000", 100}}
	if !slices.Equal(got, want) {
		t.Errorf("bars %v, want %v", got, want)
	}
	if got := chartRows(map[string]int64{"USERS": 0}); !slices.Equal(got, []bar{{"users", "0", 0}}) {
		t.Errorf("bars of no rows: %v", got)
	}
	if got := chartRows(nil); got != nil {
		t.Errorf("bars of no datasets: %v", got)
	}
}
