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
	broken := func() error {
		defer readWhile(call.Context(), http.NewResponseController(w))()
		return hand(call, &ingestion.AppendDebtUploadRequest{Part: &ingestion.AppendDebtUploadRequest_Head_{Head: head}}, r.Body)
	}()
	settled := time.AfterFunc(settling, cancel)
	defer settled.Stop()
	upload, err := call.CloseAndRecv()
	if err == nil && broken != nil {
		err = problem.New(http.StatusBadRequest, problem.BodyInvalid, "The body broke off; what came of it is kept.")
	}
	return upload, err
}

// readWhile ends the reading of the body when the call ends, so that a client that the service has enough of learns it. The
// function that it returns makes the connection readable again.
func readWhile(call context.Context, control *http.ResponseController) func() {
	cut := make(chan struct{})
	stop := context.AfterFunc(call, func() {
		defer close(cut)
		_ = control.SetReadDeadline(time.Now())
	})
	return func() {
		if !stop() {
			<-cut
			_ = control.SetReadDeadline(time.Time{})
		}
	}
}

// hand sends the head and the body; the error is that of the body.
func hand(call stream, head *ingestion.AppendDebtUploadRequest, body io.Reader) error {
	if call.Send(head) != nil {
		return nil // the service has ended the call, and says why when it is closed
	}
	chunk := &ingestion.AppendDebtUploadRequest_Chunk{}
	message := &ingestion.AppendDebtUploadRequest{Part: chunk}
	buffer := make([]byte, chunkSize)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			chunk.Chunk = buffer[:n]
			if call.Send(message) != nil {
				return nil
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
