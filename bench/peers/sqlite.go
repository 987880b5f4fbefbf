package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/mattn/go-sqlite3"
)

// What was chosen for SQLite, and why:
//   - rows sorted before they are inserted, so that the B-tree grows at its end and its pages are full;
//   - no journal and no syncs while the table is filled, one sync at the end: the file isn't a store before that;
//   - the driver's prepared statement itself, below database/sql, 100 rows a statement;
//   - then WAL, with synchronous=FULL: NORMAL doesn't sync a commit;
//   - cache_size 256 MiB and mmap_size 16 GiB, which make scans and lookups faster;
//   - WITHOUT ROWID: the table is its primary key's tree, so a user's rows lie together. SEQ makes the key unique.

var (
	sqliteEntry = entry{
		Name: "sqlite", What: "SQLite, clustered by user (WITHOUT ROWID); secure_delete, then WAL checkpoint with truncation",
		New: func() peer { return &sqlitePeer{} }, Delete: true,
	}
	sqliteVacuumEntry = entry{
		Name: "sqlite-vacuum", What: "the same without secure_delete, then VACUUM INTO a new file",
		New: func() peer { return &sqlitePeer{vacuum: true} }, Delete: true, Base: "sqlite",
	}
)

const (
	sqliteTable = `CREATE TABLE t (USER_ID TEXT NOT NULL, "TIMESTAMP" INTEGER NOT NULL, SEQ INTEGER NOT NULL, ITEM_ID TEXT NOT NULL,
		EVENT_TYPE TEXT NOT NULL, EVENT_VALUE REAL NOT NULL, PRIMARY KEY (USER_ID, "TIMESTAMP", SEQ)) WITHOUT ROWID`
	sqliteScan = `SELECT count(*), sum(EVENT_VALUE), sum("TIMESTAMP"), sum(octet_length(USER_ID)), sum(octet_length(ITEM_ID)),
		sum(octet_length(EVENT_TYPE)) FROM t`
	sqliteInsertRows = 100
	sqliteColumns    = 6
)

type sqlitePeer struct {
	vacuum bool
	dir    string
	db     *sql.DB
	user   *sql.Stmt
}

func (p *sqlitePeer) path() string { return filepath.Join(p.dir, "interactions.sqlite") }

func (p *sqlitePeer) open(ctx context.Context, dir string, pragmas ...string) (err error) {
	p.dir = dir
	if p.db, err = sql.Open("sqlite3", "file:"+(&url.URL{Path: p.path()}).EscapedPath()); err != nil {
		return err
	}
	p.db.SetMaxOpenConns(1)
	return sqlExec(ctx, p.db, append([]string{`PRAGMA cache_size = -262144`, `PRAGMA mmap_size = 17179869184`,
		`PRAGMA temp_store = MEMORY`, `PRAGMA locking_mode = EXCLUSIVE`}, pragmas...)...)
}

func (p *sqlitePeer) Open(ctx context.Context, dir string) error {
	return p.open(ctx, dir, `PRAGMA journal_mode = WAL`, `PRAGMA synchronous = FULL`, fmt.Sprintf(`PRAGMA secure_delete = %t`, !p.vacuum))
}

func (p *sqlitePeer) Close(context.Context) error {
	var err error
	if p.user != nil {
		err = p.user.Close()
		p.user = nil
	}
	return errors.Join(err, p.db.Close())
}

func (p *sqlitePeer) Import(ctx context.Context, dir, csv string) error {
	if err := p.open(ctx, dir, `PRAGMA journal_mode = OFF`, `PRAGMA synchronous = OFF`, sqliteTable); err != nil {
		return err
	}
	rows, err := sortRows(ctx, csv)
	if err != nil {
		return err
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(c any) error { return sqliteFill(c.(*sqlite3.SQLiteConn), rows) })
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	// Closing and opening again leaves the mode without a journal, which EXCLUSIVE would hold on to.
	if err := p.Close(ctx); err != nil {
		return err
	}
	if err := syncTree(dir); err != nil {
		return err
	}
	return p.Open(ctx, dir)
}

func sqliteFill(c *sqlite3.SQLiteConn, rows *sortedRows) (err error) {
	if _, err := c.Exec(`BEGIN`, nil); err != nil {
		return err
	}
	for from := 0; from < len(rows.refs); {
		// The last rows, fewer than a statement takes, go one by one.
		n := sqliteInsertRows
		if len(rows.refs)-from < n {
			n = 1
		}
		if from, err = sqliteInsert(c, rows, from, n); err != nil {
			return err
		}
	}
	_, err = c.Exec(`COMMIT`, nil)
	return err
}

// sqliteInsert inserts rows from one on, n in a statement, as long as there are n, and returns the next row.
func sqliteInsert(c *sqlite3.SQLiteConn, rows *sortedRows, from, n int) (_ int, err error) {
	query := []byte(`INSERT INTO t VALUES `)
	for i := range n {
		if i > 0 {
			query = append(query, ',')
		}
		query = append(query, `(?,?,?,?,?,?)`...)
	}
	st, err := c.Prepare(string(query))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	args := make([]driver.Value, n*sqliteColumns)
	for ; from+n <= len(rows.refs); from += n {
		for i := range n {
			r, err := rows.row(from + i)
			if err != nil {
				return 0, err
			}
			a := args[i*sqliteColumns:]
			a[0], a[1], a[2] = string(r.user), r.time, int64(from+i)
			a[3], a[4], a[5] = string(r.item), string(r.event), float64(r.value)
		}
		//lint:ignore SA1019 StmtExecContext would allocate a named value for each argument.
		if _, err := st.Exec(args); err != nil {
			return 0, err
		}
	}
	return from, nil
}

// Delete deletes in the order of the key, in one transaction; the commit syncs the log.
func (p *sqlitePeer) Delete(ctx context.Context, list string) error {
	ids, err := readList(list)
	if err != nil {
		return err
	}
	slices.Sort(ids)
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	st, err := tx.PrepareContext(ctx, `DELETE FROM t WHERE USER_ID = ?`)
	if err != nil {
		return err
	}
	defer st.Close()
	for _, id := range ids {
		if _, err := st.ExecContext(ctx, id); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (p *sqlitePeer) Erase(ctx context.Context, _ string) error {
	if !p.vacuum {
		return sqlExec(ctx, p.db, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	temp := p.path() + ".new"
	if _, err := p.db.ExecContext(ctx, `VACUUM INTO ?`, temp); err != nil {
		return err
	}
	if err := syncPath(temp); err != nil {
		return err
	}
	// Closing checkpoints the log into the old file, which is about to go: its name goes first.
	if err := os.Rename(temp, p.path()); err != nil {
		return err
	}
	for _, old := range []string{p.path() + "-wal", p.path() + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := syncPath(p.dir); err != nil {
		return err
	}
	if err := p.Close(ctx); err != nil {
		return err
	}
	return p.Open(ctx, p.dir)
}

func (p *sqlitePeer) Scan(ctx context.Context) (sums, error) { return sqlSums(ctx, p.db, sqliteScan) }

func (p *sqlitePeer) Check(ctx context.Context) (sums, error) {
	s, err := p.Scan(ctx)
	if err != nil {
		return sums{}, err
	}
	return sqlCheck(ctx, p.db, s, `SELECT USER_ID, count(*) FROM t GROUP BY 1`, `SELECT ITEM_ID, count(*) FROM t GROUP BY 1`,
		`SELECT EVENT_TYPE, count(*) FROM t GROUP BY 1`)
}

func (p *sqlitePeer) UserRows(ctx context.Context, id string) (_ sums, err error) {
	if p.user == nil {
		p.user, err = p.db.PrepareContext(ctx, `SELECT ITEM_ID, EVENT_TYPE, EVENT_VALUE, "TIMESTAMP" FROM t WHERE USER_ID = ?`)
		if err != nil {
			return sums{}, err
		}
	}
	return sqlUser(ctx, p.user, id)
}
