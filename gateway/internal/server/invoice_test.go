package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	notification "tocsin/gen/tocsin/notification/v1"
)

func (f *fakes) OpenInvoice(_ context.Context, r *notification.OpenInvoiceRequest) (*notification.InvoiceDocument, error) {
	f.tokens.Store("invoice "+r.GetToken(), true)
	return &notification.InvoiceDocument{Debt: "D-1", Content: []byte("%PDF-1.7")}, f.failure()
}

func TestASignedLinkOpensAnInvoice(t *testing.T) {
	f, url, _ := setup(t)
	for verb, body := range map[string]string{"GET": "%PDF-1.7", "HEAD": ""} {
		response, text := do(t, verb, url+"/v1/invoices:content?token="+verb+"&utm_source=mail", "")
		header := response.Header
		if response.StatusCode != 200 || text != body || header.Get("Content-Length") != "8" || header.Get("Content-Type") != "application/pdf" ||
			header.Get("Content-Disposition") != `inline; filename="invoice-D-1.pdf"` || header.Get("Cache-Control") != "private, no-cache" ||
			header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d %v %q", verb, response.StatusCode, header, text)
		}
		if _, seen := f.tokens.Load("invoice " + verb); !seen {
			t.Errorf("%s: the service was not asked", verb)
		}
	}
	f.answer(status.Error(codes.NotFound, "internals"))
	response, text := do(t, "GET", url+"/v1/invoices:content?token=x", "")
	if response.StatusCode != 404 || strings.TrimSpace(text) != "There is no such link." {
		t.Errorf("%d %q", response.StatusCode, text)
	}
	if response, _ := do(t, "POST", url+"/v1/invoices:content?token=x", ""); response.StatusCode != 405 {
		t.Errorf("POST: %d", response.StatusCode)
	}
}
