package peers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	calls "tocsin/gen/tocsin/calls/v1"
)

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

func TestTheLastMessageAloneIsWaitedFor(t *testing.T) {
	l := &lane{wake: make(chan struct{}, 1), answered: make(chan struct{}, 1), underway: map[uint64]*carried{}}
	send := func(count int) []uint64 {
		for range count {
			l.add(&carried{call: &calls.CarriedCall{}, done: make(chan *calls.CarriedAnswer, 1)})
		}
		request, busy, _ := l.take()
		if busy != (len(l.underway) >= laneFew) {
			t.Fatalf("%d calls are under way, and the next message waits: %v", len(l.underway), busy)
		}
		var ids []uint64
		for _, call := range request.GetCalls() {
			ids = append(ids, call.GetId())
		}
		return ids
	}
	answer := func(ids ...uint64) bool {
		response := &calls.CarryResponse{}
		for _, id := range ids {
			response.Answers = append(response.Answers, &calls.CarriedAnswer{Id: id})
		}
		l.settle(response)
		return len(l.answered) == 1
	}
	slow := send(laneFew)
	if answer(slow[1:]...) {
		t.Fatal("the next message does not wait for an answer that is missing")
	}
	if quick := send(1); answer(quick[0]) != true {
		t.Fatal("a call of an earlier message is waited for")
	}
	send(1)
	if answer(slow[0]) {
		t.Fatal("an answer to an earlier message counts for the last one")
	}
}
