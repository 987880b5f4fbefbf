// Package humanize writes numbers, sizes and times for people, so that the command, the console and a receipt write them
// the same way.
package humanize

import (
	"strconv"
	"time"
)

// Count writes a whole number with a comma before each group of three digits.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(digits) - 3; i > start; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Counted is a number and its noun, whose plural ends in s.
func Counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// Size writes bytes in MiB.
func Size(n int64) string {
	mib := float64(n) / (1 << 20)
	switch {
	case mib >= 100:
		return Count(int64(mib+0.5)) + " MiB"
	case mib >= 1:
		return strconv.FormatFloat(mib, 'f', 1, 64) + " MiB"
	}
	return strconv.FormatFloat(mib, 'f', 2, 64) + " MiB"
}

// Moment writes a time to the second, in UTC.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Instant writes a time to the millisecond, in UTC.
func Instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// Duration writes a time span to the millisecond, or to the second if it is a minute or more.
func Duration(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
