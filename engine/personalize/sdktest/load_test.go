package sdktest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/personalize"
	"github.com/aws/aws-sdk-go-v2/service/personalize/types"
)

// TestManyClients has 200 clients at work at once: a little each, or for a minute with EXPUNGE_TEST_LONG=1. No error may
// come that the API doesn't document for the operation, and no job may get lost.
func TestManyClients(t *testing.T) {
	const clients, shops = 200, 4
	s := start(t, nil)
	var made []shop
	var trackers []string
	for i := range shops {
		shop := s.newShop(fmt.Sprint("shop", i))
		tracker, err := s.client.CreateEventTracker(t.Context(), &sdk.CreateEventTrackerInput{Name: aws.String(fmt.Sprint("web", i)), DatasetGroupArn: shop.group})
		must(t, err)
		made, trackers = append(made, shop), append(trackers, *tracker.TrackingId)
	}
	lists := s.put("lists/list.csv", "USER_ID\n"+numbered("u%d\n", 20))
	users := s.put("users.csv", "USER_ID,AGE\n"+numbered("u%d,30\n", 50))

	rounds, until := 2, time.Now().Add(24*time.Hour)
	if os.Getenv("EXPUNGE_TEST_LONG") != "" {
		rounds, until = 1<<30, time.Now().Add(time.Minute)
	} else {
		t.Log("200 clients do a little each; EXPUNGE_TEST_LONG=1 has them work for a minute")
	}
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()

	var mu sync.Mutex
	jobs := make(map[string]bool) // ARNs of what was created; guarded by mu
	created := func(arn *string) {
		mu.Lock()
		defer mu.Unlock()
		jobs[*arn] = true
	}
	refused := 0 // guarded by mu
	// allowed reports an error that isn't one of these types.
	allowed := func(what string, err error, kinds ...func(error) bool) bool {
		if err != nil && !slices.ContainsFunc(kinds, func(is func(error) bool) bool { return is(err) }) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			mu.Lock()
			refused++
			mu.Unlock()
		}
		return err == nil
	}
	var all sync.WaitGroup
	for n := range clients {
		all.Go(func() {
			ctx := t.Context()
			c := sdk.New(sdk.Options{
				Region: "us-east-1", BaseEndpoint: &s.server.URL, HTTPClient: &http.Client{Transport: transport},
				Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""), RetryMaxAttempts: 1,
			})
			mine := made[n%shops]
			for round := 0; round < rounds && time.Now().Before(until) && !t.Failed(); round++ {
				name := fmt.Sprintf("c%d-r%d", n, round)
				switch n % 10 {
				case 5:
					status, code := s.event("/events", m{"trackingId": trackers[n%shops], "sessionId": name, "userId": fmt.Sprint("u", n), "eventList": []m{view("i", 1700000000+round)}})
					if status != 200 {
						t.Errorf("PutEvents: %d %s", status, code)
					}
				case 0:
					out, err := c.CreateDatasetImportJob(ctx, &sdk.CreateDatasetImportJobInput{
						JobName: &name, DatasetArn: mine.users, DataSource: &types.DataSource{DataLocation: users}, ImportMode: types.ImportModeIncremental,
					})
					if allowed("CreateDatasetImportJob", err) {
						created(out.DatasetImportJobArn)
						got, err := c.DescribeDatasetImportJob(ctx, &sdk.DescribeDatasetImportJobInput{DatasetImportJobArn: out.DatasetImportJobArn})
						if allowed("DescribeDatasetImportJob", err) && *got.DatasetImportJob.JobName != name {
							t.Errorf("job %s is described as %s", name, *got.DatasetImportJob.JobName)
						}
					}
				default:
					out, err := c.CreateDataDeletionJob(ctx, deletion(name, mine.group, *lists))
					if allowed("CreateDataDeletionJob", err, limit.is) {
						created(out.DataDeletionJobArn)
						got, err := c.DescribeDataDeletionJob(ctx, &sdk.DescribeDataDeletionJobInput{DataDeletionJobArn: out.DataDeletionJobArn})
						if allowed("DescribeDataDeletionJob", err) && *got.DataDeletionJob.JobName != name {
							t.Errorf("job %s is described as %s", name, *got.DataDeletionJob.JobName)
						}
						_, err = c.CreateDataDeletionJob(ctx, deletion(name, mine.group, *lists))
						allowed("CreateDataDeletionJob", err, exists.is)
					}
				}
				page, err := c.ListDataDeletionJobs(ctx, &sdk.ListDataDeletionJobsInput{DatasetGroupArn: mine.group, MaxResults: aws.Int32(5)})
				if allowed("ListDataDeletionJobs", err) {
					for _, j := range page.DataDeletionJobs {
						if *j.DatasetGroupArn != *mine.group {
							t.Errorf("a list of %s has a job of %s", *mine.group, *j.DatasetGroupArn)
						}
					}
					if page.NextToken != nil {
						_, err := c.ListDataDeletionJobs(ctx, &sdk.ListDataDeletionJobsInput{DatasetGroupArn: mine.group, NextToken: page.NextToken})
						allowed("ListDataDeletionJobs", err)
					}
				}
			}
		})
	}
	all.Wait()
	s.poll("jobs", func() bool {
		open, err := s.engine.UnfinishedJobs(context.Background())
		must(t, err)
		return len(open) == 0
	})

	listed := make(map[string]bool)
	add := func(arn, status *string) {
		if listed[*arn] {
			t.Errorf("%s is listed twice", *arn)
		}
		listed[*arn] = true
		if *status != "COMPLETED" && *status != "ACTIVE" {
			t.Errorf("%s is %s", *arn, *status)
		}
	}
	for in := (&sdk.ListDataDeletionJobsInput{}); ; {
		page, err := s.client.ListDataDeletionJobs(t.Context(), in)
		must(t, err)
		for _, j := range page.DataDeletionJobs {
			add(j.DataDeletionJobArn, j.Status)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	for p := sdk.NewListDatasetImportJobsPaginator(s.client, &sdk.ListDatasetImportJobsInput{}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		must(t, err)
		for _, j := range page.DatasetImportJobs {
			add(j.DatasetImportJobArn, j.Status)
		}
	}
	if !maps.Equal(listed, jobs) {
		t.Errorf("%d jobs were created and %d are listed, or others", len(jobs), len(listed))
	}
	if len(jobs) == 0 {
		t.Error("no job was created")
	}
	t.Logf("%d jobs, %d refusals by the documented errors", len(jobs), refused)
}
