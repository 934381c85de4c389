// Package health tells whether the mesh works: from what the services say of themselves over grpc.health.v1, and from
// what the runtime that keeps the parts running, where there is one, says of them.
package health

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tocsin/gateway/internal/contract"
)

const (
	serving     = "SERVING"
	notServing  = "NOT_SERVING"
	unreachable = "UNREACHABLE"
	// One try of a question, and of all tries. An answer that comes too late once, as after a pause of this process or of
	// the machine, says nothing of the one who was asked.
	within = time.Second
	tries  = 3
	pause  = 50 * time.Millisecond
	// Trailing metadata of a service's answer: why it does not serve, and since when. See services/chassis/grpc/health.py.
	reasonKey = "tocsin-health-reason"
	sinceKey  = "tocsin-health-since"
	// The service that takes readings, and the name under which it is told that the edge stands.
	intake   = "ingestion"
	edgeName = "edge"
)

// Checker asks the services.
type Checker struct {
	healthpb.UnimplementedHealthServer

	clients  map[string]healthpb.HealthClient
	version  string
	parts    *parts
	stopping atomic.Bool
	telling  atomic.Bool

	lock sync.Mutex
	away map[string]time.Time // since when a service has not been reached, as far as anybody asked
}

// New makes a checker of the named services. partsURL is where the runtime tells of its parts; empty: nowhere.
func New(names []string, conn func(string) grpc.ClientConnInterface, version, partsURL string) *Checker {
	c := &Checker{
		clients: map[string]healthpb.HealthClient{},
		version: version,
		parts:   newParts(partsURL),
		away:    map[string]time.Time{},
	}
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
	Problems  []Problem         `json:"problems,omitempty"`
}

// Problem is a part of the mesh that does not work: why, and since when.
type Problem struct {
	Part   string `json:"part"`
	Reason string `json:"reason"`
	Since  string `json:"since"`
}

// ask asks all services and the runtime at once.
func (c *Checker) ask(ctx context.Context) report {
	found := report{
		Status:    serving,
		Timestamp: time.Now().UTC().Format(time.RFC3339Nano),
		Version:   c.version,
		Services:  map[string]string{},
	}
	var lock sync.Mutex
	var group sync.WaitGroup
	var problems []Problem
	for name, client := range maps.All(c.clients) {
		group.Go(func() {
			answer, problem := c.one(ctx, name, client)
			lock.Lock()
			defer lock.Unlock()
			found.Services[partName(name)] = answer
			if problem != nil {
				problems = append(problems, *problem)
			}
		})
	}
	group.Go(func() { found.Problems = c.parts.problems(ctx) })
	group.Wait()
	found.Problems = merge(found.Problems, problems)
	if len(found.Problems) > 0 || c.stopping.Load() {
		found.Status = notServing
	}
	return found
}

// merge adds to what the runtime knows of its parts what it does not know, in the order of the names. Of a process that
// is dead or hangs it knows more than a call that got no answer.
func merge(known, services []Problem) []Problem {
	for _, problem := range services {
		same := func(other Problem) bool { return other.Part == problem.Part }
		if !slices.ContainsFunc(known, same) {
			known = append(known, problem)
		}
	}
	slices.SortFunc(known, func(a, b Problem) int { return strings.Compare(a.Part, b.Part) })
	return known
}

// one asks a service, more than once when it cannot be reached.
func (c *Checker) one(ctx context.Context, name string, client healthpb.HealthClient) (string, *Problem) {
	part := partName(name)
	var said metadata.MD
	response, err := check(ctx, client, "", &said)
	if since := c.reached(name, err == nil); err != nil {
		return unreachable, &Problem{Part: part, Reason: "does not answer", Since: since.Format(time.RFC3339Nano)}
	}
	if response.GetStatus() == healthpb.HealthCheckResponse_SERVING {
		return serving, nil
	}
	return notServing, &Problem{Part: part, Reason: first(said, reasonKey, "does not serve"), Since: first(said, sinceKey, "")}
}

// partName is what everybody else calls the part that a service is.
func partName(service string) string { return strings.ReplaceAll(service, "_", "-") }

// reached remembers whether a service could be reached, and returns since when it could not.
func (c *Checker) reached(name string, reached bool) time.Time {
	c.lock.Lock()
	defer c.lock.Unlock()
	if reached {
		delete(c.away, name)
		return time.Time{}
	}
	if _, known := c.away[name]; !known {
		c.away[name] = time.Now().UTC()
	}
	return c.away[name]
}

func check(ctx context.Context, client healthpb.HealthClient, service string, said *metadata.MD) (*healthpb.HealthCheckResponse, error) {
	for try := 1; ; try++ {
		response, err := checkOnce(ctx, client, service, said)
		if err == nil || status.Code(err) == codes.NotFound || try == tries || ctx.Err() != nil {
			return response, err
		}
		time.Sleep(pause)
	}
}

func checkOnce(ctx context.Context, client healthpb.HealthClient, service string, said *metadata.MD) (*healthpb.HealthCheckResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return client.Check(ctx, &healthpb.HealthCheckRequest{Service: service}, grpc.Trailer(said))
}

func first(said metadata.MD, key, fallback string) string {
	if values := said.Get(key); len(values) > 0 {
		return values[0]
	}
	return fallback
}

// Health answers GET /health: 200 when every service serves, else 503.
func (c *Checker) Health(w http.ResponseWriter, r *http.Request) {
	found := c.ask(r.Context())
	code := http.StatusOK
	if found.Status != serving {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // people read it
	_ = encoder.Encode(found)
}

// Live answers GET /livez: the process runs.
func (c *Checker) Live(w http.ResponseWriter, _ *http.Request) { plain(w, true) }

// Ready answers GET /readyz: the gateway takes requests. Services that are away do not count: with one of them gone the
// others must still be reached.
func (c *Checker) Ready(w http.ResponseWriter, _ *http.Request) { plain(w, !c.stopping.Load()) }

// Edge answers GET /edgez, which Envoy asks all the time, as Ready does, and tells ingestion that it was asked: so
// ingestion knows that readings can come by way of Envoy and of this gateway. The answer does not wait for it, since a
// service that is away must not turn the gateway away.
func (c *Checker) Edge(w http.ResponseWriter, r *http.Request) {
	if !c.stopping.Load() && c.telling.CompareAndSwap(false, true) {
		go func(ctx context.Context) {
			defer c.telling.Store(false)
			if client, ok := c.clients[intake]; ok {
				// Who is not told draws the conclusion: that is the point of it.
				_, _ = checkOnce(ctx, client, edgeName, &metadata.MD{})
			}
		}(context.WithoutCancel(r.Context()))
	}
	c.Ready(w, r)
}

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
	var said metadata.MD
	response, err := check(ctx, client, request.GetService(), &said)
	if status.Code(err) == codes.NotFound {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	if err != nil {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return response, nil
}
