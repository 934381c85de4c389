package jsonbody

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A plan is made once for a type of messages: what is written before each field, where the field stands in the Go
// struct, and how its values are written. protojson asks the descriptors anew for each field of each message, sorts the
// fields, and boxes their values.
type plan []step

// step writes one field of a message.
type step struct {
	name     string       // with quotes and colon
	index    int          // in the Go struct: of the field, or of the oneof that it belongs to
	optional bool         // nil is left out
	member   reflect.Type // of a oneof: the pointer to the struct around the field; nil for all others
	write    appender
}

// appender writes a value of one Go type; false where protojson must decide.
type appender func(out []byte, value reflect.Value) ([]byte, bool)

// left is for protojson.
func left(out []byte, _ reflect.Value) ([]byte, bool) { return out, false }

// appenders of messages by the types of their pointers.
var appenders sync.Map

func appenderOf(pointer reflect.Type) appender {
	found, ok := appenders.Load(pointer)
	if !ok {
		found, _ = appenders.LoadOrStore(pointer, newAppender(pointer))
	}
	write, _ := found.(appender)
	return write
}

func newAppender(pointer reflect.Type) appender {
	message, ok := reflect.Zero(pointer).Interface().(proto.Message)
	if !ok {
		return left
	}
	switch message.(type) {
	case *timestamppb.Timestamp:
		return timestamp
	case *durationpb.Duration:
		return duration
	case *structpb.Struct:
		return object
	}
	name := message.ProtoReflect().Descriptor().FullName()
	if name.Parent() == "google.protobuf" && name.Name() != "Empty" {
		return left // many have a form of their own in JSON
	}
	// Made when it is first needed, for a message may hold messages of its own type.
	planned := sync.OnceValues(func() (plan, bool) { return newPlan(pointer.Elem()) })
	return func(out []byte, value reflect.Value) ([]byte, bool) {
		steps, ok := planned()
		if !ok || value.IsNil() {
			return out, false
		}
		return steps.write(out, value.Elem())
	}
}

// newPlan has a step for each field, in the order of the contract; it is false for structs that are not as protoc-gen-go's
// open API makes them, and for what only proto2 has.
func newPlan(message reflect.Type) (plan, bool) {
	fresh, ok := reflect.New(message).Interface().(proto.Message)
	if !ok {
		return nil, false
	}
	reflected := fresh.ProtoReflect()
	descriptor := reflected.Descriptor()
	if descriptor.RequiredNumbers().Len() > 0 || descriptor.ExtensionRanges().Len() > 0 {
		return nil, false
	}
	places := placesOf(message)
	steps := make(plan, 0, descriptor.Fields().Len())
	for i := range descriptor.Fields().Len() {
		fd := descriptor.Fields().Get(i)
		name, valid := appendText(nil, fd.JSONName())
		group := fd.ContainingOneof()
		oneof := group != nil && !group.IsSynthetic()
		place := strconv.Itoa(int(fd.Number()))
		if oneof {
			place = string(group.Name())
		}
		index, found := places[place]
		if !found || !valid {
			return nil, false
		}
		made := step{name: string(name) + ":", index: index, optional: fd.HasPresence()}
		field := message.Field(index).Type
		if oneof {
			reflected.Set(fd, reflected.NewField(fd))
			made.member = reflect.ValueOf(fresh).Elem().Field(index).Elem().Type()
			field = made.member.Elem().Field(0).Type
		}
		made.write = appenderOfField(fd, field)
		steps = append(steps, made)
	}
	return steps, true
}

// placesOf finds the fields of a generated struct by their numbers, and its oneofs by their names.
func placesOf(message reflect.Type) map[string]int {
	places := map[string]int{}
	for i := range message.NumField() {
		field := message.Field(i)
		if !field.IsExported() {
			continue
		}
		if parts := strings.Split(field.Tag.Get("protobuf"), ","); len(parts) > 1 {
			places[parts[1]] = i
		} else if name, ok := field.Tag.Lookup("protobuf_oneof"); ok {
			places[name] = i
		}
	}
	return places
}

func appenderOfField(fd protoreflect.FieldDescriptor, field reflect.Type) appender {
	switch {
	case fd.IsList():
		write := appenderOfSingle(fd, field.Elem())
		return func(out []byte, value reflect.Value) ([]byte, bool) { return appendList(out, value, write) }
	case fd.IsMap() && fd.MapKey().Kind() != protoreflect.StringKind:
		return left
	case fd.IsMap():
		write := appenderOfSingle(fd.MapValue(), field.Elem())
		return func(out []byte, value reflect.Value) ([]byte, bool) { return appendMap(out, value, write) }
	case fd.Message() == nil && field.Kind() == reflect.Pointer:
		write := appenderOfSingle(fd, field.Elem())
		return func(out []byte, value reflect.Value) ([]byte, bool) { return write(out, value.Elem()) }
	}
	return appenderOfSingle(fd, field)
}

func appenderOfSingle(fd protoreflect.FieldDescriptor, single reflect.Type) appender {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		return appenderOf(single)
	case protoreflect.EnumKind:
		return enum(fd.Enum())
	}
	if write, ok := scalars[fd.Kind()]; ok {
		return write
	}
	return left
}

func (p plan) write(out []byte, message reflect.Value) ([]byte, bool) {
	out = append(out, '{')
	begin, ok := len(out), true
	for i := range p {
		field := &p[i]
		value := message.Field(field.index)
		if field.member != nil {
			member := value.Elem()
			if !member.IsValid() || member.Type() != field.member || member.IsNil() {
				continue
			}
			value = member.Elem().Field(0)
		} else if field.optional && value.IsNil() {
			continue
		}
		if len(out) > begin {
			out = append(out, ',')
		}
		if out, ok = field.write(append(out, field.name...), value); !ok {
			return out, false
		}
	}
	return append(out, '}'), true
}
