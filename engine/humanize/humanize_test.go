package humanize_test

import (
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine/humanize"
)

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 999_999: "999,999", 1_000_000: "1,000,000", -1: "-1", -999: "-999",
		-1000: "-1,000", 1<<63 - 1: "9,223,372,036,854,775,807", -1 << 63: "-9,223,372,036,854,775,808",
	} {
		if got := humanize.Count(n); got != want {
			t.Errorf("Count(%d) is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 rows", 1: "1 row", 2: "2 rows", 1500: "1,500 rows"} {
		if got := humanize.Counted(n, "row"); got != want {
			t.Errorf("Counted(%d) is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{
		0: "0.00 MiB", 1 << 10: "0.00 MiB", 1 << 19: "0.50 MiB", 1 << 20: "1.0 MiB", 150<<20 + 1<<19: "151 MiB", 5 << 30: "5,120 MiB",
	} {
		if got := humanize.Size(n); got != want {
			t.Errorf("Size(%d) is %q, want %q", n, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_900_000, time.FixedZone("east", 2*3600))
	if got, want := humanize.Moment(at), "2026-03-04 03:06:07 UTC"; got != want {
		t.Errorf("Moment is %q, want %q", got, want)
	}
	if got, want := humanize.Instant(at), "2026-03-04 03:06:07.008 UTC"; got != want {
		t.Errorf("Instant is %q, want %q", got, want)
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Microsecond: "2ms", 59*time.Second + 400*time.Microsecond: "59s", 90*time.Second + 600*time.Millisecond: "1m31s",
	} {
		if got := humanize.Duration(d); got != want {
			t.Errorf("Duration(%d) is %q, want %q", d, got, want)
		}
	}
}
