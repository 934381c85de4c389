package jsonbody

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	ingestion "tocsin/gen/tocsin/ingestion/v1"
)

var usual = []string{
	`{"building":"hq","room":"lobby","sensorType":"temperature","value":293.15}`,
	`{"building":"hq","room":"lobby","sensor_type":"temperature","device":"d-1","value":-0,"unit":"C","eventTime":"2026-01-31T12:00:00Z"}`,
	" {\n\t\"value\" : 1e-3 ,\r\n \"event_time\" : \"2026-02-28T23:59:59.123456789Z\" } ",
	`{"value":0.5E+2,"unit":"%","eventTime":"0001-01-01T00:00:00.1Z"}`,
	`{"value":123456789012345678901234567890}`,
	`{"eventTime":"9999-12-31T23:59:59.999Z"}`,
	`{}`,
}

func TestTheQuickWayTakesWhatIsUsual(t *testing.T) {
	for _, text := range usual {
		quick, general := &ingestion.Reading{}, &ingestion.Reading{}
		if !quickReading([]byte(text), quick) {
			t.Errorf("%s: left to protojson", text)
		}
		if err := reader.Unmarshal([]byte(text), general); err != nil || !proto.Equal(quick, general) {
			t.Errorf("%s: %v, protojson reads %v (%v)", text, quick, general, err)
		}
	}
}

func TestTheQuickWayLeavesTheRest(t *testing.T) {
	for _, text := range []string{
		``, `{`, `[]`, `null`, `{} {}`, `{"value":1,}`, `{,}`, `{"value" 1}`, `{"value":1 "unit":"C"}`, `{"value":01}`, `{"value":.5}`,
		`{"value":1.}`, `{"value":1e}`, `{"value":+1}`, `{"value":-}`, `{"value":1e400}`, `{"value":"1"}`, `{"value":null}`, `{"value":NaN}`,
		`{"value":0x1}`, `{"value":1_0}`, `{"value":1,"value":2}`, `{"sensorType":"a","sensor_type":"b"}`, `{"building":null}`,
		`{"building":"a\u0062"}`, `{"building":"é"}`, "{\"building\":\"\x01\"}", "{\"building\":\"\xff\"}", `{"Building":"b"}`, `{"other":1}`,
		`{"eventTime":"2026-01-31T12:00:00+02:00"}`, `{"eventTime":"2026-01-31T12:00:00,5Z"}`, `{"eventTime":"2026-02-30T12:00:00Z"}`,
		`{"eventTime":"2026-01-31T12:00:00.Z"}`, `{"eventTime":"2026-01-31T12:00:00.1234567890Z"}`, `{"eventTime":"2026-01-31t12:00:00Z"}`,
		`{"eventTime":"0000-01-01T00:00:00Z"}`, `{"eventTime":"2026-01-31T24:00:00Z"}`, `{"eventTime":5}`, `{"eventTime":""}`,
	} {
		into := &ingestion.Reading{}
		if quickReading([]byte(text), into) {
			t.Errorf("%s: taken as %v", text, into)
		}
		if !proto.Equal(into, &ingestion.Reading{}) {
			t.Errorf("%s: refused, but has left %v behind", text, into)
		}
	}
}

// TestTheQuickWayNeverDiffers changes usual texts at random: what the quick way takes, protojson must read alike.
func TestTheQuickWayNeverDiffers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{`"`, `,`, `:`, `{`, `}`, `\`, `.`, `-`, `+`, `e`, `0`, `9`, `Z`, ` `, `null`, `"value"`, `"unit":"x"`, "\x7f", "é"}
	taken := 0
	for range 200_000 {
		text := []byte(usual[random.IntN(len(usual))])
		for range random.IntN(3) {
			from := random.IntN(len(text) + 1)
			to := min(len(text), from+random.IntN(3))
			text = append(append(append([]byte{}, text[:from]...), pieces[random.IntN(len(pieces))]...), text[to:]...)
		}
		quick, general := &ingestion.Reading{}, &ingestion.Reading{}
		if !quickReading(text, quick) {
			continue
		}
		taken++
		if err := reader.Unmarshal(text, general); err != nil || !proto.Equal(quick, general) {
			t.Fatalf("%s: %v, protojson reads %v (%v)", text, quick, general, err)
		}
	}
	if taken < 10_000 {
		t.Errorf("only %d texts were taken", taken)
	}
}

func BenchmarkReading(b *testing.B) {
	text := []byte(usual[0])
	b.Run("quick", func(b *testing.B) {
		for b.Loop() {
			quickReading(text, &ingestion.Reading{})
		}
	})
	b.Run("protojson", func(b *testing.B) {
		for b.Loop() {
			_ = reader.Unmarshal(text, &ingestion.Reading{})
		}
	})
}
