package readings

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	ingestion "tocsin/gen/tocsin/ingestion/v1"
)

const (
	// laneBatches may be under way on a lane. While they are, the next batch gathers: nobody waits for a timer, and the
	// busier it is the larger batches become.
	laneBatches = 4
	laneBatch   = 1000
	// laneLife bounds how long a token is trusted after the service has verified it.
	laneLife = 10 * time.Second
)

// waiting is a reading on its way; done gets whether the service accepted it, once.
type waiting struct {
	reading *ingestion.Reading
	done    chan bool
}

// lane sends the readings of one caller (one token) over one stream.
type lane struct {
	client ingestion.ReadingServiceClient
	wake   chan struct{}

	lock   sync.Mutex
	queue  []*waiting
	closed bool
}

// add puts a reading on its way; false when the lane takes no more.
func (l *lane) add(w *waiting) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, w)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

// take removes up to a batch from the queue.
func (l *lane) take() []*waiting {
	l.lock.Lock()
	defer l.lock.Unlock()
	batch := l.queue[:min(len(l.queue), laneBatch):min(len(l.queue), laneBatch)]
	l.queue = l.queue[len(batch):]
	if len(l.queue) > 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return batch
}

// close refuses more and gives what has not been sent.
func (l *lane) close() []*waiting {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.closed = true
	left := l.queue
	l.queue = nil
	return left
}

// run sends and receives until the lane's time is over or the stream fails. Every reading gets its outcome.
func (l *lane) run(ctx context.Context, token string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
	}
	stream, err := l.client.StreamReadings(ctx)
	if err != nil {
		settle(l.close(), false)
		return
	}
	under := make(chan []*waiting, laneBatches)
	slots := make(chan struct{}, laneBatches)
	received := make(chan struct{})
	go func() {
		defer close(received)
		receive(stream, under, slots, cancel)
	}()
	l.send(ctx, stream, under, slots, lifeOf(token))
	settle(l.close(), false)
	close(under)
	_ = stream.CloseSend() // a stream that has failed is told by the receiver
	<-received
}

func (l *lane) send(ctx context.Context, stream ingestion.ReadingService_StreamReadingsClient, under chan<- []*waiting, slots chan struct{}, life time.Duration) {
	end := time.NewTimer(life)
	defer end.Stop()
	for {
		select {
		case <-l.wake:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		batch := l.take()
		if len(batch) == 0 {
			<-slots
			continue
		}
		list := &ingestion.StreamReadingsRequest_ReadingList{Readings: make([]*ingestion.Reading, len(batch))}
		for i, w := range batch {
			list.Readings[i] = w.reading
		}
		under <- batch // has room: there are as many slots
		if stream.Send(&ingestion.StreamReadingsRequest{Batch: &ingestion.StreamReadingsRequest_Readings{Readings: list}}) != nil {
			return
		}
	}
}

// receive matches answers with batches, which come in the same order. It calls failure when there will be no more.
func receive(stream ingestion.ReadingService_StreamReadingsClient, under <-chan []*waiting, slots <-chan struct{}, failure func()) {
	failed := false
	for batch := range under {
		var response *ingestion.StreamReadingsResponse
		if !failed {
			var err error
			response, err = stream.Recv()
			failed = err != nil
		}
		if failed {
			failure()
			settle(batch, false)
			continue
		}
		for _, rejection := range response.GetRejections() {
			if at := int(rejection.GetIndex()); at >= 0 && at < len(batch) && batch[at] != nil {
				batch[at].done <- false
				batch[at] = nil
			}
		}
		settle(batch, true)
		<-slots
	}
}

func settle(batch []*waiting, accepted bool) {
	for _, w := range batch {
		if w != nil {
			w.done <- accepted
		}
	}
}

// lifeOf a lane: laneLife, but not past the expiry that the token itself names. The service verifies the token; this
// only keeps a stream from outliving it.
func lifeOf(token string) time.Duration {
	expiry, err := expiryOf(token)
	if err != nil {
		return laneLife
	}
	return max(min(laneLife, time.Until(expiry)), 0)
}

func expiryOf(token string) (time.Time, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, errors.New("no JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, err
	}
	var claims struct {
		Expiry int64 `json:"exp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil || claims.Expiry == 0 {
		return time.Time{}, errors.New("no expiry")
	}
	return time.Unix(claims.Expiry, 0), nil
}
