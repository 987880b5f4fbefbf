package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2"
)

// What was chosen for DuckDB, and why:
//   - threads=2, both processors, set rather than found out, so that a container's limits don't matter;
//   - read_csv with the columns' types given and nothing sniffed, in parallel; CREATE TABLE AS is the bulk path;
//   - STORAGE_VERSION latest: only then does it use its newest compressions (DICT_FSST, ZSTD), which are smaller;
//   - preserve_insertion_order off where no order is wanted, which lets both threads insert; on for the copy of a sorted
//     table, since the order is what makes its lookups and its compression good;
//   - CHECKPOINT before the clock stops, so that the data is in the synced file and not in the log; then the folder is synced.
//
// FLOAT is what the schema asks for. Sums are of DOUBLE, as everywhere in the harness.

var (
	duckPlainEntry = entry{
		Name: "duckdb-plain", What: "DuckDB, plain table in order of arrival; DELETE, then a copy into a new file",
		New: func() peer { return &duckPeer{model: duckPlain} }, Delete: true,
	}
	duckSortedEntry = entry{
		Name: "duckdb-sorted", What: "DuckDB, sorted by user and time; anti-join into a new file",
		New: func() peer { return &duckPeer{model: duckSorted} },
	}
	duckIntsEntry = entry{
		Name: "duckdb-ints", What: "DuckDB, IDs as integers, sorted by user and time; anti-join into a new file",
		New: func() peer { return &duckPeer{model: duckInts} },
	}
)

// duckModel is one way of keeping the interactions. In its statements $csv and $list stand for the quoted paths of files,
// db and new for the database and a new one.
type duckModel struct {
	ordered      bool // whether copies keep the order of rows
	load         []string
	remove       []string // rows of the users, in place; nil if erasing does it
	copy         []string // what remains, from db into new
	scan         string   // as sqlSums wants it
	user         string   // as sqlUser wants it
	users, items string   // as sqlCheck wants them
	events       string
}

const (
	duckCSV = `read_csv($csv, auto_detect=false, header=true, delim=',', quote='"', escape='"', parallel=true,
		columns={'USER_ID': 'VARCHAR', 'ITEM_ID': 'VARCHAR', 'EVENT_TYPE': 'VARCHAR', 'EVENT_VALUE': 'FLOAT', 'TIMESTAMP': 'BIGINT'})`
	duckList = `(SELECT USER_ID FROM read_csv($list, auto_detect=false, header=true, delim=',', columns={'USER_ID': 'VARCHAR'}))`
	duckScan = `SELECT count(*), sum(EVENT_VALUE::DOUBLE), sum("TIMESTAMP"), sum(strlen(USER_ID)), sum(strlen(ITEM_ID)), sum(strlen(EVENT_TYPE)) FROM db.t`
	duckUser = `SELECT ITEM_ID, EVENT_TYPE, EVENT_VALUE, "TIMESTAMP" FROM db.t WHERE USER_ID = ?`
)

func duckCount(column string) string {
	return fmt.Sprintf(`SELECT %s, count(*) FROM db.t GROUP BY ALL`, column)
}

var (
	duckPlain = duckModel{
		load:   []string{`CREATE TABLE db.t AS SELECT * FROM ` + duckCSV},
		remove: []string{`DELETE FROM db.t WHERE USER_ID IN ` + duckList},
		copy:   []string{`CREATE TABLE new.t AS SELECT * FROM db.t`},
		scan:   duckScan, user: duckUser, users: duckCount("USER_ID"), items: duckCount("ITEM_ID"), events: duckCount("EVENT_TYPE"),
	}
	duckSorted = duckModel{
		ordered: true,
		load:    []string{`CREATE TABLE db.t AS SELECT * FROM ` + duckCSV + ` ORDER BY USER_ID, "TIMESTAMP"`},
		copy:    []string{`CREATE TABLE new.t AS SELECT * FROM db.t WHERE USER_ID NOT IN ` + duckList},
		scan:    duckScan, user: duckUser, users: duckCount("USER_ID"), items: duckCount("ITEM_ID"), events: duckCount("EVENT_TYPE"),
	}
	// duckInts numbers users and items as they come out of DISTINCT; the dictionaries are part of the import. A scan sums
	// the integers, which is less than the others do. Items stay in their dictionary when their last row goes.
	duckInts = duckModel{
		ordered: true,
		load: []string{
			`CREATE TEMP TABLE raw AS SELECT * FROM ` + duckCSV,
			`CREATE TABLE db.users AS SELECT row_number() OVER ()::INTEGER AS u, USER_ID FROM (SELECT DISTINCT USER_ID FROM raw)`,
			`CREATE TABLE db.items AS SELECT row_number() OVER ()::INTEGER AS i, ITEM_ID FROM (SELECT DISTINCT ITEM_ID FROM raw)`,
			`CREATE TABLE db.events AS SELECT row_number() OVER ()::UTINYINT AS e, EVENT_TYPE FROM (SELECT DISTINCT EVENT_TYPE FROM raw)`,
			`CREATE TABLE db.t AS SELECT u, i, e, EVENT_VALUE, "TIMESTAMP" FROM raw JOIN db.users USING (USER_ID)
				JOIN db.items USING (ITEM_ID) JOIN db.events USING (EVENT_TYPE) ORDER BY u, "TIMESTAMP"`,
			`DROP TABLE raw`,
		},
		copy: []string{
			`CREATE TABLE new.users AS SELECT * FROM db.users WHERE USER_ID NOT IN ` + duckList,
			`CREATE TABLE new.items AS SELECT * FROM db.items`,
			`CREATE TABLE new.events AS SELECT * FROM db.events`,
			`CREATE TABLE new.t AS SELECT * FROM db.t WHERE u NOT IN (SELECT u FROM db.users WHERE USER_ID IN ` + duckList + `)`,
		},
		scan: `SELECT count(*), sum(EVENT_VALUE::DOUBLE), sum("TIMESTAMP"), sum(u), sum(i), sum(e) FROM db.t`,
		user: `SELECT ITEM_ID, EVENT_TYPE, EVENT_VALUE, "TIMESTAMP" FROM db.t JOIN db.items USING (i) JOIN db.events USING (e)
			WHERE u = (SELECT u FROM db.users WHERE USER_ID = ?)`,
		users:  `SELECT USER_ID, n FROM (SELECT u, count(*) AS n FROM db.t GROUP BY u) JOIN db.users USING (u)`,
		items:  `SELECT ITEM_ID, n FROM (SELECT i, count(*) AS n FROM db.t GROUP BY i) JOIN db.items USING (i)`,
		events: `SELECT EVENT_TYPE, n FROM (SELECT e, count(*) AS n FROM db.t GROUP BY e) JOIN db.events USING (e)`,
	}
)

// duckPeer is an in-memory DuckDB with the store's file attached: so the file's name can change under it.
type duckPeer struct {
	model duckModel
	dir   string
	db    *sql.DB
	user  *sql.Stmt
}

func (p *duckPeer) path() string { return filepath.Join(p.dir, "interactions.duckdb") }

func (p *duckPeer) Open(ctx context.Context, dir string) (err error) {
	p.dir = dir
	if p.db, err = sql.Open("duckdb", "?threads=2"); err != nil {
		return err
	}
	p.db.SetMaxOpenConns(1)
	return sqlExec(ctx, p.db,
		fmt.Sprintf(`SET preserve_insertion_order = %t`, p.model.ordered),
		fmt.Sprintf(`SET temp_directory = %s`, duckQuote(filepath.Join(dir, "tmp"))),
		`ATTACH `+duckQuote(p.path())+` AS db (STORAGE_VERSION 'latest')`)
}

func (p *duckPeer) Close(context.Context) error {
	var err error
	if p.user != nil {
		err = p.user.Close()
		p.user = nil
	}
	return errors.Join(err, p.db.Close())
}

// run runs statements of the model.
func (p *duckPeer) run(ctx context.Context, files *strings.Replacer, statements []string) error {
	for _, st := range statements {
		if err := sqlExec(ctx, p.db, files.Replace(st)); err != nil {
			return err
		}
	}
	return nil
}

func (p *duckPeer) Import(ctx context.Context, dir, csv string) error {
	if err := p.Open(ctx, dir); err != nil {
		return err
	}
	if err := p.run(ctx, strings.NewReplacer("$csv", duckQuote(csv)), p.model.load); err != nil {
		return err
	}
	if err := sqlExec(ctx, p.db, `CHECKPOINT db`); err != nil {
		return err
	}
	return syncTree(p.dir)
}

// Delete commits, which syncs the log.
func (p *duckPeer) Delete(ctx context.Context, list string) error {
	return p.run(ctx, strings.NewReplacer("$list", duckQuote(list)), p.model.remove)
}

func (p *duckPeer) Erase(ctx context.Context, list string) error {
	temp := p.path() + ".new"
	if err := sqlExec(ctx, p.db, `ATTACH `+duckQuote(temp)+` AS new (STORAGE_VERSION 'latest')`); err != nil {
		return err
	}
	if err := p.run(ctx, strings.NewReplacer("$list", duckQuote(list)), p.model.copy); err != nil {
		return err
	}
	if err := sqlExec(ctx, p.db, `CHECKPOINT new`, `DETACH new`, `DETACH db`); err != nil {
		return err
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, p.path()); err != nil {
		return err
	}
	if err := os.Remove(p.path() + ".wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syncPath(p.dir); err != nil {
		return err
	}
	return sqlExec(ctx, p.db, `ATTACH `+duckQuote(p.path())+` AS db (STORAGE_VERSION 'latest')`)
}

func (p *duckPeer) Scan(ctx context.Context) (sums, error) { return sqlSums(ctx, p.db, p.model.scan) }

func (p *duckPeer) Check(ctx context.Context) (sums, error) {
	s, err := p.Scan(ctx)
	if err != nil {
		return sums{}, err
	}
	return sqlCheck(ctx, p.db, s, p.model.users, p.model.items, p.model.events)
}

func (p *duckPeer) UserRows(ctx context.Context, id string) (_ sums, err error) {
	if p.user == nil {
		if p.user, err = p.db.PrepareContext(ctx, p.model.user); err != nil {
			return sums{}, err
		}
	}
	return sqlUser(ctx, p.user, id)
}

func duckQuote(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }
