// Package tracking answers the signed links and pixels of e-mails, those to invoices among them. Whoever asks is no client of the API: a browser, a mail
// reader, or a machine that looks at mails before people do.
package tracking

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"

	notification "tocsin/gen/tocsin/notification/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

const (
	// patience is how long a mail reader waits for its image: it shows the mail meanwhile.
	patience = 3 * time.Second
	expired  = "LINK_EXPIRED"
)

// pixel is a transparent GIF of one pixel.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// Handler answers GET and HEAD.
type Handler struct {
	client   notification.TrackingServiceClient
	invoices notification.InvoiceServiceClient
	timeout  time.Duration
}

// New makes a handler that waits up to timeout for what a link leads to.
func New(conn grpc.ClientConnInterface, timeout time.Duration) *Handler {
	return &Handler{notification.NewTrackingServiceClient(conn), notification.NewInvoiceServiceClient(conn), timeout}
}

// Follow redirects to where a link leads. It answers in plain text when it cannot: people read it.
func (h *Handler) Follow(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	ctx, cancel := context.WithTimeout(exchange.Outgoing(r.Context(), r), h.timeout)
	defer cancel()
	found, err := h.client.FollowLink(ctx, &notification.FollowLinkRequest{Token: token(r), LookOnly: onlyLooks(r) || r.URL.Query().Get("lookOnly") == "true"})
	if err != nil {
		code, text := told(rest.Explain(r, err, ""))
		answer(w, code, "text/plain; charset=utf-8", []byte(text+"\n"))
		return
	}
	header := w.Header()
	header.Set("Location", found.GetUrl())
	// Where it leads need not learn the token.
	header.Set("Referrer-Policy", "no-referrer")
	answer(w, http.StatusFound, "text/plain; charset=utf-8", nil)
}

// View answers with the pixel, whatever becomes of the call: there is nobody whom an error would help.
func (h *Handler) View(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	if !onlyLooks(r) {
		ctx, cancel := context.WithTimeout(exchange.Outgoing(r.Context(), r), patience)
		defer cancel()
		if _, err := h.client.ViewPixel(ctx, &notification.ViewPixelRequest{Token: token(r)}); err != nil {
			rest.Explain(r, err, "") // logs what is a fault of ours
		}
	}
	answer(w, http.StatusOK, "image/gif", pixel)
}

// token of the query. What mail systems append to links is passed over.
func token(r *http.Request) string { return r.URL.Query().Get("token") }

// onlyLooks tells whether nobody has seen the answer yet: link checkers send HEAD, and browsers say that they fetch ahead.
func onlyLooks(r *http.Request) bool {
	if r.Method == http.MethodHead {
		return true
	}
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.HasPrefix(strings.ToLower(r.Header.Get(name)), "prefetch") {
			return true
		}
	}
	return false
}

// told is what people are to know of a problem.
func told(p *problem.Problem) (int, string) {
	switch {
	case p.Reason == expired:
		return http.StatusGone, "This link has expired."
	case p.Status == http.StatusNotFound, p.Status == http.StatusBadRequest:
		return http.StatusNotFound, "There is no such link."
	case p.Status == http.StatusGatewayTimeout:
		return p.Status, "This takes too long at the moment; please try again."
	default:
		return http.StatusServiceUnavailable, "This does not work at the moment; please try again."
	}
}

func answer(w http.ResponseWriter, code int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	// Every opening is to be seen. The first header is for what HTTP/1.0 there is in front of mail readers.
	header.Set("Pragma", "no-cache")
	header.Set("Cache-Control", "no-store, no-cache, must-revalidate, private, max-age=0")
	header.Set("X-Robots-Tag", "noindex, nofollow")
	w.WriteHeader(code)
	// A reader that has gone away is no error of ours. Of a HEAD the server leaves the body out by itself.
	_, _ = w.Write(body)
}
