// Package s3 reads lists and data from Amazon S3, or from a server that speaks its API, and writes exports to it.
//
// It is a package of its own, so that a program that has no use for S3 doesn't compile the SDK:
//
//	bucketed, err := s3.New(ctx, s3.Options{})
//	...
//	e, err := engine.Open(ctx, path, engine.Options{Locations: ingest.Schemes{
//		"": ingest.LocalLocations(), "s3": bucketed,
//	}})
//
// Locations are s3://bucket/key for an object, and s3://bucket/folder/ or s3://bucket for all objects whose keys begin
// so. Region and credentials come from where the AWS CLI takes them: environment, shared files, the machine's role. They
// need s3:ListBucket and s3:GetObject to read, s3:PutObject and s3:AbortMultipartUpload to write.
//
// # What holds
//
// An object is read as the version that was listed, by its ETag, or not at all ([ingest.ErrChanged]); unlike a file, one
// that is replaced while it is read is read to its end as it was. A read that breaks off goes on where it was. Requests
// that S3 refuses for the moment, and connections that stall, are tried again with growing pauses; in the end the error
// says which object, and at which byte.
//
// An object that is written becomes visible when it is committed. What a process that is killed had uploaded stays in the
// bucket, unseen: give buckets for exports a lifecycle rule that removes incomplete uploads after a day.
//
// # Memory
//
// A source holds its listing; a reader what the connection buffers; a file that is being written up to four parts of 16
// MiB, which also limits it to 160 GB.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/internal/s3url"
)

// Options says how to reach S3. The zero value of each field is its default.
type Options struct {
	// Endpoint is the URL of a server that speaks the API, http or https. "" means what the environment and the shared
	// files say (AWS_ENDPOINT_URL_S3), or else Amazon.
	Endpoint string
	// Region is the region of the buckets. "" means what the environment and the shared files say. With an endpoint of
	// one's own it may be missing there too.
	Region string
	// PathStyle puts the bucket into the path of requests and not into the host's name, as most servers but Amazon's want.
	PathStyle bool

	pauses pauses // for tests
}

// pauses are how long to wait. 0 means the default.
type pauses struct {
	retry time.Duration // at most, between two tries
	stall time.Duration // for the next byte of an answer, until it counts as broken off
}

const (
	maxTries = 8                // of a request, and of reads that break off at one place
	partSize = 16 << 20         // of an upload
	cleanup  = 30 * time.Second // for removing an upload
)

// Locations are those that begin with s3://.
type Locations struct {
	client   *s3.Client
	uploader *transfermanager.Client
	pause    retry.BackoffDelayer
	stall    time.Duration
}

// New returns the locations of one endpoint and region. ctx governs reading the configuration only; no request is made.
func New(ctx context.Context, opts Options) (*Locations, error) {
	if opts.pauses.retry == 0 {
		opts.pauses.retry = 20 * time.Second
	}
	if opts.pauses.stall == 0 {
		opts.pauses.stall = time.Minute
	}
	if opts.Endpoint != "" {
		u, err := url.Parse(opts.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("S3 endpoint: it is no http:// or https:// URL with a host")
		}
	}
	pause := retry.NewExponentialJitterBackoff(opts.pauses.retry)
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(opts.Region),
		config.WithLogger(logging.Nop{}),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.Backoff = maxTries, pause
				// A long list must not use up the tries of the ones after it.
				o.RateLimiter = ratelimit.None
			})
		}),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = opts.pauses.stall
		})),
	)
	if err != nil {
		return nil, fmt.Errorf("configure S3: %w", err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = opts.PathStyle
		if opts.Endpoint != "" {
			o.BaseEndpoint = &opts.Endpoint
		}
		if o.Region == "" && o.BaseEndpoint != nil {
			o.Region = "us-east-1" // signatures name one, and servers elsewhere take any
		}
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	if client.Options().Region == "" {
		return nil, errors.New("configure S3: no region; give one, or set AWS_REGION")
	}
	return &Locations{
		client: client, pause: pause, stall: opts.pauses.stall,
		uploader: transfermanager.New(client, func(o *transfermanager.Options) {
			o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = partSize, partSize, 2
			o.FailTimeout = cleanup
			o.RequestChecksumCalculation = client.Options().RequestChecksumCalculation
		}),
	}, nil
}

// Source implements [ingest.Locations]. The role means nothing here: all requests use the credentials of this process.
func (l *Locations) Source(location, _ string, walk ingest.Walk) (ingest.Source, error) {
	u, err := s3url.Parse(location)
	if err != nil {
		return nil, err
	}
	return &source{l, u, walk}, nil
}

// Sink implements [ingest.Locations].
func (l *Locations) Sink(location, _ string) (ingest.Sink, error) {
	u, err := s3url.ParseFolder(location)
	if err != nil {
		return nil, err
	}
	return &sink{l, u}, nil
}
