package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) statCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stat --store FILE",
		Short: "Show what a store holds",
		Long: `Show the groups and datasets of a store, their rows and sizes. Rows that are deleted for readers and not yet off
the disk are counted by themselves; 'expunge jobs' shows the job that they belong to. It only reads.`,
		Example: "  expunge stat --store shop.expunge\n  expunge stat --store shop.expunge --json",
		Args:    cobra.NoArgs,
		RunE: a.command(func(ctx context.Context, _ []string) error {
			return a.read(ctx, func(e *engine.Engine) error {
				st, err := e.Stats(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(viewStats(a.store, st))
				}
				return a.print(a.statsText(st))
			})
		}),
	}
	a.storeFlag(cmd)
	return cmd
}

type statsJSON struct {
	Store            string      `json:"store"`
	Format           int         `json:"format"`
	Codec            string      `json:"codec"`
	Region           string      `json:"region"`
	Account          string      `json:"account"`
	CreationDateTime json.Number `json:"creationDateTime"`
	AllocatedBytes   int64       `json:"allocatedBytes"`
	LengthBytes      int64       `json:"lengthBytes"`
	Groups           []groupJSON `json:"datasetGroups"`
}

type groupJSON struct {
	Name     string        `json:"name"`
	Users    int64         `json:"users"`
	Items    int64         `json:"items"`
	Datasets []datasetJSON `json:"datasets"`
}

type datasetJSON struct {
	Type     string `json:"datasetType"`
	Schema   string `json:"schema"`
	Rows     int64  `json:"rows"`
	DeadRows int64  `json:"rowsDeletedNotErased"`
	Blocks   int64  `json:"blocks"`
	Bytes    int64  `json:"bytes"`
}

func viewStats(path string, st engine.Stats) statsJSON {
	v := statsJSON{
		Store: path, Format: st.Info.Format, Codec: string(st.Info.Codec), Region: st.Info.Region, Account: st.Info.Account,
		CreationDateTime: epoch(st.Info.Created), AllocatedBytes: st.Allocated, LengthBytes: st.Length, Groups: []groupJSON{},
	}
	for _, g := range st.Groups {
		gv := groupJSON{Name: g.Group.Name, Users: g.Users, Items: g.Items, Datasets: []datasetJSON{}}
		for _, d := range g.Datasets {
			gv.Datasets = append(gv.Datasets, datasetJSON{
				Type: string(d.Dataset.Type), Schema: d.Dataset.Schema, Rows: d.Rows, DeadRows: d.Dead, Blocks: d.Blocks, Bytes: d.Bytes,
			})
		}
		v.Groups = append(v.Groups, gv)
	}
	return v
}

func (a *app) statsText(st engine.Stats) string {
	text := pairs(
		[2]string{"Store", a.store},
		[2]string{"Size", size(st.Allocated) + " on the disk"},
		[2]string{"Created", fmt.Sprintf("%s, format %d, codec %s", moment(st.Info.Created), st.Info.Format, st.Info.Codec)},
	)
	if len(st.Groups) == 0 {
		return text + "\nNo dataset groups.\n"
	}
	rows := [][]string{{"GROUP", "DATASET", "ROWS", "NOT YET ERASED", "BLOCKS", "SIZE"}}
	for _, g := range st.Groups {
		name := g.Group.Name
		if len(g.Datasets) == 0 {
			rows = append(rows, []string{name, "(none)", "", "", "", ""})
		}
		for _, t := range datasetTypes {
			for _, d := range g.Datasets {
				if d.Dataset.Type == t {
					rows = append(rows, []string{name, lower(t), count(d.Rows), count(d.Dead), count(d.Blocks), size(d.Bytes)})
				}
			}
		}
	}
	text += "\n" + table(rows, "ROWS", "NOT YET ERASED", "BLOCKS", "SIZE") + "\n"
	for _, g := range st.Groups {
		text += fmt.Sprintf("Group %s knows %s and %s.\n", g.Group.Name, counted(g.Users, "user"), counted(g.Items, "item"))
	}
	return text
}
