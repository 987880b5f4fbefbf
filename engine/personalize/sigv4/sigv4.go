// Package sigv4 verifies the signatures of requests to package personalize, version 4 of AWS, against access keys from a file.
//
// A signature is made again by the signer of the AWS SDK for Go from the headers that the client signed, and compared.
// It can be used again for [MaxSkew]: there is no store of those that were seen, since clients send equal ones for equal
// requests within one second. What travels over an open network needs TLS.
package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/expunge-db/expunge/engine/personalize"
)

// MaxSkew is how far the time of a signature may be from the server's, before or after.
const MaxSkew = 15 * time.Minute

const (
	algorithm  = "AWS4-HMAC-SHA256"
	service    = "personalize" // the signing name of the events service too
	scopeEnd   = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateLength = len("20060102")
)

// Verifier verifies requests for one region. It implements [personalize.Verifier], and is safe for use by several
// goroutines.
type Verifier struct {
	keys   Keys
	region string
	signer *v4.Signer
	now    func() time.Time
}

// New returns a verifier of requests for region that are signed with one of keys.
func New(keys Keys, region string) *Verifier {
	return &Verifier{keys, region, v4.NewSigner(), time.Now}
}

// Verify returns nil if the request is signed with one of the keys, just now, and is as it was signed. What its signature
// covers must be all that decides what the request does: the host, all x-amz headers that it has, and its body.
// Errors: [personalize.ErrMissingSignature], [personalize.ErrIncompleteSignature], [personalize.ErrUnknownKey],
// [personalize.ErrSignatureNotMatched].
func (v *Verifier) Verify(r *http.Request, body []byte) error {
	a, err := parse(r.Header)
	if err != nil {
		return err
	}
	if err := a.covers(r.Header); err != nil {
		return err
	}
	signed, err := v.scope(a, r.Header.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	secret, known := v.keys[a.keyID]
	// Keys of this server have no session: a token was made for another one.
	if !known || r.Header.Get("X-Amz-Security-Token") != "" {
		return refuse(personalize.ErrUnknownKey, "The security token included in the request is invalid.")
	}
	// The signer passes over what it can't read of a query: that would be signed by nobody.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return refuse(personalize.ErrSignatureNotMatched, "The query can't be read.")
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if claimed := r.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != hash {
		return refuse(personalize.ErrSignatureNotMatched, "The header x-amz-content-sha256 isn't the hash of the body.")
	}
	// One client signs the host without the port that it sends.
	hosts := []string{r.Host}
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		hosts = append(hosts, host)
	}
	for _, host := range hosts {
		want, err := v.sign(r, a, host, secret, hash, signed)
		if err != nil {
			return fmt.Errorf("sign request again: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(a.signature)) == 1 {
			return v.fresh(signed)
		}
	}
	return refuse(personalize.ErrSignatureNotMatched, "The request signature we calculated does not match the signature you provided. "+
		"Check your secret access key and signing method.")
}

// scope checks what a signature is for, and returns its time.
func (v *Verifier) scope(a authorization, date string) (time.Time, error) {
	signed, err := time.Parse(timeFormat, date)
	if err != nil {
		return signed, refuse(personalize.ErrIncompleteSignature, "The header x-amz-date must be a time such as 20060102T150405Z.")
	}
	if a.date != date[:dateLength] {
		return signed, refuse(personalize.ErrSignatureNotMatched, "The date in the credential scope isn't that of the header x-amz-date.")
	}
	if a.region != v.region {
		return signed, refuse(personalize.ErrSignatureNotMatched, "Credential should be scoped to a valid region, "+v.region+" for this server.")
	}
	if a.service != service {
		return signed, refuse(personalize.ErrSignatureNotMatched, "Credential should be scoped to correct service: '"+service+"'.")
	}
	return signed, nil
}

// fresh is checked once the signature is known to be right: so only its holder learns of it.
func (v *Verifier) fresh(signed time.Time) error {
	now := v.now().UTC()
	text := func(what string) error {
		return refuse(personalize.ErrSignatureNotMatched, fmt.Sprintf("Signature %s: %s and the server's time, %s, are more than 15 minutes apart.",
			what, signed.Format(timeFormat), now.Format(timeFormat)))
	}
	if signed.Before(now.Add(-MaxSkew)) {
		return text("expired")
	}
	if signed.After(now.Add(MaxSkew)) {
		return text("not yet current")
	}
	return nil
}

// sign returns the signature that the request has to have.
func (v *Verifier) sign(r *http.Request, a authorization, host, secret, hash string, signed time.Time) (string, error) {
	again := &http.Request{Method: r.Method, Host: host, Header: make(http.Header), ContentLength: -1}
	u := *r.URL
	u.Scheme, u.Host = "http", host
	again.URL = &u
	for _, name := range a.headers {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength // where the signer takes it from
		default:
			if values := r.Header.Values(name); len(values) > 0 {
				again.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
			}
		}
	}
	key := aws.Credentials{AccessKeyID: a.keyID, SecretAccessKey: secret}
	if err := v.signer.SignHTTP(context.Background(), key, again, hash, service, v.region, signed); err != nil {
		return "", err
	}
	want, err := parse(again.Header)
	return want.signature, err
}

// authorization is the header of that name, taken apart.
type authorization struct {
	keyID, date, region, service string
	headers                      []string // signed
	signature                    string
}

// maxAuthorization is more than any client sends.
const maxAuthorization = 4096

func parse(h http.Header) (a authorization, err error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return a, refuse(personalize.ErrMissingSignature, "The request has no Authorization header: sign it with an access key of this server.")
	}
	rest, ok := strings.CutPrefix(values[0], algorithm+" ")
	if !ok || len(values) > 1 || len(values[0]) > maxAuthorization {
		return a, refuse(personalize.ErrIncompleteSignature, "The Authorization header must be one, and begin with "+algorithm+".")
	}
	parts := make(map[string]string)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[name]; twice {
			return a, refuse(personalize.ErrIncompleteSignature, "The Authorization header has a part twice.")
		}
		parts[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parts[name] == "" {
			return a, refuse(personalize.ErrIncompleteSignature, "The Authorization header requires '"+name+"'.")
		}
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 || scope[4] != scopeEnd {
		return a, refuse(personalize.ErrIncompleteSignature, "The Credential must have the form KEY/DATE/REGION/SERVICE/"+scopeEnd+".")
	}
	return authorization{scope[0], scope[1], scope[2], scope[3], strings.Split(parts["SignedHeaders"], ";"), parts["Signature"]}, nil
}

// covers checks that the signed headers are those that must be.
func (a authorization) covers(h http.Header) error {
	must := []string{"host", "x-amz-date"}
	for name := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") {
			must = append(must, lower)
		}
	}
	slices.Sort(must)
	for _, name := range must {
		if !slices.Contains(a.headers, name) {
			return refuse(personalize.ErrIncompleteSignature, "'"+name+"' must be a signed header.")
		}
		if len(h.Values(name)) > 1 { // the server reads the first, and the signature is over all
			return refuse(personalize.ErrIncompleteSignature, "The header '"+name+"' must be there once.")
		}
	}
	return nil
}

// refusal is an error of one of package personalize's kinds, in words for the client.
type refusal struct {
	kind error
	text string
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.kind }

func refuse(kind error, text string) error { return &refusal{kind, text} }

var _ personalize.Verifier = (*Verifier)(nil)
