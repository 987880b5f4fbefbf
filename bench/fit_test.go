package bench

import (
	"math"
	"testing"
	"time"
)

// originals are the measured properties of the real datasets, from the package comment.
var originals = map[string]struct {
	c                      Config
	userQuantiles          map[float64]int
	userShares, itemShares []float64 // of sharesOf
	within30m, within1d    float64   // share of the gaps
}{
	"ratings": {
		c:             Config{Users: 16_554, Items: 18_385, Interactions: 100_000, Days: 185, Shape: Ratings},
		userQuantiles: map[float64]int{.1: 1, .25: 1, .5: 2, .75: 5, .9: 15, .95: 25, .99: 58, .999: 164},
		userShares:    []float64{0.0346, 0.1648, 0.5604, 0.7297, 0.9090},
		itemShares:    []float64{0.1199, 0.4082, 0.7395, 0.8421, 0.9446},
		within30m:     0.228, within1d: 0.408,
	},
	"shop": {
		c:             Config{Users: 1_749, Items: 3_159, Interactions: 69_125, Days: 90, Shape: Shop},
		userQuantiles: map[float64]int{.1: 4, .25: 11, .5: 22, .75: 48, .9: 90, .95: 130, .99: 251, .999: 757},
		userShares:    []float64{0.0115, 0.1104, 0.4087, 0.5872, 0.8649},
		itemShares:    []float64{0.0134, 0.0925, 0.4413, 0.6433, 0.9099},
		within30m:     0.970, within1d: 0.973,
	},
}

var sharesOf = []float64{.001, .01, .1, .2, .5}

func TestShapesFitTheOriginals(t *testing.T) {
	for name, o := range originals {
		t.Run(name, func(t *testing.T) {
			rows := interactions(t, o.c)
			users := sortedCounts(rows, func(r interaction) string { return r.user })
			for q, want := range o.userQuantiles {
				got := users[int(q*float64(len(users)))]
				if math.Abs(float64(got-want)) > max(2, 0.3*float64(want)) {
					t.Errorf("rows of a user, quantile %g: %d, original %d", q, got, want)
				}
			}
			compareShares(t, "users", topShares(users, sharesOf), o.userShares, 0.025)
			items := sortedCounts(rows, func(r interaction) string { return r.item })
			compareShares(t, "items", topShares(items, sharesOf), o.itemShares, 0.035)
			short, sameDay, all := 0.0, 0.0, gaps(rows)
			for _, g := range all {
				if g <= 1800 {
					short++
				}
				if g <= day {
					sameDay++
				}
			}
			n := float64(len(all))
			compareShares(t, "gaps within 30 minutes and a day", []float64{short / n, sameDay / n}, []float64{o.within30m, o.within1d}, 0.09)
		})
	}
}

func compareShares(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > tolerance {
			t.Errorf("%s: shares %.3f, original %.3f", what, got, want)
			return
		}
	}
}

func TestRhythm(t *testing.T) {
	for name, c := range map[string]Config{
		"ratings": {Shape: Ratings, Interactions: 200_000, Days: 70},
		"shop":    {Shape: Shop, Interactions: 200_000, Days: 70},
	} {
		t.Run(name, func(t *testing.T) {
			var hours [24]float64
			var days [7]float64
			rows := interactions(t, c)
			for _, r := range rows {
				at := time.Unix(r.at, 0).UTC()
				hours[at.Hour()]++
				days[at.Weekday()]++
			}
			var sumHours, sumDays float64
			s := shapes[c.Shape]
			for _, w := range s.byHour {
				sumHours += float64(w)
			}
			for _, w := range s.byWeekday {
				sumDays += float64(w)
			}
			// The rows that follow in a visit blur the rhythm by some hours.
			for h, n := range hours {
				if got, want := n/float64(len(rows)), float64(s.byHour[h])/sumHours; math.Abs(got-want) > 0.012 {
					t.Errorf("hour %d has %.3f of the rows, want %.3f", h, got, want)
				}
			}
			for d, n := range days {
				if got, want := n/float64(len(rows)), float64(s.byWeekday[d])/sumDays; math.Abs(got-want) > 0.025 {
					t.Errorf("weekday %d has %.3f of the rows, want %.3f", d, got, want)
				}
			}
		})
	}
}

func TestEventTypesAreSkewed(t *testing.T) {
	counts := map[string]float64{}
	rows := interactions(t, Config{Interactions: 100_000})
	for _, r := range rows {
		counts[r.event]++
		if r.value <= 0 || r.value > 50 {
			t.Fatalf("event value %g", r.value)
		}
	}
	want := map[string]float64{"view": 184, "click": 46, "cart": 18, "purchase": 8}
	if len(counts) != len(want) {
		t.Errorf("event types: %v", counts)
	}
	for event, w := range want {
		if got := counts[event] / float64(len(rows)); math.Abs(got-w/256) > 0.01 {
			t.Errorf("%s has %.3f of the rows, want %.3f", event, got, w/256)
		}
	}
}

func TestSamplerFollowsItsQuantiles(t *testing.T) {
	for name, q := range map[string]quantiles{
		"prices": itemPrices, "ratings visits": shapes[Ratings].visitRows, "ratings gaps": shapes[Ratings].gapSeconds,
		"shop visits": shapes[Shop].visitRows, "shop gaps": shapes[Shop].gapSeconds,
	} {
		s := newSampler(q)
		r := newRNG(1, 1000)
		const draws = 200_000
		below := make([]float64, len(q))
		for range draws {
			v := s.draw(r.next())
			if v < q[0].value || v >= max(q[len(q)-1].value, 1) {
				t.Fatalf("%s: drew %d", name, v)
			}
			for i := range q {
				if v < q[i].value {
					below[i]++
				}
			}
		}
		for i := range q[:len(q)-1] {
			if q[i].value == 0 {
				continue
			}
			if got, want := below[i]/draws, float64(q[i].below)/10_000; math.Abs(got-want) > 0.006 {
				t.Errorf("%s: %.4f of the draws are below %d, want %.4f", name, got, q[i].value, want)
			}
		}
	}
}

func TestActivityMatchesTheLogNormal(t *testing.T) {
	const users, sigma = 1_000_000, 64
	a := newActivity(users, sigma, activityReach) // uncut: the top share p of users has 1-cdf(cdf'(1-p)-1) of the visits
	r := newRNG(1, 1000)
	const draws = 400_000
	for _, test := range []struct{ part, share float64 }{
		{0.01, 0.0924}, {0.1, 0.3891}, {0.5, 0.8413},
	} {
		n := 0.0
		for range draws {
			if float64(a.rank(r.next())) < test.part*users {
				n++
			}
		}
		if got := n / draws; math.Abs(got-test.share) > 0.004 {
			t.Errorf("the top %g of users have %.4f of the visits, want %.4f", test.part, got, test.share)
		}
	}
}

func TestRanksStayInRange(t *testing.T) {
	for _, n := range []int{1, 2, 3, 1000, MaxUsers} {
		for _, s := range shapes {
			a, p := newActivity(n, s.activitySigma, s.activityTop), newPopularity(n, s.zipfRoot, s.zipfShift)
			for _, x := range []uint64{0, 1, 1 << 11, 1 << 52, 1 << 63, 1<<64 - 1<<11, 1<<64 - 1} {
				if got := a.rank(x); got >= uint64(n) {
					t.Errorf("activity rank %d of %d", got, n)
				}
				if got := p.rank(x); got >= uint64(n) {
					t.Errorf("popularity rank %d of %d", got, n)
				}
			}
		}
	}
}
