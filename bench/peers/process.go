package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// process is a fresh process that serves one peer. Its memory is looked at from outside.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	enc  *json.Encoder
	dec  *json.Decoder

	stop chan struct{}
	wg   sync.WaitGroup
	peak int64 // bytes of RssAnon, the most seen since resetPeak; guarded by mu
	mu   sync.Mutex
}

// childFlag makes this program a peer's process.
const childFlag = "--serve"

// sampleEvery is how often memory is looked at: a peak that lasts less can be missed.
const sampleEvery = 5 * time.Millisecond

func start(e entry) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{name: e.Name, cmd: exec.Command(self, childFlag, e.Name), stop: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.enc, p.dec = json.NewEncoder(p.in), json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.wg.Go(p.watch)
	return p, nil
}

func (p *process) watch() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if n, err := rssAnon(p.cmd.Process.Pid); err == nil {
			p.mu.Lock()
			p.peak = max(p.peak, n)
			p.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
	}
}

// do has the peer do something and waits for it.
func (p *process) do(req request) (response, error) {
	var res response
	err := p.enc.Encode(req)
	if err == nil {
		err = p.dec.Decode(&res)
	}
	if err == nil && res.Error != "" {
		err = errors.New(res.Error)
	}
	if err != nil {
		return res, fmt.Errorf("%s: %s: %w", p.name, req.Op, err)
	}
	return res, nil
}

// takePeak returns the most anonymous memory that was seen since it was called last, in bytes.
func (p *process) takePeak() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.peak
	p.peak = 0
	return n
}

// end closes the peer and waits for its process.
func (p *process) end() error {
	_, err := p.do(request{Op: opClose})
	return errors.Join(err, p.abandon())
}

// abandon waits for the process after its input was closed.
func (p *process) abandon() error {
	close(p.stop)
	p.wg.Wait()
	err := p.in.Close()
	return errors.Join(err, p.cmd.Wait())
}

func rssAnon(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, b, ok := bytes.Cut(b, []byte("RssAnon:"))
	fields := bytes.Fields(b)
	if !ok || len(fields) == 0 {
		return 0, errors.New("this system doesn't tell RssAnon")
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return n << 10, err
}
