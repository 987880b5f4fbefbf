package bench

// UserIDLen is the length of every USER_ID in bytes.
const UserIDLen = 16

// idAlphabet has no l and o, which people take for digits.
const idAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// userIDs makes USER_IDs: 80 bits, of which 64 are a keyed bijection of the user's number and 16 a hash of
// those, so that an ID is as hard to compress as a random one and no two users share one.
type userIDs struct{ key uint64 }

func newUserIDs(seed uint64) userIDs {
	r := newRNG(seed, streamUserIDs)
	return userIDs{key: r.next()}
}

func (u userIDs) put(id *[UserIDLen]byte, i uint64) {
	lo := mix(i ^ u.key)
	hi := mix(lo+u.key)<<4&0xffff0 | lo>>60
	for k := range 12 {
		id[k] = idAlphabet[lo>>(5*k)&31]
	}
	for k := range 4 {
		id[12+k] = idAlphabet[hi>>(5*k)&31]
	}
}

// UserID returns the USER_ID of user i, the i-th row of the Users dataset counted from 0. It has [UserIDLen]
// characters, letters a to z and digits, differs from that of all others, and occurs in no other value of
// the datasets, nor across two neighbouring ones: no other column has so many letters and digits in a row.
func (c Config) UserID(i int) string {
	var id [UserIDLen]byte
	newUserIDs(c.withDefaults().Seed).put(&id, uint64(i))
	return string(id[:])
}

// appendItemID appends the ITEM_ID of item i, such as i0012345.
func appendItemID(b []byte, i uint64) []byte {
	b = append(b, "i0000000"...)
	for k := len(b) - 1; i > 0; k-- {
		b[k] = byte('0' + i%10)
		i /= 10
	}
	return b
}

// appendHundredths appends v as a decimal number with two digits after the point.
func appendHundredths(b []byte, v uint32) []byte {
	var digits [12]byte
	k := len(digits)
	for n := 0; n < 3 || v > 0; n++ {
		if n == 2 {
			k--
			digits[k] = '.'
		}
		k--
		digits[k] = byte('0' + v%10)
		v /= 10
	}
	return append(b, digits[k:]...)
}

// priceList gives every item its price without storing it.
type priceList struct {
	key    uint64
	prices *sampler
}

func newPriceList(seed uint64) priceList {
	r := newRNG(seed, streamPrices)
	return priceList{key: r.next(), prices: newSampler(itemPrices)}
}

// of returns the price of an item in hundredths.
func (p priceList) of(item uint64) uint32 { return p.prices.draw(mix(item ^ p.key)) }
