package readings

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	ingestion "tocsin/gen/tocsin/ingestion/v1"
)

func created(value float64, at time.Time, texts ...string) *ingestion.CreateReadingResponse {
	texts = append(texts, "hq", "lobby", "temperature", "", "K")
	return &ingestion.CreateReadingResponse{
		Reading: &ingestion.Reading{
			Building: texts[0], Room: texts[1], SensorType: texts[2], Device: texts[3],
			Value: &value, Unit: texts[4], EventTime: timestamppb.New(at),
		},
		Duplicate: len(texts) > 5,
	}
}

// same compares with protojson's text, without the spaces that it varies on purpose.
func same(t *testing.T, message *ingestion.CreateReadingResponse) {
	t.Helper()
	quick, ok := quickCreated(nil, message)
	general, err := writer.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, general); err != nil {
		t.Fatal(err)
	}
	if !ok || !bytes.Equal(quick, compact.Bytes()) {
		t.Errorf("%s where protojson writes %s", quick, compact.Bytes())
	}
}

func TestTheQuickAnswerIsProtojsons(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, value := range []float64{0, math.Copysign(0, -1), 293.15, -1.5, 1e-6, 999999999999999868928, 1.0 / 3, 5, 1e20, math.Pi * 1e10} {
		same(t, created(value, noon))
	}
	for _, nanos := range []int{1, 1000, 999_999_999, 500_000_000, 123_456_000, 120_000} {
		same(t, created(1, noon.Add(time.Duration(nanos))))
	}
	same(t, created(1, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)))
	same(t, created(1, time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)))
	same(t, created(1, noon, "b", "r-1", "<type>", "d & co", "%"))
	random := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		value := math.Float64frombits(random.Uint64())
		if size := math.Abs(value); size >= 1e-6 && size < 1e21 {
			same(t, created(value, time.UnixMicro(random.Int64N(4e15))))
		}
	}
}

func TestUnusualAnswersAreLeftToProtojson(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, message := range []*ingestion.CreateReadingResponse{
		{},
		{Reading: &ingestion.Reading{}},
		created(math.NaN(), noon), created(math.Inf(1), noon), created(1e21, noon), created(1e-7, noon),
		created(1, noon, "ü"), created(1, noon, `"`), created(1, noon, "a", `\`), created(1, noon, "a", "b", "c", "d", "\n"),
		created(1, noon.AddDate(9000, 0, 0)),
	} {
		if text, ok := quickCreated(nil, message); ok {
			t.Errorf("%v became %s", message, text)
		}
	}
}
