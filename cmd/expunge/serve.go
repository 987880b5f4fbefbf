package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/cmd/expunge/internal/server"
	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/console"
	"github.com/expunge-db/expunge/engine/personalize/sigv4"
	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/buckets"
	"github.com/expunge-db/expunge/ingest/roles"
	"github.com/expunge-db/expunge/ingest/s3"
)

func (a *app) serveCmd() *cobra.Command {
	var s service
	cmd := &cobra.Command{
		Use:   "serve --store FILE",
		Short: "Serve the store to clients of Amazon Personalize",
		Long: `Serve the store by the protocols of Amazon Personalize, so that the AWS CLI, the SDKs and whatever else creates
data deletion jobs there works with it when the endpoint is changed. The store is made if it is missing.

With --keys requests must be signed by one of the access keys in a file, which has the form of the credentials
file of the AWS clients and mode 0600. Without it every request is served, and only addresses of this machine
can be listened on. With --roles the role of a job decides which buckets and keys the job may read and write;
without it every role may what the server may. The file is JSON:

  {"arn:aws:iam::123456789012:role/erasure": {"read": ["s3://gdpr/lists/"], "write": ["s3://exports/"]}}

A browser shows at / the groups, the jobs with their progress, and a form for deletions. With --keys it needs a
token, which is in the link that is printed at start, or in --token-file; /metrics, for Prometheus, needs it too.
/healthz says whether the server works. None of them shows anything of a user.

The server stops on Ctrl-C or SIGTERM: requests come to their end, and unfinished jobs go on when the store is
next opened.`,
		Example: `  expunge serve --store shop.expunge
  aws --endpoint-url http://127.0.0.1:8080 personalize list-data-deletion-jobs
  expunge serve --store shop.expunge --listen :8443 --keys keys --tls-cert cert.pem --tls-key key.pem`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error { return a.serve(ctx, s) }),
	}
	a.storeFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address and port to listen on; port 0 takes a free one")
	flags.StringVar(&s.keys, "keys", "", "file with the access keys that requests must be signed with")
	flags.StringVar(&s.account, "account", "", "account in the ARNs, 12 digits; fixed when the store is made (default 000000000000)")
	flags.StringVar(&s.region, "region", "", "region in the ARNs and signatures; fixed when the store is made (default us-east-1)")
	flags.StringVar(&s.cert, "tls-cert", "", "file with the certificate in PEM, and those above it")
	flags.StringVar(&s.certKey, "tls-key", "", "file with the certificate's key in PEM")
	flags.StringVar(&s.buckets, "buckets", "", "folder whose folders stand for the buckets of s3:// locations, in place of S3")
	flags.StringVar(&s.roles, "roles", "", "file that says which role may read and write what of S3 or of the buckets")
	flags.StringVar(&s.s3.Endpoint, "s3-endpoint", "", "URL of the server for s3:// locations; otherwise as the AWS clients choose it")
	flags.BoolVar(&s.s3.PathStyle, "s3-path-style", false, "put the bucket into the path of requests to S3, as most servers but Amazon's want")
	flags.StringVar(&s.tokenFile, "token-file", "", "file with the token of the page and of /metrics; with --keys a new one is made at each start by default")
	flags.StringSliceVar(&s.hosts, "host", nil, "names that browsers may call this server by, besides localhost and the address of --listen")
	for _, name := range []string{"listen", "account", "region", "s3-endpoint", "host"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	must(cmd.MarkFlagDirname("buckets"))
	cmd.MarkFlagsMutuallyExclusive("buckets", "s3-endpoint")
	cmd.MarkFlagsMutuallyExclusive("buckets", "s3-path-style")
	for _, name := range []string{"keys", "roles", "tls-cert", "tls-key", "token-file"} {
		must(cmd.MarkFlagFilename(name))
	}
	return cmd
}

type service struct {
	listen, keys    string
	account, region string
	cert, certKey   string
	buckets, roles  string
	s3              s3.Options
	tokenFile       string
	hosts           []string
}

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	regionPattern  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
)

func (a *app) serve(ctx context.Context, s service) (err error) {
	if s.account != "" && !accountPattern.MatchString(s.account) {
		return usagef("--account must have 12 digits")
	}
	if s.region != "" && !regionPattern.MatchString(s.region) {
		return usagef("--region must have the form of us-east-1")
	}
	tlsConfig, err := s.tls()
	if err != nil {
		return err
	}
	var keys sigv4.Keys
	if s.keys != "" {
		if keys, err = sigv4.ReadKeys(s.keys); err != nil {
			return err
		}
	}
	token, err := s.token()
	if err != nil {
		return err
	}
	// Before the store is opened: an address that is taken mustn't leave a new store behind.
	l, err := listen(ctx, s.listen, keys != nil)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := l.Close(); !errors.Is(closeErr, net.ErrClosed) {
			err = errors.Join(err, closeErr)
		}
	}()
	locations, release, err := s.locations(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	return a.create(ctx, engine.Options{Account: s.account, Region: s.region, Locations: locations}, func(e *engine.Engine) (err error) {
		info := e.Info()
		if s.account != "" && s.account != info.Account || s.region != "" && s.region != info.Region {
			return nextStep(fmt.Errorf("the store was made for account %s in region %s, which is fixed", info.Account, info.Region),
				"Leave --account and --region out, or give these.")
		}
		page, err := console.New(e, console.Options{
			Token: token, AllowedHosts: s.allowedHosts(l.Addr()), UploadDir: a.store + ".lists", Logger: a.log,
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, page.Close()) }()
		c := server.Config{Engine: e, Store: a.store, Hosts: s.hosts, Page: page, Token: token, Logger: a.log}
		if keys != nil {
			c.Verifier = sigv4.New(keys, info.Region)
		}
		url := "http://" + l.Addr().String()
		if tlsConfig != nil {
			url = "https://" + l.Addr().String()
		}
		if err := a.announce(url, token, info); err != nil {
			return err
		}
		a.status.printf("%s", s.exposure(l.Addr(), len(keys)))
		if resumed := len(e.Resumed()); resumed > 0 {
			a.status.printf("%s that an earlier process left unfinished go on now.\n", counted(int64(resumed), "job"))
		}
		return server.Serve(ctx, l, c, tlsConfig)
	})
}

// announce prints where the server is, for people or for the script that started it.
func (a *app) announce(url, token string, info engine.Info) error {
	page := url + "/"
	if token != "" {
		page += "?token=" + token
	}
	if a.json {
		return a.printJSON(struct {
			URL     string `json:"url"`
			Page    string `json:"page"`
			Store   string `json:"store"`
			Account string `json:"account"`
			Region  string `json:"region"`
		}{url, page, a.store, info.Account, info.Region})
	}
	return a.print(fmt.Sprintf("Serving %s at %s (account %s, region %s)\nPage for a browser: %s\n", a.store, url, info.Account, info.Region, page))
}

// exposure says what is open to whom.
func (s *service) exposure(addr net.Addr, keys int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	local := server.Loopback(addr)
	if keys == 0 {
		line("Open to every program of this machine, with all rights: no --keys are given, so no signature is checked.")
	} else {
		line("Open to holders of the %s in %s, with all rights. The page and /metrics need the token; /healthz is open to whoever reaches the address.", counted(int64(keys), "access key"), s.keys)
	}
	if s.cert == "" && !local {
		line("Not encrypted: what is sent, IDs of users too, can be read on the way. Give --tls-cert and --tls-key, or put a proxy with TLS before it.")
	}
	if s.roles == "" {
		line("Roles are not checked: no --roles are given, so a job of any role reads and writes what this server can.")
	}
	return b.String()
}

// locations are where lists and data lie and exports go to. Requests can name those in S3 only; a path is in a job that
// another command left unfinished. release is called when no job uses them any more.
func (s *service) locations(ctx context.Context) (l ingest.Locations, release func() error, err error) {
	var file *roles.File
	if s.roles != "" {
		if file, err = roles.Load(s.roles); err != nil {
			return nil, nil, err
		}
	}
	inS3, release, err := s.inS3(ctx)
	if err != nil {
		return nil, nil, err
	}
	if file != nil {
		inS3 = roles.Locations(inS3, file)
	}
	local := ingest.LocalLocations()
	return ingest.Schemes{"": local, "file": local, "s3": inS3}, release, nil
}

// inS3 are the locations that begin with s3://.
func (s *service) inS3(ctx context.Context) (l ingest.Locations, release func() error, err error) {
	if s.buckets != "" {
		folders, err := buckets.New(s.buckets)
		if err != nil {
			return nil, nil, err
		}
		return folders, folders.Close, nil
	}
	opts := s.s3
	l, err = s3.New(ctx, opts)
	if err != nil && opts.Region == "" {
		opts.Region = "us-east-1" // nobody has said one; jobs then say what S3 makes of it
		l, err = s3.New(ctx, opts)
	}
	return l, func() error { return nil }, err
}

// tls returns nil if the server isn't to encrypt.
func (s *service) tls() (*tls.Config, error) {
	if s.cert == "" && s.certKey == "" {
		return nil, nil
	}
	if s.cert == "" || s.certKey == "" {
		return nil, usagef("--tls-cert and --tls-key go together; give both")
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.certKey)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// listen opens the address. Unless requests will have to be signed it must be one that only this machine reaches, which is
// looked at before anything is opened.
func listen(ctx context.Context, address string, signed bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usagef("--listen must be an address and a port, such as 127.0.0.1:8080")
	}
	if !signed {
		ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
		if host != "" && err != nil {
			return nil, fmt.Errorf("look up --listen: %w", err)
		}
		open := host == ""
		for _, ip := range ips {
			open = open || !ip.IP.IsLoopback()
		}
		if open {
			return nil, nextStep(fmt.Errorf("--listen %s can be reached by other machines, and no --keys are given: they could delete users", address),
				"Listen on 127.0.0.1, or give a file of access keys.")
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, nextStep(err, "Give another address or port with --listen.")
	}
	if !signed && !server.Loopback(l.Addr()) {
		return nil, errors.Join(fmt.Errorf("--listen %s isn't an address of this machine alone", address), l.Close())
	}
	return l, nil
}
