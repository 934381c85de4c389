package jsonbody

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// scalars by their kind. 64-bit integers are strings in the JSON of protobuf.
var scalars = map[protoreflect.Kind]appender{
	protoreflect.BoolKind:     boolean,
	protoreflect.Int32Kind:    signed,
	protoreflect.Sint32Kind:   signed,
	protoreflect.Sfixed32Kind: signed,
	protoreflect.Uint32Kind:   unsigned,
	protoreflect.Fixed32Kind:  unsigned,
	protoreflect.Int64Kind:    quoted(signed),
	protoreflect.Sint64Kind:   quoted(signed),
	protoreflect.Sfixed64Kind: quoted(signed),
	protoreflect.Uint64Kind:   quoted(unsigned),
	protoreflect.Fixed64Kind:  quoted(unsigned),
	protoreflect.FloatKind:    single,
	protoreflect.DoubleKind:   double,
	protoreflect.StringKind:   text,
	protoreflect.BytesKind:    quoted(base64Text),
}

func boolean(out []byte, value reflect.Value) ([]byte, bool) {
	return strconv.AppendBool(out, value.Bool()), true
}

func signed(out []byte, value reflect.Value) ([]byte, bool) {
	return strconv.AppendInt(out, value.Int(), 10), true
}

func unsigned(out []byte, value reflect.Value) ([]byte, bool) {
	return strconv.AppendUint(out, value.Uint(), 10), true
}

func single(out []byte, value reflect.Value) ([]byte, bool) {
	return appendFloat(out, value.Float(), 32), true
}

func double(out []byte, value reflect.Value) ([]byte, bool) {
	return appendFloat(out, value.Float(), 64), true
}

func text(out []byte, value reflect.Value) ([]byte, bool) {
	return appendText(out, value.String())
}

func base64Text(out []byte, value reflect.Value) ([]byte, bool) {
	return base64.StdEncoding.AppendEncode(out, value.Bytes()), true
}

func quoted(write appender) appender {
	return func(out []byte, value reflect.Value) ([]byte, bool) {
		out, ok := write(append(out, '"'), value)
		return append(out, '"'), ok
	}
}

// enum writes the name of a number, and the number where it has none.
func enum(descriptor protoreflect.EnumDescriptor) appender {
	if descriptor.FullName() == "google.protobuf.NullValue" {
		return left
	}
	names := map[int64]string{}
	for i := range descriptor.Values().Len() {
		number := descriptor.Values().Get(i).Number()
		names[int64(number)] = `"` + string(descriptor.Values().ByNumber(number).Name()) + `"` // the first, where there are several
	}
	return func(out []byte, value reflect.Value) ([]byte, bool) {
		if name, ok := names[value.Int()]; ok {
			return append(out, name...), true
		}
		return signed(out, value)
	}
}

// appendFloat writes a number as JavaScript does.
func appendFloat(out []byte, number float64, bits int) []byte {
	switch {
	case math.IsNaN(number):
		return append(out, `"NaN"`...)
	case math.IsInf(number, 1):
		return append(out, `"Infinity"`...)
	case math.IsInf(number, -1):
		return append(out, `"-Infinity"`...)
	}
	least, beyond := 1e-6, 1e21
	if bits == 32 {
		least, beyond = float64(float32(least)), float64(float32(beyond))
	}
	if size := math.Abs(number); size == 0 || size >= least && size < beyond {
		return strconv.AppendFloat(out, number, 'f', -1, bits)
	}
	out = strconv.AppendFloat(out, number, 'e', -1, bits)
	if end := len(out) - 4; string(out[end:end+3]) == "e-0" {
		out = append(out[:end+2], out[end+3])
	}
	return out
}

// appendText writes a string; false when it is not UTF-8.
func appendText(out []byte, text string) ([]byte, bool) {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	done := 0
	for at := 0; at < len(text); {
		char := text[at]
		if char >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[at:])
			if r == utf8.RuneError && size == 1 {
				return out, false
			}
			at += size
			continue
		}
		at++
		if char >= ' ' && char != '"' && char != '\\' {
			continue
		}
		out = append(append(out, text[done:at-1]...), '\\')
		done = at
		switch char {
		case '"', '\\':
			out = append(out, char)
		case '\b':
			out = append(out, 'b')
		case '\f':
			out = append(out, 'f')
		case '\n':
			out = append(out, 'n')
		case '\r':
			out = append(out, 'r')
		case '\t':
			out = append(out, 't')
		default:
			out = append(out, 'u', '0', '0', hex[char>>4], hex[char&15])
		}
	}
	return append(append(out, text[done:]...), '"'), true
}
