package bench

import (
	"io"
	"strconv"
)

var memberships = [...]struct {
	below uint64 // of 256
	name  string
}{{154, "free"}, {218, "basic"}, {246, "plus"}, {256, "premium"}}

// WriteUsers writes the Users dataset as CSV: USER_ID, AGE, MEMBERSHIP.
func (c Config) WriteUsers(w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c = c.withDefaults()
	ids, r := newUserIDs(c.Seed), newRNG(c.Seed, streamUserRows)
	buf := append(make([]byte, 0, flushBytes+maxRowBytes), "USER_ID,AGE,MEMBERSHIP\n"...)
	for i := range c.Users {
		var id [UserIDLen]byte
		ids.put(&id, uint64(i))
		buf = append(append(buf, id[:]...), ',')
		// The sum of three dice: most are in their thirties and forties.
		age := 16 + r.below(20) + r.below(22) + r.below(24)
		buf = append(strconv.AppendUint(buf, age, 10), ',')
		k, level := r.next()>>56, 0
		for k >= memberships[level].below {
			level++
		}
		buf = append(append(buf, memberships[level].name...), '\n')
		if len(buf) >= flushBytes {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}

// The words of descriptions. They hold what a real shop's do: quotes as inch marks and as quotes, commas,
// letters outside ASCII. None has more than 15 letters and digits in a row.
var (
	makes = [...]string{
		"Vintage", "Retro", "Large", "Small", "Set of 6", "Set 3", "12\"", "Café", "\"Glamorous\"", "Nordic", "Wooden",
		"Enamel", "Ivory", "Rosé", "Jumbo", "Mini", "Antique", "Hand-made", "Crème", "Blue",
	}
	goods = [...]string{
		"Lantern", "Teacup", "Mug", "Garland", "Birthday Card", "Tea Towel", "Lunch Box", "Photo Frame", "Door Mat",
		"Jewellery Box", "T-Light Holder", "Wrap", "Cushion", "Kühltasche", "Doorstop", "Clock", "Bunting", "Notebook",
		"Éclair Tray", "Piñata", "おりがみ", "Łańcuch",
	}
	extras = [...]string{
		", Carousel", ", Pink", ", Tea & Coffee", " with Hearts", " with \"Love\" Sign", ", 5 Pieces", " – Summer", " (£1 Range)",
	}
)

// WriteItems writes the Items dataset as CSV: ITEM_ID, CATEGORY, PRICE, CREATION_TIMESTAMP, DESCRIPTION.
// About one description in 64 is empty, as in a real shop.
func (c Config) WriteItems(w io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c = c.withDefaults()
	prices, r := newPriceList(c.Seed), newRNG(c.Seed, streamItemRows)
	buf := append(make([]byte, 0, flushBytes+maxRowBytes), "ITEM_ID,CATEGORY,PRICE,CREATION_TIMESTAMP,DESCRIPTION\n"...)
	for i := range uint64(c.Items) {
		good := goods[r.below(uint64(len(goods)))]
		buf = append(appendItemID(buf, i), ",c"...)
		// 40 categories, of which the first have the most items.
		buf = append(strconv.AppendUint(buf, 10+r.below(r.below(40)+1), 10), ',')
		buf = append(appendHundredths(buf, prices.of(i)), ',')
		buf = append(strconv.AppendUint(buf, Start-1-r.below(3*365*day), 10), ',')
		if r.below(64) > 0 {
			var text [maxRowBytes]byte
			d := append(append(append(text[:0], makes[r.below(uint64(len(makes)))]...), ' '), good...)
			if r.below(8) == 0 {
				d = append(d, extras[r.below(uint64(len(extras)))]...)
			}
			buf = appendCSV(buf, d)
		}
		buf = append(buf, '\n')
		if len(buf) >= flushBytes {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}

// appendCSV appends a cell, quoted if it has to be, with quotes doubled as RFC 4180 wants it.
func appendCSV(b, cell []byte) []byte {
	quoted := false
	for _, ch := range cell {
		quoted = quoted || ch == '"' || ch == ','
	}
	if !quoted {
		return append(b, cell...)
	}
	b = append(b, '"')
	for _, ch := range cell {
		if ch == '"' {
			b = append(b, '"')
		}
		b = append(b, ch)
	}
	return append(b, '"')
}
