package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"tocsin/gateway/internal/config"
	"tocsin/gateway/internal/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

func fail(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func info(reason string, metadata map[string]string) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: reason, Domain: "tocsin", Metadata: metadata}
}

// unfollowed shows redirects as they are.
var unfollowed = http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func do(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Request-Id", "the-request")
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := unfollowed.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// golden compares an answer (status, telling headers, body) with testdata/<name>.json.
func golden(t *testing.T, name string, response *http.Response, text string) {
	t.Helper()
	seen := map[string]any{"status": response.StatusCode}
	headers := map[string]string{}
	for _, header := range []string{"Content-Type", "Retry-After", "WWW-Authenticate", "Allow", "X-Request-Id", "Cache-Control"} {
		if value := response.Header.Get(header); value != "" {
			headers[header] = value
		}
	}
	var body any
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("no JSON: %s", text)
	}
	seen["headers"], seen["body"] = headers, body
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(seen); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got.String(), want)
	}
}

func TestProblemsOfServices(t *testing.T) {
	violations := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "reading.value", Reason: "DOUBLE_FINITE", Description: "must be finite"},
		{Field: "reading", Reason: "REQUIRED", Description: "is required"},
		{Field: "idempotencyKey", Reason: "STRING_MAX_LEN", Description: "too long"},
	}}
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}
	for name, err := range map[string]error{
		"invalid_argument":   fail(codes.InvalidArgument, "The request is invalid.", info("VALIDATION_FAILED", nil), violations),
		"not_found":          fail(codes.NotFound, "No sensor type x.", info("SENSOR_TYPE_UNKNOWN", map[string]string{"sensorType": "x"})),
		"already_exists":     fail(codes.AlreadyExists, "The key was used.", info("IDEMPOTENCY_CONFLICT", nil)),
		"resource_exhausted": fail(codes.ResourceExhausted, "Slow down.", info("RATE_LIMITED", nil), retry),
		"too_large":          fail(codes.ResourceExhausted, "Too many.", info("TOO_LARGE", nil)),
		"unauthenticated":    fail(codes.Unauthenticated, "The token has expired.", info("TOKEN_EXPIRED", nil)),
		"permission_denied":  fail(codes.PermissionDenied, "A scope is missing.", info("SCOPE_MISSING", map[string]string{"scopes": "readings:write"})),
		"unavailable":        fail(codes.Unavailable, "JetStream is slow.", info("STREAM_UNAVAILABLE", nil), retry),
		"internal_typed":     fail(codes.Internal, "An internal error.", info("INTERNAL", nil)),
		"internal_bare":      fail(codes.Internal, "panic at 10.0.0.1: secret"),
		"unknown_bare":       fail(codes.Unknown, "KeyError: secret"),
		"unavailable_bare":   fail(codes.Unavailable, "dial tcp 10.0.0.1: secret"),
	} {
		t.Run(name, func(t *testing.T) {
			f, url, _ := setup(t)
			f.answer(err)
			response, text := do(t, "POST", url+"/v1/readings", `{"building":"b"}`)
			if strings.Contains(text, "secret") {
				t.Errorf("internals leak: %s", text)
			}
			golden(t, name, response, text)
			// Generated handlers say the same.
			_, other := do(t, "GET", url+"/v1/alerts/a", "")
			if name != "invalid_argument" && other != text {
				t.Errorf("generated: %s", other)
			}
		})
	}
}

func TestTheDetailNamesTheFieldAsTheViolationDoes(t *testing.T) {
	for field, want := range map[string]struct{ field, detail string }{
		"reading.value":  {"value", "value: must be finite"},
		"reading":        {"", "must be finite"},
		"idempotencyKey": {"idempotencyKey", "idempotencyKey: must be finite"},
	} {
		f, url, _ := setup(t)
		violation := &errdetails.BadRequest_FieldViolation{Field: field, Description: "must be finite", Reason: "DOUBLE_FINITE"}
		f.answer(fail(codes.InvalidArgument, field+": must be finite", info("INVALID_FIELD", nil),
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}}))
		_, text := do(t, "POST", url+"/v1/readings", `{"building":"b"}`)
		var seen problem.Problem
		if err := json.Unmarshal([]byte(text), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Detail != want.detail || seen.Errors[0].Field != want.field {
			t.Errorf("%s: %s", field, text)
		}
	}
}

func TestProblemsOfTheGateway(t *testing.T) {
	_, url, _ := setup(t, func(c *config.Config) { c.MaxBody = 1024 })
	json := []string{"Content-Type", "application/json"}
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
	}{
		"route_unknown":      {"GET", "/v1/nothing", "", nil},
		"method_not_allowed": {"PUT", "/v1/alerts/a", "", nil},
		"method_of_a_page":   {"POST", "/health", "", nil},
		"media_type":         {"POST", "/v1/alerts", "a=1", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"charset":            {"POST", "/v1/alerts", "{}", []string{"Content-Type", "application/json; charset=latin1"}},
		"body_invalid":       {"POST", "/v1/alerts", `{"uid":1,"what":2}`, json},
		"body_too_large":     {"POST", "/v1/alerts", strings.Repeat(" ", 1025), json},
		"body_field":         {"PATCH", "/v1/buildings/b1", `{"name":1}`, json},
		"query_invalid":      {"GET", "/v1/alerts?pageSize=x&state=LOUD&page_token=a&pageToken=b&foo=1", "", nil},
		"query_encoding":     {"GET", "/v1/alerts?pageToken=%zz", "", nil},
		"query_not_utf8":     {"GET", "/v1/alerts?pageToken=%ff", "", nil},
		"path_not_utf8":      {"GET", "/v1/alerts/%ff", "", nil},
		"grpc_timeout":       {"GET", "/v1/alerts/a", "", []string{"Grpc-Timeout", "soon"}},
		"payload_too_large":  {"POST", "/v1/devices/ep1/payloads", strings.Repeat("x", 2000), json},
		"stream_query":       {"GET", "/v1/windows:watch?step=15m", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			response, text := do(t, c.method, url+c.path, c.body, c.headers...)
			golden(t, name, response, text)
		})
	}
}

func TestServicesAway(t *testing.T) {
	_, url, _ := setup(t, func(c *config.Config) {
		for name := range c.Peers {
			c.Peers[name] = "127.0.0.1:1"
		}
	})
	response, text := do(t, "GET", url+"/v1/alerts", "")
	golden(t, "services_away", response, text)
	response, _ = do(t, "GET", url+"/health", "")
	if response.StatusCode != 503 {
		t.Errorf("health: %d", response.StatusCode)
	}
	for _, path := range []string{"/livez", "/readyz", "/openapi.json", "/docs/", "/"} {
		if response, _ := do(t, "GET", url+path, ""); response.StatusCode != 200 {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}
