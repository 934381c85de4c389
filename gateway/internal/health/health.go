// Package health tells whether the mesh works, from what the services say of themselves over grpc.health.v1.
package health

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"tocsin/gateway/internal/contract"
)

const (
	serving     = "SERVING"
	notServing  = "NOT_SERVING"
	unreachable = "UNREACHABLE"
	within      = time.Second
)

// Checker asks the services.
type Checker struct {
	healthpb.UnimplementedHealthServer

	clients  map[string]healthpb.HealthClient
	version  string
	stopping atomic.Bool
}

// New makes a checker of the named services.
func New(names []string, conn func(string) grpc.ClientConnInterface, version string) *Checker {
	c := &Checker{clients: map[string]healthpb.HealthClient{}, version: version}
	for _, name := range names {
		c.clients[name] = healthpb.NewHealthClient(conn(name))
	}
	return c
}

// Stop turns /readyz and the aggregate NOT_SERVING.
func (c *Checker) Stop() { c.stopping.Store(true) }

type report struct {
	Status    string            `json:"status"`
	Timestamp string            `json:"timestamp"`
	Version   string            `json:"version"`
	Services  map[string]string `json:"services"`
}

// ask asks all services at once.
func (c *Checker) ask(ctx context.Context) report {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	found := report{
		Status:    serving,
		Timestamp: time.Now().UTC().Format(time.RFC3339Nano),
		Version:   c.version,
		Services:  map[string]string{},
	}
	var lock sync.Mutex
	var group sync.WaitGroup
	for name, client := range maps.All(c.clients) {
		group.Go(func() {
			answer := one(ctx, client, "")
			lock.Lock()
			defer lock.Unlock()
			found.Services[name] = answer
			if answer != serving {
				found.Status = notServing
			}
		})
	}
	group.Wait()
	if c.stopping.Load() {
		found.Status = notServing
	}
	return found
}

func one(ctx context.Context, client healthpb.HealthClient, service string) string {
	response, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	switch {
	case err != nil:
		return unreachable
	case response.GetStatus() == healthpb.HealthCheckResponse_SERVING:
		return serving
	}
	return notServing
}

// Health answers GET /health: 200 when every service serves, else 503.
func (c *Checker) Health(w http.ResponseWriter, r *http.Request) {
	found := c.ask(r.Context())
	text, err := json.Marshal(found)
	if err != nil { // strings only: cannot happen
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	code := http.StatusOK
	if found.Status != serving {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n'))
}

// Live answers GET /livez: the process runs.
func (c *Checker) Live(w http.ResponseWriter, _ *http.Request) { plain(w, true) }

// Ready answers GET /readyz: the gateway takes requests. Services that are away do not count: with one of them gone the
// others must still be reached.
func (c *Checker) Ready(w http.ResponseWriter, _ *http.Request) { plain(w, !c.stopping.Load()) }

func plain(w http.ResponseWriter, good bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("stopping\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// Check is grpc.health.v1 at the edge: the whole mesh for an empty name, else the service of that name.
func (c *Checker) Check(ctx context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if request.GetService() == "" {
		if c.ask(ctx).Status == serving {
			return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
		}
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	peer, _ := contract.PeerOf(request.GetService())
	client, ok := c.clients[peer]
	if !ok {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	response, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: request.GetService()})
	if status.Code(err) == codes.NotFound {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	if err != nil {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return response, nil
}
