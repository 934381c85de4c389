package problem

import (
	"encoding/json"
	"testing"
)

func TestTheQuickTextIsThatOfEncodingJSON(t *testing.T) {
	metadata := map[string]string{"value": "-1.0", "unit": "K", "min": "0.0"}
	violations := []Violation{{"value", "VALUE_OUT_OF_RANGE", "must be not below 0.0 K, is -1 K"}, {"", "", "two"}}
	for _, one := range []*Problem{
		New(400, "VALUE_OUT_OF_RANGE", "value: must be not below 0.0 K, is -1 K", violations...),
		New(404, RouteUnknown, ""),
		New(statusClientClosed, Cancelled, "gone"),
		{Type: "t", Title: "T", Status: 500, Reason: "R", Metadata: metadata},
		{Type: "t", Title: "T", Status: 500, Reason: "R", Detail: "d", Metadata: metadata, Errors: violations},
	} {
		for _, id := range []string{"", "a-request"} {
			shown := *one
			shown.Instance = id
			want, err := json.Marshal(&shown)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := one.quick(nil, id)
			if !ok || string(got) != string(want) {
				t.Errorf("%s where encoding/json writes %s", got, want)
			}
		}
	}
}

func TestWhatJSONEscapesIsLeftToEncodingJSON(t *testing.T) {
	for _, text := range []string{`"`, `\`, "\n", "\x7f", "é", "<", ">", "&", "\xff"} {
		for _, one := range []*Problem{
			New(400, text, ""), New(400, "R", text), New(400, "R", "", Violation{text, "", ""}),
			New(400, "R", "", Violation{"", text, ""}), New(400, "R", "", Violation{"", "", text}),
			{Title: "T", Metadata: map[string]string{text: ""}}, {Title: "T", Metadata: map[string]string{"a": text}},
		} {
			if got, ok := one.quick(nil, ""); ok {
				t.Errorf("%q became %s", text, got)
			}
		}
		if got, ok := New(400, "R", "").quick(nil, text); ok {
			t.Errorf("%q became %s", text, got)
		}
		if !json.Valid(New(400, "R", text).JSON(text)) {
			t.Errorf("%q makes no JSON", text)
		}
	}
}

func BenchmarkAProblemsText(b *testing.B) {
	one := New(400, "VALUE_OUT_OF_RANGE", "value: must be not below 0.0 K, is -1 K", Violation{"value", "VALUE_OUT_OF_RANGE", "must be not below 0.0 K, is -1 K"})
	one.Metadata = map[string]string{"value": "-1.0", "unit": "K", "min": "0.0", "max": "2000.0"}
	b.ReportAllocs()
	for b.Loop() {
		one.JSON("0191d2f0-5a3e-7cc1-a1b2-000000000000")
	}
}
