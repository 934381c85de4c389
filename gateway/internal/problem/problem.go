// Package problem turns errors into RFC 9457 problem details.
package problem

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
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
	if text, ok := p.quick(make([]byte, 0, 640), requestID); ok {
		return text
	}
	shown := *p
	shown.Instance = requestID
	text, err := json.Marshal(&shown)
	if err != nil { // strings and numbers only: cannot happen
		return []byte(`{"type":"` + TypePrefix + `internal","title":"Internal Server Error","status":500,"reason":"INTERNAL"}`)
	}
	return text
}

// quick appends what json.Marshal would write, at a fifth of the time: refusals come in storms. False when a text has
// characters that JSON escapes.
func (p *Problem) quick(out []byte, requestID string) ([]byte, bool) {
	ok := true
	text := func(name, value string) {
		ok = ok && simple(value)
		out = append(append(append(append(append(out, '"'), name...), `":"`...), value...), '"')
	}
	optional := func(name, value string) {
		if value != "" {
			out = append(out, ',')
			text(name, value)
		}
	}
	out = append(out, '{')
	text("type", p.Type)
	optional("title", p.Title)
	out = strconv.AppendInt(append(out, `,"status":`...), int64(p.Status), 10)
	optional("detail", p.Detail)
	optional("instance", requestID)
	out = append(out, ',')
	text("reason", p.Reason)
	if len(p.Metadata) > 0 {
		opening := `,"metadata":{`
		for _, key := range slices.Sorted(maps.Keys(p.Metadata)) {
			ok = ok && simple(key)
			out = append(out, opening...)
			text(key, p.Metadata[key])
			opening = ","
		}
		out = append(out, '}')
	}
	if len(p.Errors) > 0 {
		opening := `,"errors":[{`
		for _, violation := range p.Errors {
			out = append(out, opening...)
			text("field", violation.Field)
			out = append(out, ',')
			text("reason", violation.Reason)
			out = append(out, ',')
			text("detail", violation.Detail)
			out = append(out, '}')
			opening = ",{"
		}
		out = append(out, ']')
	}
	return append(out, '}'), ok && p.Title != ""
}

// simple tells whether encoding/json writes the text as it is.
func simple(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < 0x20, c > 0x7e, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
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
	text := p.JSON(requestID)
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
