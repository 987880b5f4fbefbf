package bench

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// Result is what [Run] measured.
type Result struct {
	Started    time.Time  `json:"started"`
	Conditions Conditions `json:"conditions"`
	// Remaining is what the generator says must be left, with which every result was compared.
	Remaining    []Remaining   `json:"remaining"`
	Measurements []Measurement `json:"measurements"`
	// Notes say which runs could not be counted, and why.
	Notes []string `json:"notes,omitempty"`
}

// Remaining is what must be left of a dataset after a list of so many users.
type Remaining struct {
	Dataset Config `json:"dataset"`
	List    int    `json:"list"` // users
	Totals  Totals `json:"totals"`
}

// Measurement is one thing measured on one dataset, as often as it was run.
type Measurement struct {
	// Name is that of a benchmark without the prefix Benchmark, such as Delete/list=1pct/until=erased.
	Name     string   `json:"name"`
	Scenario Scenario `json:"scenario"`
	Title    string   `json:"title"` // for people
	Dataset  Config   `json:"dataset"`
	// Samples are the runs, in their order; of daily life the days.
	Samples []Sample `json:"samples"`
}

// Sample is one run. A figure that wasn't measured is 0.
type Sample struct {
	// N is how many operations were timed, Elapsed the time of one: their mean if there were several.
	N       int           `json:"n"`
	Elapsed time.Duration `json:"elapsedNs"`
	// P50, P95 and P99 are quantiles of the times of several operations.
	P50 time.Duration `json:"p50Ns,omitempty"`
	P95 time.Duration `json:"p95Ns,omitempty"`
	P99 time.Duration `json:"p99Ns,omitempty"`
	// PeakAnon is the peak of the anonymous memory of the process, sampled; PeakRSS that of all its memory,
	// pages of mapped files included. In bytes.
	PeakAnon int64 `json:"peakAnonBytes,omitempty"`
	PeakRSS  int64 `json:"peakRssBytes,omitempty"`
	// Written is how many bytes went to storage, Size how many the store has on the disk afterwards.
	Written int64 `json:"writtenBytes,omitempty"`
	Size    int64 `json:"sizeBytes,omitempty"`
}

// setQuantiles sets the times of several operations, which it sorts.
func (s *Sample) setQuantiles(took []time.Duration) {
	slices.Sort(took)
	var sum time.Duration
	for _, t := range took {
		sum += t
	}
	at := func(q int) time.Duration { return took[min(len(took)*q/100, len(took)-1)] }
	s.N, s.Elapsed = len(took), sum/time.Duration(len(took))
	s.P50, s.P95, s.P99 = at(50), at(95), at(99)
}

// typical is the time that a sample stands for: the median where there is one.
func (s Sample) typical() float64 {
	if s.P50 > 0 {
		return s.P50.Seconds()
	}
	return s.Elapsed.Seconds()
}

// spread is the least, the median and the greatest of some values.
type spread struct{ least, median, greatest float64 }

// of returns the spread of a figure over the samples.
func (m Measurement) of(figure func(Sample) float64) spread {
	var v []float64
	for _, s := range m.Samples {
		v = append(v, figure(s))
	}
	slices.Sort(v)
	n := len(v)
	return spread{v[0], (v[(n-1)/2] + v[n/2]) / 2, v[n-1]}
}

// WriteText writes the samples in the format of Go benchmarks, one line each, which benchstat reads. The
// conditions come first. Those whose results should not be compared are benchstat's configuration, which it makes
// a table each of; the others, such as the version, are lines that begin with # and that it passes over.
func (r Result) WriteText(w io.Writer) error {
	b := bufio.NewWriter(w)
	c := r.Conditions
	fmt.Fprintf(b, "goos: %s\ngoarch: %s\npkg: %s/bench\ncpu: %s\n", runtime.GOOS, c.Arch, modulePath, c.CPU)
	fmt.Fprintf(b, "filesystem: %s\ncache: %s\ndurability: %s\n", c.FileSystem, c.Cache, c.Durability)
	fmt.Fprintf(b, "# started %s\n# version %s\n# go %s\n# system %s\n# memory %d bytes\n# load %s\n",
		r.Started.Format(time.RFC3339), c.Version, c.Go, c.System, c.Memory, c.Load)
	for _, n := range r.Notes {
		fmt.Fprintf(b, "# note: %s\n", n)
	}
	for _, m := range r.Measurements {
		for _, s := range m.Samples {
			fmt.Fprintf(b, "Benchmark%s/rows=%d/users=%d-%d\t%d\t%d ns/op", m.Name, m.Dataset.Interactions, m.Dataset.Users, c.GOMAXPROCS, s.N, s.Elapsed.Nanoseconds())
			for _, f := range []struct {
				value int64
				unit  string
			}{
				{s.P50.Nanoseconds(), "p50-ns/op"}, {s.P95.Nanoseconds(), "p95-ns/op"}, {s.P99.Nanoseconds(), "p99-ns/op"},
				{s.PeakAnon, "peak-anon-B"}, {s.PeakRSS, "peak-rss-B"}, {s.Written, "written-B"}, {s.Size, "size-B"},
			} {
				if f.value != 0 {
					fmt.Fprintf(b, "\t%d %s", f.value, f.unit)
				}
			}
			fmt.Fprintln(b)
		}
	}
	return b.Flush()
}

// WriteJSON writes the result as one JSON object. Times are in nanoseconds, sizes in bytes.
func (r Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// datasets returns the datasets measured, the smallest first.
func (r Result) datasets() (out []Config) {
	for _, m := range r.Measurements {
		if !slices.Contains(out, m.Dataset) {
			out = append(out, m.Dataset)
		}
	}
	slices.SortStableFunc(out, func(a, b Config) int { return cmp.Compare(a.Interactions, b.Interactions) })
	return out
}
