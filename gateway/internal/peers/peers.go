// Package peers holds the connections to the services.
package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// Peers are the services, each with some connections that are made when they are first needed.
type Peers struct {
	pools map[string]*Pool
}

// Connect prepares connections to the addresses, by name. Nothing is dialled yet.
func Connect(addresses map[string]string, each int, config *tls.Config) (*Peers, error) {
	security := insecure.NewCredentials()
	if config != nil {
		security = credentials.NewTLS(config)
	}
	peers := &Peers{pools: map[string]*Pool{}}
	for name, address := range addresses {
		pool := &Pool{name: name}
		peers.pools[name] = pool
		for range each {
			conn, err := grpc.NewClient(address, options(security)...)
			if err != nil {
				peers.Close()
				return nil, fmt.Errorf("peer %s at %s: %w", name, address, err)
			}
			pool.conns = append(pool.conns, &carrier{ClientConn: conn})
		}
	}
	return peers, nil
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
	for name, pool := range p.pools {
		for _, conn := range pool.conns {
			if err := conn.Close(); err != nil && !errors.Is(err, grpc.ErrClientConnClosing) {
				slog.Warn("closing a connection failed", "peer", name, "error", err)
			}
		}
	}
}

// Pool spreads calls over the connections to one service, so that they reach all of its worker processes.
type Pool struct {
	name  string
	conns []*carrier
	next  atomic.Uint32
}

func (p *Pool) pick() (*carrier, error) {
	if len(p.conns) == 0 {
		return nil, status.Errorf(codes.Unavailable, "no peer named %s", p.name)
	}
	first := p.next.Add(1)
	for offset := range uint32(len(p.conns)) {
		conn := p.conns[(first+offset)%uint32(len(p.conns))]
		// One that waits after a failed attempt answers at once with that failure, also when the service is back.
		if conn.GetState() != connectivity.TransientFailure {
			return conn, nil
		}
	}
	return p.conns[first%uint32(len(p.conns))], nil
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
