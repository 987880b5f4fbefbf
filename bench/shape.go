package bench

// Shape names the real dataset whose distributions the interactions follow.
type Shape string

const (
	// Ratings is people rating movies: short visits, rows of one visit seconds to hours apart, few items
	// that draw most of the attention, active around the clock.
	Ratings Shape = "ratings"
	// Shop is invoices of a mail-order shop: long baskets whose rows bear the same second, popularity that
	// is spread over many items, office hours only.
	Shop Shape = "shop"
)

// shape holds what was measured. See the package comment for where, and for how well it fits.
type shape struct {
	// activitySigma is the standard deviation of the logarithm of a user's activity, in steps of activityStep.
	activitySigma int
	// activityTop cuts the activity off, in steps above the median user's. No person is without bounds.
	activityTop int
	// zipfRoot and zipfShift give the popularity of the item of rank r among n items, which is
	// (r + zipfShift*n) ^ -(1 + 1/zipfRoot).
	zipfRoot  int
	zipfShift float64
	// visitRows is how many rows a visit has, gapSeconds how far apart they are.
	visitRows  quantiles
	gapSeconds quantiles
	// byHour and byWeekday (from Sunday) are the relative weights of the UTC hour and the day.
	byHour    [24]uint64
	byWeekday [7]uint64
}

var shapes = map[Shape]*shape{
	Ratings: {
		activitySigma: 152,
		activityTop:   128,
		zipfRoot:      5,
		zipfShift:     0.001,
		visitRows: quantiles{
			{0, 1}, {7729, 2}, {9117, 3}, {9539, 4}, {9720, 5}, {9813, 6}, {9865, 7}, {9899, 8}, {9933, 10},
			{9950, 12}, {9966, 15}, {9981, 20}, {9986, 25}, {9992, 30}, {9995, 40}, {10000, 164},
		},
		gapSeconds: quantiles{
			{0, 5}, {100, 12}, {500, 16}, {1000, 20}, {1500, 25}, {2000, 30}, {2500, 37}, {3000, 47}, {3500, 62},
			{4000, 86}, {4500, 135}, {5000, 266}, {5500, 1198}, {6000, 5972}, {6500, 8958}, {7000, 14202},
			{7500, 24807}, {8000, 41922}, {8500, 59114}, {9000, 73117}, {9500, 81447}, {9800, 84624}, {10000, 86399},
		},
		byHour: [24]uint64{
			106, 105, 98, 97, 98, 82, 69, 63, 58, 56, 61, 63, 70, 72, 82, 93, 97, 103, 114, 132, 174, 190, 184, 134,
		},
		byWeekday: [7]uint64{145, 94, 76, 77, 84, 96, 128},
	},
	Shop: {
		activitySigma: 88,
		activityTop:   192,
		zipfRoot:      1,
		zipfShift:     0.15,
		visitRows: quantiles{
			{0, 1}, {1264, 2}, {1859, 3}, {2306, 4}, {2649, 5}, {3034, 6}, {3313, 7}, {3586, 8}, {4148, 10},
			{4727, 12}, {5469, 15}, {6698, 20}, {7469, 25}, {8029, 30}, {8768, 40}, {9234, 50}, {9518, 60},
			{9815, 80}, {9901, 100}, {9984, 150}, {10000, 261},
		},
		gapSeconds: quantiles{{0, 0}, {9940, 0}, {9950, 60}, {10000, 1800}},
		byHour:     [24]uint64{7: 1, 29, 137, 245, 327, 422, 370, 327, 284, 148, 71, 18, 19, 2},
		byWeekday:  [7]uint64{107, 115, 109, 132, 140, 96, 0},
	},
}

// itemPrices is the distribution of the shop's prices, in hundredths.
var itemPrices = quantiles{
	{0, 10}, {100, 21}, {500, 42}, {1000, 65}, {1500, 85}, {2500, 125}, {3500, 165}, {4500, 195}, {5000, 246},
	{6000, 295}, {7000, 375}, {7500, 424}, {8000, 496}, {8500, 595}, {9000, 795}, {9500, 995}, {9800, 1663},
	{9900, 2917}, {10000, 4995},
}

// quantiles is a distribution as points of its quantile function, linear between them: below is the share of
// values, in ten thousandths, that are less than value. The first point is at 0, the last at 10,000 and its
// value is never reached.
type quantiles []struct{ below, value uint32 }

// sampler is a quantile function on an even grid, so that a draw is a lookup. The values are in sixteenths,
// for the steps between small ones.
type sampler [samplerCells + 1]uint32

const samplerCells = 4096

func newSampler(q quantiles) *sampler {
	s := new(sampler)
	k := 0
	for i := range s {
		for k+2 < len(q) && i*10_000 >= int(q[k+1].below)*samplerCells {
			k++
		}
		lo, hi := q[k], q[k+1]
		// Positions are in units of 1/(10,000*samplerCells), so that all is exact in integers.
		at, width := uint64(i*10_000-int(lo.below)*samplerCells), uint64(hi.below-lo.below)*samplerCells
		s[i] = lo.value*16 + uint32(uint64(hi.value-lo.value)*16*at/width)
	}
	return s
}

// draw turns a random x into a value. It uses all bits of x but the lowest 20.
func (s *sampler) draw(x uint64) uint32 {
	cell, within := x>>52, x>>20&(1<<32-1)
	lo, hi := s[cell], s[cell+1]
	return (lo + uint32(uint64(hi-lo)*within>>32)) / 16
}

// meanThousandths returns the mean of the values, times 1,000.
func (s *sampler) meanThousandths() uint64 {
	var sum uint64
	for i := range samplerCells {
		for k := range uint64(16) {
			sum += uint64(s.draw(uint64(i)<<52 | k<<48 | 1<<47))
		}
	}
	return sum * 1000 / (samplerCells * 16)
}
