// Package s3url reads s3:// locations.
package s3url

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// URL is a location in S3. It is taken as it is written, like everywhere with S3: %20 in it is no blank.
type URL struct {
	Bucket string
	Key    string // of an object; or what the keys of a folder begin with: "" for the whole bucket, or with a slash at its end
}

// IsFolder says whether u is a folder.
func (u URL) IsFolder() bool { return u.Key == "" || strings.HasSuffix(u.Key, "/") }

// String returns the location, of a bucket with a slash.
func (u URL) String() string { return "s3://" + u.Bucket + "/" + u.Key }

// Parse reads s3://bucket, s3://bucket/folder/ or s3://bucket/key. Errors don't hold the location: it comes from a request.
func Parse(location string) (URL, error) {
	scheme, rest, ok := strings.Cut(location, "://")
	if !ok || !strings.EqualFold(scheme, "s3") {
		return URL{}, errors.New("open location: it is no s3:// URL; give s3://bucket/key or s3://bucket/folder/")
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if err := checkBucket(bucket); err != nil {
		return URL{}, fmt.Errorf("open location: %w", err)
	}
	if err := checkKey(key); err != nil {
		return URL{}, fmt.Errorf("open location: %w", err)
	}
	return URL{bucket, key}, nil
}

// ParseFolder is Parse for a folder whose slash may be left out.
func ParseFolder(location string) (URL, error) {
	u, err := Parse(location)
	if err == nil && !u.IsFolder() {
		u.Key += "/"
	}
	return u, err
}

// checkBucket applies S3's rules for names, except for the beginnings and endings that S3 reserves: aliases of access
// points have those.
func checkBucket(name string) error {
	const rule = "the bucket's name must be 3 to 63 lower-case letters, digits, dots and hyphens"
	if len(name) < 3 || len(name) > 63 {
		return errors.New(rule)
	}
	for i, c := range []byte(name) {
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && c != '.' && c != '-' {
			return errors.New(rule)
		}
		if !alnum && (i == 0 || i == len(name)-1) {
			return errors.New("the bucket's name must begin and end with a letter or a digit")
		}
		if c == '.' && name[i-1] == '.' {
			return errors.New("the bucket's name must not have two dots side by side")
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("the bucket's name must not be an IP address")
	}
	return nil
}

// checkKey refuses . and .. between slashes, which S3 allows: servers and proxies that clean paths would take the object
// for another one, and so past what a role may read.
func checkKey(key string) error {
	if len(key) > 1024 {
		return errors.New("the key is longer than 1024 bytes")
	}
	if !utf8.ValidString(key) {
		return errors.New("the key is not UTF-8")
	}
	if strings.ContainsRune(key, 0) {
		return errors.New("the key has a NUL character")
	}
	for element := range strings.SplitSeq(key, "/") {
		if element == "." || element == ".." {
			return errors.New("the key has . or .. between slashes; write it without")
		}
	}
	return nil
}
