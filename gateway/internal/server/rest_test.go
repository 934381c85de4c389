package server

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tocsin/gateway/internal/contract"
)

func TestEveryBindingIsServed(t *testing.T) {
	_, url, _ := setup(t)
	param := regexp.MustCompile(`\{[^}]*\}`)
	for _, method := range contract.Load().Methods {
		if method.Descriptor.IsStreamingServer() {
			continue // they stay open; other tests have them
		}
		for _, binding := range method.Bindings {
			path := param.ReplaceAllString(binding.Template, "x")
			response, text := do(t, binding.Verb, url+path, "")
			if response.StatusCode == 404 || response.StatusCode == 405 || response.StatusCode == 500 {
				t.Errorf("%s %s (%s): %d %s", binding.Verb, path, method.FullName, response.StatusCode, text)
			}
		}
	}
}

func TestTheLineEndsAfterEveryAnswer(t *testing.T) {
	_, url, _ := setup(t)
	for _, path := range []string{"/v1/readings:batch", "/v1/readings", "/v1/nothing"} {
		if _, text := do(t, "POST", url+path, `{"readings":[]}`); !strings.HasSuffix(text, "}\n") {
			t.Errorf("%s: %q", path, text)
		}
	}
	if _, text := do(t, "GET", url+"/health", ""); !strings.HasSuffix(text, "}\n") {
		t.Errorf("health: %q", text)
	}
}

func TestAnswersShowDefaultsButNotWhatIsAbsent(t *testing.T) {
	_, url, _ := setup(t)
	_, text := do(t, "POST", url+"/v1/readings:batch", `{"readings":[]}`)
	if compact(text) != `{"accepted":0,"rejections":[],"duplicate":false,"ignored":0,"conflicts":[]}`+"\n" {
		t.Error(text)
	}
	_, text = do(t, "POST", url+"/v1/readings", `{"building":"b"}`, "Idempotency-Key", "k")
	if compact(text) != `{"reading":{"building":"b","room":"","sensorType":"","device":"","unit":""},"duplicate":false}`+"\n" {
		t.Error(text)
	}
}

func compact(text string) string { return strings.ReplaceAll(text, ", ", ",") }

func TestHeadersGoOn(t *testing.T) {
	f, url, _ := setup(t)
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, path := range []string{"POST /v1/readings", "GET /v1/alerts/a"} {
		verb, place, _ := strings.Cut(path, " ")
		response, _ := do(t, verb, url+place, "", "Authorization", "Bearer t", "Traceparent", trace, "Tracestate", "a=b", "Cookie", "secret", "Grpc-Metadata-Evil", "1")
		sent, _ := f.seen()
		for name, want := range map[string]string{
			"authorization": "Bearer t", "traceparent": trace, "tracestate": "a=b", "x-request-id": "the-request",
		} {
			if got := sent.Get(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %v", path, name, got)
			}
		}
		for _, name := range []string{"cookie", "grpcgateway-cookie", "evil", "grpcgateway-authorization"} {
			if sent.Get(name) != nil {
				t.Errorf("%s: %s went on", path, name)
			}
		}
		if response.Header.Get("X-Request-Id") != "the-request" || response.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, response.Header)
		}
	}
	do(t, "GET", url+"/v1/alerts/a", "", "Traceparent", "nonsense", "X-Request-Id", "a b")
	sent, _ := f.seen()
	if got := sent.Get("traceparent"); len(got) != 1 || !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$`).MatchString(got[0]) {
		t.Errorf("traceparent made: %v", got)
	}
	if got := sent.Get("x-request-id"); len(got) != 1 || len(got[0]) != 32 {
		t.Errorf("request id made: %v", got)
	}
}

func TestIdempotencyKeyFillsTheField(t *testing.T) {
	_, url, _ := setup(t)
	for _, path := range []string{"/v1/readings", "/v1/readings:batch"} {
		_, text := do(t, "POST", url+path, "{}", "Idempotency-Key", "seen")
		if !strings.Contains(compact(text), `"duplicate":true`) {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func TestDeadlines(t *testing.T) {
	f, url, _ := setup(t)
	for asked, want := range map[string]time.Duration{"": 15 * time.Second, "2S": 2 * time.Second, "500m": 500 * time.Millisecond, "1H": 15 * time.Second} {
		for _, path := range []string{"POST /v1/readings", "GET /v1/alerts/a"} {
			verb, place, _ := strings.Cut(path, " ")
			do(t, verb, url+place, "", "Grpc-Timeout", asked)
			if _, left := f.seen(); left > want || left < want-400*time.Millisecond {
				t.Errorf("%s with %q: %v", path, asked, left)
			}
		}
	}
	response, text := do(t, "GET", url+"/v1/alerts/slow", "", "Grpc-Timeout", "50m")
	if response.StatusCode != http.StatusGatewayTimeout || !strings.Contains(text, "DEADLINE_EXCEEDED") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

func TestPayloadsGoOnAsTheyAre(t *testing.T) {
	_, url, _ := setup(t)
	_, text := do(t, "POST", url+"/v1/devices/ep1/payloads", "{\"broken\xff\x00", "Content-Type", "application/vnd.x")
	if !strings.Contains(text, `"7b2262726f6b656eff00"`) || !strings.Contains(text, `"application/vnd.x"`) {
		t.Error(text)
	}
}

func TestDownloads(t *testing.T) {
	f, url, _ := setup(t)
	response, text := do(t, "GET", url+"/v1/debts/d1/invoice", "")
	if text != "%PDF d1" || response.Header.Get("Content-Type") != "application/pdf" || response.Header.Get("Content-Disposition") != `attachment; filename="invoice-d1.pdf"` {
		t.Errorf("%q %v", text, response.Header)
	}
	response, text = do(t, "GET", url+"/v1/debtFiles/f1/rejects:download", "")
	if text != "a,b\n1,2\n" || response.Header.Get("Content-Type") != "text/csv" {
		t.Errorf("%q %v", text, response.Header)
	}
	f.answer(fail(5, "No such file.", info("NOT_FOUND", nil)))
	if response, _ := do(t, "GET", url+"/v1/debtFiles/none/rejects:download", ""); response.StatusCode != 404 {
		t.Errorf("error before the first byte: %d", response.StatusCode)
	}
	request, _ := http.NewRequest("GET", url+"/v1/debtFiles/f1/rejects:download", nil)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, 100)
	for err == nil {
		_, err = response.Body.Read(buffer)
	}
	if err.Error() != "unexpected EOF" {
		t.Errorf("half a file looks whole: %v", err)
	}
}
