package readings

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/rest"
)

var writer = protojson.MarshalOptions{EmitDefaultValues: true}

func answer(w http.ResponseWriter, r *http.Request, message proto.Message) {
	text, err := writer.Marshal(message)
	if err != nil {
		rest.Fail(w, r, err, "")
		return
	}
	write(w, text)
}

func answerCreated(w http.ResponseWriter, r *http.Request, created *ingestion.CreateReadingResponse) {
	if text, ok := quickCreated(make([]byte, 0, 320), created); ok {
		write(w, text)
		return
	}
	answer(w, r, created)
}

func write(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

// quickCreated appends what protojson would write (but for its spaces, which it varies on purpose), at a fifth of the
// time; false when something is not of the usual form.
func quickCreated(out []byte, created *ingestion.CreateReadingResponse) ([]byte, bool) {
	reading := created.GetReading()
	if reading == nil || reading.Value == nil || reading.GetEventTime() == nil { //nolint:protogetter // is it there?
		return nil, false
	}
	out = append(out, `{"reading":{`...)
	for _, field := range [...]struct{ name, text string }{
		{`"building":"`, reading.GetBuilding()},
		{`"room":"`, reading.GetRoom()},
		{`"sensorType":"`, reading.GetSensorType()},
		{`"device":"`, reading.GetDevice()},
	} {
		if !simple(field.text) {
			return nil, false
		}
		out = append(append(append(out, field.name...), field.text...), `",`...)
	}
	value, at := reading.GetValue(), reading.GetEventTime()
	if size := math.Abs(value); !(size == 0 || size >= 1e-6 && size < 1e21) || !simple(reading.GetUnit()) || !at.IsValid() {
		return nil, false
	}
	out = strconv.AppendFloat(append(out, `"value":`...), value, 'f', -1, 64)
	out = append(append(append(out, `,"unit":"`...), reading.GetUnit()...), `","eventTime":"`...)
	out = appendTime(out, at.AsTime())
	out = strconv.AppendBool(append(out, `"},"duplicate":`...), created.GetDuplicate())
	return append(out, '}'), true
}

// simple tells whether the text stands in JSON as it is.
func simple(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendTime writes a fraction of 0, 3, 6 or 9 digits.
func appendTime(out []byte, at time.Time) []byte {
	switch nanos := at.Nanosecond(); {
	case nanos == 0:
		return at.AppendFormat(out, "2006-01-02T15:04:05Z")
	case nanos%1e6 == 0:
		return at.AppendFormat(out, "2006-01-02T15:04:05.000Z")
	case nanos%1e3 == 0:
		return at.AppendFormat(out, "2006-01-02T15:04:05.000000Z")
	}
	return at.AppendFormat(out, "2006-01-02T15:04:05.000000000Z")
}
