package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

type completion = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// fixed completes to one of a few words.
func fixed(words ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// fromStore completes to names in the store, if one is given and it can be opened at once.
func (a *app) fromStore(names func(context.Context, *engine.Engine) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if a.store == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		e, err := engine.Open(ctx, a.store, engine.Options{ReadOnly: true, LockTimeout: -1})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := names(ctx, e)
		if err := errors.Join(err, e.Close(ctx)); err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func groupNames(ctx context.Context, e *engine.Engine) (names []string, err error) {
	groups, err := e.DatasetGroups(ctx)
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names, err
}

func jobNames(ctx context.Context, e *engine.Engine) (names []string, err error) {
	jobs, err := allJobs(ctx, e, "")
	for _, j := range jobs {
		names = append(names, j.Name)
	}
	return names, err
}

// groupFlag adds --group.
func (a *app) groupFlag(cmd *cobra.Command, to *string, required bool, use string) {
	cmd.Flags().StringVar(to, "group", "", use)
	must(cmd.RegisterFlagCompletionFunc("group", a.fromStore(groupNames)))
	if required {
		must(cmd.MarkFlagRequired("group"))
	}
}

// datasetFlag adds --dataset.
func datasetFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "dataset", "", "users, items or interactions")
	must(cmd.RegisterFlagCompletionFunc("dataset", fixed("users", "items", "interactions")))
	must(cmd.MarkFlagRequired("dataset"))
}

// parseDataset reads what --dataset gave.
func parseDataset(name string) (engine.DatasetType, error) {
	t, err := engine.ParseDatasetType(name)
	if err != nil {
		return "", usagef("--dataset is %q; give users, items or interactions", name)
	}
	return t, nil
}
