package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Files are the paths of a generated dataset.
type Files struct {
	Users, Items, Interactions                   string // CSV
	UsersSchema, ItemsSchema, InteractionsSchema string // Avro JSON
}

// Generate writes the three datasets and their schemas into dir, which it creates when it is missing. The
// files are users.csv, items.csv and interactions.csv, and users.schema.json and so on. Each is written
// under a temporary name that begins with a dot, and all are renamed when all are whole: if Generate fails
// or ctx ends, dir is as it was, save that a rename can fail after others were done. Files of these names
// are replaced.
//
// It calls progress, when not nil, with the rows written so far and in all.
func Generate(ctx context.Context, c Config, dir string, progress func(done, total int64)) (files Files, err error) {
	if err := c.Validate(); err != nil {
		return Files{}, err
	}
	c = c.withDefaults()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Files{}, fmt.Errorf("create dataset folder: %w", err)
	}
	users, items := int64(c.Users), int64(c.Items)
	total := users + items + c.Interactions
	report := func(done int64) {
		if progress != nil {
			progress(done, total)
		}
	}
	constant := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	var pending pendingFiles
	defer func() { err = errors.Join(err, pending.discard()) }()
	for _, f := range []struct {
		path  *string
		name  string
		write func(io.Writer) error
		done  int64 // rows when it is written
	}{
		{&files.UsersSchema, "users.schema.json", constant(UsersSchema), 0},
		{&files.ItemsSchema, "items.schema.json", constant(ItemsSchema), 0},
		{&files.InteractionsSchema, "interactions.schema.json", constant(InteractionsSchema), 0},
		{&files.Users, "users.csv", c.WriteUsers, users},
		{&files.Items, "items.csv", c.WriteItems, users + items},
		{&files.Interactions, "interactions.csv", func(w io.Writer) error {
			return c.WriteInteractions(ctx, w, func(rows int64) { report(users + items + rows) })
		}, total},
	} {
		*f.path = filepath.Join(dir, f.name)
		if err := pending.write(ctx, *f.path, f.write); err != nil {
			return Files{}, fmt.Errorf("write %s: %w", f.name, err)
		}
		report(f.done)
	}
	if err := pending.publish(); err != nil {
		return Files{}, err
	}
	return files, nil
}

// pendingFiles are files that are whole, or were to be, under temporary names.
type pendingFiles []struct{ temp, path string }

// write writes a file under a temporary name beside path.
func (p *pendingFiles) write(ctx context.Context, path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	*p = append(*p, struct{ temp, path string }{f.Name(), path})
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := write(contextWriter{ctx, f}); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	return f.Sync()
}

// publish gives the files their names.
func (p *pendingFiles) publish() error {
	for len(*p) > 0 {
		f := (*p)[0]
		if err := os.Rename(f.temp, f.path); err != nil {
			return fmt.Errorf("rename to %s: %w", filepath.Base(f.path), err)
		}
		*p = (*p)[1:]
	}
	return nil
}

// discard removes the files that have no name yet.
func (p *pendingFiles) discard() error {
	var errs []error
	for _, f := range *p {
		if err := os.Remove(f.temp); err != nil {
			errs = append(errs, fmt.Errorf("remove temporary file: %w", err))
		}
	}
	*p = nil
	return errors.Join(errs...)
}

// contextWriter fails once its context has ended. The context is a field for the length of one call only.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
