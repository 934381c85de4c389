package problem

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const statusClientClosed = 499

// httpStatus is the one table from gRPC codes to HTTP statuses (that of google.rpc.Code).
var httpStatus = map[codes.Code]int{
	codes.OK:                 http.StatusOK,
	codes.Canceled:           statusClientClosed,
	codes.Unknown:            http.StatusInternalServerError,
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.ResourceExhausted:  http.StatusTooManyRequests,
	codes.FailedPrecondition: http.StatusBadRequest,
	codes.Aborted:            http.StatusConflict,
	codes.OutOfRange:         http.StatusBadRequest,
	codes.Unimplemented:      http.StatusNotImplemented,
	codes.Internal:           http.StatusInternalServerError,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.DataLoss:           http.StatusInternalServerError,
	codes.Unauthenticated:    http.StatusUnauthorized,
}

// bare describes statuses that came without details: from the transport, not from a service. Their own text may speak
// of addresses and sockets, so it is not shown.
var bare = map[codes.Code]struct{ reason, detail string }{
	codes.Canceled:          {Cancelled, "The request was cancelled."},
	codes.DeadlineExceeded:  {Deadline, "The request took longer than its deadline allows."},
	codes.Unavailable:       {Unavailable, "The service cannot be reached right now; try again."},
	codes.Unimplemented:     {"UNIMPLEMENTED", "The service does not offer this operation."},
	codes.Unauthenticated:   {"UNAUTHENTICATED", "The request carries no valid token."},
	codes.PermissionDenied:  {"PERMISSION_DENIED", "The token does not allow this."},
	codes.ResourceExhausted: {"RESOURCE_EXHAUSTED", "The request is over a limit of the service."},
	codes.InvalidArgument:   {"INVALID_ARGUMENT", "The service refused the request."},
	codes.NotFound:          {"NOT_FOUND", "There is no such resource."},
}

// overLimit is how gRPC says that a message is too large: "larger than max (4194309 vs. 4194304)".
var overLimit = regexp.MustCompile(`larger than max \((\d+) vs\. (\d+)\)`)

// FromError makes a problem from the error of a call. bodyField is the field of the request that the body fills
// (contract.Binding.Body): clients know their body, not the message around it, so the name is taken off the fields.
func FromError(err error, bodyField string) *Problem {
	st := status.Convert(err)
	code, known := httpStatus[st.Code()]
	if !known {
		code = http.StatusInternalServerError
	}
	p := New(code, Internal, "Something went wrong in the service; it has been logged.")
	typed := false
	text := st.Message()
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			p.setReason(d.GetReason())
			p.Metadata = d.GetMetadata()
			typed = true
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				text = renamed(text, v.GetField(), relative(v.GetField(), bodyField))
				p.Errors = append(p.Errors, Violation{relative(v.GetField(), bodyField), v.GetReason(), v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			p.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	switch fixed, ok := bare[st.Code()]; {
	case typed:
		p.Detail = text
	case ok:
		p.setReason(fixed.reason)
		p.Detail = fixed.detail
	}
	tooLarge := p.Reason == TooLarge || (!typed && strings.Contains(st.Message(), "larger than max"))
	if st.Code() == codes.ResourceExhausted && tooLarge {
		p.setReason(TooLarge)
		p.Status, p.Title = http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge)
		if sizes := overLimit.FindStringSubmatch(st.Message()); !typed && sizes != nil {
			p.Detail = "The request has " + sizes[1] + " bytes as the service gets it, more than the " + sizes[2] + " that it takes."
			p.Metadata = map[string]string{"limit": sizes[2]}
		}
	}
	if p.RetryAfter == 0 && st.Code() == codes.Unavailable {
		p.RetryAfter = time.Second
	}
	return p
}

// OfItem makes the problem with which one item of a batch would have been refused alone (ItemRejection): detail says what
// is wrong with it. The caller keeps the metadata as it is.
func OfItem(code codes.Code, reason, detail string, metadata map[string]string, violations ...Violation) *Problem {
	http, known := httpStatus[code]
	if !known || code == codes.OK {
		http = httpStatus[codes.Internal]
	}
	p := New(http, reason, detail, violations...)
	if code == codes.InvalidArgument && len(violations) > 0 && violations[0].Field != "" {
		p.Detail = violations[0].Field + ": " + violations[0].Detail
	}
	p.Metadata = metadata
	return p
}

// FromTransport tells whether the error came without details, so that its text shows up nowhere but in the log.
func FromTransport(err error) bool {
	for _, detail := range status.Convert(err).Details() {
		if _, ok := detail.(*errdetails.ErrorInfo); ok {
			return false
		}
	}
	return true
}

func (p *Problem) setReason(reason string) {
	if reason == "" {
		return
	}
	fresh := New(p.Status, reason, p.Detail)
	p.Reason, p.Type = fresh.Reason, fresh.Type
}

func relative(field, bodyField string) string {
	if bodyField == "" || bodyField == "*" {
		return field
	}
	name := jsonName(bodyField)
	if field == name {
		return ""
	}
	return strings.TrimPrefix(field, name+".")
}

// renamed makes a text that opens with a field ("reading.value: must be finite") name it as the violation does.
func renamed(text, from, to string) string {
	rest, ok := strings.CutPrefix(text, from+": ")
	if !ok || from == "" {
		return text
	}
	if to == "" {
		return rest
	}
	return to + ": " + rest
}

func jsonName(field string) string {
	head, rest, _ := strings.Cut(field, "_")
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "_")
		head += strings.ToUpper(part[:1]) + part[1:]
	}
	return head
}
