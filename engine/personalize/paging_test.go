package personalize

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expunge-db/expunge/engine"
)

// groupPage lists a page of groups and returns their names and the token of the next page.
func groupPage(t *testing.T, h *Handler, in string) (names []string, next string) {
	t.Helper()
	a := call(t, h, "ListDatasetGroups", in)
	var out struct {
		DatasetGroups []struct{ Name string }
		NextToken     string
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for _, g := range out.DatasetGroups {
		names = append(names, g.Name)
	}
	return names, out.NextToken
}

func manyGroups(n int) (groups []engine.DatasetGroup) {
	for i := range n {
		name := fmt.Sprintf("g%03d", i)
		// Several of one millisecond.
		groups = append(groups, engine.DatasetGroup{Name: name, ARN: "arn:aws:personalize:r:a:dataset-group/" + name, Created: someTime.Add(time.Duration(i/3) * time.Millisecond)})
	}
	return groups
}

func TestPagesAreNewestFirstAndWhole(t *testing.T) {
	f := &fake{groups: manyGroups(250)}
	h := New(f, Options{})
	for _, size := range []int{0, 1, 7, 100} {
		var all []string
		in, pages := "{}", 0
		for {
			if size > 0 {
				in = strings.TrimSuffix(in, "}") + fmt.Sprintf(`,"maxResults":%d}`, size)
				in = strings.Replace(in, "{,", "{", 1)
			}
			names, next := groupPage(t, h, in)
			all = append(all, names...)
			pages++
			if next == "" {
				break
			}
			if want := max(size, 0); want > 0 && len(names) != want || size == 0 && len(names) != 100 {
				t.Fatalf("a page of %d has %d", size, len(names))
			}
			if len(next) > 1500 {
				t.Fatalf("a token of %d characters", len(next))
			}
			in = `{"nextToken":"` + next + `"}`
		}
		slices.Reverse(all)
		if len(all) != 250 || !slices.IsSorted(all) {
			t.Errorf("pages of %d: %d names, in order: %t", size, len(all), slices.IsSorted(all))
		}
	}
}

func TestPagesStandChanges(t *testing.T) {
	f := &fake{groups: manyGroups(30)}
	h := New(f, Options{})
	first, next := groupPage(t, h, `{"maxResults":10}`)
	// The last one of the page goes, and a newer one comes.
	f.groups = slices.DeleteFunc(f.groups, func(g engine.DatasetGroup) bool { return g.Name == first[9] })
	f.groups = append(f.groups, engine.DatasetGroup{Name: "new", ARN: "arn:aws:personalize:r:a:dataset-group/new", Created: someTime.Add(time.Hour)})
	second, _ := groupPage(t, h, `{"maxResults":10,"nextToken":"`+next+`"}`)
	if second[0] != "g019" || len(second) != 10 {
		t.Errorf("after %q comes %q", first, second)
	}
}

func TestTokensHoldForOneListing(t *testing.T) {
	h := New(&fake{groups: manyGroups(3)}, Options{})
	_, token := groupPage(t, h, `{"maxResults":1}`)
	other := New(&fake{groups: manyGroups(3)}, Options{})
	_, foreign := groupPage(t, other, `{"maxResults":1}`)
	flipped := []byte(token)
	flipped[len(flipped)-3] ^= 1
	for name, bad := range map[string]string{
		"empty": "", "nonsense": "abc", "not base64": "&&&&", "of another process": foreign, "changed": string(flipped), "cut": token[:len(token)-2],
		"longer": token + "AA", "padded": token + "=",
		"of another operation": h.token("ListSchemas", "", "1 x"), "of another filter": h.token("ListDatasetGroups", "a", "1 x"),
		"of a position that is none": h.token("ListDatasetGroups", "", "x"),
	} {
		a := call(t, h, "ListDatasetGroups", `{"nextToken":"`+bad+`"}`)
		if t.Run(name, func(t *testing.T) { mustFail(t, a, 400, "InvalidNextTokenException") }); bad != "" && strings.Contains(a.body, bad) {
			t.Errorf("%s: the error repeats the token", name)
		}
	}
}
