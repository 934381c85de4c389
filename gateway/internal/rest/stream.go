package rest

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"tocsin/gateway/internal/contract"
	"tocsin/gateway/internal/exchange"
)

// patience is how long a stream's answer waits for the service's first word. An error within it becomes the status of
// the answer; after it the stream is open and an error becomes its last event.
const patience = 300 * time.Millisecond

// streams answers methods that stream to the client. The generated handlers would do without heartbeats, without
// server-sent events, and with an envelope around files.
type streams struct {
	method    *contract.Method
	conn      grpc.ClientConnInterface
	heartbeat time.Duration
	stopping  <-chan struct{}
	input     protoreflect.MessageType
	output    protoreflect.MessageType
}

func newStreams(method *contract.Method, options Options) (*streams, error) {
	input, err := protoregistry.GlobalTypes.FindMessageByName(method.Descriptor.Input().FullName())
	if err != nil {
		return nil, err
	}
	output, err := protoregistry.GlobalTypes.FindMessageByName(method.Descriptor.Output().FullName())
	if err != nil {
		return nil, err
	}
	streams := &streams{method, options.Conn(method.Peer), options.Heartbeat, options.Stopping, input, output}
	if streams.isFile() {
		streams.stopping = nil // a download has an end
	}
	return streams, nil
}

func (s *streams) isFile() bool {
	return s.method.Descriptor.Output().FullName() == "google.api.HttpBody"
}

// item is what the receiver found: the service's headers, a message, or the end.
type item struct {
	message proto.Message
	err     error
}

func (s *streams) serve(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	request := s.input.New().Interface()
	if err := s.fill(request, r, params); err != nil {
		Fail(w, r, err, "")
		return
	}
	items, err := s.begin(exchange.Outgoing(ctx, r), request)
	if err != nil {
		Fail(w, r, err, "")
		return
	}
	first, open := s.first(ctx, items)
	if !open {
		return
	}
	if first.err != nil && !errors.Is(first.err, io.EOF) {
		Fail(w, r, first.err, "")
		return
	}
	s.copy(ctx, s.newSink(w, r, first.message), r, first, items)
}

// first waits for what decides the answer's status: of a file its first bytes, of other streams the service's first word
// or the end of our patience. It is false when the client has gone.
func (s *streams) first(ctx context.Context, items <-chan item) (item, bool) {
	wait := time.NewTimer(patience)
	defer wait.Stop()
	expired := wait.C
	if s.isFile() {
		expired = nil
	}
	for {
		select {
		case found := <-items:
			if found.message != nil || found.err != nil || !s.isFile() {
				return found, true
			}
		case <-expired:
			return item{}, true
		case <-ctx.Done():
			return item{}, false
		}
	}
}

func (s *streams) fill(request proto.Message, r *http.Request, params map[string]string) error {
	if p := checkQuery(r, s.method.Descriptor.Input()); p != nil {
		return p
	}
	for name, value := range params {
		if err := runtime.PopulateFieldFromPath(request, name, value); err != nil {
			return err
		}
	}
	return runtime.PopulateQueryParameters(request, r.URL.Query(), filterOf(params))
}

// begin calls the service and gives its headers, messages and end, in this order. The channel is never closed.
func (s *streams) begin(ctx context.Context, request proto.Message) (<-chan item, error) {
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, s.method.FullName)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	items := make(chan item)
	give := func(found item) bool {
		select {
		case items <- found:
			return found.err == nil
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		if headers, err := stream.Header(); err == nil && len(headers) > 0 && !give(item{}) {
			return
		}
		for {
			message := s.output.New().Interface()
			err := stream.RecvMsg(message)
			if !give(item{message, err}) {
				return
			}
		}
	}()
	return items, nil
}

func (s *streams) copy(ctx context.Context, out sink, r *http.Request, first item, items <-chan item) {
	out.open()
	ticker := time.NewTicker(s.heartbeat)
	defer ticker.Stop()
	for current := first; ; {
		switch {
		case errors.Is(current.err, io.EOF):
			out.end()
			return
		case current.err != nil:
			out.fail(Explain(r, current.err, ""))
			return
		case current.message != nil:
			if !out.message(current.message) {
				return
			}
		}
		for waiting := true; waiting; {
			select {
			case current = <-items:
				waiting = false
			case <-ticker.C:
				if !out.heartbeat() {
					return
				}
			case <-s.stopping:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

func (s *streams) newSink(w http.ResponseWriter, r *http.Request, first proto.Message) sink {
	base := response{w, http.NewResponseController(w), exchange.From(r.Context()).RequestID}
	if s.isFile() {
		raw, _ := first.(*httpbody.HttpBody)
		return &rawSink{response: base, contentType: raw.GetContentType(), filename: filename(s.method.FullName, r.URL.Path)}
	}
	if wantsEvents(r) {
		name := string(s.output.Descriptor().Name())
		return &eventSink{response: base, name: strings.ToLower(name[:1]) + name[1:]}
	}
	return &lineSink{response: base}
}

func wantsEvents(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for _, part := range strings.Split(accept, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == "text/event-stream" {
				return true
			}
		}
	}
	return false
}
