package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// report is what the template shows.
type report struct {
	Started    string
	Headline   []headline
	Sections   []section
	Growth     *chart
	Conditions []pair
	Modules    string
	Notes      []string
}

type pair struct{ Name, Value string }

type headline struct{ Value, Name, Detail string }

// section is one dataset.
type section struct {
	Title, Detail string
	Charts        []chart
	Rows          []tableRow
}

type tableRow struct{ Name, Median, Range, Rate, Memory, RSS, Written, Size, Runs string }

// WriteHTML writes the result as one page with charts. It needs nothing else: no script, no font, no network.
func (r Result) WriteHTML(w io.Writer) error {
	c := r.Conditions
	rep := report{Started: r.Started.Format("2 January 2006, 15:04 UTC"), Modules: strings.Join(c.Modules, ", "), Notes: r.Notes}
	rep.Conditions = []pair{
		{"Processor", fmt.Sprintf("%s, %d CPUs, GOMAXPROCS %d", c.CPU, c.CPUs, c.GOMAXPROCS)},
		{"Memory", formatBytes(float64(c.Memory))},
		{"System", c.System + ", " + c.Arch},
		{"File system", c.FileSystem},
		{"Load before", c.Load},
		{"Go", c.Go},
		{"Expunge", c.Version},
		{"Page cache", c.Cache},
		{"Durability", c.Durability},
	}
	datasets := r.datasets()
	for _, d := range datasets {
		rep.Sections = append(rep.Sections, r.section(d))
	}
	if len(datasets) > 0 {
		rep.Headline = r.headline(datasets[len(datasets)-1])
	}
	if len(datasets) > 1 {
		rep.Growth = r.growth(datasets)
	}
	return reportTemplate.Execute(w, rep)
}

// of returns the measurements of a dataset.
func (r Result) of(d Config) (out []Measurement) {
	for _, m := range r.Measurements {
		if m.Dataset == d {
			out = append(out, m)
		}
	}
	return out
}

// find returns the measurement of that name of a dataset.
func (r Result) find(d Config, name string) (Measurement, bool) {
	for _, m := range r.of(d) {
		if m.Name == name {
			return m, true
		}
	}
	return Measurement{}, false
}

func (r Result) headline(d Config) (out []headline) {
	for _, h := range []struct{ name, title string }{
		{"Import", "import"}, {"Delete/list=100/until=erased", "100 users erased"}, {"Delete/list=10pct/until=erased", "10 % of the users erased"},
		{"Scan", "scan, every byte summed"}, {"UserRows", "one user's rows, median"},
	} {
		if m, ok := r.find(d, h.name); ok {
			out = append(out, headline{formatSeconds(m.of(Sample.typical).median), h.title, formatCount(float64(d.Interactions)) + " interactions"})
		}
	}
	return out
}

func (r Result) section(d Config) section {
	s := section{
		Title:  formatCount(float64(d.Interactions)) + " interactions",
		Detail: fmt.Sprintf("%s users, %s items, %d days, shape %s, seed %d", formatCount(float64(d.Users)), formatCount(float64(d.Items)), d.Days, d.Shape, d.Seed),
	}
	var times, memory, written, size []bar
	var daily []Measurement
	for _, m := range r.of(d) {
		s.Rows = append(s.Rows, m.tableRow())
		times = append(times, bar{name: m.Title, spread: m.of(Sample.typical)})
		anon, rss := m.of(func(s Sample) float64 { return float64(s.PeakAnon) }), m.of(func(s Sample) float64 { return float64(s.PeakRSS) })
		if anon.greatest > 0 {
			memory = append(memory, bar{m.Title, anon, rss.greatest})
		}
		if w := m.of(func(s Sample) float64 { return float64(s.Written) }); w.greatest > 0 {
			written = append(written, bar{name: m.Title, spread: w})
		}
		if b := m.of(func(s Sample) float64 { return float64(s.Size) }); b.greatest > 0 {
			size = append(size, bar{name: m.Title, spread: b})
		}
		if strings.HasPrefix(m.Name, "Daily") && len(m.Samples) > 1 {
			daily = append(daily, m)
		}
	}
	s.Charts = append(s.Charts, rangeChart("Time by scenario", "Dot: median of the runs. Line: fastest to slowest. The axis is logarithmic.", times, formatSeconds))
	if len(memory) > 0 {
		s.Charts = append(s.Charts, barChart("Peak memory", "Bar: anonymous memory (RssAnon), the most of all runs. Stroke: all memory (VmHWM), mapped pages of the file included.", memory, 1<<20, formatBytes))
	}
	if len(written) > 0 {
		s.Charts = append(s.Charts, barChart("Bytes written to storage", "The most of all runs.", written, 1<<20, formatBytes))
	}
	if len(size) > 0 {
		s.Charts = append(s.Charts, barChart("Size of the store afterwards", "Allocated blocks on the disk, the most of all runs.", size, 1<<20, formatBytes))
	}
	if len(daily) > 0 {
		s.Charts = append(s.Charts, dailyCharts(daily)...)
	}
	return s
}

// dailyCharts show how the store ages.
func dailyCharts(daily []Measurement) (out []chart) {
	var times []series
	var size series
	for _, m := range daily {
		line := series{name: m.Title}
		for i, s := range m.Samples {
			line.x, line.y = append(line.x, float64(i+1)), append(line.y, s.typical())
			if s.Size > 0 {
				size.x, size.y = append(size.x, float64(i+1)), append(size.y, float64(s.Size))
			}
		}
		times = append(times, line)
	}
	dayName := func(v float64) string { return fmt.Sprintf("day %g", v) }
	greatest := 0.0
	for _, s := range times {
		greatest = max(greatest, slices.Max(s.y))
	}
	// Steps of the axis are round in the unit that it is labelled in.
	unit := math.Pow(1000, math.Floor(math.Log10(greatest)/3))
	out = append(out, lineChart("Daily life: time", "What each day's events, list and scan took.", times, false, unit, 230, dayName, formatSeconds))
	if len(size.x) > 0 {
		size.name = "size"
		out = append(out, lineChart("Daily life: size of the store", "At the end of each day.", []series{size}, false, 1<<20, 180, dayName, formatBytes))
	}
	return out
}

// growth shows the main times over the sizes. Datasets of one size are in the order in which they were measured.
func (r Result) growth(datasets []Config) *chart {
	var all []series
	for _, name := range []string{
		"Import", "Scan", "Delete/list=100/until=erased", "Delete/list=1pct/until=erased", "Delete/list=10pct/until=erased", "UserRows",
	} {
		var line series
		for _, d := range datasets {
			if m, ok := r.find(d, name); ok {
				line.name = m.Title
				line.x, line.y = append(line.x, float64(d.Interactions)), append(line.y, m.of(Sample.typical).median)
			}
		}
		if len(line.x) > 1 && line.x[0] < line.x[len(line.x)-1] {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		return nil
	}
	c := lineChart("Growth by size", "Medians over the number of interactions. Both axes are logarithmic: what grows with the data rises by a decade for each decade.", all, true, 1, 340, formatCount, formatSeconds)
	return &c
}

func (m Measurement) tableRow() tableRow {
	t := m.of(Sample.typical)
	most := func(figure func(Sample) int64) string {
		if v := m.of(func(s Sample) float64 { return float64(figure(s)) }); v.greatest > 0 {
			return formatBytes(v.greatest)
		}
		return ""
	}
	row := tableRow{
		Name: m.Title, Median: formatSeconds(t.median),
		Memory:  most(func(s Sample) int64 { return s.PeakAnon }),
		RSS:     most(func(s Sample) int64 { return s.PeakRSS }),
		Written: most(func(s Sample) int64 { return s.Written }),
		Size:    most(func(s Sample) int64 { return s.Size }),
		Runs:    fmt.Sprint(len(m.Samples)),
	}
	if len(m.Samples) > 1 {
		row.Range = formatSeconds(t.least) + " – " + formatSeconds(t.greatest)
	}
	switch {
	case m.Scenario == ScenarioImport, m.Scenario == ScenarioScan:
		row.Rate = formatCount(float64(m.Dataset.Interactions)/t.median) + " rows/s"
	case m.Samples[0].P95 > 0:
		row.Rate = "p95 " + formatSeconds(m.of(func(s Sample) float64 { return s.P95.Seconds() }).median) +
			", p99 " + formatSeconds(m.of(func(s Sample) float64 { return s.P99.Seconds() }).median)
	}
	return row
}
