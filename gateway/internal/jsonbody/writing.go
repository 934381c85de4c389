package jsonbody

import (
	"reflect"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// writer says how answers look, and writes what has no plan.
var writer = protojson.MarshalOptions{EmitDefaultValues: true}

// buffers in which answers grow.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxBuffer in bytes that is kept for the next answer.
const maxBuffer = 256 << 10

// Marshal writes what protojson would, with default values and without the spaces that it varies on purpose, at a sixth to
// a ninth of the time: by a plan of the message's type. What a plan does not cover, and whatever is an error (text that is not
// UTF-8, a time out of range), is protojson's. The result has room for the end of a line.
func Marshal(message proto.Message) ([]byte, error) {
	buffer, _ := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	text, ok := quickly((*buffer)[:0], message)
	if !ok {
		return writer.Marshal(message)
	}
	if cap(text) <= maxBuffer {
		*buffer = text
	}
	return append(make([]byte, 0, len(text)+1), text...), nil
}

// quickly appends the message; false, and what came out is of no use, where protojson must decide.
func quickly(out []byte, message proto.Message) ([]byte, bool) {
	value := reflect.ValueOf(message)
	if value.Kind() != reflect.Pointer {
		return out, false
	}
	return appenderOf(value.Type())(out, value)
}
