// Package tus answers version 1.0 of the tus protocol for resumable uploads (https://tus.io/protocols/resumable-upload):
// core, creation, creation-with-upload, expiration, checksum and termination. What came of a file is kept by the service.
package tus

import (
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

const (
	// Collection is where uploads are created; each is below it.
	Collection = "/v1/debtUploads"
	version    = "1.0.0"
	extensions = "creation,creation-with-upload,expiration,checksum,termination"
	octets     = "application/offset+octet-stream"
	// mismatch is what the protocol answers to bytes that are not those of their checksum.
	mismatch = 460
)

// Handler answers the protocol.
type Handler struct {
	client ingestion.DebtUploadServiceClient
	limit  int64
}

// New makes a handler for files of up to limit bytes.
func New(conn grpc.ClientConnInterface, limit int64) *Handler {
	return &Handler{ingestion.NewDebtUploadServiceClient(conn), limit}
}

// Options tells what there is.
func (h *Handler) Options(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	header := w.Header()
	header.Set("Tus-Resumable", version)
	header.Set("Tus-Version", version)
	header.Set("Tus-Extension", extensions)
	header.Set("Tus-Max-Size", strconv.FormatInt(h.limit, 10))
	header.Set("Tus-Checksum-Algorithm", "sha1,sha256,md5")
	w.WriteHeader(http.StatusNoContent)
}

// Create announces a file, and takes its first bytes where they come with it.
func (h *Handler) Create(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	h.answer(w, r, func() error {
		request, err := h.announcement(r)
		if err != nil {
			return err
		}
		upload, err := h.client.CreateDebtUpload(exchange.Outgoing(r.Context(), r), request)
		if err != nil {
			return err
		}
		w.Header().Set("Location", Collection+"/"+upload.GetId())
		if r.Header.Get("Content-Type") == octets {
			if upload, err = h.append(w, r, upload.GetId(), 0); err != nil {
				return err
			}
		}
		tell(w, upload)
		w.WriteHeader(http.StatusCreated)
		return nil
	})
}

// Head tells up to where bytes are kept.
func (h *Handler) Head(w http.ResponseWriter, r *http.Request, params map[string]string) {
	h.answer(w, r, func() error {
		upload, err := h.client.GetDebtUpload(exchange.Outgoing(r.Context(), r), &ingestion.GetDebtUploadRequest{Id: params["id"]})
		if err != nil {
			return err
		}
		if state := upload.GetState(); state == ingestion.DebtUpload_EXPIRED || state == ingestion.DebtUpload_CANCELLED {
			return problem.New(http.StatusGone, "UPLOAD_"+state.String(), "There is nothing of this upload any more.")
		}
		tell(w, upload)
		w.Header().Set("Upload-Length", strconv.FormatInt(upload.GetSize(), 10))
		if upload.GetTusMetadata() != "" {
			w.Header().Set("Upload-Metadata", upload.GetTusMetadata())
		}
		w.WriteHeader(http.StatusOK)
		return nil
	})
}

// Patch takes bytes.
func (h *Handler) Patch(w http.ResponseWriter, r *http.Request, params map[string]string) {
	h.answer(w, r, func() error {
		if r.Header.Get("Content-Type") != octets {
			return rest.Unsupported(r.Header.Get("Content-Type"), octets)
		}
		offset, err := number(r, "Upload-Offset")
		if err != nil {
			return err
		}
		upload, err := h.append(w, r, params["id"], offset)
		if err != nil {
			return err
		}
		tell(w, upload)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// Delete gives an upload up.
func (h *Handler) Delete(w http.ResponseWriter, r *http.Request, params map[string]string) {
	h.answer(w, r, func() error {
		_, err := h.client.DeleteDebtUpload(exchange.Outgoing(r.Context(), r), &ingestion.DeleteDebtUploadRequest{Id: params["id"]})
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	})
}

// Post is for clients that cannot send all methods, and name the one that they mean.
func (h *Handler) Post(w http.ResponseWriter, r *http.Request, params map[string]string) {
	switch method := r.Header.Get("X-HTTP-Method-Override"); method {
	case http.MethodPatch:
		h.Patch(w, r, params)
	case http.MethodDelete:
		h.Delete(w, r, params)
	case http.MethodHead:
		h.Head(w, r, params)
	default:
		p := problem.New(http.StatusMethodNotAllowed, problem.MethodDisallows, "This path takes POST with X-HTTP-Method-Override only.")
		p.Allow = []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPatch}
		p.Write(w, exchange.From(r.Context()).RequestID)
	}
}

// answer surrounds what a request does: the version, and the problem that an error is.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, do func() error) {
	w.Header().Set("Tus-Resumable", version)
	var err error
	if asked := r.Header.Get("Tus-Resumable"); asked != version {
		w.Header().Set("Tus-Version", version)
		err = problem.New(http.StatusPreconditionFailed, problem.HeaderInvalid, "The header Tus-Resumable must be "+version+".")
	} else {
		err = do()
	}
	if err == nil {
		return
	}
	p := rest.Explain(r, err, "head")
	switch p.Reason {
	case "UPLOAD_EXPIRED", "UPLOAD_ENDED":
		p.Status, p.Title = http.StatusGone, http.StatusText(http.StatusGone)
	case "CHECKSUM_MISMATCH":
		p.Status, p.Title = mismatch, "Checksum Mismatch"
	}
	if offset := p.Metadata["offset"]; offset != "" {
		w.Header().Set("Upload-Offset", offset)
	}
	p.Write(w, exchange.From(r.Context()).RequestID)
}

// tell says how far the upload is, and until when it is good.
func tell(w http.ResponseWriter, upload *ingestion.DebtUpload) {
	header := w.Header()
	header.Set("Upload-Offset", strconv.FormatInt(upload.GetReceived(), 10))
	if upload.GetState() == ingestion.DebtUpload_OPEN {
		header.Set("Upload-Expires", upload.GetExpireTime().AsTime().UTC().Format(http.TimeFormat))
	}
}

// number of a header that must be there.
func number(r *http.Request, name string) (int64, error) {
	value, err := strconv.ParseUint(strings.TrimSpace(r.Header.Get(name)), 10, 63)
	if err != nil || len(r.Header.Values(name)) != 1 {
		return 0, problem.New(http.StatusBadRequest, problem.HeaderInvalid, "The header "+name+" must be there once, a whole number from 0 on.")
	}
	return int64(value), nil
}
