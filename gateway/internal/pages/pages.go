// Package pages serves what people look at: the landing page, the OpenAPI document and Swagger UI.
package pages

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"tocsin/openapi"
)

//go:embed index.html
var index string

var landing = template.Must(template.New("index.html").Parse(index))

const (
	// Swagger UI starts itself from an inline script and styles itself inline; nothing comes from other hosts.
	policy = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
	// bearer lets people paste a token into "Authorize" with or without the word Bearer.
	bearer = `function (request) {
  const name = Object.keys(request.headers).find((h) => h.toLowerCase() === "authorization");
  if (name) {
    request.headers[name] = "Bearer " + request.headers[name].replace(/^(\s*bearer\s+)+/i, "").trim();
  }
  return request;
}`
)

// Register adds the pages to mux.
func Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", serveLanding)
	mux.Handle("GET /openapi.json", file("application/json", openapi.Document))
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title:       "Tocsin",
		SwaggerJSON: "/openapi.json",
		BasePath:    "/docs/",
		SettingsUI: map[string]string{
			"requestInterceptor":       bearer,
			"persistAuthorization":     "true",
			"displayRequestDuration":   "true",
			"docExpansion":             `"none"`,
			"tryItOutEnabled":          "true",
			"defaultModelsExpandDepth": "0",
			"validatorUrl":             "null",
		},
	})
	mux.Handle("GET /docs/", withPolicy(ui))
	mux.Handle("GET /docs", http.RedirectHandler("/docs/", http.StatusMovedPermanently))
}

// serveLanding shows its commands with the host that the page was asked of.
func serveLanding(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	if err := landing.Execute(&page, r.Host); err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Vary", "Host")
	file("text/html; charset=utf-8", page.Bytes()).ServeHTTP(w, r)
}

func file(contentType string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	name := "file" + strings.ReplaceAll(contentType, "/", ".")
	return withPolicy(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	}))
}

func withPolicy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Del("Cache-Control")
		next.ServeHTTP(w, r)
	})
}
