package main

import (
	"io"
	"log/slog"
	"strings"

	"tocsin/gateway/internal/config"
)

const service = "gateway"

// logs writes lines of the shape that the services log in: time, level, service, event, and what varies.
func logs(settings *config.Config, out io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: settings.LogLevel, ReplaceAttr: asServices}
	var handler slog.Handler = slog.NewJSONHandler(out, options)
	if settings.LogFormat == "console" {
		handler = slog.NewTextHandler(out, options)
	}
	return handler.WithAttrs([]slog.Attr{slog.String("service", service)})
}

func asServices(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.MessageKey:
		attr.Key = "event"
	case slog.LevelKey:
		name := strings.ToLower(attr.Value.String())
		if name == "warn" {
			name = "warning"
		}
		attr.Value = slog.StringValue(name)
	}
	return attr
}
