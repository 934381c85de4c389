package jsonbody

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func appendList(out []byte, items reflect.Value, write appender) ([]byte, bool) {
	out, ok := append(out, '['), true
	for i := range items.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		if out, ok = write(out, items.Index(i)); !ok {
			return out, false
		}
	}
	return append(out, ']'), true
}

// appendMap writes a map by ascending keys, which are strings.
func appendMap(out []byte, entries reflect.Value, write appender) ([]byte, bool) {
	keys := entries.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	out, ok := append(out, '{'), true
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		if out, ok = appendText(out, key.String()); !ok {
			return out, false
		}
		if out, ok = write(append(out, ':'), entries.MapIndex(key)); !ok {
			return out, false
		}
	}
	return append(out, '}'), true
}

// object writes a google.protobuf.Struct.
func object(out []byte, value reflect.Value) ([]byte, bool) {
	message, _ := value.Interface().(*structpb.Struct)
	return appendMap(out, reflect.ValueOf(message.GetFields()), anything)
}

// anything writes a google.protobuf.Value. One without a kind, and a number that JSON does not have, is an error.
func anything(out []byte, value reflect.Value) ([]byte, bool) {
	message, _ := value.Interface().(*structpb.Value)
	switch kind := message.GetKind().(type) {
	case *structpb.Value_NullValue:
		return append(out, "null"...), true
	case *structpb.Value_BoolValue:
		return strconv.AppendBool(out, kind.BoolValue), true
	case *structpb.Value_NumberValue:
		number := kind.NumberValue
		return appendFloat(out, number, 64), !math.IsNaN(number) && !math.IsInf(number, 0)
	case *structpb.Value_StringValue:
		return appendText(out, kind.StringValue)
	case *structpb.Value_StructValue:
		return object(out, reflect.ValueOf(kind.StructValue))
	case *structpb.Value_ListValue:
		return appendList(out, reflect.ValueOf(kind.ListValue.GetValues()), anything)
	}
	return out, false
}

func timestamp(out []byte, value reflect.Value) ([]byte, bool) {
	at, _ := value.Interface().(*timestamppb.Timestamp)
	if !at.IsValid() {
		return out, false
	}
	out = time.Unix(at.GetSeconds(), 0).UTC().AppendFormat(append(out, '"'), time.RFC3339)
	return append(appendFraction(out[:len(out)-1], at.GetNanos()), `Z"`...), true
}

func duration(out []byte, value reflect.Value) ([]byte, bool) {
	span, _ := value.Interface().(*durationpb.Duration)
	if !span.IsValid() {
		return out, false
	}
	out = append(out, '"')
	seconds, nanos := span.GetSeconds(), span.GetNanos()
	if seconds < 0 || nanos < 0 {
		out = append(out, '-')
		seconds, nanos = -seconds, -nanos
	}
	return append(appendFraction(strconv.AppendInt(out, seconds, 10), nanos), `s"`...), true
}

// appendFraction writes the part of a second with 3, 6 or 9 digits, and nothing when there is none.
func appendFraction(out []byte, nanos int32) []byte {
	if nanos == 0 {
		return out
	}
	point := len(out)
	out = strconv.AppendInt(out, 1e9+int64(nanos), 10)
	out[point] = '.' // in place of the 1, which kept the zeros behind it
	for strings.HasSuffix(string(out[len(out)-3:]), "000") {
		out = out[:len(out)-3]
	}
	return out
}
