// Package server puts the gateway together and runs it.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	gateway "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"

	"tocsin/gateway/internal/config"
	"tocsin/gateway/internal/contract"
	"tocsin/gateway/internal/health"
	"tocsin/gateway/internal/pages"
	"tocsin/gateway/internal/peers"
	"tocsin/gateway/internal/readings"
	"tocsin/gateway/internal/reflection"
	"tocsin/gateway/internal/rest"
	"tocsin/gateway/internal/tracking"
	"tocsin/gateway/internal/tus"
	"tocsin/gateway/internal/upload"
)

// Server is the gateway: REST, gRPC reflection, and metrics on a listener of their own.
type Server struct {
	config   *config.Config
	peers    *peers.Peers
	health   *health.Checker
	http     *http.Server
	metrics  *http.Server
	grpc     *grpc.Server
	stopping chan struct{}
	running  context.Context //nolint:containedctx // what belongs to no request ends with it
	stopped  context.CancelFunc
	listener net.Listener
}

// New makes a server that is not listening yet.
func New(c *config.Config) (*Server, error) {
	services, err := peers.Connect(c.Peers, c.PeerConnections, c.TLS)
	if err != nil {
		return nil, err
	}
	table := contract.Load()
	s := &Server{
		config:   c,
		peers:    services,
		health:   health.New(services.Names(), services.Conn, c.Version, c.PartsURL),
		stopping: make(chan struct{}),
	}
	s.running, s.stopped = context.WithCancel(context.Background())
	handler, m, err := s.handler(table)
	if err != nil {
		services.Close()
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		// Longer than Envoy keeps idle connections, so that it never picks one that is just being closed.
		IdleTimeout:    5 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	s.grpc = reflection.New(table, s.health)
	s.metrics = &http.Server{Handler: s.metricsHandler(m), ReadHeaderTimeout: 10 * time.Second}
	return s, nil
}

func (s *Server) handler(table *contract.Contract) (http.Handler, *metrics, error) {
	ingestion := s.peers.Conn("ingestion")
	files := upload.New(ingestion, s.config.MaxUpload)
	parts := tus.New(ingestion, s.config.MaxUpload)
	opened := tracking.New(s.peers.Conn("notification"), s.config.Timeout)
	api, err := rest.New(context.Background(), table, rest.Options{
		Conn:      s.peers.Conn,
		MaxBody:   s.config.MaxBody,
		Timeout:   s.config.Timeout,
		Heartbeat: s.config.Heartbeat,
		Stopping:  s.stopping,
		Pages:     []string{"/health", "/livez", "/readyz", "/edgez", "/docs", "/openapi.json", "/"},
		Own: map[string]gateway.HandlerFunc{
			"POST /v1/debtFiles":            files.Serve,
			"POST /upload":                  files.Serve,
			"PUT /v1/debtFiles:content":     files.Put,
			"OPTIONS /v1/debtUploads":       parts.Options,
			"POST /v1/debtUploads":          parts.Create,
			"OPTIONS /v1/debtUploads/{id}":  parts.Options,
			"HEAD /v1/debtUploads/{id}":     parts.Head,
			"PATCH /v1/debtUploads/{id}":    parts.Patch,
			"POST /v1/debtUploads/{id}":     parts.Post,
			"DELETE /v1/debtUploads/{id}":   parts.Delete,
			"GET /v1/invoices:content":      opened.Invoice,
			"HEAD /v1/invoices:content":     opened.Invoice,
			"GET /v1/notifications:follow":  opened.Follow,
			"HEAD /v1/notifications:follow": opened.Follow,
			"GET /v1/notifications:pixel":   opened.View,
			"HEAD /v1/notifications:pixel":  opened.View,
			"POST /v1/readings":             readings.NewCreator(s.running, ingestion, s.config.Timeout, s.config.MergeReadings).Serve,
			"POST /v1/readings:import":      readings.NewImporter(ingestion, s.config.MaxUpload).Serve,
		},
	})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health.Health)
	mux.HandleFunc("GET /livez", s.health.Live)
	mux.HandleFunc("GET /readyz", s.health.Ready)
	mux.HandleFunc("GET /edgez", s.health.Edge)
	pages.Register(mux)
	m := newMetrics(s.config.Version, s.config.Commit)
	return observed(fallback(mux, api), m, s.config.TraceRatio), m, nil
}

// fallback leads to the pages what they know, and all else to the API, whose answers are problems. Pages are only read.
func fallback(mux *http.ServeMux, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			if handler, pattern := mux.Handler(r); pattern != "" {
				handler.ServeHTTP(w, r)
				return
			}
		}
		api.ServeHTTP(w, r)
	})
}

func (s *Server) metricsHandler(m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", s.health.Live)
	mux.HandleFunc("GET /readyz", s.health.Ready)
	return mux
}

// Run listens and serves until ctx ends, then stops within the grace. ready is called with the address of the REST face.
func (s *Server) Run(ctx context.Context, ready func(address string)) error {
	defer s.peers.Close()
	failed := make(chan error, 3)
	if err := s.listen(failed, ready); err != nil {
		_ = s.http.Close()
		_ = s.metrics.Close()
		s.grpc.Stop()
		return err
	}
	select {
	case <-ctx.Done():
		s.stop()
		return nil
	case err := <-failed:
		s.stop()
		return err
	}
}

func (s *Server) listen(failed chan<- error, ready func(string)) error {
	serve := func(name, address string, run func(net.Listener) error) error {
		if address == "" {
			return nil
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if s.listener == nil {
			s.listener = listener
		}
		slog.Info("listening", "for", name, "address", listener.Addr().String())
		go func() {
			if err := run(listener); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, io.EOF) {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		}()
		return nil
	}
	if err := serve("rest", s.config.Listen, s.http.Serve); err != nil {
		return err
	}
	if err := serve("grpc", s.config.GRPCListen, s.grpc.Serve); err != nil {
		return err
	}
	if err := serve("metrics", s.config.MetricsListen, s.metrics.Serve); err != nil {
		return err
	}
	ready(s.listener.Addr().String())
	return nil
}

// stop refuses new requests, ends the endless streams, gives what runs the grace, then cuts what is left.
func (s *Server) stop() {
	s.health.Stop()
	slog.Info("stopping", "grace", s.config.StopGrace.String())
	grace, cancel := context.WithTimeout(context.Background(), s.config.StopGrace)
	defer cancel()
	close(s.stopping)
	if err := s.http.Shutdown(grace); err != nil {
		slog.Warn("requests were cut off", "error", err)
		_ = s.http.Close()
	}
	s.stopped()
	s.grpc.Stop()
	if err := s.metrics.Close(); err != nil {
		slog.Warn("closing the metrics failed", "error", err)
	}
}
