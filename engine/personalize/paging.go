package personalize

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tokenMAC is the length of the code at the front of a token.
const tokenMAC = 16

// token makes the nextToken of a listing that goes on after position. It is of use for the same operation with the same
// filter, in this process: the key is made when the handler is.
func (h *Handler) token(op, filter, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(h.tokenCode(op, filter, position), position...))
}

// position returns where the listing of a token goes on, or errToken.
func (h *Handler) position(op, filter, token string) (string, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= tokenMAC {
		return "", errToken
	}
	position := string(b[tokenMAC:])
	if !hmac.Equal(b[:tokenMAC], h.tokenCode(op, filter, position)) {
		return "", errToken
	}
	return position, nil
}

func (h *Handler) tokenCode(op, filter, position string) []byte {
	code := hmac.New(sha256.New, h.tokenKey[:])
	for _, part := range []string{op, filter, position} {
		code.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		code.Write([]byte(part))
	}
	return code.Sum(nil)[:tokenMAC]
}

// maxPage is the most that a page holds, and what it holds if the client doesn't say: no source has a default.
const maxPage = 100

func pageSize(in object) int {
	if n := in.integer("maxResults"); n > 0 {
		return n
	}
	return maxPage
}

// resource is something in a list that is read as a whole: it is made once and then has its place.
type resource interface {
	place() (created time.Time, arn string)
}

// resources returns the page of a list that the input asks for, newest first, and the token of the next one, "" if there
// is none. What is created or deleted between two pages moves nothing that was there before and still is.
func resources[T resource](h *Handler, op, filter string, in object, all []T) (page []T, next string, err error) {
	slices.SortFunc(all, func(a, b T) int { return comparePlaces(b, a) })
	if token, ok := in["nextToken"]; ok {
		position, err := h.position(op, filter, token.(string))
		if err != nil {
			return nil, "", err
		}
		last, err := parsePlace(position)
		if err != nil {
			return nil, "", err
		}
		all = all[sortedAfter(all, last):]
	}
	if n := pageSize(in); len(all) > n {
		all = all[:n]
		created, arn := all[n-1].place()
		next = h.token(op, filter, strconv.FormatInt(created.UnixMilli(), 10)+" "+arn)
	}
	return all, next, nil
}

// sortedAfter returns the index of the first that comes after last in a list that is sorted newest first.
func sortedAfter[T resource](all []T, last resource) int {
	i, _ := slices.BinarySearchFunc(all, last, func(r T, last resource) int {
		if comparePlaces(last, r) > 0 { // older
			return 1
		}
		return -1
	})
	return i
}

// comparePlaces orders by age, the oldest first, and what is of the same millisecond by ARN.
func comparePlaces(a, b resource) int {
	aTime, aARN := a.place()
	bTime, bARN := b.place()
	return cmp.Or(cmp.Compare(aTime.UnixMilli(), bTime.UnixMilli()), cmp.Compare(aARN, bARN))
}

// place is a position in a list of resources.
type place struct {
	created time.Time
	arn     string
}

func (p place) place() (time.Time, string) { return p.created, p.arn }

func parsePlace(position string) (place, error) {
	ms, arn, _ := strings.Cut(position, " ")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return place{}, errToken
	}
	return place{time.UnixMilli(n), arn}, nil
}
