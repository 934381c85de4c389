package tus

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

// passedOver are keys that clients of the protocol send by themselves.
var passedOver = map[string]bool{"name": true, "type": true, "filetype": true, "contentType": true, "relativePath": true}

const maxMetadata = 4096

// announcement is what a POST says of the file.
func (h *Handler) announcement(r *http.Request) (*ingestion.CreateDebtUploadRequest, error) {
	if r.Header.Get("Upload-Defer-Length") != "" {
		return nil, problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The length of a file must be known: send Upload-Length.")
	}
	if r.Header.Get("Upload-Concat") != "" {
		// A part of a file must not pass for a whole one.
		return nil, problem.New(http.StatusBadRequest, problem.HeaderInvalid, "Files are not put together of several uploads: send the file as one, without Upload-Concat.")
	}
	size, err := number(r, "Upload-Length")
	if err != nil {
		return nil, err
	}
	if size > h.limit {
		return nil, rest.TooLarge(h.limit)
	}
	text := r.Header.Get("Upload-Metadata")
	if len(text) > maxMetadata {
		return nil, problem.New(http.StatusBadRequest, problem.HeaderInvalid, fmt.Sprintf("The header Upload-Metadata has more than %d bytes.", maxMetadata))
	}
	request := &ingestion.CreateDebtUploadRequest{Size: size, Way: ingestion.DebtUpload_RESUMABLE, TusMetadata: text}
	said := map[string]bool{}
	for _, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		key, encoded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if said[key] {
			return nil, metadata(key, "it is there more than once")
		}
		said[key] = true
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || !utf8.Valid(value) {
			return nil, metadata(key, "its value must be UTF-8 in base64")
		}
		if err := say(request, key, string(value)); err != nil {
			return nil, metadata(key, err.Error())
		}
	}
	return request, nil
}

// say puts a pair of the metadata where it belongs.
func say(request *ingestion.CreateDebtUploadRequest, key, value string) (err error) {
	switch key {
	case "filename":
		request.Filename = value
	case "sha256":
		request.Sha256 = value
	case "profile":
		request.Profile = value
	case "charset":
		request.Charset = value
	case "locale":
		request.Locale = value
	case "currency":
		request.Currency = value
	case "language":
		request.Language = value
	case "issuer":
		request.Issuer = value
	case "dryRun":
		request.DryRun, err = strconv.ParseBool(value)
	case "expireSeconds":
		request.ExpireSeconds, err = strconv.ParseInt(value, 10, 64)
	case "rejectLimit":
		var rows int64
		rows, err = strconv.ParseInt(value, 10, 64)
		request.RejectLimit = &rows
	case "rejectPercent":
		var share float64
		share, err = strconv.ParseFloat(value, 64)
		request.RejectPercent = &share
	default:
		if !passedOver[key] {
			return fmt.Errorf("there is no such key")
		}
	}
	if err != nil {
		return fmt.Errorf("%.40q is not what it takes", value)
	}
	return nil
}

func metadata(key, detail string) *problem.Problem {
	return problem.New(http.StatusBadRequest, problem.HeaderInvalid, fmt.Sprintf("Upload-Metadata: %.60q: %s", key, detail))
}
