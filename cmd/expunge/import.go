package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/expunge-db/expunge/engine"
)

func (a *app) importCmd() *cobra.Command {
	var o importing
	var dataset, mode, codec string
	cmd := &cobra.Command{
		Use:   "import --store FILE --group NAME --dataset TYPE SOURCE",
		Short: "Import users, items or interactions from CSV",
		Long: `Import rows into a dataset. The store, the group and the dataset are made if they are missing. SOURCE is a CSV
file with a header, or a folder of such files (.csv, .csv.gz, .csv.zst).

A new dataset gets the schema of --schema, in the Avro JSON of Amazon Personalize, or one that is derived from
the header: columns with a reserved name (USER_ID, ITEM_ID, TIMESTAMP, EVENT_TYPE, ...) get its meaning, all others
are strings that may be empty. A dataset keeps its schema.

The rows become visible all at once, or not at all if there is a problem with any of them. Mode full replaces what
the dataset holds; incremental adds to it, where a row of users or items replaces the one with the same ID, and
an interaction that is there already is left out. An import that was stopped begins again when the store is next
written; the same command with its --job-name goes on with it as well.`,
		Example: `  expunge import --store shop.expunge --group shop --dataset users users.csv
  expunge import --store shop.expunge --group shop --dataset interactions --schema interactions.schema.json interactions.csv
  expunge import --store shop.expunge --group shop --dataset interactions --mode incremental today/`,
		Args: oneArg("SOURCE (the file or folder to import)"),
		RunE: a.command(func(ctx context.Context, args []string) (err error) {
			if o.dataset, err = parseDataset(dataset); err != nil {
				return err
			}
			o.mode = engine.ImportMode(strings.ToUpper(mode))
			if o.mode != engine.ImportFull && o.mode != engine.ImportIncremental {
				return usagef("--mode is %q; give full or incremental", mode)
			}
			o.codec = engine.Codec(codec)
			if !slices.Contains([]engine.Codec{"", engine.CodecPacked, engine.CodecNone}, o.codec) {
				return usagef("--codec is %q; give packed or none", codec)
			}
			o.source = args[0]
			return a.importData(ctx, o)
		}),
	}
	a.storeFlag(cmd)
	a.groupFlag(cmd, &o.group, true, "the dataset group; made if it is missing")
	datasetFlag(cmd, &dataset)
	cmd.Flags().StringVar(&o.schema, "schema", "", "schema of a new dataset, a file of Avro JSON; derived from the header if none is given")
	cmd.Flags().StringVar(&mode, "mode", "full", "full replaces what the dataset holds, incremental adds to it")
	must(cmd.RegisterFlagCompletionFunc("mode", fixed("full", "incremental")))
	cmd.Flags().StringVar(&o.name, "job-name", "", "name of the job; one is made if none is given")
	must(cmd.RegisterFlagCompletionFunc("job-name", cobra.NoFileCompletions))
	cmd.Flags().StringVar(&codec, "codec", "", "how a new store keeps rows: packed, or none for plain bytes, which any tool can search (default packed)")
	must(cmd.RegisterFlagCompletionFunc("codec", fixed("packed", "none")))
	return cmd
}

type importing struct {
	group, name, schema, source string
	codec                       engine.Codec
	dataset                     engine.DatasetType
	mode                        engine.ImportMode
}

func (a *app) importData(ctx context.Context, o importing) error {
	job, err := a.importJob(ctx, o)
	mode := ""
	if o.mode != engine.ImportFull {
		mode = " --mode " + lower(o.mode)
	}
	return a.endJob(job, err, fmt.Sprintf("expunge import --store %s --group %s --dataset %s%s",
		quote(a.store), quote(o.group), lower(o.dataset), mode))
}

// importJob runs an import to its end. Whatever is wrong with the arguments is found before anything is written.
func (a *app) importJob(ctx context.Context, o importing) (job engine.Job, err error) {
	source, err := location(o.source)
	if err == nil && o.name != "" {
		err = engine.ValidateName("--job-name", o.name)
	}
	if err == nil && !strings.HasPrefix(o.group, "arn:") { // an ARN can only name a group that is there
		err = engine.ValidateName("--group", o.group)
	}
	if err != nil {
		return job, err
	}
	o.source = source
	var schema *engine.DatasetSchema
	if !a.storeExists() {
		if schema, err = a.newSchema(ctx, o); err != nil {
			return job, err
		}
	}
	err = a.create(ctx, engine.Options{Codec: o.codec}, func(e *engine.Engine) error {
		if has := e.Info().Codec; o.codec != "" && o.codec != has {
			return nextStep(fmt.Errorf("--codec is %s and the store's is %s, which it keeps", o.codec, has), "Leave out --codec, or import into a new store.")
		}
		// The group may be missing yet, and then no job of it exists either.
		group, err := e.DatasetGroup(ctx, o.group)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
		job.Kind, job.Name, job.Source, job.Mode = engine.KindImport, o.name, source, o.mode
		job.GroupARN, job.DatasetARN = group.ARN, string(o.dataset)
		found, attached, err := attach(ctx, e, job)
		if err != nil {
			return err
		}
		if err := a.ensureDataset(ctx, e, o, schema); err != nil {
			return err
		}
		job, err = a.runJob(ctx, e, found, attached, func() (engine.Job, error) {
			return e.CreateDatasetImportJob(ctx, engine.NewDatasetImportJob{
				Name: o.name, Group: o.group, Type: o.dataset, Source: source, Mode: o.mode,
			})
		})
		return err
	})
	return job, err
}

// newSchema returns the schema that a new dataset gets. It reads the header of the source in any case, so that nothing
// is created for a source that can't be read.
func (a *app) newSchema(ctx context.Context, o importing) (*engine.DatasetSchema, error) {
	given, err := readSchema(o)
	if err != nil {
		return nil, err
	}
	header, err := engine.ReadHeader(ctx, o.source)
	if errors.Is(err, engine.ErrInvalid) {
		err = usage(err)
	}
	if err != nil {
		return nil, err
	}
	if given != nil {
		return given, nil
	}
	schema, err := engine.DeriveSchema(o.dataset, header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.source, err)
	}
	a.status.printf("Schema from the header: %s.\nTo choose other types, import with --schema into a new dataset.\n", describeFields(schema))
	return schema, nil
}

// readSchema reads the file of --schema; nil if none was given.
func readSchema(o importing) (*engine.DatasetSchema, error) {
	if o.schema == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.schema)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w; check --schema", err)
	}
	schema, err := engine.ParseSchema(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.schema, err)
	}
	if string(schema.Type) != string(o.dataset) {
		return nil, fmt.Errorf("%s: the schema is for %s; give one for %s", o.schema, lower(schema.Type), lower(o.dataset))
	}
	return schema, nil
}

func describeFields(s *engine.DatasetSchema) string {
	var parts []string
	for _, f := range s.Fields {
		text := f.Name + " " + string(f.Type)
		if f.Nullable {
			text += " or empty"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// ensureDataset makes the group and the dataset if they are missing, the latter with schema, which is read now if nil.
func (a *app) ensureDataset(ctx context.Context, e *engine.Engine, o importing, schema *engine.DatasetSchema) error {
	d, err := e.Dataset(ctx, o.group, o.dataset)
	if err == nil {
		return sameSchema(ctx, e, d, o)
	}
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	if schema == nil {
		if schema, err = a.newSchema(ctx, o); err != nil {
			return err
		}
	}
	if _, err := e.DatasetGroup(ctx, o.group); errors.Is(err, engine.ErrNotFound) {
		if _, err := e.CreateDatasetGroup(ctx, engine.NewDatasetGroup{Name: o.group}); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	// Named by its content: two datasets with one schema share it, and a name that is taken is the same schema.
	digest := sha256.Sum256(schema.JSON())
	name := lower(o.dataset) + "-" + hex.EncodeToString(digest[:8])
	if _, err := e.CreateSchema(ctx, engine.NewSchema{Name: name, Avro: schema.JSON()}); err != nil && !errors.Is(err, engine.ErrExists) {
		return err
	}
	_, err = e.CreateDataset(ctx, engine.NewDataset{Name: lower(o.dataset), Group: o.group, Type: o.dataset, Schema: name})
	return err
}

// sameSchema refuses a --schema that isn't the dataset's.
func sameSchema(ctx context.Context, e *engine.Engine, d engine.Dataset, o importing) error {
	given, err := readSchema(o)
	if given == nil || err != nil {
		return err
	}
	stored, err := e.Schema(ctx, d.SchemaARN)
	if err != nil {
		return err
	}
	has, err := engine.ParseSchema([]byte(stored.Avro))
	if err != nil {
		return err
	}
	if !slices.Equal(has.Fields, given.Fields) {
		return nextStep(fmt.Errorf("%s isn't the schema of dataset %s of group %s, and a dataset keeps its schema", o.schema, lower(d.Type), o.group),
			"Leave out --schema, or import into another group. The dataset has: %s.", describeFields(has))
	}
	return nil
}
