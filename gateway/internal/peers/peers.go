// Package peers holds the connections to the services.
package peers

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
)

const (
	// The servers allow a ping every 10 s; well above it, since equal values end in GOAWAY by jitter.
	pingEvery   = 30 * time.Second
	pingTimeout = 10 * time.Second
	// Above the services' own limit, so that theirs is the one that counts.
	maxMessage = 64 << 20
	window     = 1 << 20
)

// Peers are the services, each with some connections.
type Peers struct {
	pools map[string]*Pool
	stop  context.CancelFunc
	work  sync.WaitGroup
}

// Connect prepares connections to the addresses, by name: each of them to every address that a host's name has, now and
// later. Nothing is dialled yet.
func Connect(addresses map[string]string, each int, config *tls.Config) (*Peers, error) {
	running, stop := context.WithCancel(context.Background())
	peers := &Peers{pools: map[string]*Pool{}, stop: stop}
	for name, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			peers.Close()
			return nil, fmt.Errorf("peer %s at %s: %w", name, address, err)
		}
		pool := &Pool{name: name}
		peers.pools[name] = pool
		found := &discovery{pool: pool, lookUp: net.DefaultResolver.LookupHost, dial: dialler(host, port, each, config)}
		if net.ParseIP(host) != nil {
			found.settle([]string{host}, time.Now())
		}
		peers.work.Go(func() { found.run(running, host) })
	}
	return peers, nil
}

// dialler makes the connections to one address of a host, whose name is what its certificate must have.
func dialler(host, port string, each int, config *tls.Config) func(address string) []*carrier {
	named := append(options(insecure.NewCredentials()), grpc.WithAuthority(net.JoinHostPort(host, port)))
	if config != nil {
		certified := config.Clone()
		certified.ServerName = host // and so it is the authority, too
		named = options(credentials.NewTLS(certified))
	}
	return func(address string) []*carrier {
		made := make([]*carrier, 0, each)
		for range each {
			target := "passthrough:///" + net.JoinHostPort(address, port)
			conn, err := grpc.NewClient(target, named...)
			if err != nil { // of a target that cannot be read
				slog.Error("no connection can be prepared", "target", target, "error", err)
				continue
			}
			made = append(made, &carrier{ClientConn: conn})
		}
		return made
	}
}

func options(security credentials.TransportCredentials) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: pingEvery, Timeout: pingTimeout, PermitWithoutStream: true,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(window),
		grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithUserAgent("tocsin-gateway"),
	}
}

// Conn is the way to a service; a name that is not configured answers UNAVAILABLE.
func (p *Peers) Conn(name string) grpc.ClientConnInterface {
	if pool, ok := p.pools[name]; ok {
		return pool
	}
	return &Pool{name: name}
}

// Names of the services.
func (p *Peers) Names() []string {
	names := make([]string, 0, len(p.pools))
	for name := range p.pools {
		names = append(names, name)
	}
	return names
}

// Close ends all connections, and with them what is under way.
func (p *Peers) Close() {
	p.stop()
	p.work.Wait()
}

// Pool spreads calls over the connections to one service, so that they reach all of its processes.
type Pool struct {
	name  string
	conns atomic.Pointer[[]*carrier]
	next  atomic.Uint32
}

func (p *Pool) all() []*carrier {
	if conns := p.conns.Load(); conns != nil {
		return *conns
	}
	return nil
}

func (p *Pool) pick() (*carrier, error) {
	conns := p.all()
	if len(conns) == 0 {
		return nil, status.Errorf(codes.Unavailable, "no address of %s is known", p.name)
	}
	first := p.next.Add(1)
	var second *carrier
	for offset := range uint32(len(conns)) {
		conn := conns[(first+offset)%uint32(len(conns))]
		switch conn.GetState() {
		case connectivity.Ready:
			return conn, nil
		case connectivity.TransientFailure:
			// It answers at once with the failure of its last attempt, also when the service is back.
			continue
		case connectivity.Idle:
			conn.Connect()
		case connectivity.Connecting, connectivity.Shutdown:
		}
		if second == nil {
			second = conn
		}
	}
	if second != nil {
		return second, nil
	}
	return conns[first%uint32(len(conns))], nil
}

// Invoke makes a unary call.
func (p *Pool) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	conn, err := p.pick()
	if err != nil {
		return err
	}
	ex := exchange.From(ctx)
	ex.MarkCalled()
	if err := complete(ex, args); err != nil {
		return err
	}
	return conn.Invoke(ctx, method, args, reply, opts...)
}

// NewStream begins a streaming call.
func (p *Pool) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	conn, err := p.pick()
	if err != nil {
		return nil, err
	}
	exchange.From(ctx).MarkCalled()
	return conn.NewStream(ctx, desc, method, opts...)
}

// complete fills fields of a request that REST says outside of them: the key of the Idempotency-Key header, the version of
// If-Match, and the update mask, which is what the body of a PATCH names. An If-Match that the method does not take is
// refused: whoever sends one does not want the call without it.
func complete(ex *exchange.Exchange, request any) error {
	if message, ok := request.(proto.Message); ok && (ex.IdempotencyKey != "" || ex.ExpectedVersion != 0 || len(ex.Updated) > 0) {
		request := message.ProtoReflect()
		fill(request, "idempotency_key", ex.IdempotencyKey != "", protoreflect.ValueOfString(ex.IdempotencyKey))
		if !fill(request, "expected_version", ex.ExpectedVersion != 0, protoreflect.ValueOfInt64(ex.ExpectedVersion)) {
			return problem.New(http.StatusBadRequest, problem.HeaderInvalid, "This operation does not take the header If-Match.")
		}
		mask := &fieldmaskpb.FieldMask{Paths: ex.Updated}
		fill(request, "update_mask", len(ex.Updated) > 0, protoreflect.ValueOfMessage(mask.ProtoReflect()))
	}
	return nil
}

// fill is false where something is wanted that the request has no field for.
func fill(request protoreflect.Message, name protoreflect.Name, wanted bool, value protoreflect.Value) bool {
	fd := request.Descriptor().Fields().ByName(name)
	if wanted && fd != nil && !request.Has(fd) {
		request.Set(fd, value)
	}
	return !wanted || fd != nil
}
