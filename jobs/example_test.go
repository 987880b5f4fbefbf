package jobs_test

import (
	"fmt"

	"github.com/expunge-db/expunge/jobs"
)

func ExampleParseARN() {
	arn := jobs.DefaultAccount().ARN("dataset", "shop/USERS")
	fmt.Println(arn)
	account, kind, id, err := jobs.ParseARN(arn)
	fmt.Println(account.Region, kind, id, err)
	// Output:
	// arn:aws:personalize:us-east-1:000000000000:dataset/shop/USERS
	// us-east-1 dataset shop/USERS <nil>
}

func ExampleSpec_Validate() {
	err := jobs.Spec{
		Kind:     jobs.KindDeletion,
		Name:     "erase march",
		GroupARN: jobs.DefaultAccount().ARN("dataset-group", "shop"),
		Source:   "lists/march.csv",
	}.Validate()
	fmt.Println(err)
	// Output:
	// 1 validation error detected: Value at 'jobName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9][a-zA-Z0-9\-_]*
}
