package readings

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingestion "tocsin/gen/tocsin/ingestion/v1"
)

const (
	maxLanes = 256
	// unitsKept bounds the memory of canonical units, and how long a change of one goes unnoticed in answers.
	unitsKept = 1024
	unitsLife = 10 * time.Second
)

// coalescer merges single readings of the same caller that arrive at the same time into batches of a stream: one call
// for many. The answers are those that each reading would have got alone. A reading whose stream fails, or
// which is the first of its sensor type, is sent once more alone, and that answer counts. Sending twice is harmless, for the reading carries its event time by then, and the same reading again changes
// nothing.
type coalescer struct {
	client ingestion.ReadingServiceClient
	ctx    context.Context //nolint:containedctx // of the process: lanes outlive the requests that open them

	lock  sync.Mutex
	lanes map[string]*lane

	unitsLock sync.RWMutex
	units     map[string]unit

	// stamped is the last event time that was given here, in microseconds.
	stamped atomic.Int64
}

// unit is the canonical unit of a sensor type, as the service last told it.
type unit struct {
	name string
	at   time.Time
}

func newCoalescer(ctx context.Context, client ingestion.ReadingServiceClient) *coalescer {
	return &coalescer{client: client, ctx: ctx, lanes: map[string]*lane{}, units: map[string]unit{}}
}

// create is CreateReading. Only readings are merged that a batch answers in the same way: no idempotency key, a value in
// the canonical unit, a time in whole microseconds.
func (c *coalescer) create(ctx context.Context, token string, request *ingestion.CreateReadingRequest) (*ingestion.CreateReadingResponse, error) {
	reading := request.GetReading()
	canonical, known := c.unit(reading)
	if request.GetIdempotencyKey() != "" || !plain(reading, canonical) {
		return c.alone(ctx, request)
	}
	if reading.GetEventTime() == nil {
		reading.EventTime = timestamppb.New(c.stamp())
	}
	one := &waiting{reading: reading, done: make(chan outcome, 1)}
	if !c.submit(token, one) {
		return c.alone(ctx, request)
	}
	select {
	case found := <-one.done:
		if found.refusal != nil {
			return nil, found.refusal
		}
		if !found.accepted || !known {
			return c.alone(ctx, request)
		}
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	// Not the message that was sent: an encoder may still be at it.
	return &ingestion.CreateReadingResponse{Reading: &ingestion.Reading{
		Building:   reading.GetBuilding(),
		Room:       reading.GetRoom(),
		SensorType: reading.GetSensorType(),
		Device:     reading.GetDevice(),
		Value:      reading.Value, //nolint:protogetter // a pointer: present
		Unit:       canonical,
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

// plain readings are stored as they are sent: the answer to them is known beforehand. The canonical unit may be unknown.
func plain(reading *ingestion.Reading, canonical string) bool {
	at := reading.GetEventTime()
	return (reading.GetUnit() == "" || reading.GetUnit() == canonical) && (at == nil || at.IsValid() && at.GetNanos()%1000 == 0)
}

// alone sends a reading by itself, and learns from the answer.
func (c *coalescer) alone(ctx context.Context, request *ingestion.CreateReadingRequest) (*ingestion.CreateReadingResponse, error) {
	response, err := c.client.CreateReading(ctx, request)
	if err == nil && response.GetReading().GetUnit() != "" {
		c.learn(response.GetReading().GetSensorType(), response.GetReading().GetUnit())
	}
	return response, err
}

func (c *coalescer) unit(reading *ingestion.Reading) (string, bool) {
	c.unitsLock.RLock()
	defer c.unitsLock.RUnlock()
	found, ok := c.units[reading.GetSensorType()]
	return found.name, ok && time.Since(found.at) < unitsLife
}

func (c *coalescer) learn(sensorType, name string) {
	c.unitsLock.Lock()
	defer c.unitsLock.Unlock()
	if len(c.units) >= unitsKept {
		clear(c.units)
	}
	c.units[sensorType] = unit{name, time.Now()}
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
