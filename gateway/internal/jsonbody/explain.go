package jsonbody

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"tocsin/gateway/internal/problem"
)

// explainer walks a JSON text beside a descriptor. Its methods return an error only where the text cannot be read on.
type explainer struct {
	data  []byte
	dec   *json.Decoder
	found []problem.Violation
}

var errTooDeep = errors.New("too deep")

func explain(data []byte, message protoreflect.MessageDescriptor) []problem.Violation {
	e := &explainer{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	e.dec.UseNumber()
	token, err := e.dec.Token()
	if err == nil {
		err = e.message(token, message, "", 1)
	} else {
		e.syntax("", err)
	}
	if err == nil {
		if _, err = e.dec.Token(); !errors.Is(err, io.EOF) {
			e.add("", Syntax, "there is more after the end of the JSON value ("+position(data, int(e.dec.InputOffset()))+")")
		}
	}
	return e.found
}

func (e *explainer) add(field, reason, detail string) {
	if len(e.found) < maxViolations {
		e.found = append(e.found, problem.Violation{Field: field, Reason: reason, Detail: detail})
	}
}

func (e *explainer) syntax(field string, err error) {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, errTooDeep):
		e.add(field, Depth, fmt.Sprintf("nested deeper than %d levels", MaxDepth))
	case errors.As(err, &syntax):
		e.add(field, Syntax, position(e.data, e.badOffset(syntax))+": "+syntax.Error())
	default:
		e.add(field, Syntax, position(e.data, len(e.data))+": unexpected end of the JSON text")
	}
}

var badCharacter = regexp.MustCompile(`^invalid character '(\\?.+?)'`)

// badOffset finds the character that a syntax error speaks of: the error's own offset means different things in
// different states of the decoder.
func (e *explainer) badOffset(syntax *json.SyntaxError) int {
	offset := int(e.dec.InputOffset())
	if named := badCharacter.FindStringSubmatch(syntax.Error()); named != nil && offset <= len(e.data) {
		if text, err := strconv.Unquote(`"` + named[1] + `"`); err == nil {
			offset += max(bytes.Index(e.data[offset:], []byte(text)), 0)
		}
	}
	return offset
}

// next reads a token; a failure is recorded for the field.
func (e *explainer) next(field string) (json.Token, error) {
	token, err := e.dec.Token()
	if err != nil {
		e.syntax(field, err)
	}
	return token, err
}

func (e *explainer) message(token json.Token, md protoreflect.MessageDescriptor, path string, depth int) error {
	if depth > MaxDepth {
		e.syntax(path, errTooDeep)
		return errTooDeep
	}
	if known, ok := wellKnown[md.FullName()]; ok {
		return e.wellKnown(token, known, path, depth)
	}
	if token != json.Delim('{') {
		return e.mismatch(token, path, "an object")
	}
	seen := map[protoreflect.FieldNumber]bool{}
	oneofs := map[protoreflect.FullName]string{}
	for e.dec.More() {
		name, err := e.name(path)
		if err != nil {
			return err
		}
		field := join(path, name)
		fd := lookup(md, name)
		value, err := e.next(field)
		if err != nil {
			return err
		}
		if fd == nil {
			e.add(field, Unknown, "there is no such field"+suggestion(md))
			if err := e.skip(value, field, depth); err != nil {
				return err
			}
			continue
		}
		if seen[fd.Number()] {
			e.add(field, Duplicate, "the field is there twice")
		}
		seen[fd.Number()] = true
		if group := fd.ContainingOneof(); group != nil && !group.IsSynthetic() && value != nil {
			if other, taken := oneofs[group.FullName()]; taken && other != name {
				e.add(field, Duplicate, "cannot be combined with "+other)
			}
			oneofs[group.FullName()] = name
		}
		if err := e.field(value, fd, field, depth); err != nil {
			return err
		}
	}
	_, err := e.next(path) // the closing brace
	return err
}

func (e *explainer) name(path string) (string, error) {
	token, err := e.next(path)
	if err != nil {
		return "", err
	}
	name, ok := token.(string)
	if !ok {
		e.add(path, Syntax, "expected the name of a field")
		return "", errors.New("no name")
	}
	return name, nil
}

func (e *explainer) field(token json.Token, fd protoreflect.FieldDescriptor, path string, depth int) error {
	switch {
	case token == nil: // null leaves a field unset
		return nil
	case fd.IsList():
		if token != json.Delim('[') {
			return e.mismatch(token, path, "an array")
		}
		for index := 0; e.dec.More(); index++ {
			item := path + "[" + strconv.Itoa(index) + "]"
			value, err := e.next(item)
			if err != nil {
				return err
			}
			if err := e.single(value, fd, item, depth); err != nil {
				return err
			}
		}
		_, err := e.next(path)
		return err
	case fd.IsMap():
		if token != json.Delim('{') {
			return e.mismatch(token, path, "an object")
		}
		for e.dec.More() {
			key, err := e.name(path)
			if err != nil {
				return err
			}
			entry := path + "[" + strconv.Quote(clip(key, 40)) + "]"
			value, err := e.next(entry)
			if err != nil {
				return err
			}
			if err := e.single(value, fd.MapValue(), entry, depth); err != nil {
				return err
			}
		}
		_, err := e.next(path)
		return err
	}
	return e.single(token, fd, path, depth)
}

func (e *explainer) single(token json.Token, fd protoreflect.FieldDescriptor, path string, depth int) error {
	if fd.Message() != nil {
		return e.message(token, fd.Message(), path, depth+1)
	}
	expected := Expected(fd)
	text, isText := token.(string)
	number, isNumber := token.(json.Number)
	if !isText && !isNumber {
		if _, isBool := token.(bool); isBool && fd.Kind() == protoreflect.BoolKind {
			return nil
		}
		return e.mismatch(token, path, expected)
	}
	accepts := acceptsNumber
	if isText {
		accepts = acceptsText
	}
	if !accepts[fd.Kind()] {
		return e.mismatch(token, path, expected)
	}
	if isNumber {
		text = number.String()
	}
	if reason, detail := check(fd, text); reason != "" {
		e.add(path, reason, detail)
	}
	return nil
}

// mismatch records that the value is of another type than expected, and reads over it.
func (e *explainer) mismatch(token json.Token, path, expected string) error {
	e.add(path, Type, "expected "+expected+", got "+describe(token))
	return e.skip(token, path, 0)
}

// skip reads over the value that begins with token.
func (e *explainer) skip(token json.Token, path string, depth int) error {
	if token != json.Delim('{') && token != json.Delim('[') {
		return nil
	}
	for open := 1; open > 0; {
		next, err := e.next(path)
		if err != nil {
			return err
		}
		switch next {
		case json.Delim('{'), json.Delim('['):
			open++
			if open+depth > MaxDepth {
				e.syntax(path, errTooDeep)
				return errTooDeep
			}
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return nil
}

func lookup(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByJSONName(name); fd != nil {
		return fd
	}
	return md.Fields().ByTextName(name)
}

func suggestion(md protoreflect.MessageDescriptor) string {
	names := make([]string, 0, md.Fields().Len())
	for i := range md.Fields().Len() {
		names = append(names, md.Fields().Get(i).JSONName())
	}
	if len(names) == 0 || len(names) > 16 {
		return ""
	}
	return "; there are " + strings.Join(names, ", ")
}

func join(path, name string) string {
	name = clip(name, 60)
	if path == "" {
		return name
	}
	return clip(path+"."+name, 200)
}

func describe(token json.Token) string {
	switch value := token.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(value)
	case json.Number:
		return "the number " + clip(value.String(), 40)
	case string:
		return "the string " + strconv.Quote(clip(value, 40))
	case json.Delim:
		if value == '[' {
			return "an array"
		}
	}
	return "an object"
}
