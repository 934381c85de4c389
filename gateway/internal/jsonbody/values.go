package jsonbody

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// kind of a well-known message in JSON: free (any value), object, or a string of a certain form.
type kind struct {
	expected string
	object   bool
	text     func(string) bool
}

var wellKnown = map[protoreflect.FullName]kind{
	"google.protobuf.Struct":    {expected: "an object", object: true},
	"google.protobuf.Value":     {},
	"google.protobuf.Timestamp": {expected: `a time of the form "2026-01-31T12:00:00Z"`, text: isTimestamp},
	"google.protobuf.Duration":  {expected: `a duration of the form "900s"`, text: isDuration},
	"google.protobuf.FieldMask": {expected: `field names of the form "unit,minValue"`, text: isFieldMask},
}

func isTimestamp(text string) bool { return parses(text, &timestamppb.Timestamp{}) }
func isDuration(text string) bool  { return parses(text, &durationpb.Duration{}) }
func isFieldMask(text string) bool { return parses(text, &fieldmaskpb.FieldMask{}) }

// IsFieldMask tells whether the field is a mask.
func IsFieldMask(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().FullName() == "google.protobuf.FieldMask"
}

// Paths gives the text of a mask that CheckText has passed as the paths of protobuf, between commas: `a.minValue` and
// `a.min_value` are both `a.min_value`.
func Paths(text string) string {
	quoted, err := json.Marshal(camel(text))
	mask := &fieldmaskpb.FieldMask{}
	if err != nil || protojson.Unmarshal(quoted, mask) != nil {
		return text
	}
	return strings.Join(mask.GetPaths(), ",")
}

var snake = regexp.MustCompile(`_[a-z]`)

func camel(text string) string {
	return snake.ReplaceAllStringFunc(text, func(found string) string { return strings.ToUpper(found[1:]) })
}

func parses(text string, message interface {
	ProtoReflect() protoreflect.Message
}) bool {
	quoted, err := json.Marshal(text)
	return err == nil && protojson.Unmarshal(quoted, message) == nil
}

func (e *explainer) wellKnown(token json.Token, known kind, path string, depth int) error {
	text, isText := token.(string)
	switch {
	case known.text != nil && !isText, known.object && token != json.Delim('{'):
		return e.mismatch(token, path, known.expected)
	case known.text != nil:
		if !known.text(text) {
			e.add(path, Format, "expected "+known.expected+", got "+strconv.Quote(clip(text, 40)))
		}
		return nil
	}
	return e.skip(token, path, depth)
}

var (
	acceptsNumber = kinds(
		protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.Uint32Kind,
		protoreflect.Fixed32Kind, protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.FloatKind, protoreflect.DoubleKind,
		protoreflect.EnumKind)
	acceptsText = kinds(
		protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.Uint32Kind,
		protoreflect.Fixed32Kind, protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.FloatKind, protoreflect.DoubleKind,
		protoreflect.EnumKind, protoreflect.StringKind, protoreflect.BytesKind)
)

func kinds(of ...protoreflect.Kind) map[protoreflect.Kind]bool {
	set := map[protoreflect.Kind]bool{}
	for _, k := range of {
		set[k] = true
	}
	return set
}

// Expected names what a single value of the field looks like, for people.
func Expected(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.BytesKind:
		return "a base64 string"
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.EnumKind:
		names := make([]string, 0, fd.Enum().Values().Len())
		for i := range fd.Enum().Values().Len() {
			names = append(names, string(fd.Enum().Values().Get(i).Name()))
		}
		return "one of " + strings.Join(names, ", ")
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if known, ok := wellKnown[fd.Message().FullName()]; ok && known.expected != "" {
			return known.expected
		}
		return "an object"
	default:
		return "a whole number"
	}
}

// CheckText tells what is wrong with the text of a single value, such as one of a query; reason is empty if nothing is.
func CheckText(fd protoreflect.FieldDescriptor, text string) (reason, detail string) {
	if fd.Message() != nil {
		known, ok := wellKnown[fd.Message().FullName()]
		form := text
		if IsFieldMask(fd) {
			form = camel(text) // parameters may be named either way, so what a mask names may be as well
		}
		if ok && known.text != nil && !known.text(form) {
			return Format, "expected " + known.expected + ", got " + strconv.Quote(clip(text, 40))
		}
		return "", ""
	}
	if fd.Kind() == protoreflect.BoolKind {
		if _, err := strconv.ParseBool(text); err != nil {
			return Type, "expected true or false, got " + strconv.Quote(clip(text, 40))
		}
		return "", ""
	}
	return check(fd, text)
}

func check(fd protoreflect.FieldDescriptor, text string) (reason, detail string) {
	got := ", got " + strconv.Quote(clip(text, 40))
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "", ""
	case protoreflect.BytesKind:
		plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		if _, err := base64.RawStdEncoding.DecodeString(plain); err != nil {
			return Format, "expected a base64 string"
		}
		return "", ""
	case protoreflect.EnumKind:
		if fd.Enum().Values().ByName(protoreflect.Name(text)) != nil {
			return "", ""
		}
		if _, err := strconv.ParseInt(text, 10, 32); err == nil {
			return "", ""
		}
		return Type, "expected " + Expected(fd) + got
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		if text == "NaN" || text == "Infinity" || text == "-Infinity" {
			return "", "" // the service says whether it takes them
		}
		bits := 64
		if fd.Kind() == protoreflect.FloatKind {
			bits = 32
		}
		_, err := strconv.ParseFloat(text, bits)
		if errors.Is(err, strconv.ErrRange) {
			return Range, "the number is too large" + got
		}
		if err != nil || strings.ContainsAny(text, "xXpP_ iInN") {
			return Type, "expected a number" + got
		}
		return "", ""
	}
	return checkInteger(fd, text, got)
}

func checkInteger(fd protoreflect.FieldDescriptor, text, got string) (reason, detail string) {
	low, high := -math.Exp2(63), math.Exp2(63)
	switch fd.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		low, high = -math.Exp2(31), math.Exp2(31)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		low, high = 0, math.Exp2(32)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		low, high = 0, math.Exp2(64)
	}
	value, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange), err == nil && value != math.Trunc(value),
		strings.ContainsAny(text, "xXpP_ iInN"):
		return Type, "expected a whole number" + got
	case value < low || value >= high:
		return Range, "the number does not fit the field" + got
	}
	return "", ""
}
