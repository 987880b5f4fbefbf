package sdktest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/personalize"
	events "github.com/aws/aws-sdk-go-v2/service/personalizeevents"
	etypes "github.com/aws/aws-sdk-go-v2/service/personalizeevents/types"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
)

// events returns the SDK's client of the events service.
func (s *service) events() *events.Client {
	return events.New(events.Options{
		Region: "us-east-1", BaseEndpoint: &s.server.URL, HTTPClient: s.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""), RetryMaxAttempts: 1,
	})
}

func TestEventsClient(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	shop := s.newShop("shop")
	tracker, err := s.client.CreateEventTracker(ctx, &sdk.CreateEventTrackerInput{Name: aws.String("web"), DatasetGroupArn: shop.group})
	must(t, err)
	c := s.events()
	_, err = c.PutUsers(ctx, &events.PutUsersInput{DatasetArn: shop.users, Users: []etypes.User{
		{UserId: aws.String("u1"), Properties: aws.String(`{"age": "30"}`)}, {UserId: aws.String("u2")},
	}})
	must(t, err)
	_, err = c.PutItems(ctx, &events.PutItemsInput{DatasetArn: shop.items, Items: []etypes.Item{{ItemId: aws.String("i1"), Properties: aws.String(`{"genres": "a|b"}`)}}})
	must(t, err)
	at := time.Unix(1_700_000_000, 0)
	event := func(item string) etypes.Event {
		return etypes.Event{
			EventType: aws.String("view"), ItemId: aws.String(item), SentAt: aws.Time(at), EventId: aws.String("e1"),
			EventValue: aws.Float32(1.5), RecommendationId: aws.String("r1"), Impression: []string{"i1", "i2"},
		}
	}
	// Of a session first, then of its user.
	for _, user := range []*string{nil, aws.String("u1"), aws.String("u2")} {
		session := "s1"
		if aws.ToString(user) == "u2" {
			session = "s2"
		}
		_, err = c.PutEvents(ctx, &events.PutEventsInput{
			TrackingId: tracker.TrackingId, SessionId: &session, UserId: user, EventList: []etypes.Event{event("i1"), event("i2")},
		})
		must(t, err)
		at = at.Add(time.Second)
	}
	s.poll("what was put", func() bool {
		return s.rows("shop", engine.Users) == 2 && s.rows("shop", engine.Items) == 1 && s.rows("shop", engine.Interactions) == 6
	})
	job := s.deleteUsers("june", shop.group, s.put("list.csv", "USER_ID\nu1\n"))
	if *job.Status != "COMPLETED" || aws.ToInt32(job.NumDeleted) != 5 { // a Users row, two events, and two of the session
		t.Errorf("the job ended as %s with %d: %s", *job.Status, aws.ToInt32(job.NumDeleted), aws.ToString(job.FailureReason))
	}
}

// TestEventsClientErrors has each modelled error of each operation by its Go type.
func TestEventsClientErrors(t *testing.T) {
	s := start(t, nil)
	ctx := t.Context()
	_, err := s.events().PutEvents(ctx, &events.PutEventsInput{
		TrackingId: aws.String("none"), SessionId: aws.String("s"),
		EventList: []etypes.Event{{EventType: aws.String("view"), ItemId: aws.String("i"), SentAt: aws.Time(time.Unix(1, 0))}},
	})
	wantEventsError[*etypes.InvalidInputException](t, "PutEvents", err)

	b := &broken{}
	s = start(t, func(e *engine.Engine) personalize.Backend { b.Engine = e; return b })
	c := s.events()
	anUsers := strings.Replace(anItems, "ITEMS", "USERS", 1)
	for _, put := range []struct {
		name string
		call func() error
	}{
		{"PutUsers", func() error {
			_, err := c.PutUsers(ctx, &events.PutUsersInput{DatasetArn: &anUsers, Users: []etypes.User{{UserId: aws.String("u")}}})
			return err
		}},
		{"PutItems", func() error {
			_, err := c.PutItems(ctx, &events.PutItemsInput{DatasetArn: aws.String(anItems), Items: []etypes.Item{{ItemId: aws.String("i")}}})
			return err
		}},
	} {
		b.err = fmt.Errorf("dataset %w: do something", engine.ErrInvalid)
		wantEventsError[*etypes.InvalidInputException](t, put.name, put.call())
		b.err = fmt.Errorf("dataset %w: do something", engine.ErrNotFound)
		wantEventsError[*etypes.ResourceNotFoundException](t, put.name, put.call())
		b.err = fmt.Errorf("dataset %w: do something", engine.ErrInUse)
		wantEventsError[*etypes.ResourceInUseException](t, put.name, put.call())
	}
	_, err = c.PutActions(ctx, &events.PutActionsInput{DatasetArn: aws.String(anItems), Actions: []etypes.Action{{ActionId: aws.String("a")}}})
	if err == nil || !strings.Contains(err.Error(), "UnknownOperationException") {
		t.Errorf("PutActions: %v", err)
	}
}

func wantEventsError[E error](t *testing.T, operation string, err error) {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Errorf("%s: got %v, want a %T", operation, err, want)
	}
}
