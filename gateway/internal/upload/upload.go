// Package upload streams files of debts from a request into the service's client-streaming method, in constant memory.
package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

const (
	chunkSize    = 256 << 10
	maxPartValue = 4 << 10
	maxName      = 4096
	xlsx         = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	parameters   = "charset, currency, dryRun, filename, id, issuer, language, locale, profile, rejectLimit, rejectPercent"
)

// Handler answers POST /v1/debtFiles and /upload, and PUT /v1/debtFiles:content.
type Handler struct {
	client    ingestion.DebtFileServiceClient
	announced ingestion.DebtUploadServiceClient
	limit     int64
}

// New makes a handler that takes files of up to limit bytes.
func New(conn grpc.ClientConnInterface, limit int64) *Handler {
	return &Handler{ingestion.NewDebtFileServiceClient(conn), ingestion.NewDebtUploadServiceClient(conn), limit}
}

// Serve streams one upload.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	file, err := h.receive(w, r)
	if err != nil {
		rest.Fail(w, r, err, "metadata")
		return
	}
	rest.Answer(w, r, file)
}

func (h *Handler) receive(w http.ResponseWriter, r *http.Request) (*ingestion.DebtFile, error) {
	contentType := r.Header.Get("Content-Type")
	// What is packed with gzip is unpacked by the service, which knows it by its first bytes.
	if coding := strings.ToLower(r.Header.Get("Content-Encoding")); coding != "" && coding != "identity" && coding != "gzip" && coding != "x-gzip" {
		p := problem.New(http.StatusUnsupportedMediaType, problem.MediaType, fmt.Sprintf("A file may come as it is or packed with gzip, not with %.40q.", coding))
		p.Metadata = map[string]string{"accepts": "gzip"}
		return nil, p
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	t := &transfer{limit: h.limit, metadata: &ingestion.UploadDebtFileRequest_Metadata{}, said: map[string]bool{}}
	if err := t.query(r); err != nil {
		return nil, err
	}
	// Whatever ends this function before the file's proper end also ends the call: the service sees it break off.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var content func() error
	switch kind {
	case "multipart/form-data":
		if params["boundary"] == "" {
			return nil, problem.New(http.StatusBadRequest, problem.BodyInvalid, "The Content-Type names no boundary.")
		}
		content = func() error { return t.multipart(multipart.NewReader(r.Body, params["boundary"])) }
	case "text/csv", "application/csv", "text/plain", "application/octet-stream", "application/vnd.ms-excel",
		xlsx, "application/gzip", "application/x-gzip":
		if r.ContentLength > h.limit {
			return nil, rest.TooLarge(h.limit)
		}
		t.charset(params)
		content = func() error { return t.file(r.Body) }
	default:
		return nil, rest.Unsupported(contentType, "multipart/form-data", "text/csv", xlsx, "application/gzip")
	}
	if t.stream, err = h.client.UploadDebtFile(exchange.Outgoing(ctx, r)); err != nil {
		return nil, err
	}
	return rest.Upstream(w, t.stream, content)
}

// query takes the parameters of the URL.
func (t *transfer) query(r *http.Request) error {
	for name, values := range r.URL.Query() {
		if len(values) > 1 || !t.first(name) {
			return refused(problem.QueryInvalid, name, "QUERY_REPEATED", "the parameter is there more than once")
		}
		known, err := set(t.metadata, name, values[0])
		if err != nil {
			return refused(problem.QueryInvalid, name, "QUERY_TYPE", err.Error())
		}
		if !known {
			return refused(problem.QueryInvalid, name, "QUERY_UNKNOWN", "there is no such parameter; there are "+parameters)
		}
	}
	return nil
}

// first tells whether nothing has been said under the name yet, in the URL or in the form.
func (t *transfer) first(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "_", ""))
	if t.said[name] {
		return false
	}
	t.said[name] = true
	return true
}

func set(metadata *ingestion.UploadDebtFileRequest_Metadata, name, value string) (known bool, err error) {
	switch name {
	case "filename":
		metadata.Filename = clip(value)
	case "dryRun", "dry_run":
		metadata.DryRun, err = strconv.ParseBool(value)
		if err != nil {
			err = errors.New("expected true or false")
		}
	case "rejectLimit", "reject_limit":
		var rows int64
		rows, err = strconv.ParseInt(value, 10, 64)
		metadata.RejectLimit = &rows
		if err != nil {
			err = errors.New("expected a whole number")
		}
	case "rejectPercent", "reject_percent":
		var share float64
		share, err = strconv.ParseFloat(value, 64)
		metadata.RejectPercent = &share
		if err != nil {
			err = errors.New("expected a number")
		}
	case "id":
		metadata.Id = value
	case "profile":
		metadata.Profile = value
	case "charset":
		metadata.Charset = value
	case "locale":
		metadata.Locale = value
	case "currency":
		metadata.Currency = value
	case "language":
		metadata.Language = value
	case "issuer":
		metadata.Issuer = value
	default:
		return false, nil
	}
	if err == nil && !utf8.ValidString(value) {
		err = errors.New("expected UTF-8")
	}
	return true, err
}

func refused(reason, field, rule, detail string) *problem.Problem {
	return problem.New(http.StatusBadRequest, reason, fmt.Sprintf("%.60s: %s", field, detail),
		problem.Violation{Field: fmt.Sprintf("%.60s", field), Reason: rule, Detail: detail})
}

// transfer is one upload on its way.
type transfer struct {
	limit    int64
	metadata *ingestion.UploadDebtFileRequest_Metadata
	said     map[string]bool
	begun    bool // whether there was a file
	stream   grpc.ClientStreamingClient[ingestion.UploadDebtFileRequest, ingestion.DebtFile]
}

func (t *transfer) multipart(reader *multipart.Reader) error {
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return brokenOff(err)
		}
		if err := t.part(part); err != nil {
			return err
		}
	}
	if !t.begun {
		return refused(problem.BodyInvalid, "csv", "PART_MISSING", "the form has no file in the field csv (or file)")
	}
	return nil
}

func (t *transfer) part(part *multipart.Part) error {
	name := part.FormName()
	if name == "csv" || name == "file" {
		if t.begun {
			return refused(problem.BodyInvalid, name, "PART_REPEATED", "the form has more than one file")
		}
		if t.metadata.Filename == "" {
			// Names of old systems are in charsets that nobody declares.
			t.metadata.Filename = clip(strings.ToValidUTF8(part.FileName(), "\uFFFD"))
		}
		if _, params, err := mime.ParseMediaType(part.Header.Get("Content-Type")); err == nil {
			t.charset(params)
		}
		return t.file(part)
	}
	value, err := io.ReadAll(io.LimitReader(part, maxPartValue+1))
	if err != nil {
		return brokenOff(err)
	}
	if len(value) > maxPartValue {
		return refused(problem.BodyInvalid, name, "PART_TOO_LONG", "the field is too long")
	}
	known, err := set(t.metadata, name, string(value))
	switch {
	case !known:
		return refused(problem.BodyInvalid, name, "PART_UNKNOWN", "there is no such field; there are csv (or file), "+parameters)
	case err != nil:
		return refused(problem.BodyInvalid, name, "PART_TYPE", err.Error())
	case t.begun:
		return refused(problem.BodyInvalid, name, "PART_ORDER", "the field must come before the file")
	case !t.first(name):
		return refused(problem.BodyInvalid, name, "PART_REPEATED", "the field is there more than once, or in the URL, too")
	}
	return nil
}

// charset takes what the Content-Type of the file says, where the client has not said it otherwise.
func (t *transfer) charset(params map[string]string) {
	if t.metadata.Charset == "" {
		t.metadata.Charset = strings.ToValidUTF8(params["charset"], "\uFFFD")
	}
}

// clip keeps the end of a name, which tells what it is: the service shortens it for people.
func clip(name string) string {
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[len(runes)-maxName:])
	}
	return name
}

// file sends the metadata and the content.
func (t *transfer) file(content io.Reader) error {
	t.begun = true
	if err := t.stream.Send(&ingestion.UploadDebtFileRequest{Part: &ingestion.UploadDebtFileRequest_Metadata_{Metadata: t.metadata}}); err != nil {
		return err
	}
	chunk := &ingestion.UploadDebtFileRequest_Chunk{}
	message := &ingestion.UploadDebtFileRequest{Part: chunk}
	return inChunks(content, t.limit, func(piece []byte) error {
		chunk.Chunk = piece
		return t.stream.Send(message)
	})
}

// inChunks hands the content on, up to limit bytes of it. One buffer serves all chunks: Send has encoded the message when
// it returns.
func inChunks(content io.Reader, limit int64, handOn func([]byte) error) error {
	buffer := make([]byte, chunkSize)
	for total := int64(0); ; {
		n, err := io.ReadFull(content, buffer)
		if total += int64(n); total > limit {
			return rest.TooLarge(limit)
		}
		if n > 0 {
			if err := handOn(buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && endsHere(content) {
			return nil
		}
		if err != nil {
			return brokenOff(err)
		}
	}
}

// endsHere tells a short last chunk from a body that broke off, which ReadFull reports alike.
func endsHere(content io.Reader) bool {
	n, err := content.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}

func brokenOff(err error) error {
	detail := "The body broke off or is no proper multipart form."
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return rest.TooLarge(tooLarge.Limit)
	}
	return problem.New(http.StatusBadRequest, problem.BodyInvalid, detail)
}
