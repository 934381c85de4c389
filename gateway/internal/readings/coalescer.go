package readings

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/problem"
)

const (
	maxLanes = 256
	// typesKept bounds the memory of sensor types, and typesLife how long a change of one goes unnoticed in answers.
	typesKept = 1024
	typesLife = 10 * time.Second
	// maxTexts of a reading that is merged, in bytes: ids have up to 63.
	maxTexts = 1024
)

// coalescer merges single readings of the same caller that arrive at the same time into batches of a stream: one call
// for many. The answers are those that each reading would have got alone. A reading whose stream fails, or of whose
// refusal the batch does not tell all, is sent once more alone, and that answer counts. Sending twice is harmless, for the
// reading carries its event time by then, and the same reading again changes nothing.
type coalescer struct {
	client ingestion.ReadingServiceClient
	ctx    context.Context //nolint:containedctx // of the process: lanes outlive the requests that open them

	lock  sync.Mutex
	lanes map[string]*lane

	typesLock sync.RWMutex
	types     map[string]sensorType

	// stamped is the last event time that was given here, in microseconds.
	stamped atomic.Int64
}

// sensorType is what the service last told of one: its canonical unit, or that there is none of the name.
type sensorType struct {
	unit    string
	missing bool
	at      time.Time
}

func newCoalescer(ctx context.Context, client ingestion.ReadingServiceClient) *coalescer {
	return &coalescer{client: client, ctx: ctx, lanes: map[string]*lane{}, types: map[string]sensorType{}}
}

// create is CreateReading. Only readings are merged whose answer is known beforehand, should they be accepted: no
// idempotency key, a value in the canonical unit, a time in whole microseconds. And those of a sensor type that was missing
// a moment ago: they will hardly be accepted.
func (c *coalescer) create(ctx context.Context, token string, request *ingestion.CreateReadingRequest) (*ingestion.CreateReadingResponse, error) {
	reading := request.GetReading()
	kind, known := c.known(reading.GetSensorType())
	if !known || request.GetIdempotencyKey() != "" || !plain(reading, kind.unit) {
		return c.alone(ctx, request)
	}
	if reading.GetEventTime() == nil {
		reading.EventTime = timestamppb.New(c.stamp())
	}
	one := &waiting{reading: reading, done: make(chan outcome, 1)}
	if !c.submit(token, one) {
		return c.alone(ctx, request)
	}
	var conflict *ingestion.ReadingConflict
	select {
	case found := <-one.done:
		if found.refusal != nil {
			c.heard(reading.GetSensorType(), found.refusal)
			return nil, found.refusal
		}
		if !found.accepted || kind.missing {
			return c.alone(ctx, request)
		}
		conflict = found.conflict
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	// Not the message that was sent: an encoder may still be at it.
	return &ingestion.CreateReadingResponse{Conflict: conflict, Reading: &ingestion.Reading{
		Building:   reading.GetBuilding(),
		Room:       reading.GetRoom(),
		SensorType: reading.GetSensorType(),
		Device:     reading.GetDevice(),
		Value:      reading.Value, //nolint:protogetter // a pointer: present
		Unit:       kind.unit,
		EventTime:  reading.GetEventTime(),
	}}, nil
}

// stamp is the time of arrival, never the same twice: a series holds one value for each event time.
func (c *coalescer) stamp() time.Time {
	for {
		last, now := c.stamped.Load(), time.Now().UnixMicro()
		if c.stamped.CompareAndSwap(last, max(now, last+1)) {
			return time.UnixMicro(max(now, last+1))
		}
	}
}

// plain readings are stored as they are sent. Their texts are not longer than a batch can hold many of.
func plain(reading *ingestion.Reading, canonical string) bool {
	texts := len(reading.GetBuilding()) + len(reading.GetRoom()) + len(reading.GetSensorType()) + len(reading.GetDevice())
	if texts > maxTexts || reading.GetUnit() != "" && reading.GetUnit() != canonical {
		return false
	}
	at := reading.GetEventTime()
	return at == nil || at.IsValid() && at.GetNanos()%1000 == 0
}

// alone sends a reading by itself, and learns from the answer.
func (c *coalescer) alone(ctx context.Context, request *ingestion.CreateReadingRequest) (*ingestion.CreateReadingResponse, error) {
	name := request.GetReading().GetSensorType()
	response, err := c.client.CreateReading(ctx, request)
	switch unit := response.GetReading().GetUnit(); {
	case status.Code(err) == codes.NotFound:
		c.heard(name, problem.FromError(err, ""))
	case err == nil && unit != "":
		c.learn(name, sensorType{unit: unit, at: time.Now()})
	}
	return response, err
}

// heard learns from a refusal.
func (c *coalescer) heard(name string, refusal *problem.Problem) {
	if refusal.Reason == "SENSOR_TYPE_UNKNOWN" && len(name) <= maxTexts {
		c.learn(name, sensorType{missing: true, at: time.Now()})
	}
}

func (c *coalescer) known(name string) (sensorType, bool) {
	c.typesLock.RLock()
	defer c.typesLock.RUnlock()
	found, ok := c.types[name]
	return found, ok && time.Since(found.at) < typesLife
}

func (c *coalescer) learn(name string, kind sensorType) {
	c.typesLock.Lock()
	defer c.typesLock.Unlock()
	if len(c.types) >= typesKept {
		clear(c.types)
	}
	c.types[name] = kind
}

// submit puts the reading on the lane of its caller; false when there are too many callers at once.
func (c *coalescer) submit(token string, one *waiting) bool {
	c.lock.Lock()
	defer c.lock.Unlock()
	if current, ok := c.lanes[token]; ok && current.add(one) {
		return true
	}
	if len(c.lanes) >= maxLanes {
		return false
	}
	fresh := newLane(c.client)
	fresh.add(one)
	c.lanes[token] = fresh
	go func() {
		fresh.run(c.ctx, token)
		c.lock.Lock()
		defer c.lock.Unlock()
		if c.lanes[token] == fresh {
			delete(c.lanes, token)
		}
	}()
	return true
}
