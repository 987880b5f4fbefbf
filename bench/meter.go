package bench

import (
	"runtime/debug"
	"time"
)

// sampleEvery is how often memory is looked at.
const sampleEvery = 5 * time.Millisecond

// measure calls fn and measures it: time, memory of this process and bytes written by it. Unused memory is given
// back to the system before.
func measure(fn func() error) (Sample, error) {
	m := startMeter()
	err := fn()
	return m.stop(), err
}

// meter measures what happens between startMeter and stop.
type meter struct {
	began   time.Time
	written int64
	peak    int64
	stopped chan struct{}
	ended   chan struct{}
}

func startMeter() *meter {
	debug.FreeOSMemory()
	resetPeak()
	m := &meter{written: bytesWritten(), stopped: make(chan struct{}), ended: make(chan struct{})}
	go m.sample()
	m.began = time.Now()
	return m
}

func (m *meter) sample() {
	defer close(m.ended)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		anon, _ := memoryNow()
		m.peak = max(m.peak, anon)
		select {
		case <-m.stopped:
			return
		case <-tick.C:
		}
	}
}

func (m *meter) stop() Sample {
	s := Sample{N: 1, Elapsed: time.Since(m.began)}
	close(m.stopped)
	<-m.ended
	anon, highest := memoryNow()
	s.PeakAnon, s.PeakRSS = max(m.peak, anon), highest
	s.Written = bytesWritten() - m.written
	return s
}
