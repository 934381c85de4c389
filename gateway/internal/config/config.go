// Package config reads the gateway's settings from the environment and refuses nonsense at boot.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config is all that can be set; settings.json describes the variables.
type Config struct {
	Listen, GRPCListen, MetricsListen string
	// Peers are the addresses of the services, by name.
	Peers map[string]string
	// PeerConnections per service.
	PeerConnections int
	// MaxBody of ordinary requests and MaxUpload of files and imports, in bytes.
	MaxBody, MaxUpload int64
	// Timeout of unary calls: the default and the most that Grpc-Timeout may ask for.
	Timeout time.Duration
	// Heartbeat of server-sent events.
	Heartbeat time.Duration
	// StopGrace is how long running requests may take after SIGTERM.
	StopGrace time.Duration
	// TraceRatio of the traces that begin here are sampled.
	TraceRatio float64
	// MergeReadings that arrive one by one into batches.
	MergeReadings bool
	// TLS towards the services; nil for plain text.
	TLS *tls.Config

	// PartsURL is where the runtime that keeps the parts of the mesh running tells which of them do not work; empty: there
	// is none, as on Kubernetes.
	PartsURL string
	// Version and Commit of what runs, for /health and the metrics.
	Version, Commit string
	LogFormat       string
	LogLevel        slog.Level
}

// Load reads the settings; get gives the value of a variable or an empty string.
func Load(get func(string) string) (*Config, error) {
	r := &reader{get: get}
	metrics := r.address("TOCSIN_GATEWAY_METRICS_LISTEN")
	if metrics == "" {
		metrics = r.address("TOCSIN_METRICS_LISTEN")
	}
	c := &Config{
		Listen:        r.address("TOCSIN_GATEWAY_LISTEN"),
		GRPCListen:    r.address("TOCSIN_GATEWAY_GRPC_LISTEN"),
		MetricsListen: metrics,
		Peers: map[string]string{
			"ingestion":    r.address("TOCSIN_PEER_INGESTION"),
			"aggregation":  r.address("TOCSIN_PEER_AGGREGATION"),
			"media_probe":  r.address("TOCSIN_PEER_MEDIA_PROBE"),
			"notification": r.address("TOCSIN_PEER_NOTIFICATION"),
		},
		PeerConnections: int(r.integer("TOCSIN_GATEWAY_PEER_CONNECTIONS")),
		MaxBody:         r.size("TOCSIN_GATEWAY_MAX_BODY"),
		MaxUpload:       r.size("TOCSIN_GATEWAY_MAX_UPLOAD"),
		Timeout:         r.duration("TOCSIN_GATEWAY_TIMEOUT"),
		Heartbeat:       r.duration("TOCSIN_GATEWAY_HEARTBEAT"),
		StopGrace:       r.duration("TOCSIN_STOP_GRACE"),
		TraceRatio:      r.ratio("TOCSIN_TRACE_RATIO"),
		MergeReadings:   r.choice("TOCSIN_GATEWAY_MERGE_READINGS", "on", "off") == "on",
		TLS:             r.tls(),
		PartsURL:        r.url("TOCSIN_GATEWAY_PARTS_URL"),
		Version:         r.text("TOCSIN_VERSION"),
		Commit:          r.text("TOCSIN_COMMIT"),
		LogFormat:       r.choice("TOCSIN_LOG_FORMAT", "json", "console"),
	}
	switch r.choice("TOCSIN_LOG_LEVEL", "debug", "info", "warning", "error") {
	case "debug":
		c.LogLevel = slog.LevelDebug
	case "warning":
		c.LogLevel = slog.LevelWarn
	case "error":
		c.LogLevel = slog.LevelError
	}
	if r.text("TOCSIN_OTLP_ENDPOINT") == "" {
		c.TraceRatio = 0 // nobody would see them
	}
	return c, errors.Join(r.problems...)
}

type reader struct {
	get      func(string) string
	problems []error
}

func (r *reader) refuse(name, problem string) {
	r.problems = append(r.problems, fmt.Errorf("%s %s", name, problem))
}

// text is the variable's value, or its default.
func (r *reader) text(name string) string {
	if value := r.get(name); value != "" {
		return value
	}
	return Settings[name].Default
}

func (r *reader) url(name string) string {
	value := r.text(name)
	if value == "" {
		return ""
	}
	if parsed, err := url.Parse(value); err != nil || parsed.Scheme != "http" || parsed.Host == "" {
		r.refuse(name, "must be a URL, http://host:port/path")
	}
	return value
}

func (r *reader) address(name string) string {
	value := r.text(name)
	if value == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(value)
	if number, numErr := strconv.Atoi(port); err != nil || numErr != nil || number < 0 || number > 65535 {
		r.refuse(name, fmt.Sprintf("must be host:port, not %q", value))
	}
	return value
}

func (r *reader) integer(name string) int64 {
	setting := Settings[name]
	value, err := strconv.ParseInt(r.text(name), 10, 64)
	if low, high := whole(setting.Least), whole(setting.Most); err != nil || value < low || value > high {
		r.refuse(name, fmt.Sprintf("must be a whole number from %d to %d, not %q", low, high, r.text(name)))
	}
	return value
}

func whole(text string) int64 {
	value, _ := strconv.ParseInt(text, 10, 64)
	return value
}

// size takes what the services take too: bytes, or a number with KiB, MiB or GiB.
func (r *reader) size(name string) int64 {
	setting := Settings[name]
	low, _ := bytes(setting.Least)
	high, _ := bytes(setting.Most)
	value, ok := bytes(r.text(name))
	if !ok || value < low || value > high {
		r.refuse(name, fmt.Sprintf("must be bytes, or a number with KiB, MiB or GiB, from %s to %s, not %q", setting.Least, setting.Most, r.text(name)))
	}
	return value
}

func bytes(text string) (int64, bool) {
	unit := int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if trimmed, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = strings.TrimSpace(trimmed), factor
		}
	}
	value, err := strconv.ParseInt(text, 10, 64)
	return value * unit, err == nil && value >= 0 && value <= (1<<62)/unit
}

// duration takes what the services take too: 250ms, 30s, 1h30m.
func (r *reader) duration(name string) time.Duration {
	text := r.text(name)
	value, err := time.ParseDuration(text)
	if err != nil || value <= 0 || value > time.Hour {
		r.refuse(name, fmt.Sprintf("must be a duration with its unit, above 0s and at most 1h, not %q", text))
	}
	return value
}

func (r *reader) ratio(name string) float64 {
	text := r.text(name)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value >= 0 && value <= 1) {
		r.refuse(name, fmt.Sprintf("must be from 0 to 1, not %q", text))
	}
	return value
}

func (r *reader) choice(name string, values ...string) string {
	value := r.text(name)
	for _, known := range values {
		if value == known {
			return value
		}
	}
	r.refuse(name, fmt.Sprintf("must be one of %s, not %q", strings.Join(values, ", "), value))
	return values[0]
}

// tls reads the same variables as the services: all three or none.
func (r *reader) tls() *tls.Config {
	cert, key, ca := r.text("TOCSIN_GRPC_TLS_CERT_FILE"), r.text("TOCSIN_GRPC_TLS_KEY_FILE"), r.text("TOCSIN_GRPC_TLS_CA_FILE")
	if cert == "" && key == "" && ca == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		r.refuse("TOCSIN_GRPC_TLS_CERT_FILE", "and TOCSIN_GRPC_TLS_KEY_FILE are unusable: "+err.Error())
		return nil
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(ca)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		r.refuse("TOCSIN_GRPC_TLS_CA_FILE", fmt.Sprintf("holds no certificate: %q", ca))
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}
