package pages

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheStartPageShowsTheAddressThatItWasAskedOf(t *testing.T) {
	mux := http.NewServeMux()
	Register(mux)
	for host, shown := range map[string]string{
		"localhost:8081":         "localhost:8081/v1/sensorTypes",
		"tocsin.example":         "tocsin.example list",
		"<script>alert</script>": "&lt;script&gt;",
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = host
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		body := answer.Body.String()
		if answer.Code != http.StatusOK || !strings.Contains(body, shown) || strings.Contains(body, "<script") {
			t.Errorf("host %q: %d %s", host, answer.Code, body)
		}
	}
}
