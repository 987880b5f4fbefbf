package main

import (
	"context"
	"database/sql"
	"fmt"
)

// sqlSums runs a query that returns the number of rows, the sum of EVENT_VALUE, the sum of TIMESTAMP, and other sums
// that are there to make the store read the other columns.
func sqlSums(ctx context.Context, db *sql.DB, query string, args ...any) (s sums, err error) {
	var value sql.NullFloat64
	var time, user, item, event sql.NullInt64
	err = db.QueryRowContext(ctx, query, args...).Scan(&s.Rows, &value, &time, &user, &item, &event)
	s.Value, s.Time = value.Float64, time.Int64
	return s, err
}

// sqlCheck completes the result of sqlSums: each query returns the values of a string column and how often each occurs.
func sqlCheck(ctx context.Context, db *sql.DB, s sums, users, items, events string) (sums, error) {
	for _, c := range []struct {
		query string
		sum   *int64
	}{{users, &s.User}, {items, &s.Item}, {events, &s.Event}} {
		*c.sum = 0
		rows := int64(0)
		err := eachCount(ctx, db, c.query, func(value []byte, n int64) {
			*c.sum += byteSum(value) * n
			rows += n
		})
		if err != nil {
			return sums{}, err
		}
		if rows != s.Rows {
			return sums{}, fmt.Errorf("a column has %d values in %d rows", rows, s.Rows)
		}
	}
	return s, nil
}

func eachCount(ctx context.Context, db *sql.DB, query string, fn func(value []byte, n int64)) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var n int64
		if err := rows.Scan(&text, &n); err != nil {
			return err
		}
		fn([]byte(text), n)
	}
	return rows.Err()
}

// sqlUser reads one user's rows to the end.
func sqlUser(ctx context.Context, st *sql.Stmt, id string) (s sums, err error) {
	rows, err := st.QueryContext(ctx, id)
	if err != nil {
		return sums{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var item, event string
		var value float32 // scanned as a float64, 13.7 would not be the float that the schema's type makes of it
		var time int64
		if err := rows.Scan(&item, &event, &value, &time); err != nil {
			return sums{}, err
		}
		s.add(sums{1, byteSum(id), byteSum(item), byteSum(event), float64(value), time})
	}
	return s, rows.Err()
}

// sqlExec runs statements one after the other.
func sqlExec(ctx context.Context, db *sql.DB, statements ...string) error {
	for _, st := range statements {
		if _, err := db.ExecContext(ctx, st); err != nil {
			return err
		}
	}
	return nil
}
