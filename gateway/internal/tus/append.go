package tus

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

const (
	chunkSize = 256 << 10
	// settling is how long the service may take to keep the last of what came.
	settling = 30 * time.Second
)

type stream = grpc.ClientStreamingClient[ingestion.AppendDebtUploadRequest, ingestion.DebtUpload]

// append hands the body on. What came of one that breaks off is kept, too, so the call outlives the client.
func (h *Handler) append(w http.ResponseWriter, r *http.Request, id string, offset int64) (*ingestion.DebtUpload, error) {
	head := &ingestion.AppendDebtUploadRequest_Head{Id: id, Offset: offset}
	if err := checksum(r, head); err != nil {
		return nil, err
	}
	if r.ContentLength >= 0 {
		head.Size = &r.ContentLength
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(exchange.Outgoing(r.Context(), r)))
	defer cancel()
	call, err := h.client.AppendDebtUpload(ctx)
	if err != nil {
		return nil, err
	}
	var broken error
	upload, err := rest.Upstream(w, call, func() error {
		err := hand(call, &ingestion.AppendDebtUploadRequest{Part: &ingestion.AppendDebtUploadRequest_Head_{Head: head}}, r.Body)
		// Nobody waits for longer than this for the last of what came to be kept.
		time.AfterFunc(settling, cancel)
		if !errors.Is(err, io.EOF) {
			broken, err = err, nil
		}
		return err
	})
	if err == nil && broken != nil {
		err = problem.New(http.StatusBadRequest, problem.BodyInvalid, "The body broke off; what came of it is kept.")
	}
	return upload, err
}

// hand sends the head and the body: io.EOF when the call takes nothing more, other errors are those of the body.
func hand(call stream, head *ingestion.AppendDebtUploadRequest, body io.Reader) error {
	if err := call.Send(head); err != nil {
		return err
	}
	chunk := &ingestion.AppendDebtUploadRequest_Chunk{}
	message := &ingestion.AppendDebtUploadRequest{Part: chunk}
	buffer := make([]byte, chunkSize)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			chunk.Chunk = buffer[:n]
			if err := call.Send(message); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var algorithms = map[string]ingestion.AppendDebtUploadRequest_ChecksumAlgorithm{
	"sha1":   ingestion.AppendDebtUploadRequest_SHA1,
	"sha256": ingestion.AppendDebtUploadRequest_SHA256,
	"md5":    ingestion.AppendDebtUploadRequest_MD5,
}

// checksum reads the header of that extension.
func checksum(r *http.Request, head *ingestion.AppendDebtUploadRequest_Head) error {
	text := r.Header.Get("Upload-Checksum")
	if text == "" {
		return nil
	}
	name, encoded, _ := strings.Cut(text, " ")
	algorithm, known := algorithms[name]
	sum, err := base64.StdEncoding.DecodeString(encoded)
	if !known || err != nil || len(sum) == 0 {
		return problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The header Upload-Checksum must be sha1, sha256 or md5, a space, and the checksum in base64.")
	}
	head.ChecksumAlgorithm, head.Checksum = algorithm, sum
	return nil
}
