package jsonbody

import (
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// filler fills messages at random. What is broken cannot be written.
type filler struct {
	*rand.Rand
	broken bool
}

var texts = []string{
	"", "hq", "room-1", `"`, `\`, "/", "<a href='x'>&", "\u2028\u2029", "\x00\x01\x1f\x7f\u0080", "\b\f\n\r\t", "é", "日本語", "😀", "\ufffd", "\ufeff",
	strings.Repeat("long ", 100), "a\"b\\c\nd",
}

func (f filler) text() string {
	out := ""
	for range f.IntN(4) {
		out += texts[f.IntN(len(texts))]
	}
	if f.IntN(8) == 0 {
		out += string(rune(f.IntN(0xd800)))
	}
	if f.broken && f.IntN(20) == 0 {
		out += []string{"\xff", "\xc3", "\xed\xa0\x80", "\xf0\x9f\x98"}[f.IntN(4)]
	}
	return out
}

var doubles = []float64{
	0, math.Copysign(0, -1), 1, -1.5, 293.15, 1.0 / 3, 1e-6, 9.9999999e-7, 1e-7, 1e-10, 1e20, 1e21, 999999999999999868928, -1e21, 1e100, 1e-100,
	math.MaxFloat64, math.SmallestNonzeroFloat64, math.MaxFloat32, math.SmallestNonzeroFloat32, 1 << 53, math.Inf(1), math.Inf(-1), math.NaN(),
}

func (f filler) double() float64 {
	switch f.IntN(3) {
	case 0:
		return math.Float64frombits(f.Uint64())
	case 1:
		return math.Round(f.NormFloat64()*1e6) / 1e3
	}
	return doubles[f.IntN(len(doubles))]
}

func (f filler) nanos() int32 {
	return []int32{0, 1, 999_999_999, 500_000_000, 120_000_000, 123_456_000, 1_000, 1_000_000, f.Int32N(1e9)}[f.IntN(9)]
}

func (f filler) timestamp() *timestamppb.Timestamp {
	if f.broken && f.IntN(20) == 0 {
		return []*timestamppb.Timestamp{{Seconds: -62135596801}, {Seconds: 253402300800}, {Nanos: -1}, {Nanos: 1e9}, {Seconds: math.MaxInt64}}[f.IntN(5)]
	}
	seconds := []int64{0, -1, -62135596800, 253402300799, time.Now().Unix(), f.Int64N(253402300799)}[f.IntN(6)]
	return &timestamppb.Timestamp{Seconds: seconds, Nanos: f.nanos()}
}

func (f filler) duration() *durationpb.Duration {
	if f.broken && f.IntN(20) == 0 {
		return []*durationpb.Duration{{Seconds: 315576000001}, {Seconds: -315576000001}, {Seconds: 1, Nanos: -1}, {Nanos: 1e9}, {Nanos: math.MinInt32}}[f.IntN(5)]
	}
	span := &durationpb.Duration{Seconds: []int64{0, 1, 60, 315576000000, f.Int64N(1e6)}[f.IntN(5)], Nanos: f.nanos()}
	if f.IntN(3) == 0 {
		span.Seconds, span.Nanos = -span.GetSeconds(), -span.GetNanos()
	}
	return span
}

func (f filler) object(depth int) *structpb.Struct {
	fields := map[string]*structpb.Value{}
	for range f.IntN(5) {
		fields[f.text()] = f.anything(depth - 1)
	}
	return &structpb.Struct{Fields: fields}
}

func (f filler) anything(depth int) *structpb.Value {
	if f.broken && f.IntN(20) == 0 {
		return []*structpb.Value{nil, {}, structpb.NewNumberValue(math.NaN()), structpb.NewNumberValue(math.Inf(-1))}[f.IntN(4)]
	}
	switch choice := f.IntN(6); {
	case choice == 0:
		return structpb.NewNullValue()
	case choice == 1:
		return structpb.NewBoolValue(f.IntN(2) == 0)
	case choice == 2:
		return structpb.NewNumberValue(doubles[f.IntN(len(doubles)-3)])
	case choice == 3 && depth > 0:
		return structpb.NewStructValue(f.object(depth))
	case choice == 4 && depth > 0:
		list := &structpb.ListValue{}
		for range f.IntN(4) {
			list.Values = append(list.Values, f.anything(depth-1))
		}
		return structpb.NewListValue(list)
	}
	return structpb.NewStringValue(f.text())
}

func (f filler) fill(message protoreflect.Message, depth int) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case f.IntN(4) == 0, fd.Message() != nil && !fd.IsMap() && depth == 0:
		case fd.IsList():
			list := message.Mutable(fd).List()
			for range f.IntN(4) {
				list.Append(f.value(fd, list.NewElement, depth))
			}
		case fd.IsMap():
			entries := message.Mutable(fd).Map()
			for range f.IntN(4) {
				entries.Set(protoreflect.ValueOfString(f.text()).MapKey(), f.value(fd.MapValue(), entries.NewValue, depth))
			}
		default:
			message.Set(fd, f.value(fd, func() protoreflect.Value { return message.NewField(fd) }, depth))
		}
	}
}

func (f filler) value(fd protoreflect.FieldDescriptor, fresh func() protoreflect.Value, depth int) protoreflect.Value {
	bits := f.Uint64() >> f.IntN(64)
	if f.IntN(8) == 0 {
		bits = 0
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(bits&1 == 1)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(bits))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(bits))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(bits))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(bits)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(f.double()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(f.double())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(f.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.text()))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(f.IntN(12) - 1))
	}
	switch fd.Message().FullName() {
	case "google.protobuf.Timestamp":
		return protoreflect.ValueOfMessage(f.timestamp().ProtoReflect())
	case "google.protobuf.Duration":
		return protoreflect.ValueOfMessage(f.duration().ProtoReflect())
	case "google.protobuf.Struct":
		return protoreflect.ValueOfMessage(f.object(3).ProtoReflect())
	}
	made := fresh()
	f.fill(made.Message(), depth-1)
	return made
}
