package peers

import (
	"context"
	"errors"
	"fmt"
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
	"google.golang.org/grpc/metadata"
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

func TestCallsAtTheSameTimeShareMessages(t *testing.T) {
	s, pool := setup(t)
	const callers, each = 32, 50
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for n := range each {
				text := fmt.Sprintf("%d-%d", caller, n)
				if got, err := ask(context.Background(), pool, text); err != nil || got != text {
					t.Errorf("%s: %q %v", text, got, err)
				}
			}
		})
	}
	group.Wait()
	if n := s.alone.Load(); n != 0 {
		t.Errorf("%d calls went by themselves", n)
	}
	if messages := s.messages.Load(); messages > callers*each/2 {
		t.Errorf("%d messages for %d calls", messages, callers*each)
	}
}

func TestASlowCallHoldsNobodyUpAndABadOneHarmsNobody(t *testing.T) {
	s, pool := setup(t)
	slow := make(chan error, 1)
	go func() {
		got, err := ask(context.Background(), pool, "slow")
		if got != "slow" {
			err = fmt.Errorf("%q: %w", got, err)
		}
		slow <- err
	}()
	eventually(t, "the slow call to come", func() bool { return s.has("slow") })
	for range 20 {
		if got, err := ask(context.Background(), pool, "quick"); err != nil || got != "quick" {
			t.Fatalf("%q %v", got, err)
		}
		var trailers metadata.MD
		_, err := ask(context.Background(), pool, "bad one", grpc.Trailer(&trailers))
		if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "bad one is not there" || trailers.Get("x")[0] != "1" {
			t.Fatalf("%v %v", err, trailers)
		}
	}
	s.release(t, "slow")
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

func TestMetadataAndDeadlineGoAlong(t *testing.T) {
	s, pool := setup(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer x", "blob-bin", "\x00\xff")
	if _, err := ask(ctx, pool, "one"); err != nil {
		t.Fatal(err)
	}
	call := s.seen["one"]
	sent := map[string]string{}
	for _, entry := range call.GetMetadata() {
		sent[entry.GetKey()] = string(entry.GetValue())
	}
	if sent["authorization"] != "Bearer x" || sent["blob-bin"] != "\x00\xff" || call.GetMethod() != method {
		t.Errorf("%v", call)
	}
	if left := time.Duration(call.GetTimeoutUs()) * time.Microsecond; left < 50*time.Second || left > time.Minute {
		t.Errorf("the service has %s", left)
	}
}

func TestWhoLeavesIsCancelled(t *testing.T) {
	s, pool := setup(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := ask(ctx, pool, "slow")
		done <- err
	}()
	eventually(t, "the call to come", func() bool { return s.has("slow") })
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	eventually(t, "the service to hear of it", func() bool {
		s.lock.Lock()
		defer s.lock.Unlock()
		return len(s.cancelled) == 1 && s.cancelled[0] == s.seen["slow"].GetId()
	})
	late, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if _, err := ask(late, pool, "slow too"); status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}

func TestAServiceWithoutLanesIsAskedOtherwise(t *testing.T) {
	s, pool := setup(t)
	s.refuse.Store(true)
	for range 10 {
		if got, err := ask(context.Background(), pool, "one"); err != nil || got != "one" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if n := s.alone.Load(); n != 10 {
		t.Errorf("%d calls went by themselves", n)
	}
}

func TestWhatDoesNotFitALaneGoesByItself(t *testing.T) {
	s, pool := setup(t)
	large := strings.Repeat("x", maxCarried)
	if got, err := ask(context.Background(), pool, large); err != nil || got != large {
		t.Error(err)
	}
	if _, err := ask(context.Background(), pool, "one", grpc.WaitForReady(true)); err != nil {
		t.Error(err)
	}
	if n := s.alone.Load(); n != 2 {
		t.Errorf("%d calls went by themselves", n)
	}
	bad := metadata.AppendToOutgoingContext(context.Background(), "x", "ü")
	if _, err := ask(bad, pool, "two"); status.Code(err) != codes.Internal {
		t.Errorf("gRPC refuses such metadata: %v", err)
	}
}

func TestAServiceThatStopsGetsNoMoreCallsByLane(t *testing.T) {
	s, pool := setup(t)
	slow := make(chan error, 1)
	go func() {
		_, err := ask(context.Background(), pool, "slow")
		slow <- err
	}()
	eventually(t, "the slow call to come", func() bool { return s.has("slow") })
	s.closing.Store(true)
	if _, err := ask(context.Background(), pool, "one"); err != nil {
		t.Error(err)
	}
	if _, err := ask(context.Background(), pool, "two"); err != nil {
		t.Error(err)
	}
	if n := s.alone.Load(); n != 1 || s.has("two") {
		t.Errorf("%d calls went by themselves", n)
	}
	s.release(t, "slow")
	if err := <-slow; err != nil {
		t.Error(err)
	}
	s.closing.Store(false)
	eventually(t, "another lane", func() bool {
		_, err := ask(context.Background(), pool, "three")
		return err == nil && s.lanes.Load() == 2
	})
}

func TestCallsOfALaneThatBreaksFail(t *testing.T) {
	s, pool := setup(t)
	var group sync.WaitGroup
	for n := range 5 {
		group.Go(func() {
			if _, err := ask(context.Background(), pool, fmt.Sprintf("slow %d", n)); status.Code(err) != codes.Unavailable {
				t.Error(err)
			}
		})
	}
	eventually(t, "the calls to come", func() bool {
		s.lock.Lock()
		defer s.lock.Unlock()
		return len(s.held) == 5
	})
	s.cut.Store(true)
	if _, err := ask(context.Background(), pool, "one"); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	group.Wait()
	s.cut.Store(false)
	if got, err := ask(context.Background(), pool, "two"); err != nil || got != "two" || s.alone.Load() != 1 {
		t.Errorf("%q %v", got, err)
	}
	eventually(t, "another lane", func() bool {
		_, err := ask(context.Background(), pool, "three")
		return err == nil && s.lanes.Load() == 2
	})
}

func TestALaneEndsAfterItsLifeWithWhatIsUnderWay(t *testing.T) {
	s, pool := setup(t)
	stream, err := calls.NewLaneServiceClient(pool.conns[0].ClientConn).Carry(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l := runLane(stream, 10*time.Millisecond)
	data, _ := proto.Marshal(wrapperspb.String("slow"))
	done := make(chan error, 1)
	go func() {
		_, err := l.call(context.Background(), method, nil, data)
		done <- err
	}()
	eventually(t, "the end of its life", func() bool { return s.has("slow") && !l.open() })
	if _, err := l.call(context.Background(), method, nil, data); !errors.Is(err, errNotCarried) {
		t.Error(err)
	}
	s.release(t, "slow")
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case <-l.broken:
	case <-time.After(10 * time.Second):
		t.Error("the stream stays")
	}
	if rest := l.after(); rest != 0 {
		t.Errorf("the next one waits for %s", rest)
	}
}

func TestWhoLeavesBeforeACallIsSentLeavesNothingBehind(t *testing.T) {
	l := &lane{wake: make(chan struct{}, 1), underway: map[uint64]*carried{}}
	one := &carried{call: &calls.CarriedCall{Method: method, Request: make([]byte, maxCarried)}}
	l.add(one)
	l.leave(one)
	if len(one.call.GetRequest()) > 0 {
		t.Error("the request stays until the lane gets on")
	}
	if request, _, _ := l.take(); len(request.GetCalls())+len(request.GetCancelled()) > 0 {
		t.Error(request)
	}
}

func TestMessagesStaySmallHoweverMuchComesWithCalls(t *testing.T) {
	l := &lane{wake: make(chan struct{}, 1), underway: map[uint64]*carried{}}
	sent := []*calls.Metadatum{{Key: "tracestate", Value: make([]byte, maxCarriedMetadata)}}
	for range laneMost {
		if !l.add(&carried{call: &calls.CarriedCall{Method: method, Metadata: sent}}) {
			t.Fatal("refused")
		}
	}
	count := 0
	for count < laneMost {
		request, _, _ := l.take()
		if size := proto.Size(request); size > 1<<20 {
			t.Fatalf("a message of %d bytes", size)
		}
		count += len(request.GetCalls())
	}

	s, pool := setup(t)
	ctx := metadata.AppendToOutgoingContext(context.Background(), "tracestate", strings.Repeat("x", maxCarriedMetadata))
	if _, err := ask(ctx, pool, "one"); err != nil || s.alone.Load() != 1 {
		t.Errorf("%v, %d by themselves", err, s.alone.Load())
	}
}
