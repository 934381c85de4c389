package peers

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	calls "tocsin/gen/tocsin/calls/v1"
)

const (
	// lanePatience is the longest that calls wait for the answers to the message before theirs, while several are under
	// way: who comes meanwhile shares the message. What a message costs on its way is more than what the calls in it cost.
	lanePatience = 4 * time.Millisecond
	// laneFew calls under way wait for nobody.
	laneFew = 4
	// laneMost calls are under way on a lane; more go by themselves.
	laneMost = 1024
	// laneBytes of calls fill a message: well below the least that a service takes of one, 1 MiB.
	laneBytes = 512 << 10
)

// errNotCarried says that a call has not left: it may go another way.
var errNotCarried = errors.New("the lane takes no calls")

// carried is a call on a lane. done gets its answer, once, or is closed when the lane broke.
type carried struct {
	call *calls.CarriedCall
	done chan *calls.CarriedAnswer
	// until is when the caller gives up; zero: never.
	until time.Time
	sent  bool
	// message is the number of the one it was sent with.
	message uint64
}

// lane carries unary calls over one stream, in the order in which they come; answers come in any order. What gathers
// until a message is answered, or for lanePatience, goes with the next one (as with Nagle's algorithm). So slow calls
// hold the next ones up once, and not for as long as they take. Alone, nobody waits.
type lane struct {
	stream calls.LaneService_CarryClient
	// wake is signalled when there is something to send, or nothing more to wait for.
	wake chan struct{}
	// answered is signalled when all calls of the last message are.
	answered chan struct{}
	// broken is closed when the stream has ended.
	broken chan struct{}

	lock      sync.Mutex
	last      uint64
	queue     []*carried
	cancelled []uint64
	underway  map[uint64]*carried
	// message is the number of the last one, of whose calls so many are unanswered.
	message    uint64
	unanswered int
	closed     bool
	told       bool // by the service to close
	failure    error
}

// runLane serves the stream until it ends. After life, or when the service asks for it, the lane takes no more calls, and
// ends with the last one.
func runLane(stream calls.LaneService_CarryClient, life time.Duration) *lane {
	l := &lane{
		stream:   stream,
		wake:     make(chan struct{}, 1),
		answered: make(chan struct{}, 1),
		broken:   make(chan struct{}),
		underway: map[uint64]*carried{},
	}
	go l.send(life)
	go l.receive()
	return l
}

// call makes a call and waits for its answer. Errors are statuses, but for errNotCarried.
func (l *lane) call(ctx context.Context, method string, metadata []*calls.Metadatum, request []byte) (*calls.CarriedAnswer, error) {
	one := &carried{
		call: &calls.CarriedCall{Method: method, Metadata: metadata, Request: request},
		done: make(chan *calls.CarriedAnswer, 1),
	}
	one.until, _ = ctx.Deadline()
	if !l.add(one) {
		return nil, errNotCarried
	}
	select {
	case answer, ok := <-one.done:
		switch {
		case ok:
			return answer, nil
		case !one.sent:
			return nil, errNotCarried
		}
		return nil, status.Error(codes.Unavailable, "the connection broke")
	case <-ctx.Done():
		l.leave(one)
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

func (l *lane) add(one *carried) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.closed || len(l.underway) >= laneMost {
		return false
	}
	l.last++
	one.call.Id = l.last
	l.underway[l.last] = one
	l.queue = append(l.queue, one)
	l.signal()
	return true
}

// leave takes back a call whose caller no longer waits.
func (l *lane) leave(one *carried) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.underway[one.call.GetId()] == nil {
		return // answered at the same time
	}
	l.remove(one)
	if one.sent {
		l.cancelled = append(l.cancelled, one.call.GetId())
	} else {
		// Its place in the queue stays, and its content would for as long as the service takes no messages.
		one.call = &calls.CarriedCall{Id: one.call.GetId()}
	}
	l.signal()
}

// remove is called with the lock.
func (l *lane) remove(one *carried) {
	delete(l.underway, one.call.GetId())
	if one.sent && one.message == l.message {
		if l.unanswered--; l.unanswered == 0 {
			notify(l.answered)
		}
	}
}

// signal is called with the lock.
func (l *lane) signal() {
	notify(l.wake)
}

func notify(waiter chan<- struct{}) {
	select {
	case waiter <- struct{}{}:
	default:
	}
}

// close refuses more calls.
func (l *lane) close() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.closed = true
	l.signal()
}

// open tells whether the lane takes calls.
func (l *lane) open() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	return !l.closed
}

func (l *lane) send(life time.Duration) {
	end := time.NewTimer(life)
	defer end.Stop()
	patience := time.NewTimer(lanePatience)
	defer patience.Stop()
	for {
		select {
		case <-l.wake:
		case <-end.C:
			l.close()
		case <-l.broken:
			return
		}
		request, busy, done := l.take()
		if len(request.GetCalls())+len(request.GetCancelled()) > 0 {
			if l.stream.Send(request) != nil {
				return // receive learns why
			}
		}
		if done {
			_ = l.stream.CloseSend() // nothing is under way that could be lost
			return
		}
		if busy {
			patience.Reset(lanePatience)
			select {
			case <-l.answered:
			case <-patience.C:
			case <-l.broken:
				return
			}
		}
	}
}

// take is the next message, whether so much is under way that the one after it should wait for its answers, and whether
// it is the last.
func (l *lane) take() (request *calls.CarryRequest, busy, done bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	request = &calls.CarryRequest{Cancelled: l.cancelled}
	l.cancelled = nil
	l.message++
	l.unanswered = 0
	select {
	case <-l.answered: // of the message before
	default:
	}
	bytes, count := 0, 0
	for _, one := range l.queue {
		if bytes >= laneBytes {
			l.signal()
			break
		}
		count++
		if l.underway[one.call.GetId()] == nil {
			continue // its caller left
		}
		one.sent, one.message = true, l.message
		l.unanswered++
		if !one.until.IsZero() {
			one.call.TimeoutUs = uint64(max(time.Until(one.until).Microseconds(), 1)) //nolint:gosec // not negative
		}
		request.Calls = append(request.Calls, one.call)
		bytes += proto.Size(one.call)
	}
	l.queue = l.queue[count:]
	return request, l.unanswered > 0 && len(l.underway) >= laneFew, l.closed && len(l.underway) == 0
}

func (l *lane) receive() {
	for {
		response, err := l.stream.Recv()
		if err != nil {
			l.end(err)
			return
		}
		l.settle(response)
	}
}

func (l *lane) settle(response *calls.CarryResponse) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, answer := range response.GetAnswers() {
		if one := l.underway[answer.GetId()]; one != nil {
			l.remove(one)
			one.done <- answer
		}
	}
	l.told = l.told || response.GetClosing()
	l.closed = l.closed || l.told
	if l.closed {
		l.signal()
	}
}

// end lets go of all who wait.
func (l *lane) end(failure error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if !l.closed || !errors.Is(failure, io.EOF) { // else it ended as it was to
		l.failure = failure
	}
	l.closed = true
	// A service that does not know lanes has not looked at their calls.
	unseen := status.Code(failure) == codes.Unimplemented
	for _, one := range l.underway {
		one.sent = one.sent && !unseen
		close(one.done)
	}
	clear(l.underway)
	close(l.broken)
}
