package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/expunge-db/expunge/engine/personalize"
)

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	body   = `{"maxResults":1}`
)

var signTime = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// verifier returns one whose clock stands at signTime plus late.
func verifier(late time.Duration) *Verifier {
	v := New(Keys{keyID: secret}, "us-east-1")
	v.now = func() time.Time { return signTime.Add(late) }
	return v
}

// unsigned is a request as it arrives, with the headers that all clients send.
func unsigned(host string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Host = host
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonPersonalize.ListSchemas")
	return r
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// sign signs with the signer of the Go SDK, for a scope.
func sign(t *testing.T, r *http.Request, id, secret, service, region string, at time.Time) {
	t.Helper()
	key := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(context.Background(), key, r, hashOf(body), service, region, at); err != nil {
		t.Fatal(err)
	}
}

func signed(t *testing.T) *http.Request {
	r := unsigned("127.0.0.1:8080")
	sign(t, r, keyID, secret, "personalize", "us-east-1", signTime)
	return r
}

// signByHand signs these headers by the published rules, without the signer that the verifier uses. host is the one that
// is signed.
func signByHand(r *http.Request, host string, headers ...string) {
	r.Header.Set("X-Amz-Date", signTime.Format(timeFormat))
	slices.Sort(headers)
	canonical := "POST\n" + r.URL.EscapedPath() + "\n\n"
	for _, name := range headers {
		value := r.Header.Get(name)
		if name == "host" {
			value = host
		}
		if name == "content-length" {
			value = "16"
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + strings.Join(headers, ";") + "\n" + hashOf(body)
	scope := signTime.Format("20060102") + "/us-east-1/personalize/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + signTime.Format(timeFormat) + "\n" + scope + "\n" + hashOf(canonical)
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), text) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyID+"/"+scope+", SignedHeaders="+strings.Join(headers, ";")+", Signature="+hex.EncodeToString(key))
}

func TestSignaturesOfClients(t *testing.T) {
	for name, make := range map[string]func() *http.Request{
		"the signer of the Go SDK": func() *http.Request { return signed(t) },
		"the Go client": func() *http.Request {
			r := unsigned("127.0.0.1:8080")
			r.Header.Set("Amz-Sdk-Invocation-Id", "3bd5c0f5")
			r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
			signByHand(r, r.Host, "amz-sdk-invocation-id", "amz-sdk-request", "content-length", "content-type", "host", "x-amz-date", "x-amz-target")
			return r
		},
		"boto3": func() *http.Request {
			r := unsigned("127.0.0.1:8080")
			r.Header.Set("User-Agent", "Boto3/1.43")
			r.Header.Set("Amz-Sdk-Request", "attempt=1") // not signed
			signByHand(r, r.Host, "content-type", "host", "x-amz-date", "x-amz-target")
			return r
		},
		"the Dart client, which signs the host without the port": func() *http.Request {
			r := unsigned("localhost:8080")
			r.Header.Set("X-Amz-Content-Sha256", hashOf(body))
			signByHand(r, "localhost", "content-type", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-target")
			return r
		},
		"the Dart client on IPv6": func() *http.Request {
			r := unsigned("[::1]:8080")
			signByHand(r, "::1", "content-type", "host", "x-amz-date", "x-amz-target")
			return r
		},
		"a path of the events service": func() *http.Request {
			r := unsigned("localhost")
			r.URL.Path = "/events"
			r.Header.Del("X-Amz-Target")
			signByHand(r, r.Host, "content-type", "host", "x-amz-date")
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := make()
			for _, late := range []time.Duration{0, MaxSkew, -MaxSkew} {
				if err := verifier(late).Verify(r, []byte(body)); err != nil {
					t.Errorf("%v late: %v", late, err)
				}
			}
		})
	}
}

// TestWrongSignatures is the table of what forged, old and tampered requests get.
func TestWrongSignatures(t *testing.T) {
	replace := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			auth := r.Header.Get("Authorization")
			if !strings.Contains(auth, old) {
				t.Fatalf("no %q in the header", old)
			}
			r.Header.Set("Authorization", strings.Replace(auth, old, new, 1))
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	resign := func(id, key, service, region string) func(*http.Request) {
		return func(r *http.Request) { sign(t, r, id, key, service, region, signTime) }
	}
	for _, c := range []struct {
		name string
		edit func(*http.Request)
		body string
		late time.Duration
		want error
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, body, 0, personalize.ErrMissingSignature},
		{"a signature in the query", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "X-Amz-Signature=00"
		}, body, 0, personalize.ErrMissingSignature},
		{"another scheme", header("Authorization", "Basic dTpw"), body, 0, personalize.ErrIncompleteSignature},
		{"nothing behind the scheme", header("Authorization", "AWS4-HMAC-SHA256 "), body, 0, personalize.ErrIncompleteSignature},
		{"two signatures", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, body, 0, personalize.ErrIncompleteSignature},
		{"a part twice", replace("SignedHeaders=", "SignedHeaders=host, SignedHeaders="), body, 0, personalize.ErrIncompleteSignature},
		{"a long header", replace("Signature=", strings.Repeat("x", 5000)+"=1, Signature="), body, 0, personalize.ErrIncompleteSignature},
		{"no credential", replace("Credential=", "Key="), body, 0, personalize.ErrIncompleteSignature},
		{"half a credential", replace("/personalize/aws4_request", ""), body, 0, personalize.ErrIncompleteSignature},
		{"the host isn't signed", replace("host;", ""), body, 0, personalize.ErrIncompleteSignature},
		{"the date isn't signed", replace("x-amz-date;", ""), body, 0, personalize.ErrIncompleteSignature},
		{"the operation isn't signed", replace(";x-amz-target", ""), body, 0, personalize.ErrIncompleteSignature},
		{"an amz header is added", header("X-Amz-Other", "1"), body, 0, personalize.ErrIncompleteSignature},
		{"an operation is added", func(r *http.Request) { r.Header.Add("X-Amz-Target", "AmazonPersonalize.DeleteDataset") }, body, 0, personalize.ErrIncompleteSignature},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, body, 0, personalize.ErrIncompleteSignature},
		{"a date of another form", header("X-Amz-Date", "Mon, 01 Jun 2026 12:00:00 GMT"), body, 0, personalize.ErrIncompleteSignature},
		{"an unknown key", resign("AKIDOTHER", secret, "personalize", "us-east-1"), body, 0, personalize.ErrUnknownKey},
		{"a session token", func(r *http.Request) {
			r.Header.Set("X-Amz-Security-Token", "token")
			sign(t, r, keyID, secret, "personalize", "us-east-1", signTime)
		}, body, 0, personalize.ErrUnknownKey},
		{"another secret", resign(keyID, secret+"x", "personalize", "us-east-1"), body, 0, personalize.ErrSignatureNotMatched},
		{"an empty secret", resign(keyID, "", "personalize", "us-east-1"), body, 0, personalize.ErrSignatureNotMatched},
		{"another service", resign(keyID, secret, "s3", "us-east-1"), body, 0, personalize.ErrSignatureNotMatched},
		{"another region", resign(keyID, secret, "personalize", "eu-west-1"), body, 0, personalize.ErrSignatureNotMatched},
		{"another region in the header only", replace("us-east-1", "eu-west-1"), body, 0, personalize.ErrSignatureNotMatched},
		{"another day in the scope", replace("20260601", "20260602"), body, 0, personalize.ErrSignatureNotMatched},
		{"a signature that is changed", replace("Signature=", "Signature=0"), body, 0, personalize.ErrSignatureNotMatched},
		{"a body that is changed", func(*http.Request) {}, strings.Replace(body, "1", "2", 1), 0, personalize.ErrSignatureNotMatched},
		{"no body", func(*http.Request) {}, "", 0, personalize.ErrSignatureNotMatched},
		{"a body that isn't signed", func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			sign(t, r, keyID, secret, "personalize", "us-east-1", signTime)
		}, body, 0, personalize.ErrSignatureNotMatched},
		{"another operation", header("X-Amz-Target", "AmazonPersonalize.DeleteDataset"), body, 0, personalize.ErrSignatureNotMatched},
		{"another content type", header("Content-Type", "application/json"), body, 0, personalize.ErrSignatureNotMatched},
		{"another host", func(r *http.Request) { r.Host = "example.com:8080" }, body, 0, personalize.ErrSignatureNotMatched},
		{"another path", func(r *http.Request) { r.URL.Path = "/users" }, body, 0, personalize.ErrSignatureNotMatched},
		{"a query that can't be read", func(r *http.Request) { r.URL.RawQuery = "a;b" }, body, 0, personalize.ErrSignatureNotMatched},
		{"a query", func(r *http.Request) { r.URL.RawQuery = "a=b" }, body, 0, personalize.ErrSignatureNotMatched},
		{"another method", func(r *http.Request) { r.Method = http.MethodPut }, body, 0, personalize.ErrSignatureNotMatched},
		{"a date that is changed", header("X-Amz-Date", signTime.Add(time.Second).Format(timeFormat)), body, 0, personalize.ErrSignatureNotMatched},
		{"too old", func(*http.Request) {}, body, MaxSkew + time.Second, personalize.ErrSignatureNotMatched},
		{"too new", func(*http.Request) {}, body, -MaxSkew - time.Second, personalize.ErrSignatureNotMatched},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signed(t)
			c.edit(r)
			err := verifier(c.late).Verify(r, []byte(c.body))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, r.Header.Get("Authorization")) && r.Header.Get("Authorization") != "" {
				t.Errorf("the error says too much: %s", text)
			}
		})
	}
}

// TestRefusalsOnTheWire goes through the handler, which must not reach the engine.
func TestRefusalsOnTheWire(t *testing.T) {
	h := personalize.New(nil, personalize.Options{Verifier: verifier(0)})
	for _, c := range []struct {
		name   string
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"missing", func(r *http.Request) { r.Header.Del("Authorization") }, 403, "MissingAuthenticationToken"},
		{"incomplete", func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 a=b") }, 403, "IncompleteSignature"},
		{"unknown key", func(r *http.Request) { sign(t, r, "AKIDOTHER", secret, "personalize", "us-east-1", signTime) }, 403, "UnrecognizedClientException"},
		{"wrong", func(r *http.Request) { r.Header.Set("X-Amz-Target", "AmazonPersonalize.DeleteDataset") }, 403, "InvalidSignatureException"},
		{"an operation that isn't there tells nothing", func(r *http.Request) {
			r.Header.Set("X-Amz-Target", "AmazonPersonalize.CreateSolution")
			r.Header.Del("Authorization")
		}, 403, "MissingAuthenticationToken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signed(t)
			c.edit(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("X-Amzn-Errortype"); w.Code != c.status || got != c.code || !strings.HasPrefix(w.Body.String(), `{"__type":"`+c.code+`","message":"`) {
				t.Errorf("got %d %s: %s", w.Code, got, w.Body)
			}
		})
	}
}
