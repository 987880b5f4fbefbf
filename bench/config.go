package bench

import (
	"errors"
	"fmt"
)

// The limits of a [Config].
const (
	// MaxUsers is the most users that a dataset can have.
	MaxUsers = 1_000_000_000
	// MaxItems is the most items that a dataset can have: an ITEM_ID has seven digits.
	MaxItems = 10_000_000
	// MaxInteractions is the most interactions that a dataset can have.
	MaxInteractions = 1_000_000_000_000
	// MaxDays is the longest period that a dataset can cover.
	MaxDays = 3660
)

// Start is when the first interaction can happen, in Unix seconds: Monday, 2024-01-01 00:00 UTC.
const Start = 1_704_067_200

// Config says what dataset to make. Equal configurations give equal bytes, on every machine and with every
// release of Go. The zero value is a valid configuration.
type Config struct {
	// Users is the number of rows of the Users dataset. 0 means 10,000.
	Users int
	// Items is the number of rows of the Items dataset. 0 means 2,000.
	Items int
	// Interactions is the number of rows of the Interactions dataset. 0 means 500,000. With as many as there
	// are users, or more, each user has at least one.
	Interactions int64
	// Days is how many days the interactions cover, from [Start] on. 0 means 365. All of them lie in [Start,
	// Start + Days*86400).
	Days int
	// Seed chooses one of the datasets of that size. 0 means 1.
	Seed uint64
	// Shape is the real dataset that the interactions are to resemble. Empty means [Ratings].
	Shape Shape
}

// Validate reports every field that is out of range, joined into one error.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	inRange := func(field string, v, most int64) {
		if v < 1 || v > most {
			problems = append(problems, fmt.Errorf("bench: %s is %d: set it to 1 to %d, or to 0 for the default", field, v, most))
		}
	}
	inRange("Users", int64(c.Users), MaxUsers)
	inRange("Items", int64(c.Items), MaxItems)
	inRange("Interactions", c.Interactions, MaxInteractions)
	inRange("Days", int64(c.Days), MaxDays)
	if _, ok := shapes[c.Shape]; !ok {
		problems = append(problems, fmt.Errorf("bench: Shape is %q: set it to %q or %q", c.Shape, Ratings, Shop))
	}
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	if c.Users == 0 {
		c.Users = 10_000
	}
	if c.Items == 0 {
		c.Items = 2_000
	}
	if c.Interactions == 0 {
		c.Interactions = 500_000
	}
	if c.Days == 0 {
		c.Days = 365
	}
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Shape == "" {
		c.Shape = Ratings
	}
	return c
}
