package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	notification "tocsin/gen/tocsin/notification/v1"
)

func (f *fakes) FollowLink(_ context.Context, r *notification.FollowLinkRequest) (*notification.FollowLinkResponse, error) {
	f.tokens.Store("link "+r.GetToken(), r.GetLookOnly())
	return &notification.FollowLinkResponse{Url: "https://app.example/a?b=c"}, f.failure()
}

func (f *fakes) ViewPixel(_ context.Context, r *notification.ViewPixelRequest) (*emptypb.Empty, error) {
	f.tokens.Store("pixel "+r.GetToken(), true)
	return &emptypb.Empty{}, f.failure()
}

func TestASignedLinkRedirects(t *testing.T) {
	f, url, _ := setup(t)
	for name, ask := range map[string]struct {
		verb    string
		headers []string
		looks   bool
	}{
		"get":      {"GET", nil, false},
		"head":     {"HEAD", nil, true},
		"prefetch": {"GET", []string{"Sec-Purpose", "prefetch;prerender"}, true},
		"firefox":  {"GET", []string{"X-Moz", "prefetch"}, true},
	} {
		response, _ := do(t, ask.verb, url+"/v1/notifications:follow?token="+name+"&utm_source=mail", "", ask.headers...)
		if response.StatusCode != 302 || response.Header.Get("Location") != "https://app.example/a?b=c" ||
			!strings.Contains(response.Header.Get("Cache-Control"), "no-store") || response.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d %v", name, response.StatusCode, response.Header)
		}
		if looks, _ := f.tokens.Load("link " + name); looks != ask.looks {
			t.Errorf("%s: it only looks: %v", name, looks)
		}
	}
	if response, _ := do(t, "POST", url+"/v1/notifications:follow?token=x", ""); response.StatusCode != 405 {
		t.Errorf("POST: %d", response.StatusCode)
	}
}

func TestALinkThatLeadsNowhereSaysSoInPlainText(t *testing.T) {
	f, url, _ := setup(t)
	gone, err := status.New(codes.FailedPrecondition, "internals").WithDetails(&errdetails.ErrorInfo{Reason: "LINK_EXPIRED"})
	if err != nil {
		t.Fatal(err)
	}
	for failure, wanted := range map[error]string{
		status.Error(codes.NotFound, "internals"):        "404 There is no such link.",
		status.Error(codes.InvalidArgument, "internals"): "404 There is no such link.",
		gone.Err(): "410 This link has expired.",
		status.Error(codes.Unavailable, "internals"): "503 This does not work at the moment; please try again.",
	} {
		f.answer(failure)
		response, text := do(t, "GET", url+"/v1/notifications:follow?token=x", "")
		if got := response.Status[:4] + strings.TrimSpace(text); got != wanted {
			t.Errorf("%q, not %q", got, wanted)
		}
	}
}

func TestAPixelIsAnImageWhateverBecomesOfIt(t *testing.T) {
	f, url, _ := setup(t)
	for name, failure := range map[string]error{
		"good": nil, "forged": status.Error(codes.NotFound, "x"), "away": status.Error(codes.Unavailable, "x"),
	} {
		f.answer(failure)
		response, text := do(t, "GET", url+"/v1/notifications:pixel?token="+name, "")
		if response.StatusCode != 200 || response.Header.Get("Content-Type") != "image/gif" || !strings.HasPrefix(text, "GIF89a") ||
			!strings.Contains(response.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d %v %q", name, response.StatusCode, response.Header, text)
		}
		if _, seen := f.tokens.Load("pixel " + name); !seen {
			t.Errorf("%s: the service was not asked", name)
		}
	}
	if response, _ := do(t, "HEAD", url+"/v1/notifications:pixel?token=head", ""); response.StatusCode != 200 {
		t.Errorf("HEAD: %d", response.StatusCode)
	}
	if _, seen := f.tokens.Load("pixel head"); seen {
		t.Error("a HEAD has counted")
	}
}
