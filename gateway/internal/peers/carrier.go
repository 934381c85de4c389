package peers

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	calls "tocsin/gen/tocsin/calls/v1"
)

const (
	// laneLife is shorter than what a service leaves to a connection that is to end (see its connection age).
	laneLife = 30 * time.Second
	// laneRest is how long calls go by themselves after a lane has ended early.
	laneRest = time.Second
	// laneUnknown is how long they do with a service that has no lanes.
	laneUnknown = time.Minute
	// maxCarried is the largest request that goes by lane: a large one would hold up the small ones behind it.
	maxCarried = 32 << 10
	// maxCarriedMetadata is half of what a service takes with a call of its own, which refuses more.
	maxCarriedMetadata = 8 << 10
	detailsKey         = "grpc-status-details-bin"
)

// carrier makes unary calls over a connection: by lane where there is one, else each by itself.
type carrier struct {
	*grpc.ClientConn

	lock    sync.Mutex
	current *lane
	rest    time.Time
}

// Invoke makes a unary call.
func (c *carrier) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	answer, err := c.carry(ctx, method, args, opts)
	if errors.Is(err, errNotCarried) {
		return c.ClientConn.Invoke(ctx, method, args, reply, opts...)
	}
	if err != nil {
		return err
	}
	return read(answer, reply, opts)
}

func (c *carrier) carry(ctx context.Context, method string, args any, opts []grpc.CallOption) (*calls.CarriedAnswer, error) {
	request, ok := args.(proto.Message)
	if !ok || !strings.HasPrefix(method, "/tocsin.") || !carriable(opts) {
		return nil, errNotCarried
	}
	sent, ok := metadataOf(ctx)
	if !ok {
		return nil, errNotCarried
	}
	l := c.lane()
	if l == nil {
		return nil, errNotCarried
	}
	data, err := proto.Marshal(request)
	if err != nil || len(data) > maxCarried {
		return nil, errNotCarried
	}
	return l.call(ctx, method, sent, data)
}

// lane is the one in use, or a new one; nil while there is none.
func (c *carrier) lane() *lane {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.current != nil {
		if c.current.open() {
			return c.current
		}
		c.rest = time.Now().Add(c.current.after())
		c.current = nil
	}
	// A stream that has to wait for its connection would make calls wait.
	if time.Now().Before(c.rest) || c.GetState() != connectivity.Ready {
		return nil
	}
	stream, err := calls.NewLaneServiceClient(c.ClientConn).Carry(context.Background())
	if err != nil {
		c.rest = time.Now().Add(laneRest)
		return nil
	}
	c.current = runLane(stream, laneLife)
	return c.current
}

// after is how long to rest after this lane, which takes no calls any more.
func (l *lane) after() time.Duration {
	l.lock.Lock()
	defer l.lock.Unlock()
	switch {
	case status.Code(l.failure) == codes.Unimplemented:
		return laneUnknown
	case l.failure != nil || l.told:
		return laneRest
	}
	return 0
}

// carriable tells whether the options say nothing about how the call is made.
func carriable(opts []grpc.CallOption) bool {
	for _, option := range opts {
		switch option.(type) {
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.StaticMethodCallOption:
		default:
			return false
		}
	}
	return true
}

// metadataOf a call that ctx is for; false when it is none that gRPC would send, or too large for a lane.
func metadataOf(ctx context.Context) ([]*calls.Metadatum, bool) {
	sent, _ := metadata.FromOutgoingContext(ctx)
	entries, size := make([]*calls.Metadatum, 0, len(sent)), 0
	for key, values := range sent {
		for _, value := range values {
			if !strings.HasSuffix(key, "-bin") && !printable(value) {
				return nil, false
			}
			if size += len(key) + len(value); size > maxCarriedMetadata {
				return nil, false
			}
			entries = append(entries, &calls.Metadatum{Key: key, Value: []byte(value)})
		}
	}
	return entries, true
}

func printable(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}

// read fills reply, and what opts ask for, from the answer; the error is that of the call.
func read(answer *calls.CarriedAnswer, reply any, opts []grpc.CallOption) error {
	trailers := metadata.MD{}
	for _, entry := range answer.GetTrailers() {
		trailers.Append(entry.GetKey(), string(entry.GetValue()))
	}
	for _, option := range opts {
		switch wanted := option.(type) {
		case grpc.HeaderCallOption:
			*wanted.HeaderAddr = metadata.MD{}
		case grpc.TrailerCallOption:
			*wanted.TrailerAddr = trailers
		}
	}
	if code := codes.Code(answer.GetCode()); code != codes.OK { //nolint:gosec // of a service
		details := &spb.Status{}
		if packed := trailers.Get(detailsKey); len(packed) == 1 && proto.Unmarshal([]byte(packed[0]), details) == nil &&
			details.GetCode() == answer.GetCode() {
			return status.ErrorProto(details)
		}
		return status.Error(code, answer.GetMessage())
	}
	message, ok := reply.(proto.Message)
	if !ok {
		return status.Error(codes.Internal, "the answer is to be read into what is no message")
	}
	if err := proto.Unmarshal(answer.GetResponse(), message); err != nil {
		return status.Error(codes.Internal, "the answer is no message of its type")
	}
	return nil
}
