package server

import (
	"context"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
)

// metrics are counts and times: no label has a name that someone chose.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(e *engine.Engine, store string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "expunge_requests_total", Help: "Requests answered, by operation, HTTP status and exception.",
		}, []string{"operation", "status", "exception"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "expunge_request_duration_seconds", Help: "Time from the request's headers to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // to 33 s
		}, []string{"operation"}),
	}
	m.registry.MustRegister(m.requests, m.duration, jobsCollector{e}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "expunge_store_bytes", Help: "Length of the store's file."}, func() float64 {
			info, err := os.Stat(store)
			if err != nil {
				return 0
			}
			return float64(info.Size())
		}))
	return m
}

func (m *metrics) observe(c personalize.Call) {
	m.requests.WithLabelValues(c.Operation, strconv.Itoa(c.Status), c.Code).Inc()
	m.duration.WithLabelValues(c.Operation).Observe(c.Duration.Seconds())
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// jobsCollector counts the unfinished jobs when it is asked.
type jobsCollector struct{ e *engine.Engine }

var jobsDesc = prometheus.NewDesc("expunge_unfinished_jobs", "Jobs that are PENDING or IN_PROGRESS, by kind and status.", []string{"kind", "status"}, nil)

// Describe implements [prometheus.Collector].
func (c jobsCollector) Describe(ch chan<- *prometheus.Desc) { ch <- jobsDesc }

// Collect implements [prometheus.Collector].
func (c jobsCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	jobs, err := c.e.UnfinishedJobs(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(jobsDesc, err)
		return
	}
	type label struct {
		kind   engine.JobKind
		status engine.JobStatus
	}
	counts := make(map[label]int)
	for _, kind := range []engine.JobKind{engine.KindDeletion, engine.KindImport, engine.KindExport} {
		counts[label{kind, engine.StatusPending}], counts[label{kind, engine.StatusInProgress}] = 0, 0
	}
	for _, j := range jobs {
		counts[label{j.Kind, j.Status}]++
	}
	for l, n := range counts {
		ch <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(n), string(l.kind), string(l.status))
	}
}
