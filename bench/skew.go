package bench

// activityStep is the grid of the activity's normal distribution: 1/activityStep standard deviations.
const activityStep = 64

// activityReach is as far as the distribution is tabulated, to either side.
const activityReach = 9 * activityStep

// activity draws users so that their shares of the visits are log-normally distributed. Users are ranked,
// the most active first; the draw of a rank needs the share of users and the share of visits beyond each
// point of the normal distribution. The second is the first one, shifted by sigma, so that one table does.
//
// The arithmetic is floating point without a fused multiply-add and without the math package, whose results
// differ between processors; a dataset's bytes must not.
type activity struct {
	users  float64
	byUser []float64 // share of users beyond a grid point, falling
	byRow  []float64 // share of visits beyond it
	guide  [1025]int // first cell that can hold a draw above i/1024
}

func newActivity(users, sigma, top int) *activity {
	const (
		reach   = activityReach
		exp8192 = 0.99987793693777744127 // exp(-1/(2*activityStep^2))
		exp4096 = 0.99975588917489721651 // exp(-1/activityStep^2)
	)
	// density[j] is exp(-z*z/2) at z = j/activityStep, each from the one before.
	var density [reach + 1]float64
	density[0] = 1
	for j, ratio := 0, exp8192; j < reach; j++ {
		density[j+1] = density[j] * ratio
		ratio *= exp4096
	}
	at := func(j int) float64 { return density[max(j, -j)] }
	var beyond [2*reach + 1]float64 // of j - reach
	for j := reach - 1; j >= -reach; j-- {
		beyond[j+reach] = beyond[j+reach+1] + (at(j) + at(j+1))
	}
	total := beyond[0]
	for i := range beyond {
		beyond[i] /= total
	}
	share := func(j int) float64 {
		switch {
		case j < -reach:
			return 1
		case j > reach:
			return 0
		}
		return beyond[j+reach]
	}
	// Activity above top is cut off, and the shares are of what remains.
	remaining := func(j, top int) float64 { return (share(j) - share(top)) / (1 - share(top)) }
	a := &activity{users: float64(users)}
	for j := -reach; j <= top; j++ {
		a.byUser = append(a.byUser, remaining(j, top))
		a.byRow = append(a.byRow, remaining(j-sigma, top-sigma))
	}
	cell := 0
	for i := len(a.guide) - 1; i >= 0; i-- {
		for cell+2 < len(a.byRow) && a.byRow[cell+1] >= float64(i)/1024 {
			cell++
		}
		a.guide[i] = cell
	}
	return a
}

// rank turns a random x into a user's rank, 0 being the most active.
func (a *activity) rank(x uint64) uint64 {
	p := unit(x)
	cell := a.guide[min(int(p*1024)+1, 1024)]
	for a.byRow[cell+1] >= p {
		cell++
	}
	part := (a.byRow[cell] - p) / (a.byRow[cell] - a.byRow[cell+1])
	beyond := a.byUser[cell] - float64((a.byUser[cell]-a.byUser[cell+1])*part)
	return min(uint64(beyond*a.users), uint64(a.users)-1)
}

// popularity draws items by the law of Zipf and Mandelbrot, with an exponent of 1 + 1/root. Exponents of
// that form have a quantile function that is a whole power, so that a draw takes some multiplications and no
// table, however many items there are.
type popularity struct {
	items, shift float64
	root         int
	first, span  float64 // of x ^ (-1/root) over the ranks
}

func newPopularity(items, root int, shift float64) *popularity {
	p := &popularity{items: float64(items), shift: max(shift*float64(items), 0.5), root: root}
	p.first = inverseRoot(p.shift, root)
	p.span = inverseRoot(p.shift+p.items, root) - p.first
	return p
}

// rank turns a random x into an item's rank, 0 being the most popular.
func (p *popularity) rank(x uint64) uint64 {
	y := p.first + float64(unit(x)*p.span)
	r := 1/power(y, p.root) - p.shift
	if r < 0 { // by rounding only
		return 0
	}
	return min(uint64(r), uint64(p.items)-1)
}

// inverseRoot returns x ^ (-1/k) by halving, to the last bit.
func inverseRoot(x float64, k int) float64 {
	lo, hi := 0.0, 2.0
	for range 100 {
		mid := (lo + hi) / 2
		if power(mid, k)*x < 1 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

func power(x float64, k int) float64 {
	p := x
	for range k - 1 {
		p *= x
	}
	return p
}
