package jobs

import (
	"errors"
	"strings"
	"testing"
)

func TestParseARN(t *testing.T) {
	for _, tc := range []struct {
		arn      string
		account  Account
		kind, id string
	}{
		{"arn:aws:personalize:us-east-1:000000000000:dataset-group/shop", DefaultAccount(), "dataset-group", "shop"},
		{"arn:aws-cn:personalize:cn-north-1:123456789012:dataset/shop/USERS",
			Account{"aws-cn", "cn-north-1", "123456789012"}, "dataset", "shop/USERS"},
		{"arn:aws:personalize:::recipe/aws-sims", Account{"aws", "", ""}, "recipe", "aws-sims"},
		{"arn:aws:personalize:eu-west-1:1:data-deletion-job/a", Account{"aws", "eu-west-1", "1"}, string(KindDeletion), "a"},
	} {
		account, kind, id, err := ParseARN(tc.arn)
		if err != nil || account != tc.account || kind != tc.kind || id != tc.id {
			t.Errorf("ParseARN(%q) = %v, %q, %q, %v", tc.arn, account, kind, id, err)
		}
	}
	for _, arn := range []string{
		"", "arn", "shop", "arn:aws:personalize:us-east-1:0:", "arn:aws:personalize:us-east-1:0:dataset-group",
		"arn:aws:personalize:us-east-1:0:dataset-group/", "arn:aws:personalize:us-east-1:0:/shop",
		"arn:aws:personalize:us-east-1:0:schema/a:b", "arn::personalize:us-east-1:0:schema/a",
		"arn:AWS:personalize:us-east-1:0:schema/a", "arn:aws:s3:::schema/a", "ARN:aws:personalize:::schema/a",
		"arn:aws:personalize:us-east-1:0:schema/\xff", "arn:aws:personalize:us-east-1:0:schema/" + strings.Repeat("a", 250),
	} {
		if _, _, _, err := ParseARN(arn); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseARN(%q): %v, want ErrInvalid", arn, err)
		}
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:personalize:us-east-1:000000000000:dataset/shop/USERS")
	f.Add("arn:aws:personalize:::recipe/aws-sims")
	f.Add("arn:aws:personalize:a:b:c")
	f.Fuzz(func(t *testing.T, arn string) {
		account, kind, id, err := ParseARN(arn)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error %v is not an ErrInvalid", err)
			}
			return
		}
		if got := account.ARN(kind, id); got != arn {
			t.Fatalf("round trip: %q became %q", arn, got)
		}
	})
}
