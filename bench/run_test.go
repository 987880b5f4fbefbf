package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// small is a run of every scenario that takes a second or two.
func small(t *testing.T) RunConfig {
	return RunConfig{
		Datasets: []Config{{Users: 400, Items: 200, Interactions: 8_000, Days: 40}},
		Dir:      t.TempDir(), Runs: 1, Reads: 20, Unknown: 500, Days: 3, ImportsPerDay: 2,
	}
}

func TestRun(t *testing.T) {
	rc := small(t)
	var steps []string
	res, err := Run(t.Context(), rc, func(s Step) { steps = append(steps, fmt.Sprint(s.Name, s.Run, s.Runs)) })
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(rc.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%d entries are left in the folder, %v", len(left), err)
	}
	if !slices.Contains(steps, "delete 1 % of the users1 1") {
		t.Errorf("steps %q", steps)
	}
	runs := map[string]int{}
	for _, m := range res.Measurements {
		runs[m.Name] += len(m.Samples)
		for _, s := range m.Samples {
			if s.N < 1 || s.Elapsed <= 0 {
				t.Errorf("%s: a sample of %d operations in %v", m.Name, s.N, s.Elapsed)
			}
		}
	}
	// A small store may be erased before the snapshot of this one is taken; then a note says so.
	if runs["ScanTombstones/list=10pct"]+len(res.Notes) != 1 {
		t.Errorf("%d scans under tombstones, notes %q", runs["ScanTombstones/list=10pct"], res.Notes)
	}
	delete(runs, "ScanTombstones/list=10pct")
	want := map[string]int{
		"Import": 1, "Scan": 1, "UserRows": 1, "ScanWhileDeleting/list=10pct": 1, "DeleteWhileScanning/list=10pct": 1,
		"DailyImport": 3, "DailyDelete": 3, "DailyScan": 3, "AgedScan": 1, "AgedUserRows": 1, "FreshScan": 1, "FreshUserRows": 1,
	}
	for _, l := range []string{"100", "1pct", "10pct", "unknown"} {
		want["Delete/list="+l+"/until=deleted"] = 1
		want["Delete/list="+l+"/until=erased"] = 1
	}
	if fmt.Sprint(runs) != fmt.Sprint(want) {
		t.Errorf("samples %v, want %v", runs, want)
	}
	checkOutputs(t, res)
}

// Baskets of a shop repeat rows within a second, which incremental imports drop.
func TestDailyLifeOfAShop(t *testing.T) {
	_, err := Run(t.Context(), RunConfig{
		Datasets:  []Config{{Users: 100, Items: 20, Interactions: 8_000, Days: 8, Shape: Shop}},
		Scenarios: []Scenario{ScenarioDaily}, Dir: t.TempDir(), Reads: 5, Unknown: 1, Days: 4,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunsOfOneScenario(t *testing.T) {
	res, err := Run(t.Context(), RunConfig{
		Datasets: []Config{{Users: 50, Interactions: 500}}, Scenarios: []Scenario{ScenarioImport}, Dir: t.TempDir(), Runs: 2, Cold: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Measurements) != 1 || len(res.Measurements[0].Samples) != 2 || res.Conditions.Cache != "cold" {
		t.Errorf("%+v, want one measurement of two samples", res)
	}
}

func TestRunStops(t *testing.T) {
	rc := small(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, rc, func(s Step) {
		if s.Name == "scan" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context ended", err)
	}
	if left, err := os.ReadDir(rc.Dir); err != nil || len(left) > 0 {
		t.Errorf("%d entries are left in the folder, %v", len(left), err)
	}
}

func TestRunConfigValidate(t *testing.T) {
	rc := RunConfig{
		Datasets: []Config{{Users: -1}, {Days: 30}}, Scenarios: []Scenario{"dance", ScenarioDaily},
		Runs: -1, Reads: -1, Unknown: -1, ImportsPerDay: -1,
	}
	err := rc.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"dataset 1", "Users is -1", "Days is 30", `"dance"`, "Runs", "Reads", "Unknown", "ImportsPerDay"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing of %s in: %v", part, err)
		}
	}
	if err := (RunConfig{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func ExampleRun() {
	res, err := Run(context.Background(), RunConfig{
		Datasets:  []Config{{Users: 100, Interactions: 2_000}},
		Scenarios: []Scenario{ScenarioImport, ScenarioUser},
		Runs:      1, Reads: 10,
	}, nil)
	if err != nil {
		fmt.Println(err)
	}
	for _, m := range res.Measurements {
		fmt.Println(m.Name, m.Samples[0].N)
	}
	// Output:
	// Import 1
	// UserRows 10
}
