package bench

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// The charts are drawn here and not by a library, because a library's colours are fixed when it draws: these are
// classes, and the page's style sheet gives them those of the reader's light or dark mode.

// chart is a drawing in units of CSS pixels. Text stands in real text elements, so that it can be read and found.
type chart struct {
	Title, Note   string
	Label         string // for readers who don't see it
	Width, Height float64
	Lines         []chartLine
	Rects         []chartRect
	Dots          []chartDot
	Paths         []chartPath
	Texts         []chartText
	Legend        []chartKey
}

type (
	chartLine struct {
		X1, Y1, X2, Y2 float64
		Class          string
	}
	chartRect struct {
		X, Y, W, H float64
		Class, Tip string
	}
	chartDot struct {
		X, Y, R    float64
		Class, Tip string
	}
	chartPath struct{ D, Class string }
	chartText struct {
		X, Y          float64
		Anchor, Class string
		Text          string
	}
	chartKey struct{ Class, Text string }
)

const (
	chartWidth = 920
	labelWidth = 268 // of the names at the left
	valueWidth = 128 // of the figures at the right
	rowHeight  = 26
	axisHeight = 28
)

func (c *chart) text(x, y float64, anchor, class, text string) {
	c.Texts = append(c.Texts, chartText{round(x), round(y), anchor, class, text})
}

func (c *chart) line(x1, y1, x2, y2 float64, class string) {
	c.Lines = append(c.Lines, chartLine{round(x1), round(y1), round(x2), round(y2), class})
}

// round keeps the page small.
func round(v float64) float64 { return math.Round(v*10) / 10 }

// axis maps values to pixels.
type axis struct {
	from, to float64 // values
	at, end  float64 // pixels
	log      bool
}

func (a axis) pos(v float64) float64 {
	from, to := a.from, a.to
	if a.log {
		from, to, v = math.Log10(from), math.Log10(to), math.Log10(v)
	}
	return a.at + (v-from)/(to-from)*(a.end-a.at)
}

// logAxis covers values above 0 by whole decades.
func logAxis(least, greatest, at, end float64) axis {
	from, to := math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(greatest)))
	if from == to {
		to *= 10
	}
	return axis{from, to, at, end, true}
}

// linearAxis begins at 0 and ends at or above the greatest value.
func linearAxis(greatest, unit, at, end float64) axis {
	if greatest <= 0 {
		greatest = unit
	}
	return axis{0, greatest * 1.04, at, end, false}
}

// ticks returns round values on the axis. Linear steps are 1, 2 or 5 times a power of ten of the unit, which is a
// mebibyte or so for bytes and 1 for what is counted in tens.
func (a axis) ticks(unit float64) (out []float64) {
	if a.log {
		for v := a.from; v <= a.to*1.001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10((a.to-a.from)/unit/4))) * unit
	for _, f := range []float64{5, 2} {
		if (a.to-a.from)/(step*f) >= 4 {
			step *= f
			break
		}
	}
	for v := a.from; v <= a.to; v += step {
		out = append(out, v)
	}
	return out
}

// bar is one row of a chart of horizontal bars or ranges.
type bar struct {
	name string
	spread
	mark float64 // a second figure, shown as a stroke; 0 for none
}

// rangeChart shows the median as a dot and the least and greatest as a line through it, on a logarithmic axis:
// the times that it shows differ by factors of thousands.
func rangeChart(title, note string, bars []bar, format func(float64) string) chart {
	c := chart{Title: title, Note: note, Label: title, Width: chartWidth}
	least, greatest := math.Inf(1), 0.0
	for _, b := range bars {
		least, greatest = min(least, b.least), max(greatest, b.greatest)
	}
	a := logAxis(least, greatest, labelWidth, chartWidth-valueWidth)
	y := c.rows(bars, a, 1, format)
	for i, b := range bars {
		at := y + (float64(i)+.5)*rowHeight
		tip := fmt.Sprintf("%s: median %s, %s to %s", b.name, format(b.median), format(b.least), format(b.greatest))
		c.line(a.pos(b.least), at, a.pos(b.greatest), at, "whisker")
		c.Dots = append(c.Dots, chartDot{round(a.pos(b.median)), round(at), 5, "s0", tip})
	}
	return c
}

// barChart shows the greatest value as a bar that begins at 0, and the mark as a stroke.
func barChart(title, note string, bars []bar, unit float64, format func(float64) string) chart {
	c := chart{Title: title, Note: note, Label: title, Width: chartWidth}
	greatest := 0.0
	for _, b := range bars {
		greatest = max(greatest, b.greatest, b.mark)
	}
	a := linearAxis(greatest, unit, labelWidth, chartWidth-valueWidth)
	y := c.rows(bars, a, unit, format)
	for i, b := range bars {
		at := y + float64(i)*rowHeight
		tip := b.name + ": " + format(b.greatest)
		if b.mark > 0 {
			tip += ", all memory " + format(b.mark)
			c.line(a.pos(b.mark), at+4, a.pos(b.mark), at+rowHeight-4, "mark")
		}
		c.Rects = append(c.Rects, chartRect{round(a.at), round(at + 6), round(max(a.pos(b.greatest)-a.at, 1)), rowHeight - 12, "s0", tip})
	}
	return c
}

// rows draws the names, figures and the axis, and returns where the first row begins.
func (c *chart) rows(bars []bar, a axis, unit float64, format func(float64) string) float64 {
	const top = 6.0
	bottom := top + float64(len(bars))*rowHeight
	c.Height = bottom + axisHeight
	for _, v := range a.ticks(unit) {
		c.line(a.pos(v), top, a.pos(v), bottom, "grid")
		c.text(a.pos(v), bottom+18, "middle", "tick", format(v))
	}
	for i, b := range bars {
		at := top + (float64(i)+.5)*rowHeight + 4
		value := b.median
		if !a.log {
			value = b.greatest
		}
		c.text(labelWidth-14, at, "end", "name", b.name)
		c.text(chartWidth-4, at, "end", "value", format(value))
	}
	return top
}

// series is a line of a chart over x.
type series struct {
	name string
	x, y []float64
}

// lineChart shows how figures change with x.
func lineChart(title, note string, all []series, log bool, unit, height float64, formatX, formatY func(float64) string) chart {
	c := chart{Title: title, Note: note, Label: title, Width: chartWidth, Height: height + axisHeight}
	leastX, greatestX, leastY, greatestY := math.Inf(1), 0.0, math.Inf(1), 0.0
	for _, s := range all {
		for i := range s.x {
			leastX, greatestX = min(leastX, s.x[i]), max(greatestX, s.x[i])
			leastY, greatestY = min(leastY, s.y[i]), max(greatestY, s.y[i])
		}
	}
	const left = 84.0
	x, y := axis{leastX, max(greatestX, leastX+1), left + 10, chartWidth - 34, false}, linearAxis(greatestY, unit, height, 10)
	ticks := all[0].x
	if log {
		x, y = axis{leastX, greatestX, left + 20, chartWidth - 40, true}, logAxis(leastY, greatestY, height, 10)
	}
	every := (len(ticks) + 11) / 12
	for i, v := range ticks {
		if i%every == 0 {
			c.text(x.pos(v), height+20, "middle", "tick", formatX(v))
		}
	}
	for _, v := range y.ticks(unit) {
		c.line(left, y.pos(v), chartWidth-10, y.pos(v), "grid")
		c.text(left-10, y.pos(v)+4, "end", "tick", formatY(v))
	}
	for k, s := range all {
		class := "s" + strconv.Itoa(k)
		var d []byte
		for i := range s.x {
			px, py := round(x.pos(s.x[i])), round(y.pos(s.y[i]))
			d = fmt.Appendf(d, "%c%g %g", "ML"[min(i, 1)], px, py)
			c.Dots = append(c.Dots, chartDot{px, py, 3.5, class, s.name + ", " + formatX(s.x[i]) + ": " + formatY(s.y[i])})
		}
		c.Paths = append(c.Paths, chartPath{string(d), class})
		if len(all) > 1 {
			c.Legend = append(c.Legend, chartKey{class, s.name})
		}
	}
	return c
}

// formatSeconds writes a time with three digits at most.
func formatSeconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case s == 0:
		return "0"
	case s >= 120:
		return significant(s/60) + " min"
	case d >= time.Second:
		return significant(s) + " s"
	case d >= time.Millisecond:
		return significant(s*1e3) + " ms"
	}
	return significant(s*1e6) + " µs"
}

// formatBytes writes a size with three digits at most, in binary units.
func formatBytes(n float64) string {
	if n == 0 {
		return "0"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n >= 500 && i < len(units)-1; i++ {
		n /= 1024
	}
	return significant(n) + " " + units[i]
}

// formatCount writes a number of rows.
func formatCount(n float64) string {
	for _, u := range []struct {
		at   float64
		name string
	}{{1e9, " billion"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.at {
			return significant(n/u.at) + u.name
		}
	}
	return significant(n)
}

func significant(v float64) string {
	decimals := 0
	if v != 0 {
		decimals = max(0, 2-int(math.Floor(math.Log10(math.Abs(v))+1e-9)))
	}
	s := strconv.FormatFloat(v, 'f', min(decimals, 3), 64)
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s
}
