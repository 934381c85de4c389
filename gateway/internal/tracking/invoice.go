package tracking

import (
	"context"
	"net/http"
	"strconv"

	notification "tocsin/gen/tocsin/notification/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/rest"
)

// Invoice answers with the PDF that a signed link is good for. A machine that looks at links first opens nothing by it, so that
// HEAD is the same without the body.
func (h *Handler) Invoice(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	ctx, cancel := context.WithTimeout(exchange.Outgoing(r.Context(), r), h.timeout)
	defer cancel()
	found, err := h.invoices.OpenInvoice(ctx, &notification.OpenInvoiceRequest{Token: token(r)})
	if err != nil {
		code, text := told(rest.Explain(r, err, ""))
		answer(w, code, "text/plain; charset=utf-8", []byte(text+"\n"))
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/pdf")
	header.Set("Content-Length", strconv.Itoa(len(found.GetContent())))
	// Ids of debts are letters, digits, "_" and "-".
	header.Set("Content-Disposition", `inline; filename="invoice-`+found.GetDebt()+`.pdf"`)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Robots-Tag", "noindex, nofollow")
	_, _ = w.Write(found.GetContent())
}
