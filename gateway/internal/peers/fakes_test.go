package peers

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	calls "tocsin/gen/tocsin/calls/v1"
)

// service answers calls by lane and by themselves: both echo a string.
type service struct {
	calls.UnimplementedLaneServiceServer

	lock      sync.Mutex
	held      map[string]*calls.CarriedCall
	seen      map[string]*calls.CarriedCall
	cancelled []uint64

	messages, alone, lanes atomic.Int64
	// refuse makes lanes unknown; closing asks for no more calls at the next message; cut breaks the stream at it.
	refuse, closing, cut atomic.Bool
	stream               atomic.Pointer[calls.LaneService_CarryServer]
}

func (s *service) Carry(stream calls.LaneService_CarryServer) error {
	if s.refuse.Load() {
		_, _ = stream.Recv()
		return status.Error(codes.Unimplemented, "no lanes here")
	}
	s.lanes.Add(1)
	s.stream.Store(&stream)
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.messages.Add(1)
		if s.cut.Load() {
			return status.Error(codes.Unavailable, "cut")
		}
		response := &calls.CarryResponse{Closing: s.closing.Load()}
		s.lock.Lock()
		s.cancelled = append(s.cancelled, request.GetCancelled()...)
		for _, call := range request.GetCalls() {
			text := textOf(call.GetRequest())
			s.seen[text] = call
			if strings.HasPrefix(text, "slow") {
				s.held[text] = call
				continue
			}
			response.Answers = append(response.Answers, answerTo(call))
		}
		s.lock.Unlock()
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func textOf(data []byte) string {
	message := &wrapperspb.StringValue{}
	if err := proto.Unmarshal(data, message); err != nil {
		panic(err)
	}
	return message.GetValue()
}

func answerTo(call *calls.CarriedCall) *calls.CarriedAnswer {
	answer := &calls.CarriedAnswer{Id: call.GetId(), Response: call.GetRequest()}
	if text := textOf(call.GetRequest()); strings.HasPrefix(text, "bad") {
		details, _ := proto.Marshal(&spb.Status{Code: int32(codes.NotFound), Message: text + " is not there"})
		answer = &calls.CarriedAnswer{Id: call.GetId(), Code: int32(codes.NotFound), Message: "plain", Trailers: []*calls.Metadatum{
			{Key: detailsKey, Value: details}, {Key: "x", Value: []byte("1")},
		}}
	}
	return answer
}

// release answers a held call; false when it has not come yet.
func (s *service) release(t *testing.T, text string) {
	t.Helper()
	s.lock.Lock()
	defer s.lock.Unlock()
	stream := *s.stream.Load()
	if err := stream.Send(&calls.CarryResponse{Answers: []*calls.CarriedAnswer{answerTo(s.held[text])}}); err != nil {
		t.Error(err)
	}
}

func (s *service) has(text string) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.seen[text] != nil
}

const method = "/tocsin.test.v1.Service/Echo"

// setup gives a service and the way to it.
func setup(t *testing.T) (*service, *Pool) {
	t.Helper()
	s := &service{held: map[string]*calls.CarriedCall{}, seen: map[string]*calls.CarriedCall{}}
	server := grpc.NewServer()
	calls.RegisterLaneServiceServer(server, s)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "tocsin.test.v1.Service", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			s.alone.Add(1)
			message := &wrapperspb.StringValue{}
			return message, read(message)
		},
	}}}, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	all, err := Connect(map[string]string{"service": listener.Addr().String()}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	t.Cleanup(all.Close)
	pool := all.pools["service"]
	if _, err := ask(context.Background(), pool, "first"); err != nil { // connects, so by itself
		t.Fatal(err)
	}
	// The picker knows of a connection a moment before its state says so.
	eventually(t, "the connection to be ready", func() bool { return pool.all()[0].GetState() == connectivity.Ready })
	s.alone.Store(0)
	return s, pool
}

func ask(ctx context.Context, pool *Pool, text string, opts ...grpc.CallOption) (string, error) {
	reply := &wrapperspb.StringValue{}
	err := pool.Invoke(ctx, method, wrapperspb.String(text), reply, opts...)
	return reply.GetValue(), err
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
