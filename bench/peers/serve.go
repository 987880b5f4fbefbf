package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"
)

// request is what the harness asks a peer's process to do, one JSON value a line.
type request struct {
	Op    op
	Dir   string   `json:",omitempty"` // import, open
	CSV   string   `json:",omitempty"` // import
	List  string   `json:",omitempty"` // delete, erase, delete and erase
	Users []string `json:",omitempty"` // users
}

type op string

const (
	opImport      op = "import"
	opOpen        op = "open"
	opDelete      op = "delete"
	opErase       op = "erase"
	opDeleteErase op = "delete and erase"
	opScan        op = "scan"
	opCheck       op = "check"
	opUsers       op = "users"
	opClose       op = "close"
)

// response is what became of it.
type response struct {
	Seconds float64 // of the operation; with users, the median of one
	Delete  float64 // of delete and erase: until the delete was durable
	Sums    sums    // scan, check; with users, of all that were read
	Read    int     // users that were read
	Error   string
}

// userSeconds is how long one-user reads may take altogether: some peers read everything for each.
const userSeconds = 2

// serve is the process of one peer: it does what it is asked until it is told to close, or its input ends.
func serve(ctx context.Context, e entry, in io.Reader, out io.Writer) error {
	p := e.New()
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var req request
		if err := dec.Decode(&req); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		res, err := handle(ctx, p, req)
		if err != nil {
			res.Error = err.Error()
		}
		if err := enc.Encode(res); err != nil {
			return err
		}
		if req.Op == opClose {
			return nil
		}
	}
}

func handle(ctx context.Context, p peer, req request) (res response, err error) {
	// What an operation before it left isn't this one's to collect.
	runtime.GC()
	begin := time.Now()
	switch req.Op {
	case opImport:
		err = p.Import(ctx, req.Dir, req.CSV)
	case opOpen:
		err = p.Open(ctx, req.Dir)
	case opDelete:
		err = p.Delete(ctx, req.List)
	case opErase:
		err = p.Erase(ctx, req.List)
	case opDeleteErase:
		if err = p.Delete(ctx, req.List); err == nil {
			res.Delete = time.Since(begin).Seconds()
			err = p.Erase(ctx, req.List)
		}
	case opScan:
		res.Sums, err = p.Scan(ctx)
	case opCheck:
		res.Sums, err = p.Check(ctx)
	case opUsers:
		return readUsers(ctx, p, req.Users)
	case opClose:
		err = p.Close(ctx)
	default:
		err = fmt.Errorf("unknown operation %q", req.Op)
	}
	res.Seconds = time.Since(begin).Seconds()
	return res, err
}

// readUsers reads one user after the other, at least three. The first read, which prepares statements, isn't counted.
func readUsers(ctx context.Context, p peer, ids []string) (res response, err error) {
	var took []float64
	begin := time.Now()
	for i, id := range ids {
		one := time.Now()
		s, err := p.UserRows(ctx, id)
		if err != nil {
			return response{}, err
		}
		if i > 0 {
			took = append(took, time.Since(one).Seconds())
		}
		res.Sums.add(s)
		res.Read++
		if i >= 3 && time.Since(begin).Seconds() > userSeconds {
			break
		}
	}
	slices.Sort(took)
	res.Seconds = took[len(took)/2]
	return res, nil
}

// quietExit is for the peer's process: the harness has printed what there is to say.
func quietExit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
