// Package readings holds the handlers of the paths that carry most of the traffic.
package readings

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/rest"
)

// refusalPause is how long what is no acceptance is held back while others are being served (ADR 0015). Who is answered
// comes back at once, and a refusal needs no disk: a storm of them would take more from the readings that are stored than
// as many good ones.
const refusalPause = 20 * time.Millisecond

// Creator answers POST /v1/readings.
type Creator struct {
	served    atomic.Int64
	client    ingestion.ReadingServiceClient
	coalescer *coalescer
	timeout   time.Duration
}

// NewCreator makes a creator whose calls take up to timeout. With merge, concurrent readings of the same caller go to
// the service in batches, until ctx ends.
func NewCreator(ctx context.Context, conn grpc.ClientConnInterface, timeout time.Duration, merge bool) *Creator {
	c := &Creator{client: ingestion.NewReadingServiceClient(conn), timeout: timeout}
	if merge {
		c.coalescer = newCoalescer(ctx, c.client)
	}
	return c
}

// Serve takes one reading in.
func (c *Creator) Serve(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	c.served.Add(1)
	defer c.served.Add(-1)
	response, err := c.create(r)
	if err != nil {
		if c.served.Load() > 1 {
			pause(r.Context())
		}
		rest.Fail(w, r, err, "reading")
		return
	}
	rest.Answer(w, r, response)
}

func pause(ctx context.Context) {
	timer := time.NewTimer(refusalPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *Creator) create(r *http.Request) (*ingestion.CreateReadingResponse, error) {
	request := &ingestion.CreateReadingRequest{Reading: &ingestion.Reading{}}
	if err := rest.Decode(r, request, request.Reading); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(exchange.Outgoing(r.Context(), r), rest.Timeout(r, c.timeout))
	defer cancel()
	ex := exchange.From(ctx)
	// A trace that is recorded must show this reading's own way through the service.
	if c.coalescer == nil || ex.Sampled() || ex.IdempotencyKey != "" {
		return c.client.CreateReading(ctx, request)
	}
	return c.coalescer.create(ctx, r.Header.Get("Authorization"), request)
}
