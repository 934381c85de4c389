package upload

import (
	"context"
	"net/http"
	"strings"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

// Put takes the content of an announced file by its signed URL: whoever has the URL needs no other credential.
func (h *Handler) Put(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	file, err := h.put(w, r)
	if err != nil {
		p := rest.Explain(r, err, "head")
		gone(p)
		p.Write(w, exchange.From(r.Context()).RequestID)
		return
	}
	rest.Answer(w, r, file)
}

func (h *Handler) put(w http.ResponseWriter, r *http.Request) (*ingestion.DebtFile, error) {
	query := r.URL.Query()
	if len(query) != 1 || len(query["token"]) != 1 {
		return nil, refused(problem.QueryInvalid, "token", "QUERY_UNKNOWN", "there is one parameter, token, and it is there once")
	}
	head := &ingestion.PutDebtUploadRequest_Head{Token: query.Get("token"), ContentType: strings.ToValidUTF8(r.Header.Get("Content-Type"), "\uFFFD")}
	if r.ContentLength >= 0 {
		head.Size = &r.ContentLength
	}
	// Whatever ends this function before the content's proper end also ends the call: the service sees it break off.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stream, err := h.announced.PutDebtUpload(exchange.Outgoing(ctx, r))
	if err != nil {
		return nil, err
	}
	return rest.Upstream(w, stream, func() error {
		if err := stream.Send(&ingestion.PutDebtUploadRequest{Part: &ingestion.PutDebtUploadRequest_Head_{Head: head}}); err != nil {
			return err
		}
		chunk := &ingestion.PutDebtUploadRequest_Chunk{}
		message := &ingestion.PutDebtUploadRequest{Part: chunk}
		return inChunks(r.Body, h.limit, func(piece []byte) error {
			chunk.Chunk = piece
			return stream.Send(message)
		})
	})
}

// gone is what HTTP has for an upload that is over; gRPC has no word of its own for it.
func gone(p *problem.Problem) {
	if p.Reason == "UPLOAD_EXPIRED" || p.Reason == "UPLOAD_ENDED" {
		p.Status, p.Title = http.StatusGone, http.StatusText(http.StatusGone)
	}
}
