package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheGatewayOfThisContainerIsAsked(t *testing.T) {
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(code)
	}))
	address := strings.TrimPrefix(server.URL, "http://")
	everywhere := strings.Replace(address, "127.0.0.1", "0.0.0.0", 1)
	for _, listen := range []string{address, everywhere} {
		if err := healthcheck(listen); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	code = http.StatusServiceUnavailable
	if err := healthcheck(address); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	server.Close()
	if err := healthcheck(address); err == nil {
		t.Error("a gateway that is away is well")
	}
}
