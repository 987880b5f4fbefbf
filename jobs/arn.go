package jobs

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// MaxARN is the greatest length of an ARN, in characters.
const MaxARN = 256

// Account is the owner part of the ARNs of a store. It is fixed when the store is created.
type Account struct {
	Partition string // "aws"
	Region    string // such as "us-east-1"
	ID        string // 12 digits
}

// DefaultAccount is the account of a store that was created without one.
func DefaultAccount() Account {
	return Account{Partition: "aws", Region: "us-east-1", ID: "000000000000"}
}

// ARN names a resource of the account: arn:PARTITION:personalize:REGION:ID:kind/id.
func (a Account) ARN(kind, id string) string {
	return "arn:" + a.Partition + ":personalize:" + a.Region + ":" + a.ID + ":" + kind + "/" + id
}

var (
	partitionPattern = regexp.MustCompile(`^[a-z\d-]+$`)
	arnKindPattern   = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// ParseARN takes apart what [Account.ARN] has put together. Region and account can be empty, as in the ARNs of
// resources that belong to nobody; an id can hold slashes, as a dataset's "group/TYPE" does.
// For every ARN that it accepts, account.ARN(kind, id) is that ARN. The error is an [ErrInvalid].
func ParseARN(arn string) (account Account, kind, id string, err error) {
	invalid := func(rule string) (Account, string, string, error) {
		var v validation
		v.add(ErrInvalid, "arn", "%s", rule)
		return Account{}, "", "", v.err()
	}
	if !utf8.ValidString(arn) || utf8.RuneCountInString(arn) > MaxARN {
		return invalid("have length less than or equal to 256")
	}
	const form = "have the form arn:PARTITION:personalize:REGION:ACCOUNT:KIND/NAME"
	parts := strings.Split(arn, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "personalize" || !partitionPattern.MatchString(parts[1]) {
		return invalid(form)
	}
	kind, id, ok := strings.Cut(parts[5], "/")
	if !ok || id == "" || !arnKindPattern.MatchString(kind) {
		return invalid(form)
	}
	return Account{Partition: parts[1], Region: parts[3], ID: parts[4]}, kind, id, nil
}
