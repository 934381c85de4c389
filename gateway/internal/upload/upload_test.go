package upload

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/problem"
)

// recorder is a service that keeps what it is told.
type recorder struct {
	ingestion.DebtFileServiceClient
	metadata *ingestion.UploadDebtFileRequest_Metadata
	content  strings.Builder
}

type call struct {
	grpc.ClientStreamingClient[ingestion.UploadDebtFileRequest, ingestion.DebtFile]
	to    *recorder
	whole chan struct{}
}

func (r *recorder) UploadDebtFile(context.Context, ...grpc.CallOption) (grpc.ClientStreamingClient[ingestion.UploadDebtFileRequest, ingestion.DebtFile], error) {
	return &call{to: r, whole: make(chan struct{})}, nil
}

func (c *call) Send(message *ingestion.UploadDebtFileRequest) error {
	if said := message.GetMetadata(); said != nil {
		c.to.metadata = said
	}
	c.to.content.Write(message.GetChunk())
	return nil
}

func (c *call) CloseSend() error {
	close(c.whole)
	return nil
}

func (c *call) RecvMsg(any) error {
	<-c.whole
	return nil
}

func send(t *testing.T, url, body string, headers map[string]string) (*recorder, error) {
	t.Helper()
	service := &recorder{}
	request := httptest.NewRequest(http.MethodPost, url, strings.NewReader(body))
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	_, err := (&Handler{client: service, limit: 1 << 20}).receive(httptest.NewRecorder(), request)
	return service, err
}

func form(disposition, kind string) string {
	return "--x\r\nContent-Disposition: form-data; " + disposition + "\r\nContent-Type: " + kind + "\r\n\r\na,b\r\n--x--\r\n"
}

func TestWhatIsSaidOfAFileReachesTheService(t *testing.T) {
	query := "/v1/debtFiles?rejectPercent=2.5&rejectLimit=7&profile=brazil&locale=pt-BR&currency=BRL&language=pt&dryRun=true"
	service, err := send(t, query, "a;b", map[string]string{"Content-Type": "text/csv; charset=windows-1252", "Content-Encoding": "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	said := service.metadata
	if said.GetRejectPercent() != 2.5 || said.GetRejectLimit() != 7 || said.GetProfile() != "brazil" || said.GetLocale() != "pt-BR" ||
		said.GetCurrency() != "BRL" || said.GetLanguage() != "pt" || !said.GetDryRun() || said.GetCharset() != "windows-1252" {
		t.Errorf("the service was told %v", said)
	}
	if service.content.String() != "a;b" {
		t.Errorf("the service got %q", service.content.String())
	}
}

func TestTheFormSaysCharsetAndName(t *testing.T) {
	headers := map[string]string{"Content-Type": "multipart/form-data; boundary=x"}
	for disposition, name := range map[string]string{
		"name=csv; filename=\"fact\xfcra.csv\"":      "fact\uFFFDra.csv",
		"name=csv; filename=\"d.csv\"":               "d.csv",
		"name=file; filename*=UTF-8''d%C3%A9bts.csv": "débts.csv",
	} {
		service, err := send(t, "/upload", form(disposition, "text/csv; charset=iso-8859-1"), headers)
		if err != nil {
			t.Fatalf("%q: %v", disposition, err)
		}
		if service.metadata.GetFilename() != name || service.metadata.GetCharset() != "iso-8859-1" {
			t.Errorf("%q: the service was told %v", disposition, service.metadata)
		}
	}
	service, err := send(t, "/upload?charset=utf-8", form("name=csv", "text/csv; charset=iso-8859-1"), headers)
	if err != nil || service.metadata.GetCharset() != "utf-8" {
		t.Errorf("the client's own word does not count: %v, %v", service.metadata, err)
	}
}

func TestWhatIsNotTakenIsRefused(t *testing.T) {
	for _, refused := range []struct {
		url     string
		headers map[string]string
		status  int
		field   string
	}{
		{"/upload", map[string]string{"Content-Type": "text/csv", "Content-Encoding": "br"}, http.StatusUnsupportedMediaType, ""},
		{"/upload", map[string]string{"Content-Type": "application/pdf"}, http.StatusUnsupportedMediaType, ""},
		{"/upload?locale=%FF", map[string]string{"Content-Type": "text/csv"}, http.StatusBadRequest, "locale"},
		{"/upload?dryRun=true&dry_run=false", map[string]string{"Content-Type": "text/csv"}, http.StatusBadRequest, ""},
		{"/upload?rejectPercent=half", map[string]string{"Content-Type": "text/csv"}, http.StatusBadRequest, "rejectPercent"},
	} {
		_, err := send(t, refused.url, "a,b", refused.headers)
		p, ok := err.(*problem.Problem) //nolint:errorlint // never wrapped
		if !ok || p.Status != refused.status || refused.field != "" && p.Errors[0].Field != refused.field {
			t.Errorf("%s %v: %v", refused.url, refused.headers, err)
		}
	}
	for _, taken := range []string{"text/csv", xlsx, "application/gzip", "application/vnd.ms-excel"} {
		if _, err := send(t, "/upload", "a,b", map[string]string{"Content-Type": taken}); err != nil {
			t.Errorf("%s: %v", taken, err)
		}
	}
}

func TestWhatIsSaidTwiceIsRefused(t *testing.T) {
	said := func(value string) string {
		return "--x\r\nContent-Disposition: form-data; name=dryRun\r\n\r\n" + value + "\r\n"
	}
	headers := map[string]string{"Content-Type": "multipart/form-data; boundary=x"}
	if service, err := send(t, "/upload", said("true")+form("name=csv", "text/csv"), headers); err != nil || !service.metadata.GetDryRun() {
		t.Errorf("%v, %v", service.metadata, err)
	}
	for url, body := range map[string]string{"/upload": said("true") + said("false"), "/upload?dryRun=true": said("false")} {
		_, err := send(t, url, body+form("name=csv", "text/csv"), headers)
		p, ok := err.(*problem.Problem) //nolint:errorlint // never wrapped
		if !ok || p.Errors[0].Reason != "PART_REPEATED" {
			t.Errorf("%s: %v", url, err)
		}
	}
}
