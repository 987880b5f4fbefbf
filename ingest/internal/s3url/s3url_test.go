package s3url

import (
	"io/fs"
	"path"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for location, want := range map[string]URL{
		"s3://lists": {"lists", ""}, "s3://lists/": {"lists", ""}, "S3://lists/a b%20.csv": {"lists", "a b%20.csv"},
		"s3://my.lists-1/f/": {"my.lists-1", "f/"}, "s3://lists//a": {"lists", "/a"}, "s3://lists/a?b#c": {"lists", "a?b#c"},
	} {
		if got, err := Parse(location); err != nil || got != want {
			t.Errorf("%s: %+v, %v", location, got, err)
		}
	}
	if u, err := ParseFolder("s3://lists/f"); err != nil || u.String() != "s3://lists/f/" {
		t.Errorf("got %v, %v", u, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"s3://lists/f/a.csv", "s3://lists", "s3://../x", "s3://lists/..", "s3://a.b/%2e%2e/", "file:///x", "s3://1.2.3.4/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, location string) {
		u, err := Parse(location)
		if err != nil {
			if location != "" && len(location) > 20 && strings.Contains(err.Error(), location) {
				t.Errorf("error %q holds the location", err)
			}
			return
		}
		if again, err := Parse(u.String()); err != nil || again != u {
			t.Errorf("%q is read as %+v, and that as %+v, %v", location, u, again, err)
		}
		if !fs.ValidPath(u.Bucket) || strings.Contains(u.Bucket, "/") || len(u.Bucket) < 3 {
			t.Errorf("bucket %q", u.Bucket)
		}
		if clean := path.Clean("/" + u.Bucket + "/" + u.Key); clean != "/"+u.Bucket && !strings.HasPrefix(clean, "/"+u.Bucket+"/") {
			t.Errorf("%q leads to %q", location, clean)
		}
	})
}
