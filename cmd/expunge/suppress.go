package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) suppressCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suppress",
		Short: "Keep deleted users from coming back by imports",
		Long: `While suppression is on for a group, every user whom a deletion lists, known or not, is kept out of later imports:
their rows are skipped, and counted in the import's report. Users are kept by keyed hashes, never by their IDs.`,
		Example: `  expunge suppress on --store shop.expunge --group shop
  expunge suppress list --store shop.expunge --group shop
  expunge suppress lift --store shop.expunge --group shop back.csv`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("give one of on, off, list and lift") },
	}
	cmd.FParseErrWhitelist.UnknownFlags = true // so that a missing or unknown one is reported and not its flags
	cmd.AddCommand(a.suppressSetCmd("on", true, "Keep the users of later deletions out of later imports"),
		a.suppressSetCmd("off", false, "Let imports bring back deleted users; those who are suppressed are kept for when it is on again"),
		a.suppressListCmd(), a.suppressLiftCmd())
	return cmd
}

func (a *app) suppressSetCmd(use string, on bool, short string) *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use: use + " --store FILE --group NAME", Short: short, Long: short + ".",
		Example: "  expunge suppress " + use + " --store shop.expunge --group shop",
		Args:    cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			return a.write(ctx, func(e *engine.Engine) error {
				if err := a.finishOthers(ctx, e, 0); err != nil {
					return err
				}
				if err := e.SetSuppression(ctx, group, on); err != nil {
					return a.groupError(err)
				}
				s, err := e.Suppressed(ctx, group)
				if err != nil {
					return err
				}
				return a.printSuppression(s)
			})
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &group, true, "the dataset group")
	return cmd
}

func (a *app) suppressListCmd() *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use: "list --store FILE --group NAME", Short: "Say how many users are kept out, by job",
		Long:    "Say how many users are kept out of a group, by the job that was the first to list them. It only reads.",
		Example: "  expunge suppress list --store shop.expunge --group shop",
		Args:    cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			return a.read(ctx, func(e *engine.Engine) error {
				s, err := e.Suppressed(ctx, group)
				if err != nil {
					return a.groupError(err)
				}
				return a.printSuppression(s)
			})
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &group, true, "the dataset group")
	return cmd
}

func (a *app) printSuppression(s engine.Suppression) error {
	if a.json {
		type by struct {
			JobName string `json:"jobName"`
			Users   int64  `json:"users"`
		}
		jobs := []by{}
		for _, j := range s.Jobs {
			jobs = append(jobs, by{j.Job, j.Users})
		}
		return a.printJSON(struct {
			On    bool  `json:"on"`
			Users int64 `json:"users"`
			Jobs  []by  `json:"jobs"`
		}{s.On, s.Users, jobs})
	}
	state := "off"
	if s.On {
		state = "on"
	}
	text := fmt.Sprintf("Suppression is %s, and %s kept for it.\n", state, counted(s.Users, "user"))
	if len(s.Jobs) > 0 {
		rows := [][]string{{"JOB", "USERS"}}
		for _, j := range s.Jobs {
			rows = append(rows, []string{j.Job, count(j.Users)})
		}
		text += table(rows, "USERS")
	}
	return a.print(text)
}

func (a *app) suppressLiftCmd() *cobra.Command {
	var group string
	var all bool
	cmd := &cobra.Command{
		Use: "lift --store FILE --group NAME LIST | --all", Short: "Let users come back",
		Long: `Let the users of a list, or with --all everybody, come back into a group by imports. The list is a CSV file with the
header USER_ID, or a folder of them. With a bad line in it nobody is let back.`,
		Example: `  expunge suppress lift --store shop.expunge --group shop back.csv
  expunge suppress lift --store shop.expunge --group shop --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.command(func(ctx context.Context, args []string) error {
			if all == (len(args) == 1) {
				return usagef("give a list of users, or --all")
			}
			var lifted int64
			err := a.write(ctx, func(e *engine.Engine) (err error) {
				if err := a.finishOthers(ctx, e, 0); err != nil {
					return err
				}
				if all {
					lifted, err = e.LiftAllSuppression(ctx, group)
				} else {
					lifted, err = e.LiftSuppression(ctx, group, args[0])
				}
				return a.groupError(err)
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(struct {
					Lifted int64 `json:"lifted"`
				}{lifted})
			}
			return a.print(fmt.Sprintf("%s may come back.\n", counted(lifted, "user")))
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &group, true, "the dataset group")
	cmd.Flags().BoolVar(&all, "all", false, "everybody")
	return cmd
}
