package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// named answers calls with its address.
func named(t *testing.T, address, port string) string {
	t.Helper()
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "tocsin.test.v1.Service", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return wrapperspb.String(address), read(&wrapperspb.StringValue{})
		},
	}}}, nil)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, port))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// follow gives what follows a name whose addresses are those of known, until the test ends.
func follow(t *testing.T, port string, known *[]string) *discovery {
	t.Helper()
	found := &discovery{
		pool: &Pool{name: "service"},
		dial: dialler("service.test", port, 2, nil),
		lookUp: func(context.Context, string) ([]string, error) {
			if len(*known) == 0 {
				return nil, errors.New("no such host")
			}
			return *known, nil
		},
	}
	t.Cleanup(found.close)
	return found
}

// answering is who answers of so many calls that go by themselves.
func answering(t *testing.T, pool *Pool, count int) map[string]int {
	t.Helper()
	by := map[string]int{}
	for range count {
		conn, err := pool.pick()
		if err != nil {
			t.Fatal(err)
		}
		reply := &wrapperspb.StringValue{}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if err := conn.ClientConn.Invoke(ctx, method, wrapperspb.String("who"), reply); err != nil {
			t.Fatal(err)
		}
		cancel()
		by[reply.GetValue()]++
	}
	return by
}

func ready(pool *Pool) bool {
	for _, conn := range pool.all() {
		if conn.GetState() != connectivity.Ready {
			return false
		}
	}
	return true
}

func TestCallsReachEveryAddressOfAName(t *testing.T) {
	port := named(t, "127.0.0.1", "0")
	known := []string{"127.0.0.1"}
	found := follow(t, port, &known)
	found.look(context.Background(), "service.test")
	if by := answering(t, found.pool, 4); by["127.0.0.1"] != 4 {
		t.Fatalf("answered by %v", by)
	}

	named(t, "127.0.0.2", port)
	known = []string{"127.0.0.2", "127.0.0.1"}
	found.look(context.Background(), "service.test")
	eventually(t, "all connections to be ready", func() bool { _ = answering(t, found.pool, 1); return ready(found.pool) })
	if by := answering(t, found.pool, 40); by["127.0.0.1"] != 20 || by["127.0.0.2"] != 20 {
		t.Fatalf("not half and half: %v", by)
	}
}

func TestWhoIsGoneGetsNoMoreCallsAndMayEndThoseItHas(t *testing.T) {
	port := named(t, "127.0.0.1", "0")
	named(t, "127.0.0.2", port)
	known := []string{"127.0.0.1", "127.0.0.2"}
	found := follow(t, port, &known)
	found.look(context.Background(), "service.test")
	eventually(t, "all connections to be ready", func() bool { _ = answering(t, found.pool, 1); return ready(found.pool) })
	of := found.known["127.0.0.1"].conns[0]

	known = []string{"127.0.0.2"}
	found.look(context.Background(), "service.test")
	if by := answering(t, found.pool, 20); by["127.0.0.2"] != 20 {
		t.Fatalf("answered by %v", by)
	}
	if state := of.GetState(); state != connectivity.Ready {
		t.Fatalf("a connection with calls under way is %v", state)
	}
	found.settle(known, time.Now().Add(retireAfter+time.Second))
	if state := of.GetState(); state != connectivity.Shutdown || len(found.known) != 1 {
		t.Fatalf("it is kept for ever: %v", state)
	}
}

func TestWhoComesBackInTimeKeepsItsConnections(t *testing.T) {
	port := named(t, "127.0.0.1", "0")
	known := []string{"127.0.0.1", "127.0.0.2"}
	found := follow(t, port, &known)
	found.look(context.Background(), "service.test")
	of := found.known["127.0.0.1"].conns[0]
	for _, now := range [][]string{{"127.0.0.2"}, {"127.0.0.1"}} {
		known = now
		found.look(context.Background(), "service.test")
	}
	if found.pool.all()[0] != of {
		t.Fatal("it was connected anew")
	}
}

func TestWhileTheNameIsNotKnownTheLastAddressesCount(t *testing.T) {
	port := named(t, "127.0.0.1", "0")
	var known []string
	found := follow(t, port, &known)
	found.look(context.Background(), "service.test")
	if _, err := found.pool.pick(); status.Code(err) != codes.Unavailable {
		t.Fatalf("nobody is known: %v", err)
	}
	known = []string{"127.0.0.1"}
	found.look(context.Background(), "service.test")
	known = nil
	found.look(context.Background(), "service.test")
	if by := answering(t, found.pool, 1); by["127.0.0.1"] != 1 {
		t.Fatalf("answered by %v", by)
	}
}

func TestAnAddressThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	port := named(t, "127.0.0.1", "0")
	known := []string{"127.0.0.1", "127.0.0.3"} // where nobody listens
	found := follow(t, port, &known)
	found.look(context.Background(), "service.test")
	eventually(t, "the connections that can be to be ready", func() bool {
		for _, conn := range found.known["127.0.0.1"].conns {
			conn.Connect()
			if conn.GetState() != connectivity.Ready {
				return false
			}
		}
		return true
	})
	if by := answering(t, found.pool, 40); by["127.0.0.1"] != 40 {
		t.Fatalf("answered by %v", by)
	}
}

func TestTheNameIsWhatACertificateMustHave(t *testing.T) {
	made := dialler("service.test", "50051", 2, &tls.Config{MinVersion: tls.VersionTLS12})("127.0.0.1")
	if len(made) != 2 {
		t.Fatalf("%d connections", len(made))
	}
	for _, conn := range made {
		if conn.CanonicalTarget() != "passthrough:///127.0.0.1:50051" {
			t.Errorf("to %s", conn.CanonicalTarget())
		}
		_ = conn.Close()
	}
}

func TestOfBothVersionsTheFourthIsUsed(t *testing.T) {
	for _, c := range []struct{ given, used []string }{
		{[]string{"::1", "127.0.0.1"}, []string{"127.0.0.1"}},
		{[]string{"fd00::1", "fd00::2"}, []string{"fd00::1", "fd00::2"}},
	} {
		if used := preferred(c.given); len(used) != len(c.used) || used[0] != c.used[0] {
			t.Errorf("of %v used are %v", c.given, used)
		}
	}
}
