// Package exchange holds what the layers of the gateway learn about one request, and what goes on with it to a service.
package exchange

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/metadata"

	"tocsin/gateway/internal/problem"
)

// Headers that go on to the services, in the spelling of gRPC metadata.
const (
	requestIDHeader = "X-Request-Id"
	traceHeader     = "Traceparent"
)

// Exchange belongs to one request and is used by one goroutine at a time, but for what MarkCalled notes.
type Exchange struct {
	// RequestID is the caller's when it is short and harmless, else a new one.
	RequestID string
	// Traceparent is the caller's trace context, else a new one.
	Traceparent string
	// IdempotencyKey of the header; empty without one.
	IdempotencyKey string
	// ExpectedVersion of the If-Match header; 0 without one.
	ExpectedVersion int64
	// Updated are the fields that the body of a PATCH names: its update mask, should the query give none.
	Updated []string
	// Path of the request.
	Path string
	// Pattern of the route that matched; nil when none did. Its text is made only when it is asked for.
	Pattern fmt.Stringer
	// Refused is why the body was not acceptable.
	Refused *problem.Problem

	called atomic.Bool
}

type key struct{}

var (
	safeID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	parent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}`)
)

// Begin makes the exchange of a request and writes what it settles into the request's headers, from which it goes on to
// the services. A trace that begins here is sampled with probability ratio.
func Begin(r *http.Request, ratio float64) (*Exchange, *http.Request) {
	ex := &Exchange{
		RequestID:   r.Header.Get(requestIDHeader),
		Traceparent: r.Header.Get(traceHeader),
		Path:        r.URL.Path,
	}
	if !safeID.MatchString(ex.RequestID) {
		ex.RequestID = randomHex(16)
		r.Header.Set(requestIDHeader, ex.RequestID)
	}
	if !parent.MatchString(ex.Traceparent) {
		flags := "-00"
		if mathrand.Float64() < ratio {
			flags = "-01"
		}
		ex.Traceparent = "00-" + randomHex(16) + "-" + randomHex(8) + flags
		r.Header.Set(traceHeader, ex.Traceparent)
		r.Header.Del("Tracestate")
	}
	ex.IdempotencyKey = r.Header.Get("Idempotency-Key")
	return ex, r.WithContext(context.WithValue(r.Context(), key{}, ex))
}

// From returns the exchange of the request that ctx belongs to; a blank one outside of any.
func From(ctx context.Context) *Exchange {
	if ex, ok := ctx.Value(key{}).(*Exchange); ok {
		return ex
	}
	return &Exchange{}
}

// MarkCalled notes that a service was asked; several goroutines may ask at the same time on behalf of one request.
func (e *Exchange) MarkCalled() { e.called.Store(true) }

// Called tells whether a service was asked: errors before that are the gateway's own.
func (e *Exchange) Called() bool { return e.called.Load() }

// Route that matched, such as /v1/alerts/{uid}; empty when none did.
func (e *Exchange) Route() string {
	if e.Pattern == nil {
		return ""
	}
	return strings.ReplaceAll(e.Pattern.String(), "=*}", "}")
}

// Sampled tells whether the trace is recorded.
func (e *Exchange) Sampled() bool {
	if len(e.Traceparent) < 55 {
		return false
	}
	flags, err := strconv.ParseUint(e.Traceparent[53:55], 16, 8)
	return err == nil && flags&1 == 1
}

// TraceID of the exchange.
func (e *Exchange) TraceID() string {
	if len(e.Traceparent) < 35 {
		return ""
	}
	return e.Traceparent[3:35]
}

// Forwarded says under which name a header of the request goes on to a service.
func Forwarded(header string) (string, bool) {
	switch header {
	case requestIDHeader:
		return "x-request-id", true
	case traceHeader:
		return "traceparent", true
	case "Tracestate":
		return "tracestate", true
	}
	return "", false
}

// Outgoing is ctx with the metadata that a call on behalf of r carries, for handlers that are not generated.
func Outgoing(ctx context.Context, r *http.Request) context.Context {
	pairs := make([]string, 0, 8)
	if token := r.Header.Get("Authorization"); token != "" && printable(token) {
		pairs = append(pairs, "authorization", token)
	}
	for _, header := range []string{requestIDHeader, traceHeader, "Tracestate"} {
		if value := r.Header.Get(header); value != "" && printable(value) {
			name, _ := Forwarded(header)
			pairs = append(pairs, name, value)
		}
	}
	return metadata.NewOutgoingContext(ctx, metadata.Pairs(pairs...))
}

// printable tells whether gRPC takes the text as a metadata value.
func printable(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}

func randomHex(bytes int) string {
	buffer := make([]byte, bytes)
	_, _ = rand.Read(buffer) // never fails: documented
	return hex.EncodeToString(buffer)
}
