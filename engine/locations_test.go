package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/ingest"
	"github.com/expunge-db/expunge/ingest/buckets"
	"github.com/expunge-db/expunge/ingest/roles"
	"github.com/expunge-db/expunge/ingest/s3"
	"github.com/expunge-db/expunge/ingest/s3/s3test"
)

// locationsEnv says what is behind the s3:// locations of the process that runs a job: "s3", a space and a URL, or
// "buckets", a space and a folder.
const locationsEnv = "EXPUNGE_TEST_LOCATIONS"

// openLocations returns the files of this machine and what spec says, see locationsEnv.
func openLocations(spec string) (ingest.Locations, error) {
	all := ingest.Schemes{"": ingest.LocalLocations(), "file": ingest.LocalLocations()}
	kind, at, _ := strings.Cut(spec, " ")
	var err error
	switch kind {
	case "s3":
		all["s3"], err = s3.New(context.Background(), s3.Options{Endpoint: at, PathStyle: true})
	case "buckets":
		all["s3"], err = buckets.New(at)
	}
	return all, err
}

// bucketed is a place of buckets for a test.
type bucketed struct {
	spec      string
	locations ingest.Locations
	put       func(bucket, key, data string)
	s3        *s3test.Server // nil for folders
}

// eachBucketed runs a test against S3 and against folders, with the buckets lists and data.
func eachBucketed(t *testing.T, test func(t *testing.T, b bucketed)) {
	t.Run("s3", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "test")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
		s := s3test.New("lists", "data")
		t.Cleanup(s.Close)
		spec := "s3 " + s.URL
		test(t, bucketed{spec, must[ingest.Locations](t)(openLocations(spec)), func(bucket, key, data string) {
			if err := s.Put(bucket, key, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}, s})
	})
	t.Run("buckets", func(t *testing.T) {
		dir := t.TempDir()
		spec := "buckets " + dir
		l := must[ingest.Locations](t)(openLocations(spec))
		t.Cleanup(func() {
			if err := l.(ingest.Schemes)["s3"].(*buckets.Locations).Close(); err != nil {
				t.Error(err)
			}
		})
		put := func(bucket, key, data string) {
			path := filepath.Join(dir, bucket, filepath.FromSlash(key))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Dir(path), filepath.Base(path), data)
		}
		put("lists", "_", "")
		put("data", "_", "")
		test(t, bucketed{spec, l, put, nil})
	})
}

// hold keeps the answer for a key silent after some bytes, until the next call. The channel is closed when it is asked
// for. Folders have no such place: there it is closed.
func (b bucketed) hold(key string, after int64) <-chan struct{} {
	asked := make(chan struct{})
	if b.s3 == nil {
		close(asked)
		return asked
	}
	var once atomic.Bool
	b.s3.OnRequest(func(r s3test.Request) s3test.Fault {
		if r.Method != "GET" || r.Key != key {
			return s3test.Fault{}
		}
		if once.CompareAndSwap(false, true) {
			close(asked)
		}
		return s3test.Fault{After: after, Stall: true}
	})
	return asked
}

func (b bucketed) release() {
	if b.s3 != nil {
		b.s3.OnRequest(nil)
	}
}

// TestBucketJobs imports from buckets and deletes by lists there. Each job is killed while it reads, or stopped, and then
// goes on.
func TestBucketJobs(t *testing.T) {
	eachBucketed(t, func(t *testing.T, b bucketed) {
		t.Setenv(locationsEnv, b.spec)
		ctx := t.Context()
		store := storePath(t)
		opts := engine.Options{Locations: b.locations}

		users := "USER_ID,AGE,CITY\n"
		for n := range 50 {
			users += fmt.Sprintf("user-%02d,%d,Paris\n", n, n)
		}
		b.put("data", "users.csv", users)
		for part := range 3 {
			rows := "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP\n"
			for n := range 50 {
				for k := range 200 {
					rows += fmt.Sprintf("user-%02d,item-%03d,view,%d,%d\n", n, k, part, k)
				}
			}
			b.put("data", fmt.Sprintf("x/part-%d.csv", part), rows)
		}
		b.put("data", "x/below/not-read.csv", "no header")
		// Batches are of 64K IDs: the first file makes two, so that there is a place to go on from.
		b.put("lists", "f/a.csv", manyIDs(70_000))
		b.put("lists", "f/sub/b.csv", "USER_ID\nuser-02\nuser-03\n"+strings.Repeat("nobody\n", 70_000)+"user-04\n")
		b.put("lists", "f/sub/c.csv", "USER_ID\nuser-05\n")

		e := must[*engine.Engine](t)(engine.Open(ctx, store, opts))
		createGroup(t, e, killGroup, testSchemas)
		importFile(t, e, killGroup, engine.Users, "s3://data/users.csv", engine.ImportFull)
		mustClose(t, e)

		asked := b.hold("x/part-1.csv", 1000)
		v := startVictim(t, store, "import s3://data/x/")
		v.until(string(engine.StepReading))
		<-asked
		v.kill(t)
		b.release()
		e = must[*engine.Engine](t)(engine.Open(ctx, store, opts))
		job, err := e.Wait(ctx, must[engine.Job](t)(e.DescribeDatasetImportJob(ctx, killJob)))
		if err != nil || job.Counts.RowsAdded != 3*50*200 {
			t.Fatalf("imported %d rows, %v", job.Counts.RowsAdded, err)
		}
		mustClose(t, e)

		asked = b.hold("f/sub/b.csv", 100_000)
		v = startVictim(t, store, "delete s3://lists/f/")
		v.until(string(engine.StepReading))
		<-asked
		v.kill(t)

		if b.s3 != nil {
			asked = b.hold("f/sub/b.csv", 200_000)
			e = must[*engine.Engine](t)(engine.Open(ctx, store, opts))
			<-asked
			mustClose(t, e)
			b.release()
		}
		e = open(t, store, opts)
		job, err = e.Wait(ctx, must[engine.Job](t)(e.DescribeDataDeletionJob(ctx, killJob)))
		if err != nil {
			t.Fatal(err)
		}
		// Five users, each with a row in Users and 600 in Interactions.
		if *job.NumDeleted != 5*601 || job.Counts.Listed != 2+70_000+3+70_000+1 || job.Counts.Matched != 5 {
			t.Errorf("deleted %d rows: %+v", *job.NumDeleted, job.Counts)
		}
		if n := len(scan(t, e, killGroup, engine.Interactions)); n != 45*600 {
			t.Errorf("%d interactions are left", n)
		}
	})
}

// TestBucketFailures has jobs fail by what lies behind their location or what their role may do.
func TestBucketFailures(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/"
	rolesFile := writeFile(t, t.TempDir(), "roles.json", `{"`+role+`erasure": {"read": ["s3://lists/gdpr/", "s3://nothing/"]}}`)
	guard := must[*roles.File](t)(roles.Load(rolesFile))
	eachBucketed(t, func(t *testing.T, b bucketed) {
		b.put("lists", "gdpr/a.csv", "USER_ID\nuser-01\n")
		b.put("lists", "other/a.csv", manyIDs(10))
		b.put("lists", "gdpr/bad/a.csv", manyIDs(10)+"a,"+secret+"\n")
		log := &logBuffer{}
		store := storePath(t)
		all := b.locations.(ingest.Schemes)
		e := open(t, store, engine.Options{Logger: log.logger(), Locations: ingest.Schemes{"": all[""], "s3": roles.Locations(all["s3"], guard)}})
		importSmall(t, e)
		before := allRows(t, e)
		const denied = ": Insufficient privileges for accessing data in S3: "
		for i, tt := range []struct{ source, role, want string }{
			{"s3://nothing/gdpr/", "erasure", "s3://nothing/gdpr/: there is no bucket nothing; check the location"},
			{"s3://lists/gdpr/b.csv", "erasure", "s3://lists/gdpr/b.csv: there is no such object; check the location"},
			{"s3://lists/gdpr/none/", "erasure", "s3://lists/gdpr/none/: the folder has no .csv"},
			{"s3://lists/other/", "erasure", "s3://lists/other/" + denied + "role " + role + "erasure lacks s3:ListBucket and s3:GetObject on lists/other/. Add it to the roles file."},
			{"s3://lists/", "erasure", "s3://lists/" + denied},
			{"s3://lists/gdpr/a.csv", "unknown", "role " + role + "unknown is not in the roles file. Add it, with s3:GetObject on lists/gdpr/a.csv."},
			{"s3://lists/gdpr/a.csv", "", "the job names no role, and needs one with s3:GetObject on lists/gdpr/a.csv."},
			{"s3://lists/gdpr/", "erasure", "s3://lists/gdpr/bad/a.csv: line 14"},
		} {
			if tt.role != "" {
				tt.role = role + tt.role
			}
			job := must[engine.Job](t)(e.CreateDataDeletionJob(t.Context(), engine.NewDataDeletionJob{
				Name: fmt.Sprintf("job-%d", i), Group: "g", Source: tt.source, RoleARN: tt.role,
			}))
			failed(t, e, store, job, log, before, tt.want)
		}
		if b.s3 != nil {
			b.s3.OnRequest(func(s3test.Request) s3test.Fault { return s3test.Fault{Code: "AccessDenied"} })
			job := must[engine.Job](t)(e.CreateDataDeletionJob(t.Context(), engine.NewDataDeletionJob{
				Group: "g", Source: "s3://lists/gdpr/", RoleARN: role + "erasure",
			}))
			failed(t, e, store, job, log, before, "s3://lists/gdpr/"+denied+"the server's credentials lack s3:ListBucket on lists/gdpr/. Fix the bucket policy on lists.")
			b.release()
		}
		job, err := e.Delete(t.Context(), engine.NewDataDeletionJob{Group: "g", Source: "s3://lists/gdpr/a.csv", RoleARN: role + "erasure"})
		if err != nil || *job.NumDeleted != 11 {
			t.Errorf("job %+v, %v", job, err)
		}
	})
}

// TestLocationsRefused creates no job for a location that can't be one.
func TestLocationsRefused(t *testing.T) {
	eachBucketed(t, func(t *testing.T, b bucketed) {
		e := open(t, storePath(t), engine.Options{Locations: b.locations})
		importSmall(t, e)
		for _, source := range []string{"s3://", "s3://lists/../data/", "s3://Lists/", "http://lists/a.csv", "gs://lists/a.csv"} {
			_, err := e.CreateDataDeletionJob(t.Context(), engine.NewDataDeletionJob{Group: "g", Source: source})
			_, dryErr := e.DryRunDeletion(t.Context(), "g", source)
			if !errors.Is(err, engine.ErrInvalid) || !errors.Is(dryErr, engine.ErrInvalid) {
				t.Errorf("%s: got %v, %v; want ErrInvalid", source, err, dryErr)
			}
		}
		page, _, err := e.ListDataDeletionJobs(t.Context(), engine.ListJobs{})
		if err != nil || len(page) != 0 {
			t.Errorf("%d jobs, %v", len(page), err)
		}
		b.put("lists", "a.csv", "USER_ID\nuser-01\n")
		if dry, err := e.DryRunDeletion(t.Context(), "g", "s3://lists/a.csv"); err != nil || dry.NumDeleted() != 11 {
			t.Errorf("dry run: %+v, %v", dry, err)
		}
	})
}
