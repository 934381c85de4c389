package rest

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"tocsin/gateway/internal/jsonbody"
	"tocsin/gateway/internal/problem"
)

// queryParser refuses parameters that the operation does not know; the library's own passes over them in silence.
type queryParser struct {
	runtime.DefaultQueryParser
}

// Parse fills message from the values.
func (q *queryParser) Parse(message proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	if len(values) == 0 {
		return nil
	}
	input := message.ProtoReflect().Descriptor()
	if violations := queryViolations(input, values); len(violations) > 0 {
		return errors.New("bad query")
	}
	return q.DefaultQueryParser.Parse(message, withPaths(input, values), filter)
}

// withPaths gives the values with field masks as protobuf has them: the library only splits a mask at its commas, but
// in JSON the fields are in lowerCamelCase.
func withPaths(input protoreflect.MessageDescriptor, values url.Values) url.Values {
	changed := maps.Clone(values)
	for name, texts := range values {
		if fd := find(input, name); fd != nil && jsonbody.IsFieldMask(fd) {
			paths := make([]string, 0, len(texts))
			for _, text := range texts {
				paths = append(paths, jsonbody.Paths(text))
			}
			changed[name] = paths
		}
	}
	return changed
}

// checkQuery tells what is wrong with the query of a request for a method with that input; nil if nothing is.
func checkQuery(r *http.Request, input protoreflect.MessageDescriptor) *problem.Problem {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(http.StatusBadRequest, problem.QueryInvalid, "The query is not properly encoded.")
	}
	violations := queryViolations(input, values)
	if len(violations) == 0 {
		return nil
	}
	detail := "The query does not fit this operation."
	if len(violations) == 1 {
		detail = violations[0].Field + ": " + violations[0].Detail
	}
	return problem.New(http.StatusBadRequest, problem.QueryInvalid, detail, violations...)
}

func queryViolations(input protoreflect.MessageDescriptor, values url.Values) []problem.Violation {
	var found []problem.Violation
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if reason, detail := queryViolation(input, name, values[name]); reason != "" {
			found = append(found, problem.Violation{Field: clip(name), Reason: reason, Detail: detail})
		}
	}
	return found[:min(len(found), 25)]
}

func queryViolation(message protoreflect.MessageDescriptor, name string, values []string) (reason, detail string) {
	fd := find(message, name)
	if fd == nil {
		return "QUERY_UNKNOWN", "there is no such parameter"
	}
	if len(values) > 1 && !fd.IsList() {
		return "QUERY_REPEATED", "the parameter is there more than once"
	}
	for _, value := range values {
		if reason, detail := jsonbody.CheckText(fd, value); reason != "" {
			return strings.Replace(reason, "JSON_", "QUERY_", 1), detail
		}
	}
	return "", ""
}

func find(message protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	parts := strings.Split(path, ".")
	for i, part := range parts {
		fd := message.Fields().ByJSONName(part)
		if fd == nil {
			fd = message.Fields().ByTextName(part)
		}
		if fd == nil || i == len(parts)-1 {
			return fd
		}
		if fd.Message() == nil || fd.IsList() || fd.IsMap() {
			return nil
		}
		message = fd.Message()
	}
	return nil
}
