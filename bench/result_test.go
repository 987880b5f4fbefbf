package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

// someResult has two sizes and the things that a report can be without.
func someResult() Result {
	small := Config{Users: 10, Interactions: 1_000}.withDefaults()
	large := Config{Users: 100, Interactions: 10_000}.withDefaults()
	sample := func(t time.Duration) Sample { return Sample{N: 1, Elapsed: t} }
	full := Sample{N: 1000, Elapsed: 90_000, P50: 60_000, P95: 900_000, P99: 3e6, PeakAnon: 5 << 20, PeakRSS: 9 << 20, Written: 1 << 30, Size: 700}
	return Result{
		Started:    time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC),
		Conditions: Conditions{CPU: "A & B <fast>", CPUs: 2, GOMAXPROCS: 2, Arch: "amd64", Modules: []string{"a@v1", "b@v2"}},
		Notes:      []string{"one run isn't counted"},
		Remaining:  []Remaining{{small, 3, Totals{Rows: 7, Digest: math.MaxUint64}}},
		Measurements: []Measurement{
			{"Import", ScenarioImport, "import", small, []Sample{sample(time.Second), sample(2 * time.Second)}},
			{"UserRows", ScenarioUser, "one user's rows", small, []Sample{full}},
			{"Import", ScenarioImport, "import", large, []Sample{sample(3 * time.Minute)}},
			{"UserRows", ScenarioUser, "one user's rows", large, []Sample{full}},
			{"DailyDelete", ScenarioDaily, "a day's users out", large, []Sample{full, full, full}},
		},
	}
}

func TestOutputs(t *testing.T) {
	for name, r := range map[string]Result{"two sizes": someResult(), "nothing": {}} {
		t.Run(name, func(t *testing.T) { checkOutputs(t, r) })
	}
	var html bytes.Buffer
	if err := someResult().WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Growth by size", "Time by scenario", "Peak memory", "Bytes written", "Size of the store", "Daily life: time", "A &amp; B &lt;fast&gt;", "one run isn&#39;t counted"} {
		if !strings.Contains(html.String(), part) {
			t.Errorf("nothing of %q in the report", part)
		}
	}
}

// checkOutputs checks what must hold of every report.
func checkOutputs(t *testing.T, r Result) {
	t.Helper()
	var text, js, html bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&js), r.WriteHTML(&html)); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^(Benchmark[A-Z]\S*-\d+\t\d+\t\d+ ns/op(\t\d+ \S+)*|[a-z]+: .*|# .*)$`)
	for l := range strings.Lines(text.String()) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("benchstat doesn't read %q", l)
		}
	}
	var back Result
	if err := json.Unmarshal(js.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(back) != fmt.Sprint(r) {
		t.Error("the JSON is not the result")
	}
	for _, external := range []string{"http:", "https:", "<script", "<link", "@import", "url(", "NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(html.String(), external) {
			t.Errorf("the report has %q in it", external)
		}
	}
	d := xml.NewDecoder(&html)
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the report is not well-formed: %v", err)
		}
	}
}

func TestAxes(t *testing.T) {
	for _, greatest := range []float64{0, 1, 3, 9.99, 10, 777, 1e6, 5e12} {
		a := linearAxis(greatest, 1, 100, 500)
		if n := len(a.ticks(1)); n < 2 || n > 12 {
			t.Errorf("%d ticks up to %g", n, greatest)
		}
		if p := a.pos(greatest); p < 100 || p > 500 {
			t.Errorf("%g is at %g", greatest, p)
		}
	}
	for _, v := range []float64{1e-6, 0.001, 1, 37, 1000} {
		a := logAxis(v, v, 100, 500)
		if p := a.pos(v); p < 99.9 || p > 500.1 || len(a.ticks(1)) < 2 {
			t.Errorf("%g is at %g, ticks %v", v, p, a.ticks(1))
		}
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		formatSeconds(0): "0", formatSeconds(53.4e-6): "53.4 µs", formatSeconds(.00123): "1.23 ms", formatSeconds(1): "1 s",
		formatSeconds(119): "119 s", formatSeconds(180): "3 min", formatBytes(0): "0", formatBytes(17): "17 B",
		formatBytes(1 << 19): "0.5 MiB", formatBytes(84 << 20): "84 MiB", formatBytes(3 << 40): "3 TiB", formatCount(999): "999",
		formatCount(20_000): "20k", formatCount(1e7): "10M", formatCount(1e9): "1 billion",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	m := Measurement{}
	for _, ms := range []int{5, 1, 9, 3} {
		m.Samples = append(m.Samples, Sample{N: 1, Elapsed: time.Duration(ms) * time.Millisecond})
	}
	if got := m.of(Sample.typical); got != (spread{.001, .004, .009}) {
		t.Errorf("spread %v", got)
	}
	var s Sample
	s.setQuantiles([]time.Duration{4, 1, 3, 2})
	if s.N != 4 || s.P50 != 3 || s.P99 != 4 || s.Elapsed != 2 {
		t.Errorf("%+v", s)
	}
}
