// Package readings holds the handlers of the paths that carry most of the traffic.
package readings

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/rest"
)

// Creator answers POST /v1/readings.
type Creator struct {
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
	request := &ingestion.CreateReadingRequest{Reading: &ingestion.Reading{}}
	if err := rest.Decode(r, request, request.Reading); err != nil {
		rest.Fail(w, r, err, "reading")
		return
	}
	ctx, cancel := context.WithTimeout(exchange.Outgoing(r.Context(), r), rest.Timeout(r, c.timeout))
	defer cancel()
	response, err := c.create(ctx, r, request)
	if err != nil {
		rest.Fail(w, r, err, "reading")
		return
	}
	answerCreated(w, r, response)
}

func (c *Creator) create(ctx context.Context, r *http.Request, request *ingestion.CreateReadingRequest) (*ingestion.CreateReadingResponse, error) {
	ex := exchange.From(ctx)
	// A trace that is recorded must show this reading's own way through the service.
	if c.coalescer == nil || ex.Sampled() || ex.IdempotencyKey != "" {
		return c.client.CreateReading(ctx, request)
	}
	return c.coalescer.create(ctx, r.Header.Get("Authorization"), request)
}
