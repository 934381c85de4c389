// Package problem turns errors into RFC 9457 problem details.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType of a problem.
const ContentType = "application/problem+json"

// TypePrefix of every problem's type: what follows is the reason in lower case with hyphens.
const TypePrefix = "urn:tocsin:problem:"

// Reasons that the gateway itself gives; the services' own are in their error_reason.proto.
const (
	BodyInvalid     = "BODY_INVALID"
	QueryInvalid    = "QUERY_INVALID"
	HeaderInvalid   = "HEADER_INVALID"
	PathInvalid     = "PATH_INVALID"
	RouteUnknown    = "ROUTE_UNKNOWN"
	MethodDisallows = "METHOD_NOT_ALLOWED"
	TooLarge        = "TOO_LARGE"
	MediaType       = "MEDIA_TYPE_UNSUPPORTED"
	Unavailable     = "UNAVAILABLE"
	Deadline        = "DEADLINE_EXCEEDED"
	Cancelled       = "CANCELLED"
	Internal        = "INTERNAL"
)

// Violation is one broken rule of one field.
type Violation struct {
	// Field in the JSON spelling, relative to the request's body (or the query); empty for the whole.
	Field string `json:"field"`
	// Reason is the name of the rule, for programs.
	Reason string `json:"reason"`
	// Detail is for people.
	Detail string `json:"detail"`
}

// Problem is what a REST client sees of an error.
type Problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail,omitempty"`
	Instance string            `json:"instance,omitempty"`
	Reason   string            `json:"reason"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Errors   []Violation       `json:"errors,omitempty"`

	// RetryAfter becomes the header of that name when above 0.
	RetryAfter time.Duration `json:"-"`
	// Allow becomes the header of that name.
	Allow []string `json:"-"`
}

// New makes a problem.
func New(status int, reason, detail string, errors ...Violation) *Problem {
	title := http.StatusText(status)
	if status == statusClientClosed {
		title = "Client Closed Request"
	}
	return &Problem{
		Type:   TypePrefix + strings.ToLower(strings.ReplaceAll(reason, "_", "-")),
		Title:  title,
		Status: status,
		Detail: detail,
		Reason: reason,
		Errors: errors,
	}
}

// Error makes a problem an error.
func (p *Problem) Error() string { return p.Reason + ": " + p.Detail }

// JSON is the problem's text, with the request's id as its instance.
func (p *Problem) JSON(requestID string) []byte {
	shown := *p
	shown.Instance = requestID
	text, err := json.Marshal(&shown)
	if err != nil { // strings and numbers only: cannot happen
		return []byte(`{"type":"` + TypePrefix + `internal","title":"Internal Server Error","status":500,"reason":"INTERNAL"}`)
	}
	return text
}

// Write answers a request with the problem.
func (p *Problem) Write(w http.ResponseWriter, requestID string) {
	header := w.Header()
	for _, name := range []string{"Trailer", "Transfer-Encoding", "Content-Length", "Content-Disposition", "ETag"} {
		header.Del(name)
	}
	header.Set("Content-Type", ContentType)
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	if len(p.Allow) > 0 {
		header.Set("Allow", strings.Join(p.Allow, ", "))
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge(p.Reason))
	}
	text := append(p.JSON(requestID), '\n')
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(p.Status)
	// A client that has gone away is no error of ours.
	_, _ = w.Write(text)
}

func challenge(reason string) string {
	if reason == "TOKEN_MISSING" {
		return `Bearer realm="tocsin"`
	}
	return `Bearer realm="tocsin", error="invalid_token"`
}
