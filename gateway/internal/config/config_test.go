package config_test

import (
	"strings"
	"testing"
	"time"

	"tocsin/gateway/internal/config"
)

func load(values map[string]string) (*config.Config, error) {
	return config.Load(func(name string) string { return values[name] })
}

func TestDefaults(t *testing.T) {
	c, err := load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Timeout != 15*time.Second || c.MaxBody != 8<<20 || c.MetricsListen != "" || c.TLS != nil {
		t.Errorf("got %+v", c)
	}
}

func TestValues(t *testing.T) {
	c, err := load(map[string]string{
		"TOCSIN_METRICS_LISTEN": "127.0.0.1:9", "TOCSIN_GATEWAY_MAX_BODY": "64KiB", "TOCSIN_STOP_GRACE": "1m30s",
		"TOCSIN_PEER_MEDIA_PROBE": "media-probe:50051",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.MetricsListen != "127.0.0.1:9" || c.MaxBody != 64<<10 || c.StopGrace != 90*time.Second || c.Peers["media_probe"] != "media-probe:50051" {
		t.Errorf("got %+v", c)
	}
}

func TestNonsenseIsRefusedByName(t *testing.T) {
	for name, value := range map[string]string{
		"TOCSIN_GATEWAY_LISTEN":     "8080",
		"TOCSIN_GATEWAY_PARTS_URL":  "127.0.0.1:9",
		"TOCSIN_PEER_INGESTION":     "host:99999",
		"TOCSIN_GATEWAY_MAX_BODY":   "1TB",
		"TOCSIN_GATEWAY_TIMEOUT":    "15",
		"TOCSIN_STOP_GRACE":         "-1s",
		"TOCSIN_TRACE_RATIO":        "NaN",
		"TOCSIN_LOG_LEVEL":          "loud",
		"TOCSIN_GRPC_TLS_CERT_FILE": "/nowhere.pem",
	} {
		if _, err := load(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: got %v", name, value, err)
		}
	}
}

func TestTheTableHasEveryVariableThatIsRead(t *testing.T) {
	read := map[string]bool{}
	if _, err := config.Load(func(name string) string { read[name] = true; return "" }); err != nil {
		t.Fatal(err)
	}
	for name := range read {
		if config.Settings[name].Meaning == "" {
			t.Errorf("settings.json lacks %s", name)
		}
	}
	for name := range config.Settings {
		if !read[name] {
			t.Errorf("settings.json has %s, which nobody reads", name)
		}
	}
}
