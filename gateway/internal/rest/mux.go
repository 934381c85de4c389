// Package rest is the REST face of the contracts: the generated handlers, and around them what generation cannot give.
package rest

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"tocsin/gateway/internal/contract"
	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
)

// Options of the REST face.
type Options struct {
	// Conn gives the way to a service.
	Conn func(peer string) grpc.ClientConnInterface
	// MaxBody in bytes of a request that is read as a whole.
	MaxBody int64
	// Timeout of unary calls: the default and the most that Grpc-Timeout may ask for.
	Timeout time.Duration
	// Heartbeat of server-sent events.
	Heartbeat time.Duration
	// Stopping is closed when the server stops: endless streams end then.
	Stopping <-chan struct{}
	// Pages stand beside the routes of the contracts; they take GET only.
	Pages []string
	// Own handlers stand in for generated ones: "VERB template" to handler.
	Own map[string]runtime.HandlerFunc
}

// New makes the handler of all REST routes.
func New(ctx context.Context, table *contract.Contract, options Options) (http.Handler, error) {
	routes := newRoutes(table)
	for _, page := range options.Pages {
		routes.add(http.MethodGet, page)
	}
	// Global in the library: of the process, which has one gateway.
	runtime.DefaultContextTimeout = options.Timeout
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler{}),
		runtime.WithErrorHandler(errorHandler(table)),
		runtime.WithRoutingErrorHandler(routingErrorHandler(routes)),
		runtime.WithIncomingHeaderMatcher(exchange.Forwarded),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithForwardResponseOption(disposition),
		runtime.WithForwardResponseOption(versionETag),
		runtime.WithMiddlewares(rememberRoute),
		runtime.WithWriteContentLength(),
		runtime.SetQueryParameterParser(&queryParser{}),
	)
	if err := contract.Register(ctx, mux, options.Conn); err != nil {
		return nil, err
	}
	for _, method := range table.Methods {
		if !method.Descriptor.IsStreamingServer() || method.Descriptor.IsStreamingClient() {
			continue
		}
		streams, err := newStreams(method, options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method.FullName, err)
		}
		for _, binding := range method.Bindings {
			if err := handle(mux, binding.Verb, binding.Template, streams.serve); err != nil {
				return nil, err
			}
		}
	}
	own := map[place]runtime.HandlerFunc{}
	for name, handler := range options.Own {
		verb, path, _ := strings.Cut(name, " ")
		if err := handle(mux, verb, path, handler); err != nil {
			return nil, err
		}
		if !strings.Contains(path, "{") {
			own[place{verb, path}] = handler
		}
	}
	return guard(mux, own, options), nil
}

// place of a route without parameters.
type place struct{ verb, path string }

// String is the path as the pattern of its route.
func (p place) String() string { return p.path }

// guard checks what concerns every route and prepares the body for the decoder. Own handlers of a fixed path, among them
// the one that has most of the traffic, are found without the multiplexer.
func guard(mux *runtime.ServeMux, own map[place]runtime.HandlerFunc, options Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex := exchange.From(r.Context())
		if p := check(r, ex, options.Timeout); p != nil {
			p.Write(w, ex.RequestID)
			return
		}
		r.Body = &body{r.Body, r.Header.Get("Content-Type"), r.ContentLength, options.MaxBody, r.Method == http.MethodPatch, ex}
		here := place{r.Method, r.URL.Path}
		if handler, ok := own[here]; ok {
			ex.Pattern = here
			handler(w, r, nil)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func check(r *http.Request, ex *exchange.Exchange, longest time.Duration) *problem.Problem {
	if !utf8.ValidString(r.URL.Path) {
		return problem.New(http.StatusBadRequest, problem.PathInvalid, "The path is not UTF-8.")
	}
	if r.URL.RawQuery != "" {
		for name, values := range r.URL.Query() {
			if !utf8.ValidString(name + strings.Join(values, "")) {
				return problem.New(http.StatusBadRequest, problem.QueryInvalid, "The query is not UTF-8.")
			}
		}
	}
	if key := r.Header.Get("Idempotency-Key"); !utf8.ValidString(key) || len(r.Header.Values("Idempotency-Key")) > 1 {
		return problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The header Idempotency-Key must be there once, in UTF-8.")
	}
	// Who only reads has nothing to lose.
	if tags := r.Header.Values("If-Match"); len(tags) > 0 && r.Method != http.MethodGet && r.Method != http.MethodHead {
		version, ok := parseVersion(tags)
		if !ok {
			return problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The header If-Match must be one ETag of ours, such as \"3\", or *.")
		}
		ex.ExpectedVersion = version
	}
	if text := r.Header.Get("Grpc-Timeout"); text != "" {
		asked, ok := parseTimeout(text)
		if !ok {
			return problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The header Grpc-Timeout must be a timeout such as 10S or 500m.")
		}
		if asked > longest {
			r.Header.Del("Grpc-Timeout")
		}
	}
	return nil
}

var timeoutForm = regexp.MustCompile(`^(\d{1,8})([HMSmun])$`)

func parseTimeout(text string) (time.Duration, bool) {
	parts := timeoutForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	unit := map[string]time.Duration{
		"H": time.Hour, "M": time.Minute, "S": time.Second,
		"m": time.Millisecond, "u": time.Microsecond, "n": time.Nanosecond,
	}[parts[2]]
	var value time.Duration
	for _, digit := range parts[1] {
		value = value*10 + time.Duration(digit-'0')
	}
	return min(value, time.Duration(1<<62)/unit) * unit, true
}

var versionTag = regexp.MustCompile(`^"([1-9]\d{0,17})"$`)

// parseVersion reads If-Match: the version in the one ETag, 0 for `*` (any).
func parseVersion(tags []string) (int64, bool) {
	if len(tags) != 1 {
		return 0, false
	}
	if tags[0] == "*" {
		return 0, true
	}
	parts := versionTag.FindStringSubmatch(tags[0])
	if parts == nil {
		return 0, false
	}
	version, err := strconv.ParseInt(parts[1], 10, 64)
	return version, err == nil
}

// versionETag tells the version of the one resource in an answer as its ETag.
func versionETag(_ context.Context, w http.ResponseWriter, message proto.Message) error {
	body := message.ProtoReflect()
	field := body.Descriptor().Fields().ByName("version")
	if field != nil && field.Kind() == protoreflect.Int64Kind && body.Get(field).Int() > 0 {
		w.Header().Set("ETag", `"`+strconv.FormatInt(body.Get(field).Int(), 10)+`"`)
	}
	return nil
}

func rememberRoute(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			exchange.From(r.Context()).Pattern = pattern
		}
		next(w, r, params)
	}
}

// outgoingHeader says which of a service's headers a REST client sees.
func outgoingHeader(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "content-disposition", "etag", "cache-control", "location":
		return http.CanonicalHeaderKey(name), true
	}
	return "", false
}

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// filename of a download, after the resource that it belongs to.
func filename(fullName, urlPath string) string {
	owner := unsafeInName.ReplaceAllString(path.Base(path.Dir(urlPath)), "_")
	switch {
	case strings.HasSuffix(fullName, "/DownloadInvoice"):
		return "invoice-" + owner + ".pdf"
	case strings.HasSuffix(fullName, "/DownloadDebtFileRejects"):
		return "rejects-" + owner + ".csv"
	}
	return ""
}

// disposition names downloads that the service has not named.
func disposition(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	if _, ok := message.(*httpbody.HttpBody); !ok || w.Header().Get("Content-Disposition") != "" {
		return nil
	}
	method, _ := runtime.RPCMethod(ctx)
	if name := filename(method, exchange.From(ctx).Path); name != "" {
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	return nil
}
