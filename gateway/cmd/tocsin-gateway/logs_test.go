package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"tocsin/gateway/internal/config"
)

func TestLinesHaveTheShapeOfTheServices(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(logs(&config.Config{LogFormat: "json"}, &out))
	log.Warn("call failed", "route", "/v1/x", "level_of", slog.LevelWarn)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for name, expected := range map[string]any{
		"service": "gateway", "event": "call failed", "level": "warning", "route": "/v1/x",
	} {
		if line[name] != expected {
			t.Errorf("%s is %v, not %v", name, line[name], expected)
		}
	}
	if _, there := line["msg"]; there || line["time"] == nil {
		t.Errorf("not the services' shape: %v", line)
	}
}
