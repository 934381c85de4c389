package rest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/jsonbody"
	"tocsin/gateway/internal/problem"
)

// MaxPayload of a vendor's device, in bytes; the contract says the same.
const MaxPayload = 64 << 10

// body carries to the decoder what it must know about the request that the bytes are from.
type body struct {
	io.ReadCloser
	contentType string
	length      int64
	limit       int64
	patch       bool
	exchange    *exchange.Exchange
}

var errRefused = errors.New("the body was refused")

// read returns all bytes, or nil and a recorded refusal when there are more than limit.
func (b *body) read(limit int64) ([]byte, error) {
	if b.length > limit {
		return nil, b.refuse(TooLarge(limit))
	}
	var buffer []byte
	if b.length > 0 {
		buffer = make([]byte, 0, b.length+1)
	}
	data, err := readAll(io.LimitReader(b.ReadCloser, limit+1), buffer)
	if err != nil {
		return nil, b.refuse(problem.New(http.StatusBadRequest, problem.BodyInvalid, "The body broke off."))
	}
	if int64(len(data)) > limit {
		return nil, b.refuse(TooLarge(limit))
	}
	return data, nil
}

func (b *body) refuse(p *problem.Problem) error {
	b.exchange.Refused = p
	return errRefused
}

// readAll is io.ReadAll into a buffer of the right size.
func readAll(r io.Reader, buffer []byte) ([]byte, error) {
	if cap(buffer) == 0 {
		buffer = make([]byte, 0, 512)
	}
	for {
		if len(buffer) == cap(buffer) {
			buffer = append(buffer, 0)[:len(buffer)]
		}
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if errors.Is(err, io.EOF) {
			return buffer, nil
		}
		if err != nil {
			return buffer, err
		}
	}
}

// IsJSON tells whether a Content-Type is that of a JSON text.
func IsJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	charset := strings.ToLower(params["charset"])
	return (kind == "application/json" || strings.HasSuffix(kind, "+json")) && (charset == "" || charset == "utf-8")
}

// marshaler reads and writes the bodies of all generated handlers.
type marshaler struct{}

// ContentType of an answer.
func (marshaler) ContentType(v any) string {
	if raw, ok := v.(*httpbody.HttpBody); ok {
		return raw.GetContentType()
	}
	return "application/json"
}

// Marshal writes an answer: JSON, or the bytes of an HttpBody as they are.
func (marshaler) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case *httpbody.HttpBody:
		return m.GetData(), nil
	case proto.Message:
		// The line ends, as people on a terminal expect.
		text, err := jsonbody.Marshal(m)
		return append(text, '\n'), err
	}
	return nil, errors.New("not a message")
}

// Answer writes the message for handlers of our own, as the generated ones do.
func Answer(w http.ResponseWriter, r *http.Request, message proto.Message) {
	text, err := marshaler{}.Marshal(message)
	if err != nil {
		Fail(w, r, err, "")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone away is no error of ours.
	_, _ = w.Write(text)
}

// Unmarshal is not used by generated code.
func (marshaler) Unmarshal(data []byte, v any) error {
	message, ok := v.(proto.Message)
	if !ok {
		return errors.New("not a message")
	}
	if p := jsonbody.Unmarshal(data, message); p != nil {
		return p
	}
	return nil
}

// NewEncoder is used by the library for its own error bodies only, which are replaced here.
func (m marshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		data, err := m.Marshal(v)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
}

// NewDecoder reads the whole body into one message. What is wrong with it is left in the exchange, for the generated
// code keeps nothing of an error but its text.
func (marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		b, ok := r.(*body)
		if !ok {
			return errors.New("no body to read")
		}
		switch target := v.(type) {
		case **httpbody.HttpBody:
			data, err := b.read(min(b.limit, MaxPayload))
			*target = &httpbody.HttpBody{ContentType: b.contentType, Data: data}
			return err
		case proto.Message:
			return b.decode(target)
		}
		// A field of the request: a pointer to a pointer to a message.
		slot := reflect.ValueOf(v).Elem()
		if slot.IsNil() {
			slot.Set(reflect.New(slot.Type().Elem()))
		}
		message, ok := slot.Interface().(proto.Message)
		if !ok {
			return errors.New("not a message")
		}
		return b.decode(message)
	})
}

func (b *body) decode(message proto.Message) error {
	data, err := b.read(b.limit)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return io.EOF // no body at all: the service says which fields it misses
	}
	if b.contentType != "" && !IsJSON(b.contentType) {
		return b.refuse(Unsupported(b.contentType, "application/json"))
	}
	if p := jsonbody.Unmarshal(data, message); p != nil {
		return b.refuse(p)
	}
	if b.patch {
		b.exchange.Updated = named(data, message.ProtoReflect().Descriptor())
	}
	return nil
}

// named lists the fields of message that a JSON object, which fits it, holds: all that may be written. null counts, for
// it clears a field.
func named(data []byte, message protoreflect.MessageDescriptor) []string {
	var object map[string]json.RawMessage
	if json.Unmarshal(data, &object) != nil {
		return nil // cannot be: it was read before
	}
	names := make([]string, 0, len(object))
	for key := range object {
		if fd := find(message, key); fd != nil && !outputOnly(fd) {
			names = append(names, string(fd.Name()))
		}
	}
	sort.Strings(names)
	return names
}

func outputOnly(fd protoreflect.FieldDescriptor) bool {
	behavior, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behavior, annotations.FieldBehavior_OUTPUT_ONLY)
}

// Decode is for handlers of our own what the generated ones do: it reads the query into request and the body into part,
// which is request itself or one of its fields.
func Decode(r *http.Request, request, part proto.Message) error {
	if r.URL.RawQuery != "" {
		if p := checkQuery(r, request.ProtoReflect().Descriptor()); p != nil {
			return p
		}
		if err := runtime.PopulateQueryParameters(request, r.URL.Query(), filterOf(nil)); err != nil {
			return problem.New(http.StatusBadRequest, problem.QueryInvalid, "The query does not fit this operation.")
		}
	}
	err := marshaler{}.NewDecoder(r.Body).Decode(part)
	if refused := exchange.From(r.Context()).Refused; refused != nil {
		return refused
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Timeout of a call on behalf of r: what Grpc-Timeout asks for, at most longest.
func Timeout(r *http.Request, longest time.Duration) time.Duration {
	if asked, ok := parseTimeout(r.Header.Get("Grpc-Timeout")); ok {
		return min(asked, longest)
	}
	return longest
}
