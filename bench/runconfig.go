package bench

import (
	"errors"
	"fmt"
	"slices"
)

// Scenario names something to measure.
type Scenario string

// The scenarios. Each begins with a store into which the dataset was imported in one go, except where it says
// otherwise.
const (
	// ScenarioImport is a FULL import of interactions.csv into a new store, from create to COMPLETED.
	ScenarioImport Scenario = "import"
	// ScenarioDelete is a deletion of 100 users, of 1 % and of 10 % of the users, and of IDs that nobody has;
	// from create to the commit that makes the users invisible, and to COMPLETED, when they are erased.
	ScenarioDelete Scenario = "delete"
	// ScenarioScan is a scan of all rows, with every byte of every column summed.
	ScenarioScan Scenario = "scan"
	// ScenarioScanTombstones is a scan of a snapshot that was opened between the deletion of 10 % of the users
	// and their erasure: it reads the old blocks and passes over the dead rows.
	ScenarioScanTombstones Scenario = "scan-tombstones"
	// ScenarioUser is a read of the rows of one random user.
	ScenarioUser Scenario = "user"
	// ScenarioScanDelete is a deletion of 10 % of the users while one scan follows another.
	ScenarioScanDelete Scenario = "scan-delete"
	// ScenarioDaily is daily life: a day's events in, a list of 200 users out, a scan. In the end scans and
	// reads of one user are compared with those of a store into which the same rows were imported at once. The
	// store begins with the days of the dataset before the last [RunConfig.Days].
	ScenarioDaily Scenario = "daily"
)

// Scenarios returns all scenarios, in the order in which they are run.
func Scenarios() []Scenario {
	return []Scenario{
		ScenarioImport, ScenarioScan, ScenarioUser, ScenarioDelete, ScenarioScanTombstones, ScenarioScanDelete, ScenarioDaily,
	}
}

// RunConfig says what to measure. Of the zero value of each field stands what it means.
type RunConfig struct {
	// Datasets are generated and measured one after the other. None means one of 1,000,000 interactions of
	// 20,000 users with 50,000 items. Several sizes give the report a chart of growth.
	Datasets []Config
	// Scenarios are run in the order of [Scenarios], whatever theirs is here. None means all.
	Scenarios []Scenario
	// Dir is the folder to work in. It must have room for about twice the dataset as CSV. What is made there is
	// removed in the end. "" means the folder for temporary files.
	Dir string
	// Runs is how often each scenario is measured, except for daily life, which is measured once. 0 means 5.
	Runs int
	// Reads is how many random users are read in each run of [ScenarioUser]. 0 means 1,000.
	Reads int
	// Unknown is the length of the list of IDs that nobody has. 0 means 1,000,000.
	Unknown int
	// Days is how many days of daily life there are. 0 means 30. Every dataset must cover more days than that.
	Days int
	// ImportsPerDay is how many files the events of a day come in. 0 means 1.
	ImportsPerDay int
	// Cold drops the store and the input from the page cache before each run, as far as the system allows it.
	Cold bool
}

// Validate reports every field that is out of range, joined into one error.
func (rc RunConfig) Validate() error {
	rc = rc.withDefaults()
	var problems []error
	for i, c := range rc.Datasets {
		if err := c.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("dataset %d: %w", i+1, err))
		} else if slices.Contains(rc.Scenarios, ScenarioDaily) && c.Days <= rc.Days {
			problems = append(problems, fmt.Errorf("bench: Days is %d: set it to less than the %d days of dataset %d", rc.Days, c.Days, i+1))
		}
	}
	for _, s := range rc.Scenarios {
		if !slices.Contains(Scenarios(), s) {
			problems = append(problems, fmt.Errorf("bench: no scenario is called %q: choose of %q", s, Scenarios()))
		}
	}
	for _, f := range []struct {
		name string
		v    int
	}{{"Runs", rc.Runs}, {"Reads", rc.Reads}, {"Unknown", rc.Unknown}, {"Days", rc.Days}, {"ImportsPerDay", rc.ImportsPerDay}} {
		if f.v < 1 {
			problems = append(problems, fmt.Errorf("bench: %s is %d: set it to at least 1, or to 0 for the default", f.name, f.v))
		}
	}
	return errors.Join(problems...)
}

func (rc RunConfig) withDefaults() RunConfig {
	orElse := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orElse(&rc.Runs, 5)
	orElse(&rc.Reads, 1000)
	orElse(&rc.Unknown, 1_000_000)
	orElse(&rc.Days, 30)
	orElse(&rc.ImportsPerDay, 1)
	if len(rc.Datasets) == 0 {
		rc.Datasets = []Config{{Users: 20_000, Items: 50_000, Interactions: 1_000_000}}
	}
	rc.Datasets = slices.Clone(rc.Datasets)
	for i, c := range rc.Datasets {
		rc.Datasets[i] = c.withDefaults()
	}
	if len(rc.Scenarios) == 0 {
		rc.Scenarios = Scenarios()
	}
	return rc
}
