// Package jsonbody reads JSON into protobuf messages, strictly, says precisely what is wrong when it does not fit, and
// writes messages as JSON.
//
// Reading goes the short way, through protojson; the usual form of a sensor reading takes a way that is shorter still and
// gives the same. Only a text that protojson refuses is walked a second time, beside the descriptor of the message, to
// name every field that is wrong and what was expected there. Writing goes by a plan for each type of messages; it gives what
// protojson gives, and leaves to it what is unusual.
package jsonbody

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/problem"
)

// MaxDepth of nesting.
const MaxDepth = 64

// maxViolations that are told.
const maxViolations = 25

// Rules that a body can break.
const (
	Syntax    = "JSON_SYNTAX"
	Type      = "JSON_TYPE"
	Range     = "JSON_RANGE"
	Unknown   = "JSON_UNKNOWN_FIELD"
	Duplicate = "JSON_DUPLICATE_FIELD"
	Depth     = "JSON_TOO_DEEP"
	Encoding  = "JSON_ENCODING"
	Format    = "JSON_FORMAT"
)

var reader = protojson.UnmarshalOptions{RecursionLimit: MaxDepth}

// Unmarshal reads data into message, which is empty. Unknown and repeated fields are refused.
func Unmarshal(data []byte, message proto.Message) *problem.Problem {
	if reading, ok := message.(*ingestion.Reading); ok && quickReading(data, reading) {
		return nil
	}
	if !utf8.Valid(data) {
		return invalid([]problem.Violation{notUTF8(data)})
	}
	err := reader.Unmarshal(data, message)
	if err == nil {
		return nil
	}
	found := explain(data, message.ProtoReflect().Descriptor())
	if len(found) == 0 {
		found = []problem.Violation{fallback(err)}
	}
	return invalid(found)
}

func invalid(found []problem.Violation) *problem.Problem {
	detail := "The body is not the JSON that this operation takes."
	if len(found) == 1 {
		detail = found[0].Detail
		if found[0].Field != "" {
			detail = found[0].Field + ": " + detail
		}
	}
	return problem.New(http.StatusBadRequest, problem.BodyInvalid, detail, found...)
}

func notUTF8(data []byte) problem.Violation {
	offset := 0
	for offset < len(data) {
		r, size := utf8.DecodeRune(data[offset:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return problem.Violation{
		Reason: Encoding,
		Detail: fmt.Sprintf("the body is not UTF-8: byte 0x%02x at offset %d (%s)", data[offset], offset, position(data, offset)),
	}
}

// position of an offset, as people count: lines and columns from 1.
func position(data []byte, offset int) string {
	if offset > len(data) {
		offset = len(data)
	}
	before := string(data[:offset])
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

var (
	protoPrefix = regexp.MustCompile(`^proto:[\s\x{a0}]*`)
	atPosition  = regexp.MustCompile(`^(?:syntax error )?\(line (\d+):(\d+)\): `)
)

// fallback is for what the walk below cannot name, such as an invalid escape in a string.
func fallback(err error) problem.Violation {
	text := protoPrefix.ReplaceAllString(err.Error(), "")
	if strings.Contains(text, "unexpected EOF") {
		text = "the text is incomplete, or a string in it holds half a surrogate pair"
	}
	text = atPosition.ReplaceAllString(text, "line $1, column $2: ")
	return problem.Violation{Reason: Syntax, Detail: clip(text, 200)}
}

func clip(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
