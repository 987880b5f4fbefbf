package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// status is stderr: messages and logs, and on a terminal a last line that shows how far the work is.
type status struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	bar   *progressbar.ProgressBar // guarded by mu; nil when none is shown
	shown progress                 // guarded by mu; what bar was made for
	drawn time.Time                // guarded by mu; when bar was last drawn
}

// progress is how far the work is. The zero value of total is for work of unknown length.
type progress struct {
	label       string
	done, total int64
	unit        string // "bytes", or what is counted
}

func newStatus(w io.Writer) *status {
	f, ok := w.(*os.File)
	return &status{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// Write implements io.Writer for the logger: it keeps lines and the bar apart.
func (s *status) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	return s.w.Write(p)
}

// printf writes a message. That stderr can't be written is nothing that could be told to anybody.
func (s *status) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// show draws the bar; where stderr isn't a terminal it does nothing.
func (s *status) show(p progress) {
	if !s.terminal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil || p.label != s.shown.label || p.total != s.shown.total {
		s.clearLocked()
		s.bar, s.shown = newBar(s.w, p), p
	} else if time.Since(s.drawn) < tickEvery/2 {
		return
	}
	s.drawn = time.Now()
	if p.total > 0 {
		s.bar.Describe(p.text())
		_ = s.bar.Set64(min(p.done, p.total)) // as printf
	} else {
		_ = s.bar.Add(1) // turns the spinner
	}
}

// text is the label and how much is done. The bar's own rate is that since it was made, which is wrong for a job that
// goes on from the middle.
func (p progress) text() string {
	done, total := count(p.done), count(p.total)+" "+p.unit
	if p.unit == "bytes" {
		done, total = size(p.done), size(p.total)
	}
	return fmt.Sprintf("%s %*s of %s", p.label, len(total), done, total)
}

// clear takes the bar away.
func (s *status) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
}

func (s *status) clearLocked() {
	if s.bar != nil {
		_ = s.bar.Clear() // as printf
		s.bar = nil
	}
}

func newBar(w io.Writer, p progress) *progressbar.ProgressBar {
	most := p.total
	if most <= 0 {
		most = -1
	}
	return progressbar.NewOptions64(most,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(p.label),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSpinnerType(14),
		progressbar.OptionSetSpinnerChangeInterval(0), // it turns when show is called
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetElapsedTime(p.total <= 0),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
	)
}

// during shows a spinner while do runs.
func (s *status) during(label string, do func() error) error {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(tickEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.show(progress{label: label})
			case <-stop:
				s.clear()
				return
			}
		}
	}()
	err := do()
	close(stop)
	<-stopped
	return err
}

// tickEvery is how often the bar is drawn.
const tickEvery = 100 * time.Millisecond
