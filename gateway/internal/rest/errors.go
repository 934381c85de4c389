package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tocsin/gateway/internal/contract"
	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
)

// TooLarge is the problem of a body over the limit.
func TooLarge(limit int64) *problem.Problem {
	p := problem.New(http.StatusRequestEntityTooLarge, problem.TooLarge,
		fmt.Sprintf("The body is larger than the %d bytes that this operation takes.", limit))
	p.Metadata = map[string]string{"limit": fmt.Sprint(limit)}
	return p
}

// Unsupported is the problem of a Content-Type that an operation does not take.
func Unsupported(contentType string, takes ...string) *problem.Problem {
	p := problem.New(http.StatusUnsupportedMediaType, problem.MediaType, fmt.Sprintf(
		"This operation takes Content-Type %s, not %q.", strings.Join(takes, " or "), clip(contentType)))
	p.Metadata = map[string]string{"accepts": strings.Join(takes, ", ")}
	return p
}

func clip(text string) string {
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// Fail answers with the problem that err is: of a service, or a *problem.Problem.
func Fail(w http.ResponseWriter, r *http.Request, err error, bodyField string) {
	Explain(r, err, bodyField).Write(w, exchange.From(r.Context()).RequestID)
}

// Explain makes a problem of err and logs what the client is not shown.
func Explain(r *http.Request, err error, bodyField string) *problem.Problem {
	if p, ok := err.(*problem.Problem); ok { //nolint:errorlint // never wrapped
		return p
	}
	p := problem.FromError(err, bodyField)
	if p.Status >= 500 && problem.FromTransport(err) && status.Code(err) != codes.DeadlineExceeded {
		ex := exchange.From(r.Context())
		slog.WarnContext(r.Context(), "call failed", "route", ex.Route(), "error", err.Error(), "request_id", ex.RequestID)
	}
	return p
}

// errorHandler answers for the generated handlers.
func errorHandler(table *contract.Contract) runtime.ErrorHandlerFunc {
	return func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
		ex := exchange.From(r.Context())
		name, _ := runtime.RPCMethod(ctx)
		method := table.Methods[name]
		switch {
		case ex.Refused != nil:
			err = ex.Refused
		case !ex.Called() && method != nil:
			err = ownError(r, method, err)
		case !ex.Called():
			err = problem.New(http.StatusBadRequest, problem.PathInvalid, "The path is not properly encoded.")
		}
		Fail(w, r, err, table.BodyField(name))
	}
}

// ownError is about a request that no service saw: its query or its headers could not be read.
func ownError(r *http.Request, method *contract.Method, err error) error {
	if p := checkQuery(r, method.Descriptor.Input()); p != nil {
		return p
	}
	if strings.Contains(err.Error(), "grpc-timeout") {
		return problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The header Grpc-Timeout is no timeout such as 10S or 500m.")
	}
	return problem.New(http.StatusBadRequest, problem.QueryInvalid, "The query does not fit this operation.")
}

// routingErrorHandler answers where no handler matches.
func routingErrorHandler(routes *routes) runtime.RoutingErrorHandlerFunc {
	return func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
		p := problem.New(http.StatusNotFound, problem.RouteUnknown, "There is nothing at this path; /openapi.json lists what there is.")
		verbs := routes.allowed(r.URL.Path)
		switch {
		case code == http.StatusMethodNotAllowed, code == http.StatusNotFound && len(verbs) > 0:
			p = problem.New(http.StatusMethodNotAllowed, problem.MethodDisallows, fmt.Sprintf("This path does not take %s.", clip(r.Method)))
			p.Allow = verbs
		case code == http.StatusBadRequest:
			p = problem.New(code, problem.PathInvalid, "The path is not properly encoded.")
		}
		p.Write(w, exchange.From(r.Context()).RequestID)
	}
}
