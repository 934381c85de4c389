// Package openapi holds the generated OpenAPI document, for the gateway to serve.
package openapi

import _ "embed"

// Document is the OpenAPI 3.0 document of all REST routes.
//
//go:embed tocsin.openapi.json
var Document []byte
