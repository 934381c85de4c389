package readings

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/problem"
)

const (
	laneBatch = 1000
	// lanePause is the longest that a batch waits for more readings, in a lane that has just answered some.
	lanePause = 4 * time.Millisecond
	// laneLife bounds how long a token is trusted after the service has verified it.
	laneLife = 10 * time.Second
	// expiryMargin is for what is still under way when a lane ends.
	expiryMargin = time.Second
)

// waiting is a reading on its way; done gets its outcome, once.
type waiting struct {
	reading *ingestion.Reading
	done    chan outcome
}

// outcome of a reading: accepted, refused, or neither: then only a call with it alone can tell. An accepted one may have met
// another value of its event time.
type outcome struct {
	accepted bool
	conflict *ingestion.ReadingConflict
	refusal  *problem.Problem
}

// lane sends the readings of one caller (one token) over one stream, one batch after the other: while a batch is under
// way the next one gathers, so the busier it is the larger batches become. Callers who have just been answered tend to
// come back at once. So a batch waits for them, up to lanePause, until it is as large as the last one and what had
// gathered beside it: what a batch costs on its way through all the services is more than what its readings cost.
// Alone, nobody waits.
type lane struct {
	client ingestion.ReadingServiceClient
	// wake is signalled when the queue has grown to enough.
	wake chan struct{}

	lock   sync.Mutex
	queue  []*waiting
	enough int
	closed bool
}

func newLane(client ingestion.ReadingServiceClient) *lane {
	return &lane{client: client, wake: make(chan struct{}, 1), enough: 1}
}

// add puts a reading on its way; false when the lane takes no more.
func (l *lane) add(w *waiting) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, w)
	if len(l.queue) == l.enough {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// wait returns when count readings are queued, or when end or ctx is over; only then it is false.
func (l *lane) wait(ctx context.Context, count int, end <-chan time.Time) bool {
	for {
		l.lock.Lock()
		l.enough = count
		reached := len(l.queue) >= count
		l.lock.Unlock()
		if reached {
			return true
		}
		select {
		case <-l.wake: // perhaps of an earlier wait
		case <-end:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (l *lane) waiting() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.queue)
}

// take removes up to a batch from the queue.
func (l *lane) take() []*waiting {
	l.lock.Lock()
	defer l.lock.Unlock()
	size := min(len(l.queue), laneBatch)
	batch := l.queue[:size:size]
	l.queue = l.queue[size:]
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
	if err == nil {
		err = l.serve(ctx, stream, lifeOf(token))
	}
	settle(l.close(), false)
	if err == nil && stream.CloseSend() == nil {
		_, _ = stream.Recv() // the service's own end of the stream, instead of a cancellation
	}
}

// serve returns an error when the stream has failed.
func (l *lane) serve(ctx context.Context, stream ingestion.ReadingService_StreamReadingsClient, life time.Duration) error {
	end := time.NewTimer(life)
	defer end.Stop()
	pause := time.NewTimer(lanePause)
	defer pause.Stop()
	expected := 1
	for l.wait(ctx, 1, end.C) {
		if expected > 1 {
			pause.Reset(lanePause)
			l.wait(ctx, expected, pause.C)
		}
		batch := l.take()
		accepted, err := exchangeBatch(stream, batch)
		if err != nil {
			return err
		}
		// Who is refused comes back later (see Creator).
		expected = min(accepted+l.waiting(), laneBatch)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// New readings take a new lane; those that are here still go with this one.
	for left := l.close(); len(left) > 0; {
		size := min(len(left), laneBatch)
		if _, err := exchangeBatch(stream, left[:size]); err != nil {
			settle(left[size:], false)
			return err
		}
		left = left[size:]
	}
	return nil
}

// exchangeBatch gives every reading of the batch its outcome, and tells how many were accepted; an error says that the
// stream has failed.
func exchangeBatch(stream ingestion.ReadingService_StreamReadingsClient, batch []*waiting) (int, error) {
	response, err := ask(stream, batch)
	if err != nil {
		settle(batch, false)
		return 0, err
	}
	for _, item := range response.GetRejections() {
		if at := int(item.GetIndex()); at >= 0 && at < len(batch) && batch[at] != nil {
			batch[at].done <- refusalOf(item)
			batch[at] = nil
		}
	}
	for _, item := range response.GetConflicts() {
		if at := int(item.GetIndex()); at >= 0 && at < len(batch) && batch[at] != nil {
			item.Index = 0
			batch[at].done <- outcome{accepted: true, conflict: item}
			batch[at] = nil
		}
	}
	settle(batch, true)
	return int(response.GetAccepted() + response.GetIgnored()), nil
}

func ask(stream ingestion.ReadingService_StreamReadingsClient, batch []*waiting) (*ingestion.StreamReadingsResponse, error) {
	list := &ingestion.StreamReadingsRequest_ReadingList{Readings: make([]*ingestion.Reading, len(batch))}
	for i, w := range batch {
		list.Readings[i] = w.reading
	}
	err := stream.Send(&ingestion.StreamReadingsRequest{
		Batch:   &ingestion.StreamReadingsRequest_Readings{Readings: list},
		Explain: true,
	})
	if err != nil && !errors.Is(err, io.EOF) { // after EOF it is Recv that tells why
		return nil, err
	}
	return stream.Recv()
}

func refusalOf(item *ingestion.ItemRejection) outcome {
	if item.GetCode() == 0 {
		return outcome{}
	}
	var violations []problem.Violation
	for _, one := range item.GetViolations() {
		violations = append(violations, problem.Violation{Field: one.GetField(), Reason: one.GetRule(), Detail: one.GetMessage()})
	}
	if len(violations) == 0 && item.GetField() != "" {
		violations = []problem.Violation{{Field: item.GetField(), Reason: item.GetReason(), Detail: item.GetMessage()}}
	}
	code := codes.Code(item.GetCode()) //nolint:gosec // of a service
	return outcome{refusal: problem.OfItem(code, item.GetReason(), item.GetMessage(), item.GetMetadata(), violations...)}
}

func settle(batch []*waiting, accepted bool) {
	for _, w := range batch {
		if w != nil {
			w.done <- outcome{accepted: accepted}
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
	return max(min(laneLife, time.Until(expiry)-expiryMargin), 0)
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
