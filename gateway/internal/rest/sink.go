package rest

import (
	"bytes"
	"net/http"
	"strconv"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/protobuf/proto"

	"tocsin/gateway/internal/jsonbody"
	"tocsin/gateway/internal/problem"
)

// sink writes a stream in one of its forms. What returns false could not write: the client has gone.
type sink interface {
	open()
	message(proto.Message) bool
	heartbeat() bool
	fail(*problem.Problem)
	end()
}

type response struct {
	http.ResponseWriter
	control   *http.ResponseController
	requestID string
}

func (r *response) start(contentType string) {
	r.Header().Set("Content-Type", contentType)
	r.Header().Set("X-Accel-Buffering", "no")
	r.WriteHeader(http.StatusOK)
	_ = r.control.Flush()
}

func (r *response) send(parts ...[]byte) bool {
	if _, err := r.Write(bytes.Join(parts, nil)); err != nil {
		return false
	}
	return r.control.Flush() == nil
}

// eventSink writes server-sent events: one for each message, named after its type; `error` with a problem and `end`
// are the last ones, so that a browser knows not to reconnect after a proper end.
type eventSink struct {
	response
	name string
	id   int
}

func (s *eventSink) open() {
	s.start("text/event-stream")
	s.send([]byte("retry: 3000\n\n"))
}

func (s *eventSink) event(name string, data []byte) bool {
	s.id++
	return s.send([]byte("id: "+strconv.Itoa(s.id)+"\nevent: "+name+"\ndata: "), data, []byte("\n\n"))
}

func (s *eventSink) message(m proto.Message) bool {
	data, err := jsonbody.Marshal(m)
	return err == nil && s.event(s.name, data)
}

func (s *eventSink) heartbeat() bool         { return s.send([]byte(": alive\n\n")) }
func (s *eventSink) fail(p *problem.Problem) { s.event("error", p.JSON(s.requestID)) }
func (s *eventSink) end()                    { s.event("end", []byte("{}")) }

// lineSink writes a JSON object a line: {"result": message}, or as the last one {"error": problem}.
type lineSink struct {
	response
}

func (s *lineSink) open() { s.start("application/x-ndjson") }

func (s *lineSink) message(m proto.Message) bool {
	data, err := jsonbody.Marshal(m)
	return err == nil && s.send([]byte(`{"result":`), data, []byte("}\n"))
}

func (s *lineSink) heartbeat() bool { return true }
func (s *lineSink) fail(p *problem.Problem) {
	s.send([]byte(`{"error":`), p.JSON(s.requestID), []byte("}\n"))
}
func (s *lineSink) end() {}

// rawSink writes a file. It has no room for an error: the connection breaks off instead, so that a client does not
// take half a file for a whole one.
type rawSink struct {
	response
	contentType, filename string
}

func (s *rawSink) open() {
	if s.contentType == "" {
		s.contentType = "application/octet-stream"
	}
	if s.filename != "" {
		s.Header().Set("Content-Disposition", `attachment; filename="`+s.filename+`"`)
	}
	s.start(s.contentType)
}

func (s *rawSink) message(m proto.Message) bool {
	raw, ok := m.(*httpbody.HttpBody)
	return ok && s.send(raw.GetData())
}

func (s *rawSink) heartbeat() bool       { return true }
func (s *rawSink) fail(*problem.Problem) { panic(http.ErrAbortHandler) }
func (s *rawSink) end()                  {}
