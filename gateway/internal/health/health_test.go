package health_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"tocsin/gateway/internal/health"
)

// service answers health checks as one of ours does; late ones answer only after the caller has given up.
type service struct {
	healthpb.UnimplementedHealthServer

	reason atomic.Value
	late   atomic.Int32
}

func (s *service) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if s.late.Add(-1) >= 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if reason, _ := s.reason.Load().(string); reason != "" {
		err := grpc.SetTrailer(ctx, metadata.Pairs("tocsin-health-reason", reason, "tocsin-health-since", "2026-11-29T16:07:14Z"))
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, err
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func start(t *testing.T, s *service) (*grpc.ClientConn, func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, server.Stop
}

type answer struct {
	Status   string            `json:"status"`
	Services map[string]string `json:"services"`
	Problems []health.Problem  `json:"problems"`
}

func ask(t *testing.T, checker *health.Checker) (int, answer) {
	t.Helper()
	recorder := httptest.NewRecorder()
	checker.Health(recorder, httptest.NewRequest(http.MethodGet, "/health", nil))
	var found answer
	if err := json.Unmarshal(recorder.Body.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	return recorder.Code, found
}

func checker(conn grpc.ClientConnInterface, partsURL string) *health.Checker {
	return health.New([]string{"media_probe"}, func(string) grpc.ClientConnInterface { return conn }, "1", partsURL)
}

func TestWhyAServiceDoesNotServeAndSinceWhen(t *testing.T) {
	s := &service{}
	conn, _ := start(t, s)
	c := checker(conn, "")
	if code, found := ask(t, c); code != 200 || found.Problems != nil {
		t.Errorf("%d %+v", code, found)
	}
	s.reason.Store("nats does not answer in time")
	code, found := ask(t, c)
	want := health.Problem{Part: "media-probe", Reason: "nats does not answer in time", Since: "2026-11-29T16:07:14Z"}
	if code != 503 || found.Services["media-probe"] != "NOT_SERVING" || len(found.Problems) != 1 || found.Problems[0] != want {
		t.Errorf("%d %+v", code, found)
	}
}

func TestOneAnswerThatIsLateIsNoOutage(t *testing.T) {
	s := &service{}
	conn, _ := start(t, s)
	s.late.Store(1)
	if code, found := ask(t, checker(conn, "")); code != 200 || found.Services["media-probe"] != "SERVING" {
		t.Errorf("%d %+v", code, found)
	}
}

func TestAServiceThatIsAway(t *testing.T) {
	conn, stop := start(t, &service{})
	stop()
	before := time.Now()
	c := checker(conn, "")
	code, found := ask(t, c)
	if code != 503 || found.Services["media-probe"] != "UNREACHABLE" || len(found.Problems) != 1 {
		t.Fatalf("%d %+v", code, found)
	}
	since, err := time.Parse(time.RFC3339Nano, found.Problems[0].Since)
	if err != nil || since.Before(before.Add(-time.Second)) || since.After(time.Now()) {
		t.Errorf("%v %v", since, err)
	}
	if _, again := ask(t, c); again.Problems[0] != found.Problems[0] {
		t.Errorf("%+v, then %+v", found.Problems[0], again.Problems[0])
	}
}

func TestWhatTheRuntimeKnowsOfItsParts(t *testing.T) {
	conn, stop := start(t, &service{})
	told := `{"problems": [{"part": "nats", "reason": "write error", "since": "2026-11-29T16:07:14Z"}]}`
	runtime := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(told)) }))
	defer runtime.Close()
	c := checker(conn, runtime.URL)
	code, found := ask(t, c)
	want := health.Problem{Part: "nats", Reason: "write error", Since: "2026-11-29T16:07:14Z"}
	if code != 503 || found.Services["media-probe"] != "SERVING" || len(found.Problems) != 1 || found.Problems[0] != want {
		t.Errorf("%d %+v", code, found)
	}
	// Of one that both know of, the runtime's word counts.
	stop()
	told = `{"problems": [{"part": "media-probe", "reason": "was killed by SIGKILL", "since": "2026-11-29T16:07:14Z"}]}`
	if _, found = ask(t, c); len(found.Problems) != 1 || found.Problems[0].Reason != "was killed by SIGKILL" {
		t.Errorf("%+v", found)
	}
	told = `{"problems": []}`
	if _, found = ask(t, c); len(found.Problems) != 1 || found.Problems[0].Reason != "does not answer" {
		t.Errorf("%+v", found)
	}
}

func TestARuntimeThatDoesNotAnswerIsNoProblem(t *testing.T) {
	conn, _ := start(t, &service{})
	runtime := httptest.NewServer(http.NotFoundHandler())
	c := checker(conn, runtime.URL)
	if code, found := ask(t, c); code != 200 {
		t.Errorf("%d %+v", code, found)
	}
	runtime.Close()
	if code, found := ask(t, c); code != 200 {
		t.Errorf("%d %+v", code, found)
	}
}

// intake hears under which names it is asked; it answers when it is let.
type intake struct {
	healthpb.UnimplementedHealthServer

	names chan string
	let   chan struct{}
}

func (i *intake) Check(ctx context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	i.names <- request.GetService()
	select {
	case <-i.let:
	case <-ctx.Done():
	}
	return &healthpb.HealthCheckResponse{}, nil
}

func TestIngestionIsToldThatTheEdgeStandsAndNobodyWaitsForIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := &intake{names: make(chan string, 16), let: make(chan struct{})}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, asked)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := health.New([]string{"ingestion"}, func(string) grpc.ClientConnInterface { return conn }, "1", "")
	edge := func() int {
		recorder := httptest.NewRecorder()
		c.Edge(recorder, httptest.NewRequest(http.MethodGet, "/edgez", nil))
		return recorder.Code
	}
	// While one is under way there is no other.
	for range 3 {
		if code := edge(); code != 200 {
			t.Errorf("edgez: %d", code)
		}
	}
	if name := <-asked.names; name != "edge" {
		t.Errorf("asked as %q", name)
	}
	if len(asked.names) != 0 {
		t.Errorf("%d more", len(asked.names))
	}
	close(asked.let)
	for len(asked.names) == 0 {
		edge()
	}
	// Who is about to stop does not stand.
	c.Stop()
	if code := edge(); code != 503 {
		t.Errorf("edgez while stopping: %d", code)
	}
}
