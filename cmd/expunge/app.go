package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

// storeVariable names the environment variable that --store is taken from.
const storeVariable = "EXPUNGE_STORE"

// keyVariable names the one that --key-file is taken from.
const keyVariable = "EXPUNGE_KEY_FILE"

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is what the commands share during one run.
type app struct {
	stdout io.Writer
	status *status
	log    *slog.Logger

	// began is set when a command's own code starts: what cobra refuses before is wrong usage.
	began bool

	// Flags that all commands or most of them have.
	json     bool
	verbose  bool
	logLevel string
	store    string
	keyFile  string
}

// run runs one command line, without the program's name, and returns the exit status. When ctx ends the command stops
// and leaves its job to be resumed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, status: newStatus(stderr)}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	said := make(chan struct{})
	notice := context.AfterFunc(ctx, func() {
		defer close(said)
		a.status.printf("expunge: stopping; a second signal ends the process at once\n")
	})
	defer func() {
		if !notice() { // it was said, or is being said: stderr is the caller's again when this returns
			<-said
		}
	}()
	cmd, err := root.ExecuteContextC(ctx)
	a.status.clear()
	if err == nil {
		return exitDone
	}
	if !a.began {
		err = usage(err)
	}
	return a.report(err, cmd.CommandPath())
}

// usageError is wrong usage. All others are failures of the work.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(err error) error { return &usageError{err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "expunge",
		Short: "Delete users from recommender datasets, off the disk too",
		Long: `Expunge deletes users from recommender datasets: every row that refers to them, out of the data a model
trains on and off the disk it lies on. A store is one file; it holds dataset groups of users, items and
interactions.

Results go to stdout, progress and messages to stderr. Exit status: 0 done, 1 the job or the check failed,
2 wrong usage.`,
		Example: `  expunge quickstart
  expunge import --store shop.expunge --group shop --dataset users users.csv
  expunge delete --store shop.expunge --group shop forget.csv`,
		Version:                    engine.Version(),
		Args:                       cobra.ArbitraryArgs, // so that an unknown command is reported below
		SuggestionsMinimumDistance: 2,

		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				text := fmt.Sprintf("unknown command %q", args[0])
				for _, s := range cmd.SuggestionsFor(args[0]) {
					text += fmt.Sprintf("; did you mean %q?", s)
				}
				return errors.New(text)
			}
			return errors.New("a command is missing; 'expunge quickstart' shows what it does")
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.openLog() },
	}
	flags := root.PersistentFlags()
	flags.BoolVar(&a.json, "json", false, "print the result as JSON")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log what goes on: the same as --log-level info")
	flags.StringVar(&a.logLevel, "log-level", "error", "log to stderr from this level on: debug, info, warn or error")
	must(root.RegisterFlagCompletionFunc("log-level", fixed("debug", "info", "warn", "error")))
	root.AddCommand(a.quickstartCmd(), a.generateCmd(), a.benchCmd(), a.importCmd(), a.deleteCmd(), a.jobsCmd(), a.jobCmd(), a.scanCmd(),
		a.statCmd(), a.checkCmd(), a.verifyCmd(), a.ledgerCmd(), a.suppressCmd(), a.backupCmd(), a.serveCmd())
	return root
}

// openLog makes the logger. What goes wrong with a job is told by the command anyway, so warnings are off by default.
func (a *app) openLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return fmt.Errorf("--log-level is %q; give debug, info, warn or error", a.logLevel)
	}
	if a.verbose {
		level = min(level, slog.LevelInfo)
	}
	a.log = slog.New(slog.NewTextHandler(a.status, &slog.HandlerOptions{Level: level}))
	return nil
}

// command wraps a command's own code, for app.began.
func (a *app) command(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Lookup("store") != nil && a.store == "" {
			return errors.New("no store is given; add --store FILE, or set " + storeVariable)
		}
		a.began = true
		return do(cmd.Context(), args)
	}
}

// storeFlag adds --store.
func (a *app) storeFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.store, "store", os.Getenv(storeVariable), "the store's file; also from "+storeVariable)
	must(cmd.MarkFlagFilename("store"))
	cmd.Flags().StringVar(&a.keyFile, "key-file", os.Getenv(keyVariable),
		"file with the key of the hashes of deleted users, if the store isn't to keep it; also from "+keyVariable)
	must(cmd.MarkFlagFilename("key-file"))
}

// key reads the key that the caller holds; nil if there is none.
func (a *app) key() ([]byte, error) {
	if a.keyFile == "" {
		return nil, nil
	}
	key, err := os.ReadFile(a.keyFile)
	if err != nil {
		return nil, nextStep(fmt.Errorf("read key: %w", err), "Check --key-file, or %s.", keyVariable)
	}
	key = bytes.TrimRight(key, "\r\n")
	if len(key) < 16 {
		return nil, nextStep(fmt.Errorf("the key in %s has less than 16 bytes", a.keyFile), "Make one for a new store: openssl rand -hex 32 >key")
	}
	return key, nil
}

// oneArg wants exactly one argument, and says what it is when it is missing.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s is missing", what)
		case 1:
			return nil
		}
		return fmt.Errorf("%d arguments; give one, %s", len(args), what)
	}
}

// must is for errors that only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
