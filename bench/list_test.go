package bench

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPermutationIsABijection(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(rt, "n")
		p := newPermutation(n, rapid.Uint64().Draw(rt, "seed"), 1)
		seen := make([]bool, n)
		for i := range n {
			to := p.at(uint64(i))
			if seen[to] {
				rt.Fatalf("two numbers go to %d", to)
			}
			seen[to] = true
		}
	})
}

func TestDeletionList(t *testing.T) {
	c := Config{Users: 5000, Seed: 3}
	all := map[string]int{}
	for i := range c.Users {
		all[c.UserID(i)] = i
	}
	list, err := c.DeletionList(c.Users)
	if err != nil {
		t.Fatal(err)
	}
	full := slices.Collect(list)
	var firstHalf float64
	for k, id := range full {
		i, ok := all[id]
		if !ok {
			t.Fatal("an ID that no user has, or one twice")
		}
		delete(all, id)
		if k < 1000 && i < c.Users/2 {
			firstHalf++
		}
	}
	if len(all) != 0 {
		t.Errorf("%d users are not in the list of all", len(all))
	}
	if math.Abs(firstHalf/1000-0.5) > 0.06 {
		t.Errorf("%g of the first 1,000 are among the first half of the users", firstHalf/1000)
	}
	short, err := c.DeletionList(100)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Collect(short), full[:100]) {
		t.Error("a shorter list is not the beginning of the longer one")
	}
	var buf bytes.Buffer
	if err := c.WriteList(&buf, 2); err != nil {
		t.Fatal(err)
	}
	if want := "USER_ID\n" + full[0] + "\n" + full[1] + "\n"; buf.String() != want {
		t.Error("the file is not the header and the list")
	}
	for _, n := range []int{-1, c.Users + 1} {
		if _, err := c.DeletionList(n); err == nil {
			t.Errorf("a list of %d of %d users", n, c.Users)
		}
	}
}

// A list is drawn without regard to activity: its users have about their share of the rows.
func TestDeletionListIsRepresentative(t *testing.T) {
	c := Config{Users: 5000, Interactions: 100_000}
	list, err := c.DeletionList(1000)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for id := range list {
		listed[id] = true
	}
	var n float64
	rows := interactions(t, c)
	for _, r := range rows {
		if listed[r.user] {
			n++
		}
	}
	if got := n / float64(len(rows)); math.Abs(got-0.2) > 0.05 {
		t.Errorf("a fifth of the users has %.3f of the rows", got)
	}
}

func TestUserIDsOfSeedsDiffer(t *testing.T) {
	ids := map[string]bool{}
	for seed := range uint64(20) {
		for i := range 500 {
			id := Config{Seed: seed + 1}.UserID(i)
			if len(id) != UserIDLen || ids[id] {
				t.Fatalf("seed %d, user %d: an ID of another or of the wrong length", seed+1, i)
			}
			ids[id] = true
		}
	}
}

func TestAppendHundredths(t *testing.T) {
	for v, want := range map[uint32]string{0: "0.00", 7: "0.07", 10: "0.10", 195: "1.95", 4995: "49.95", 123456: "1234.56"} {
		if got := string(appendHundredths(nil, v)); got != want {
			t.Errorf("%d: %s, want %s", v, got, want)
		}
	}
}

func ExampleConfig_WriteList() {
	c := Config{Users: 1000, Seed: 42}
	if err := c.WriteList(os.Stdout, 2); err != nil {
		fmt.Println(err)
	}
	// Output:
	// USER_ID
	// z953ey4uqpykycu4
	// 278haj393eftj7uv
}
