package peers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	calls "tocsin/gen/tocsin/calls/v1"
)

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
	stream, err := calls.NewLaneServiceClient(pool.all()[0].ClientConn).Carry(context.Background())
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
