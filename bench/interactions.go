package bench

import (
	"context"
	"io"
	"strconv"
)

const (
	hour = 3600
	day  = 24 * hour
	// wheelSlots is how many seconds ahead a visit can be scheduled: more than the longest gap, and than an
	// hour. A power of two.
	wheelSlots = 1 << 17
	// flushBytes is how much is handed to the writer at a time.
	flushBytes = 64 << 10
	// maxRowBytes bounds a row of any of the files.
	maxRowBytes = 256
)

// visit is a run of rows of one user of which some are still to come.
type visit struct {
	user uint32
	left uint32
	next uint32 // index of the next visit in the same slot, or in the free list; 0 ends it
}

// wheel holds the open visits by the second of their next row. Index 0 of visits stays unused, so that 0 can
// mean none.
type wheel struct {
	slots  [wheelSlots]uint32
	visits []visit
	free   uint32
}

func (w *wheel) add(v visit, at int64) {
	i := w.free
	if i != 0 {
		w.free = w.visits[i].next
	} else {
		i = uint32(len(w.visits))
		w.visits = append(w.visits, visit{})
	}
	w.visits[i] = v
	w.link(i, at)
}

func (w *wheel) link(i uint32, at int64) {
	slot := &w.slots[at%wheelSlots]
	w.visits[i].next = *slot
	*slot = i
}

// take returns the first visit of a second and empties its slot.
func (w *wheel) take(at int64) uint32 {
	i := w.slots[at%wheelSlots]
	w.slots[at%wheelSlots] = 0
	return i
}

func (w *wheel) release(i uint32) {
	w.visits[i].next = w.free
	w.free = i
}

// interactionWriter is the state of one WriteInteractions.
type interactionWriter struct {
	c     Config
	shape *shape
	rng   rng

	ids                   userIDs
	userRanks, userFirsts permutation
	activity              *activity
	itemRanks             permutation
	popularity            *popularity
	prices                priceList
	visitRows, gapSeconds *sampler

	// scheduled counts the rows of all visits begun, of c.Interactions; firsts counts the users who had the
	// visit that each user is owed, of owed. longShare is the chance, in 2^32nds, that a visit has more rows
	// than one.
	scheduled, firsts, owed uint64
	longShare               uint64

	end     int64 // first second after the period
	wheel   wheel
	w       io.Writer
	buf     []byte
	written int64
	observe func(*row) // called for each row if not nil; the row is valid until it returns
	row     row        // what observe is called with
}

// row is one interaction as it is written.
type row struct {
	user        uint32 // its number, not its ID
	id          []byte
	item, event []byte
	hundredths  uint32 // of EVENT_VALUE
	at          int64
	line        []byte // as it stands in the file
}

// WriteInteractions writes the Interactions dataset as CSV, in the order of TIMESTAMP. It calls progress,
// when not nil, now and then and at the end with the rows written so far. When ctx ends, it stops with the
// cause of that; what w has got by then is the beginning of the dataset.
//
// Memory is about 1 MB and 12 bytes for each visit that is under way or begins within the hour. At a billion
// rows a year that is less than 10 MB.
func (c Config) WriteInteractions(ctx context.Context, w io.Writer, progress func(rows int64)) error {
	if err := c.Validate(); err != nil {
		return err
	}
	iw := newInteractionWriter(c.withDefaults(), w)
	return iw.run(ctx, progress)
}

func newInteractionWriter(c Config, w io.Writer) *interactionWriter {
	s := shapes[c.Shape]
	iw := &interactionWriter{
		c: c, shape: s, w: w,
		rng:        newRNG(c.Seed, streamInteractions),
		ids:        newUserIDs(c.Seed),
		userRanks:  newPermutation(c.Users, c.Seed, streamUserRanks),
		userFirsts: newPermutation(c.Users, c.Seed, streamUserFirsts),
		activity:   newActivity(c.Users, s.activitySigma, s.activityTop),
		itemRanks:  newPermutation(c.Items, c.Seed, streamItemRanks),
		popularity: newPopularity(c.Items, s.zipfRoot, s.zipfShift),
		prices:     newPriceList(c.Seed),
		visitRows:  newSampler(s.visitRows),
		gapSeconds: newSampler(s.gapSeconds),
		owed:       min(uint64(c.Users), uint64(c.Interactions)),
		end:        Start + int64(c.Days)*day,
		buf:        make([]byte, 0, flushBytes+maxRowBytes),
	}
	iw.wheel.visits = make([]visit, 1)
	iw.longShare = longShare(uint64(c.Interactions), iw.owed, iw.visitRows.meanThousandths())
	return iw
}

// longShare returns the chance, in 2^32nds, that a visit takes its length from the shape instead of having
// one row. It is less than one only where users have so few rows that visits of full length would use up
// those owed to others: then the visits owed take half of what there is beyond a row for each user.
func longShare(rows, owed, meanThousandths uint64) uint64 {
	spare, need := 1000*(rows-owed), 2*(meanThousandths-1000)*owed
	if spare >= need {
		return 1 << 32
	}
	return mulDiv(spare, 1<<32, need)
}

func (iw *interactionWriter) run(ctx context.Context, progress func(int64)) error {
	iw.buf = append(iw.buf, "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n"...)
	var weightAll, weight uint64
	for t := int64(Start); t < iw.end; t += hour {
		weightAll += iw.shape.weight(t)
	}
	for t := int64(Start); t < iw.end; t += hour {
		weight += iw.shape.weight(t)
		iw.begin(t, mulDiv(weight, uint64(iw.c.Interactions), weightAll))
		for s := t; s < t+hour; s++ {
			i := iw.wheel.take(s)
			if i == 0 {
				continue
			}
			if err := iw.second(ctx, s, i, progress); err != nil {
				return err
			}
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return iw.flush(ctx, progress)
}

// weight is the relative number of rows of visits that begin in the hour from t on.
func (s *shape) weight(t int64) uint64 {
	return s.byHour[t/hour%24] * s.byWeekday[(t/day+4)%7] // 1970-01-01 was a Thursday
}

// begin schedules visits in the hour from t on until due rows of the dataset are scheduled. The last visit
// may go beyond: the next hour then begins with less to do.
func (iw *interactionWriter) begin(t int64, due uint64) {
	for iw.scheduled < due {
		left := uint64(iw.c.Interactions) - iw.scheduled
		owed := iw.owed - iw.firsts
		var user uint64
		// The visits owed are spread evenly over the dataset, and none of them can be left over at the end.
		if owed > 0 && (owed == left || mulDiv(iw.scheduled, iw.owed, uint64(iw.c.Interactions)) >= iw.firsts) {
			user = iw.userFirsts.at(iw.firsts)
			iw.firsts++
			owed--
		} else {
			user = iw.userRanks.at(iw.activity.rank(iw.rng.next()))
		}
		rows := uint64(1)
		if x := iw.rng.next(); x>>32 < iw.longShare {
			rows = min(uint64(iw.visitRows.draw(iw.rng.next())), left-owed)
		}
		iw.scheduled += rows
		iw.wheel.add(visit{user: uint32(user), left: uint32(rows)}, t+int64(iw.rng.below(hour)))
	}
}

// second writes the rows of the visits that are due at s, the first of which is i, and schedules the next
// ones.
func (iw *interactionWriter) second(ctx context.Context, s int64, i uint32, progress func(int64)) error {
	var stampBytes [24]byte
	stamp := append(strconv.AppendInt(append(stampBytes[:0], ','), s, 10), '\n')
	for i != 0 {
		v := &iw.wheel.visits[i]
		next := v.next
		var id [UserIDLen]byte
		iw.ids.put(&id, uint64(v.user))
		for {
			iw.appendRow(v.user, &id, s, stamp)
			v.left--
			if len(iw.buf) >= flushBytes {
				if err := iw.flush(ctx, progress); err != nil {
					return err
				}
			}
			if v.left == 0 {
				iw.wheel.release(i)
				break
			}
			// A visit that would outlast the period is squeezed into what is left of it, down to the last second.
			if gap := int64(iw.gapSeconds.draw(iw.rng.next())) % (iw.end - s); gap > 0 {
				iw.wheel.link(i, s+gap)
				break
			}
		}
		i = next
	}
	return nil
}

func (iw *interactionWriter) appendRow(user uint32, id *[UserIDLen]byte, at int64, stamp []byte) {
	item := iw.itemRanks.at(iw.popularity.rank(iw.rng.next()))
	x := iw.rng.next()
	from := len(iw.buf)
	b := append(iw.buf, id[:]...)
	b = append(b, ',')
	itemFrom := len(b)
	b = appendItemID(b, item)
	itemTo := len(b)
	// Shares of a shop's funnel: of 256 events 184 are views, 46 clicks, 18 carts and 8 purchases.
	switch k := x >> 56; {
	case k < 184:
		b = append(b, ",view,"...)
	case k < 230:
		b = append(b, ",click,"...)
	case k < 248:
		b = append(b, ",cart,"...)
	default:
		b = append(b, ",purchase,"...)
	}
	eventTo := len(b) - 1
	// The price of the day: up to 30 percent off.
	off := x & (1<<32 - 1) * 31 >> 32
	hundredths := iw.prices.of(item) * uint32(100-off) / 100
	b = appendHundredths(b, hundredths)
	iw.buf = append(b, stamp...)
	iw.written++
	if iw.observe != nil {
		iw.row = row{user, b[from : itemFrom-1], b[itemFrom:itemTo], b[itemTo+1 : eventTo], hundredths, at, iw.buf[from:]}
		iw.observe(&iw.row)
	}
}

func (iw *interactionWriter) flush(ctx context.Context, progress func(int64)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := iw.w.Write(iw.buf); err != nil {
		return err
	}
	iw.buf = iw.buf[:0]
	if progress != nil {
		progress(iw.written)
	}
	return nil
}
