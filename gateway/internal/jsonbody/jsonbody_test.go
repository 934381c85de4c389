package jsonbody_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	aggregation "tocsin/gen/tocsin/aggregation/v1"
	ingestion "tocsin/gen/tocsin/ingestion/v1"
	notification "tocsin/gen/tocsin/notification/v1"

	"tocsin/gateway/internal/jsonbody"
)

func TestWhatFits(t *testing.T) {
	for _, text := range []string{
		`{}`,
		`{"building":"b","value":1.5,"eventTime":"2026-01-31T12:00:00.5+02:00"}`,
		`{"sensor_type":"temperature","value":"1.5"}`,
		`{"value":null}`,
		" {\n\t} \n",
	} {
		if p := jsonbody.Unmarshal([]byte(text), &ingestion.Reading{}); p != nil {
			t.Errorf("%s: %v", text, p.Errors)
		}
	}
}

func TestWhatDoesNotFitIsNamed(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	cases := []struct {
		text    string
		message proto.Message
		want    []string // field reason detail-part
	}{
		{`[]`, &ingestion.Reading{}, []string{"|JSON_TYPE|expected an object, got an array"}},
		{`null`, &ingestion.Reading{}, []string{"|JSON_TYPE|expected an object, got null"}},
		{`{"value":"x"}`, &ingestion.Reading{}, []string{`value|JSON_TYPE|expected a number, got "x"`}},
		{`{"value":true}`, &ingestion.Reading{}, []string{"value|JSON_TYPE|expected a number, got true"}},
		{`{"value":NaN}`, &ingestion.Reading{}, []string{"value|JSON_SYNTAX|line 1, column 10: invalid character 'N'"}},
		{`{"value":-Infinity}`, &ingestion.Reading{}, []string{"value|JSON_SYNTAX|"}},
		{`{"value":1e400}`, &ingestion.Reading{}, []string{"value|JSON_RANGE|too large"}},
		{`{"value":0x10}`, &ingestion.Reading{}, []string{"|JSON_SYNTAX|line 1, column 11: invalid character 'x'"}},
		{`{"value":"0x10"}`, &ingestion.Reading{}, []string{"value|JSON_TYPE|expected a number"}},
		{`{"building":1,"room":[]}`, &ingestion.Reading{}, []string{
			"building|JSON_TYPE|expected a string, got the number 1", "room|JSON_TYPE|expected a string, got an array",
		}},
		{`{"Building":"b"}`, &ingestion.Reading{}, []string{"Building|JSON_UNKNOWN_FIELD|there are building, room"}},
		{`{"value":1,"value":2}`, &ingestion.Reading{}, []string{"value|JSON_DUPLICATE_FIELD|twice"}},
		{`{"sensorType":"a","sensor_type":"b"}`, &ingestion.Reading{}, []string{"sensor_type|JSON_DUPLICATE_FIELD|twice"}},
		{`{"eventTime":"2026-13-01T00:00:00Z"}`, &ingestion.Reading{}, []string{"eventTime|JSON_FORMAT|2026-01-31T12:00:00Z"}},
		{`{"eventTime":"2016-12-31T23:59:60Z"}`, &ingestion.Reading{}, []string{"eventTime|JSON_FORMAT|23:59:60Z"}},
		{`{"eventTime":5}`, &ingestion.Reading{}, []string{"eventTime|JSON_TYPE|expected a time"}},
		{`{"value":1`, &ingestion.Reading{}, []string{"|JSON_SYNTAX|line 1, column 11: unexpected end"}},
		{"{\n \"value\": 1,,\n}", &ingestion.Reading{}, []string{"|JSON_SYNTAX|line 2, column"}},
		{`{} {}`, &ingestion.Reading{}, []string{"|JSON_SYNTAX|more after the end"}},
		{"{\"building\":\"\xff\"}", &ingestion.Reading{}, []string{"|JSON_ENCODING|byte 0xff at offset 13"}},
		{`{"building":"\ud800"}`, &ingestion.Reading{}, []string{"|JSON_SYNTAX|half a surrogate pair"}},
		{`{"readings":[{"value":1},{"value":[]}]}`, &ingestion.BatchCreateReadingsRequest{}, []string{
			"readings[1].value|JSON_TYPE|expected a number, got an array",
		}},
		{`{"readings":[null]}`, &ingestion.BatchCreateReadingsRequest{}, []string{"readings[0]|JSON_TYPE|got null"}},
		{`{"readings":{}}`, &ingestion.BatchCreateReadingsRequest{}, []string{"readings|JSON_TYPE|expected an array"}},
		{`{"type":"LOUD"}`, &notification.SendNotificationRequest{}, []string{"type|JSON_TYPE|one of NOTIFICATION_TYPE_UNSPECIFIED, ALERT"}},
		{`{"wait":"yes"}`, &notification.SendNotificationRequest{}, []string{"wait|JSON_TYPE|expected true or false"}},
		{`{"data":[1]}`, &notification.SendNotificationRequest{}, []string{"data|JSON_TYPE|expected an object"}},
		{`{"data":` + deep + `}`, &notification.SendNotificationRequest{}, []string{"data|JSON_TOO_DEEP|64"}},
		{`{"x":` + deep + `}`, &ingestion.Reading{}, []string{"x|JSON_UNKNOWN_FIELD|", "x|JSON_TOO_DEEP|"}},
		{`{"pageSize":1.5}`, &ingestion.ListDebtFilesRequest{}, []string{"pageSize|JSON_TYPE|whole number"}},
		{`{"pageSize":3000000000}`, &ingestion.ListDebtFilesRequest{}, []string{"pageSize|JSON_RANGE|does not fit"}},
		{`{"window":"15m"}`, &aggregation.GetRoomAverageRequest{}, []string{`window|JSON_FORMAT|"900s"`}},
	}
	for _, c := range cases {
		name := c.text
		if len(name) > 50 {
			name = name[:50]
		}
		t.Run(name, func(t *testing.T) {
			p := jsonbody.Unmarshal([]byte(c.text), c.message)
			if p == nil {
				t.Fatal("it was accepted")
			}
			if p.Status != 400 || p.Reason != "BODY_INVALID" || len(p.Errors) != len(c.want) {
				t.Fatalf("got %d %s %v", p.Status, p.Reason, p.Errors)
			}
			for i, want := range c.want {
				field, rest, _ := strings.Cut(want, "|")
				reason, part, _ := strings.Cut(rest, "|")
				got := p.Errors[i]
				if got.Field != field || got.Reason != reason || !strings.Contains(got.Detail, part) {
					t.Errorf("got %+v, want %s", got, want)
				}
			}
		})
	}
}

func TestTheListOfViolationsIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, `,"f%d":1`, i)
	}
	p := jsonbody.Unmarshal([]byte("{"+text.String()[1:]+"}"), &ingestion.Reading{})
	if p == nil || len(p.Errors) != 25 {
		t.Fatalf("got %v", p)
	}
}

// Whatever protojson refuses is explained, and whatever it takes is taken.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{`{}`, `{"value":1}`, `{"readings":[{"value":"x"}]}`, `[`, `{"a":{"b":[1,2`, "\xff", `{"readings":[{"eventTime":"1"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p := jsonbody.Unmarshal(data, &ingestion.BatchCreateReadingsRequest{}); p != nil && len(p.Errors) == 0 {
			t.Fatalf("%q is refused without a reason", data)
		}
	})
}

func BenchmarkReading(b *testing.B) {
	text := []byte(`{"building":"hq","room":"r1","sensorType":"temperature","device":"d1","value":21.5,"eventTime":"2026-01-31T12:00:00Z"}`)
	for b.Loop() {
		if p := jsonbody.Unmarshal(text, &ingestion.Reading{}); p != nil {
			b.Fatal(p)
		}
	}
}
