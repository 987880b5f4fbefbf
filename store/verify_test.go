package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// TestSearcher compares the search with the obvious one.
func TestSearcher(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	data := make([]byte, 3*searchChunk+77)
	for i := range data {
		data[i] = "ab"[r.IntN(2)]
	}
	s := newSearcher()
	var ids [][]byte
	for k := range 60 {
		id := make([]byte, minSearched+r.IntN(30))
		for i := range id {
			id[i] = "ab"[r.IntN(2)]
		}
		if k >= 35 { // too many with the same first bytes to be compared one by one, some of them twice
			copy(id, "abababab")
			if k%5 == 0 {
				id = ids[k-1]
			}
		}
		ids = append(ids, id)
		s.add(id)
	}
	for _, at := range []int{0, searchChunk - 3, 2*searchChunk - 8, len(data) - len(ids[0])} { // at the borders of chunks
		copy(data[at:], ids[0])
	}
	want := 0
	for _, id := range ids {
		for i := 0; i+len(id) <= len(data); i++ {
			if data[i] == id[0] && bytes.HasPrefix(data[i:], id) {
				want++
			}
		}
	}
	var places []place
	keep := func(p place) error {
		places = append(places, p)
		return nil
	}
	err := s.find(t.Context(), bytes.NewReader(data), int64(len(data)), keep)
	if err != nil || len(places) != want || want < 200 {
		t.Fatalf("%d places, want %d: %v", len(places), want, err)
	}
	for _, p := range places {
		if !bytes.HasPrefix(data[p.off:], s.ids.at(int(p.id))) {
			t.Fatalf("no ID at %d", p.off)
		}
	}
	if err := s.find(t.Context(), bytes.NewReader(data), int64(len(data))+1, keep); err == nil {
		t.Error("a file that is too short is no error")
	}
}

// TestSearcherCrowded: IDs that all begin with the same bytes don't make the search quadratic, which wouldn't end.
func TestSearcherCrowded(t *testing.T) {
	const n = 400_000
	s := newSearcher()
	var data []byte
	for i := range n {
		id := fmt.Appendf(nil, "customer-%d", i)
		s.add(id)
		data = append(append(data, id...), 0)
	}
	places := 0
	err := s.find(t.Context(), bytes.NewReader(data), int64(len(data)), func(place) error { places++; return nil })
	want := 0 // customer-1 is in customer-12 too
	for i := range n {
		want += len(fmt.Sprint(i))
	}
	if err != nil || places != want {
		t.Errorf("%d places, want %d: %v", places, want, err)
	}
}

// verifyAbsent reports what is found of some users.
func verifyAbsent(t *testing.T, s *Store, ids ...string) (r VerifyReport) {
	t.Helper()
	if err := s.VerifyFree(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if err := s.VerifyAbsent(t.Context(), "shop", len(ids), func(i int) []byte { return []byte(ids[i]) }, &r); err != nil {
		t.Fatal(err)
	}
	if r.Found < int64(len(r.Findings)) {
		t.Errorf("%d found, and %d findings", r.Found, len(r.Findings))
	}
	return r
}

// TestVerify follows a user through a deletion: what is left at each step is found, and at its end nothing, though the
// user's ID is also a part of another's, of an item's, and of another user's row.
func TestVerify(t *testing.T) {
	for _, codec := range []Codec{CodecNone, CodecPacked} {
		t.Run(string(codec), func(t *testing.T) {
			const gone, short = mark + "gone-1", "abc"
			s := testStore(t, Options{Codec: codec, BlockRows: 50})
			createGroup(t, s, "shop")
			users := []row{{gone, 1, nil}, {gone + "7", 2, gone}, {short, 1, nil}}
			var inter []row
			for u := range 40 {
				id := fmt.Sprintf("%su%07d", mark, u)
				users = append(users, row{id, u, nil})
				for e := range 9 {
					inter = append(inter, row{id, fmt.Sprintf("item-%d-%s", e, gone), "view", nil, e})
				}
			}
			for e := range 9 {
				inter = append(inter, row{gone, "item", gone, nil, e}, row{short, "item", "view", nil, e})
			}
			importRows(t, s, "shop", Users, ImportFull, users)
			importRows(t, s, "shop", Interactions, ImportFull, inter)
			r := verifyAbsent(t, s, gone, short, "nobody-at-all", gone)
			if r.IDs != 3 || r.Searched != 2 || r.Found < 4 || r.Living < 3 {
				t.Errorf("before: %+v", r)
			}
			sn, err := s.Snapshot(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			if n := deleteUsers(t, s, "shop", 1, gone, short); n != 20 {
				t.Fatalf("deleted %d rows", n)
			}
			if r := verifyAbsent(t, s, gone, short); r.Found < 4 {
				t.Errorf("with tombstones: %+v", r)
			}
			sn.Release()
			if _, _, err := s.Clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.DropStaged(t.Context(), 1, nil); err != nil {
				t.Fatal(err)
			}
			r = verifyAbsent(t, s, gone, short)
			if r.Found == 0 || r.DirtyPages == 0 {
				t.Errorf("before the scrub: %+v", r)
			}
			for _, f := range r.Findings {
				if f.What != "in a free page" || f.Offset < 0 {
					t.Errorf("before the scrub: %+v", f)
				}
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(s.path)
			if err != nil {
				t.Fatal(err)
			}
			s = reopen(t, s.path, Options{ReadOnly: true})
			r = verifyAbsent(t, s, gone, short, gone)
			if r.Found > 0 || r.Living == 0 || r.DirtyPages > 0 || r.DirtyTail || r.Entries == 0 || r.Blocks == 0 || r.Bytes != int64(len(before)) {
				t.Errorf("at the end: %+v", r)
			}
			if r := verifyAbsent(t, s, fmt.Sprintf("%su%07d", mark, 3)); r.Found < 2 {
				t.Errorf("of a user who is there: %+v", r)
			}
			after, err := os.ReadFile(s.path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file changed: %v", err)
			}
			// What somebody wrote behind the last page, and into a free one.
			f, err := os.OpenFile(s.path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte(gone), int64(len(before))+100); err != nil {
				t.Fatal(err)
			}
			if r := verifyAbsent(t, s, gone); r.Found != 1 || !r.DirtyTail || r.Findings[0] != (Finding{int64(len(before)) + 100, "behind the last page"}) {
				t.Errorf("behind the last page: %+v", r)
			}
			if err := f.Truncate(int64(len(before))); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestVerifyManyPlaces: of IDs that are the beginnings of others' no place is too many to be explained.
func TestVerifyManyPlaces(t *testing.T) {
	const gone, all = 10_000, 40_000
	s := testStore(t, Options{Codec: CodecNone})
	createGroup(t, s, "shop")
	var users []row
	for u := range all - gone {
		users = append(users, row{fmt.Sprintf("customer-%d", gone+u), 1, nil})
	}
	importRows(t, s, "shop", Users, ImportFull, users)
	var ids []string
	for u := range gone {
		ids = append(ids, fmt.Sprintf("customer-%d", u))
	}
	if r := verifyAbsent(t, s, ids...); r.Found > 0 || r.Living < 4*(all-gone) {
		t.Errorf("found %d, living %d; want 0 and %d", r.Found, r.Living, 4*(all-gone))
	}
}

// TestVerifyText: an ID in a name is found there, and told from data; a part of a longer word or number is nobody's.
func TestVerifyText(t *testing.T) {
	s := testStore(t, Options{Account: "111122223333"})
	createGroup(t, s, "shop")
	const job = `{"name":"forget-20260131","arn":"arn:111122223333:x","sha256":"ab12345678cd"}`
	if err := s.Update(t.Context(), func(tx *Tx) error { return tx.KV().Put([]byte("a-job-of-today"), []byte(job)) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, found := range map[string]bool{
		"11112222": false, "22223333": false, "12345678": false, "orget-2026": false,
		"20260131": true, "forget-20260131": true, "of-today": true, "111122223333": true,
	} {
		r := verifyAbsent(t, s, id)
		if (r.Found > 0) != found || r.Named != r.Found || !found && r.Living == 0 {
			t.Errorf("%s: found %d, of them in names %d, living %d; want found %t", id, r.Found, r.Named, r.Living, found)
		}
	}
}
