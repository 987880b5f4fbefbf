package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/bench"
)

func (a *app) generateCmd() *cobra.Command {
	var c bench.Config
	var dir string
	cmd := &cobra.Command{
		Use:   "generate --out DIR",
		Short: "Write a synthetic dataset of any size as CSV",
		Long: `Write users.csv, items.csv and interactions.csv with their schemas into a folder. Equal flags give equal bytes,
everywhere. Memory doesn't grow with the size. Files that are there are not replaced.`,
		Example: `  expunge generate --out shop
  expunge generate --users 1000000 --items 50000 --interactions 50000000 --seed 7 --out big`,
		Args: cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			if c.Users < 1 || c.Items < 1 || c.Interactions < 1 || c.Seed < 1 {
				return usagef("--users, --items, --interactions and --seed have to be 1 or more")
			}
			if err := c.Validate(); err != nil {
				return usage(err)
			}
			made, err := a.generate(ctx, c, dir)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(made)
			}
			a.status.printf("Next, import it: expunge import --store shop.expunge --group shop --dataset users --schema %s %s\n",
				quote(filepath.Join(dir, "users.schema.json")), quote(made.Users.File))
			return a.print(made.text())
		}),
	}
	cmd.Flags().IntVar(&c.Users, "users", 10_000, "number of users")
	cmd.Flags().IntVar(&c.Items, "items", 2_000, "number of items")
	cmd.Flags().Int64Var(&c.Interactions, "interactions", 500_000, "number of interactions")
	cmd.Flags().Uint64Var(&c.Seed, "seed", 1, "which of the datasets of that size")
	for _, name := range []string{"users", "items", "interactions", "seed"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
	cmd.Flags().StringVar(&dir, "out", "", "the folder to write to; made if it is missing")
	must(cmd.MarkFlagDirname("out"))
	must(cmd.MarkFlagRequired("out"))
	return cmd
}

// generated says what was written.
type generated struct {
	Users        generatedFile `json:"users"`
	Items        generatedFile `json:"items"`
	Interactions generatedFile `json:"interactions"`
}

type generatedFile struct {
	File   string `json:"file"`
	Schema string `json:"schema"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

func (g generated) text() string {
	rows := [][]string{{"FILE", "ROWS", "SIZE"}}
	for _, f := range []generatedFile{g.Users, g.Items, g.Interactions} {
		rows = append(rows, []string{f.File, count(f.Rows), size(f.Bytes)})
	}
	return table(rows, "ROWS", "SIZE")
}

// generate writes a dataset into dir, which must have no files of its names.
func (a *app) generate(ctx context.Context, c bench.Config, dir string) (g generated, err error) {
	for _, name := range []string{"users", "items", "interactions"} {
		for _, ending := range []string{".csv", ".schema.json"} {
			path := filepath.Join(dir, name+ending)
			if _, err := os.Lstat(path); err == nil {
				return g, fmt.Errorf("%s is there already; choose another folder, or remove it first", path)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return g, err
			}
		}
	}
	files, err := bench.Generate(ctx, c, dir, func(done, total int64) {
		a.status.show(progress{label: "Generating", done: done, total: total, unit: "rows"})
	})
	a.status.clear()
	if errors.Is(err, context.Canceled) {
		return g, errors.New("stopped; no file was written")
	}
	if err != nil {
		return g, err
	}
	for _, f := range []struct {
		to           *generatedFile
		file, schema string
		rows         int64
	}{
		{&g.Users, files.Users, files.UsersSchema, int64(c.Users)},
		{&g.Items, files.Items, files.ItemsSchema, int64(c.Items)},
		{&g.Interactions, files.Interactions, files.InteractionsSchema, c.Interactions},
	} {
		info, err := os.Stat(f.file)
		if err != nil {
			return g, err
		}
		*f.to = generatedFile{f.file, f.schema, f.rows, info.Size()}
	}
	return g, nil
}
