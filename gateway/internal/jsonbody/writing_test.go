package jsonbody

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	aggregation "tocsin/gen/tocsin/aggregation/v1"
	ingestion "tocsin/gen/tocsin/ingestion/v1"
	notification "tocsin/gen/tocsin/notification/v1"

	"tocsin/gateway/internal/contract"
)

// generally is what protojson writes, without the spaces that it varies on purpose.
func generally(t *testing.T, message proto.Message) (string, error) {
	t.Helper()
	text, err := writer.Marshal(message)
	if err != nil {
		return "", err
	}
	return compact(t, text), nil
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// same fails unless Marshal writes the message as protojson does, or refuses it in the same words. It tells whether a plan
// wrote it.
func same(t *testing.T, message proto.Message) (planned bool) {
	t.Helper()
	_, planned = quickly(nil, message)
	want, wantErr := generally(t, message)
	got, err := Marshal(message)
	if err != nil || wantErr != nil {
		if err == nil || wantErr == nil || err.Error() != wantErr.Error() {
			t.Fatalf("%v: %v, protojson says %v", message, err, wantErr)
		}
		return planned
	}
	text := string(got)
	if !planned {
		text = compact(t, got)
	}
	if text != want {
		t.Fatalf("%s\nwhere protojson writes\n%s", text, want)
	}
	return planned
}

// answers are the types of all messages that a route can answer with.
func answers(t *testing.T) []protoreflect.MessageType {
	t.Helper()
	seen := map[protoreflect.FullName]protoreflect.MessageType{}
	for _, method := range contract.Load().Methods {
		name := method.Descriptor.Output().FullName()
		if len(method.Bindings) == 0 || name == "google.api.HttpBody" {
			continue
		}
		found, err := protoregistry.GlobalTypes.FindMessageByName(name)
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = found
	}
	if len(seen) < 30 {
		t.Fatalf("only %d types of answers", len(seen))
	}
	types := make([]protoreflect.MessageType, 0, len(seen))
	for _, found := range seen {
		types = append(types, found)
	}
	return types
}

func TestEveryAnswerIsProtojsonsByAPlan(t *testing.T) {
	for _, answer := range answers(t) {
		t.Run(string(answer.Descriptor().FullName()), func(t *testing.T) {
			t.Parallel()
			random := filler{Rand: rand.New(rand.NewPCG(5, 6))}
			if !same(t, answer.New().Interface()) {
				t.Error("an empty one was left to protojson")
			}
			for range 500 {
				message := answer.New()
				random.fill(message, 5)
				if !same(t, message.Interface()) {
					t.Fatalf("left to protojson: %v", message)
				}
			}
		})
	}
}

func TestWhatCannotBeWrittenIsRefusedInTheSameWords(t *testing.T) {
	refused := 0
	for _, answer := range answers(t) {
		random := filler{Rand: rand.New(rand.NewPCG(7, 8)), broken: true}
		for range 200 {
			message := answer.New()
			random.fill(message, 5)
			if !same(t, message.Interface()) {
				refused++
			}
		}
	}
	if refused < 100 {
		t.Errorf("only %d were refused", refused)
	}
}

func TestScalarsAreProtojsons(t *testing.T) {
	random := filler{Rand: rand.New(rand.NewPCG(9, 10))}
	for range 5_000 {
		bits := random.Uint64() >> random.IntN(64)
		number, text := random.double(), random.text()
		small := float32(number)
		if random.IntN(2) == 0 {
			small = math.Float32frombits(random.Uint32())
		}
		for kind, value := range map[protoreflect.Kind]proto.Message{
			protoreflect.BoolKind:     wrapperspb.Bool(bits&1 == 1),
			protoreflect.Int32Kind:    wrapperspb.Int32(int32(bits)),
			protoreflect.Sint32Kind:   wrapperspb.Int32(-int32(bits)),
			protoreflect.Sfixed32Kind: wrapperspb.Int32(math.MinInt32),
			protoreflect.Uint32Kind:   wrapperspb.UInt32(uint32(bits)),
			protoreflect.Fixed32Kind:  wrapperspb.UInt32(math.MaxUint32),
			protoreflect.Int64Kind:    wrapperspb.Int64(int64(bits)),
			protoreflect.Sint64Kind:   wrapperspb.Int64(-int64(bits)),
			protoreflect.Sfixed64Kind: wrapperspb.Int64(math.MinInt64),
			protoreflect.Uint64Kind:   wrapperspb.UInt64(bits),
			protoreflect.Fixed64Kind:  wrapperspb.UInt64(math.MaxUint64),
			protoreflect.FloatKind:    wrapperspb.Float(small),
			protoreflect.DoubleKind:   wrapperspb.Double(number),
			protoreflect.StringKind:   wrapperspb.String(text),
			protoreflect.BytesKind:    wrapperspb.Bytes([]byte(text)),
		} {
			want, err := generally(t, value)
			got, ok := scalars[kind](nil, reflect.ValueOf(value).Elem().FieldByName("Value"))
			if err != nil || !ok || string(got) != want {
				t.Fatalf("%v: %s where protojson writes %s (%v)", kind, got, want, err)
			}
		}
	}
	if len(scalars) != 15 {
		t.Errorf("%d kinds", len(scalars))
	}
}

func TestWhatNoPlanCoversIsLeftToProtojson(t *testing.T) {
	packed, err := anypb.New(&ingestion.Reading{Room: "r"})
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []proto.Message{
		packed, wrapperspb.String("text"), structpb.NewStringValue("text"), &structpb.ListValue{}, &fieldmaskpb.FieldMask{Paths: []string{"a_b"}},
		&typepb.Field{Options: []*typepb.Option{{Value: packed}}},
		(*ingestion.Reading)(nil), (*timestamppb.Timestamp)(nil),
		&aggregation.ListWindowsResponse{Windows: []*aggregation.Window{nil}},
		&aggregation.AlarmRule{Condition: &aggregation.AlarmRule_Threshold_{}},
		(&ingestion.Reading{}).ProtoReflect().Descriptor().Options(),
	} {
		if same(t, message) {
			t.Errorf("%T %v was written by a plan", message, message)
		}
	}
	for _, message := range []proto.Message{
		&emptypb.Empty{}, &structpb.Struct{}, (*structpb.Struct)(nil),
		&aggregation.AlarmRule{Condition: (*aggregation.AlarmRule_Threshold_)(nil)},
		&errdetails.ErrorInfo{Reason: "R", Metadata: map[string]string{"b": "<&>", "a": "\u2028", "": "\x00"}},
	} {
		if !same(t, message) {
			t.Errorf("%T %v was left to protojson", message, message)
		}
	}
	if text, err := Marshal(nil); err != nil || string(text) != "{}" {
		t.Errorf("nothing became %s, %v", text, err)
	}
}

func TestAnswersAtTheSameTimeDoNotMix(t *testing.T) {
	var group sync.WaitGroup
	for caller := range 8 {
		group.Go(func() {
			message := &ingestion.Building{Id: strings.Repeat(fmt.Sprint(caller), 100*caller)}
			want, _ := generally(t, message)
			for range 1000 {
				if got, err := Marshal(message); err != nil || string(got) != want {
					t.Errorf("%s, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkMarshal(b *testing.B) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	data, err := structpb.NewStruct(map[string]any{"order": "A-17", "amount": 12.5, "items": []any{"a", "b"}})
	if err != nil {
		b.Fatal(err)
	}
	windows, unread := &aggregation.ListWindowsResponse{NextPageToken: strings.Repeat("t", 60)}, &notification.ListNotificationsResponse{}
	for i := range 20 {
		value := func(v float64) *float64 { return proto.Float64(v + float64(i)/7) }
		windows.Windows = append(windows.Windows, &aggregation.Window{
			Series: &aggregation.Series{Building: "hq", Room: "lobby", SensorType: "temperature", Unit: "K"},
			Step:   durationpb.New(time.Minute), Start: timestamppb.New(noon), End: timestamppb.New(noon.Add(time.Minute)), Revision: 1,
			Statistics: &aggregation.Statistics{
				Count: 12, Min: value(293), Max: value(294), First: value(293), Last: value(294), Mean: value(293.5),
				TimeWeightedMean: value(293.4), ReceivedRatio: proto.Float64(1), CoveredRatio: 1, LongestGap: durationpb.New(5 * time.Second),
			},
		})
		unread.Notifications = append(unread.Notifications, &notification.Notification{
			Id: "00000000-0000-4000-8000-000000000000", Tenant: "test", User: "reader", Title: "Hello", Body: "World", Data: data,
			Channel: notification.Channel_CONSOLE, CreateTime: timestamppb.New(noon.Add(123_456_000)), SendTime: timestamppb.New(noon),
		})
	}
	for name, message := range map[string]proto.Message{
		"windows": windows, "notifications": unread,
		"building": &ingestion.Building{Id: "reference", Attributes: map[string]string{"city": "Berlin"}, CreateTime: timestamppb.New(noon)},
		"reading": &ingestion.CreateReadingResponse{Reading: &ingestion.Reading{
			Building: "hq", Room: "lobby", SensorType: "temperature", Value: proto.Float64(293.15), Unit: "K", EventTime: timestamppb.New(noon),
		}},
	} {
		b.Run(name+"/plan", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Marshal(message)
			}
		})
		b.Run(name+"/protojson", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = writer.Marshal(message)
			}
		})
	}
}
