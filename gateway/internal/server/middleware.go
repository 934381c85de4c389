package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
)

const (
	drainTime  = 5 * time.Second
	drainBytes = 512 << 20
)

// metrics of the REST face.
type metrics struct {
	registry *prometheus.Registry
	seconds  *prometheus.HistogramVec
	active   prometheus.Gauge
}

func newMetrics(version, commit string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tocsin_gateway_request_seconds",
			Help:    "How long REST requests took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60},
		}, []string{"method", "route", "status"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_gateway_requests_active", Help: "REST requests under way.",
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tocsin_build_info", Help: "What runs; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.seconds, m.active, build)
	return m
}

// recorder notes what was answered. It hands the flushing on to the writer below through Unwrap.
type recorder struct {
	http.ResponseWriter
	request *http.Request
	status  int
	bytes   int64
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
		if status >= http.StatusBadRequest {
			r.drain()
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)
	return n, err
}

// drain reads over what is left of a refused body, within bounds. A client that sends its whole body before it reads
// would otherwise see a broken connection in place of the problem.
func (r *recorder) drain() {
	if r.request.Body == nil || r.request.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(r.ResponseWriter)
	if control.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, r.request.Body, drainBytes); errors.Is(err, io.EOF) {
		_ = control.SetReadDeadline(time.Time{})
	}
}

// probes are paths that orchestrators ask every few seconds.
var probes = map[string]bool{"/livez": true, "/readyz": true, "/edgez": true, "/health": true}

// observed surrounds every request: exchange, log of what failed, metrics, recovery from panics, headers of every answer.
func observed(next http.Handler, m *metrics, ratio float64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ex, r := exchange.Begin(r, ratio)
		out := &recorder{ResponseWriter: w, request: r}
		header := w.Header()
		header.Set("X-Request-Id", ex.RequestID)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		m.active.Inc()
		defer func() {
			m.active.Dec()
			failure := recover()
			aborted := failure != nil && errors.Is(asError(failure), http.ErrAbortHandler)
			if failure != nil && !aborted {
				slog.Error("handler panicked", "panic", failure, "request_id", ex.RequestID, "stack", string(debug.Stack()))
				if out.status == 0 {
					problem.New(http.StatusInternalServerError, problem.Internal, "Something went wrong; it has been logged.").Write(out, ex.RequestID)
				}
			}
			note(r, ex, out, m, time.Since(began))
			if failure != nil && (aborted || out.bytes > 0) {
				panic(http.ErrAbortHandler) // so that the client sees that the answer broke off
			}
		}()
		next.ServeHTTP(out, r)
	})
}

func asError(failure any) error {
	err, _ := failure.(error)
	return err
}

func note(r *http.Request, ex *exchange.Exchange, out *recorder, m *metrics, took time.Duration) {
	route := ex.Route()
	shown := route
	if shown == "" {
		shown = "other"
	}
	m.seconds.WithLabelValues(knownVerb(r.Method), shown, strconv.Itoa(out.status)).Observe(took.Seconds())
	// What went well, and what was refused, is in the edge's access log: a storm of bad requests must not become one of lines.
	level := slog.LevelInfo
	if out.status < http.StatusInternalServerError || probes[r.URL.Path] {
		level = slog.LevelDebug
	}
	if !slog.Default().Enabled(r.Context(), level) {
		return
	}
	// Neither headers nor the query: both may hold secrets.
	slog.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method),
		slog.String("path", clip(r.URL.Path)),
		slog.String("route", route),
		slog.Int("status", out.status),
		slog.Int64("bytes", out.bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("request_id", ex.RequestID),
		slog.String("trace_id", ex.TraceID()),
	)
}

// knownVerb keeps invented verbs from becoming labels without end.
func knownVerb(verb string) string {
	switch verb {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions:
		return verb
	}
	return "other"
}

func clip(text string) string {
	if len(text) > 200 {
		return text[:200]
	}
	return text
}
