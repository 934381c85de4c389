package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tocsin/gateway/internal/config"
)

// zeros is a body of so many bytes that nobody holds in memory.
func zeros(size int64) io.Reader { return io.LimitReader(zero{}, size) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func post(t *testing.T, url, contentType string, body io.Reader) (int, map[string]any) {
	t.Helper()
	response, err := http.Post(url, contentType, body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// form streams a multipart form: fields, then a file.
func form(fields map[string]string, file io.Reader) (contentType string, body io.Reader) {
	reader, writer := io.Pipe()
	parts := multipart.NewWriter(writer)
	go func() {
		for name, value := range fields {
			_ = parts.WriteField(name, value)
		}
		part, err := parts.CreateFormFile("csv", "debts.csv")
		if err == nil {
			_, err = io.Copy(part, file)
		}
		if err == nil {
			err = parts.Close()
		}
		writer.CloseWithError(err)
	}()
	return parts.FormDataContentType(), reader
}

func TestAFormOf200MiBStreamsInConstantMemory(t *testing.T) {
	_, url, _ := setup(t)
	const size = 200 << 20
	peak, done := uint64(0), make(chan struct{})
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	}()
	contentType, body := form(map[string]string{"dryRun": "true"}, zeros(size))
	status, answer := post(t, url+"/v1/debtFiles", contentType, body)
	close(done)
	<-sampled
	if status != 200 || answer["bytes"] != fmt.Sprint(size) || answer["dryRun"] != true || answer["filename"] != "debts.csv" {
		t.Fatalf("%d %v", status, answer)
	}
	if peak > 64<<20 {
		t.Errorf("the heap grew to %d MiB", peak>>20)
	}
}

func TestARawUpload(t *testing.T) {
	_, url, _ := setup(t)
	status, answer := post(t, url+"/upload?filename=x.csv", "text/csv; charset=utf-8", zeros(1<<20+7))
	if status != 200 || answer["bytes"] != fmt.Sprint(1<<20+7) || answer["filename"] != "x.csv" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestARefusalReachesAClientThatIsStillSending(t *testing.T) {
	f, url, _ := setup(t)
	f.answer(fail(3, "The header lacks debtId.", info("HEADER_INVALID", nil)))
	status, answer := post(t, url+"/upload", "text/csv", zeros(50<<20))
	if status != 400 || answer["reason"] != "HEADER_INVALID" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestUploadsOverTheLimit(t *testing.T) {
	_, url, _ := setup(t, func(c *config.Config) { c.MaxUpload = 1 << 20 })
	if status, answer := post(t, url+"/upload", "text/csv", zeros(2<<20)); status != 413 {
		t.Errorf("%d %v", status, answer)
	}
	contentType, body := form(nil, zeros(2<<20))
	if status, answer := post(t, url+"/upload", contentType, body); status != 413 {
		t.Errorf("%d %v", status, answer)
	}
}

func TestAnUploadThatBreaksOffIsNoFile(t *testing.T) {
	f, url, _ := setup(t)
	body := "--x\r\nContent-Disposition: form-data; name=\"csv\"; filename=\"a\"\r\n\r\n" + strings.Repeat("a", 300<<10)
	status, answer := post(t, url+"/upload", "multipart/form-data; boundary=x", strings.NewReader(body))
	if status != 400 || answer["reason"] != "BODY_INVALID" {
		t.Errorf("%d %v", status, answer)
	}
	wait(t, f.cancelled, "the call to be cancelled")
}

func TestImport(t *testing.T) {
	_, url, _ := setup(t)
	lines := []string{`{"value":1}`, `{broken`, ``, `{"value":-300}`, `{"value":"x"}`, strings.Repeat("y", 70<<10)}
	for range 3000 {
		lines = append(lines, `{"value":2}`)
	}
	lines = append(lines, `{"value":-400}`)
	status, answer := post(t, url+"/v1/readings:import", "application/x-ndjson", strings.NewReader(strings.Join(lines, "\n")))
	if status != 200 || answer["accepted"] != "3001" || answer["rejected"] != "5" {
		t.Fatalf("%d %v", status, answer)
	}
	want := []string{"1 BODY_INVALID", "3 VALUE_OUT_OF_RANGE", "4 BODY_INVALID", "5 TOO_LARGE", "3006 VALUE_OUT_OF_RANGE"}
	for i, one := range answer["rejections"].([]any) {
		rejection := one.(map[string]any)
		if got := fmt.Sprintf("%v %v", rejection["index"], rejection["reason"]); got != want[i] {
			t.Errorf("rejection %d: %s", i, got)
		}
	}
}

func TestAnImportThatFailsTellsWhatWasKept(t *testing.T) {
	f, url, _ := setup(t)
	f.answer(fail(14, "JetStream is slow.", info("STREAM_UNAVAILABLE", nil)))
	body := strings.Repeat("{\"value\":1}\n", 5000)
	status, answer := post(t, url+"/v1/readings:import", "application/x-ndjson", strings.NewReader(body))
	if status != 503 || answer["metadata"].(map[string]any)["accepted"] != "1000" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestPatchesChangeWhatTheirBodyNames(t *testing.T) {
	for _, c := range []struct{ query, body, mask string }{
		{"", `{"attributes":{"floor":"2"}}`, "attributes"},
		{"", `{"attributes":{}}`, "attributes"},
		{"", `{"attributes":null,"createTime":"2026-01-01T00:00:00Z"}`, "attributes"},
		{"", `{"id":"b1"}`, "id"},
		{"", `{}`, ""},
		{"?updateMask=attributes", `{}`, "attributes"},
		{"?updateMask=attributes", `{"id":"b1"}`, "attributes"},
		{"?updateMask=createTime,attributes", `{}`, "create_time,attributes"},
		{"?update_mask=create_time,a.bCd", `{}`, "create_time,a.b_cd"},
	} {
		f, url, _ := setup(t)
		response, text := do(t, "PATCH", url+"/v1/buildings/b1"+c.query, c.body)
		if response.StatusCode != 200 || !strings.Contains(text, `"id":"b1"`) {
			t.Errorf("%s: %d %s", c.body, response.StatusCode, text)
		}
		if got := f.mask.Load(); got != c.mask {
			t.Errorf("%s %s: the mask is %v", c.query, c.body, got)
		}
	}
}

func TestMasksThatAreNoneAreRefused(t *testing.T) {
	f, url, _ := setup(t)
	for _, mask := range []string{"create__time", "create-time", "a,,b", "Time_"} {
		response, text := do(t, "PATCH", url+"/v1/buildings/b1?updateMask="+mask, `{}`)
		if response.StatusCode != 400 || !strings.Contains(text, `"QUERY_FORMAT"`) || !strings.Contains(text, mask+`\"`) {
			t.Errorf("%s: %d %s", mask, response.StatusCode, text)
		}
	}
	if got := f.mask.Load(); got != nil {
		t.Errorf("the service was asked to change %v", got)
	}
}

func TestBodiesOfPatchesHaveALimit(t *testing.T) {
	_, url, _ := setup(t, func(c *config.Config) { c.MaxBody = 1024 })
	response, text := do(t, "PATCH", url+"/v1/buildings/b1", strings.Repeat(" ", 1025))
	if response.StatusCode != 413 {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// A client that keeps its body open learns that the service has ended the call, and keeps no connection for ever.
func TestABodyThatStallsIsNotWaitedForWhenTheCallHasEnded(t *testing.T) {
	f, address, _ := setup(t)
	f.lock.Lock()
	f.err = status.Error(codes.ResourceExhausted, "enough")
	f.lock.Unlock()
	for name, head := range map[string]string{
		"a file": "POST /v1/debtFiles HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 9999999\r\n",
		"a form": "POST /v1/debtFiles HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999999\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			form := ""
			if name == "a form" {
				form = "--x\r\nContent-Disposition: form-data; name=\"csv\"; filename=\"a\"\r\n\r\n"
			}
			if _, err := io.WriteString(connection, head+"Host: x\r\n\r\n"+form+strings.Repeat("a", 300<<10)); err != nil {
				t.Fatal(err)
			}
			if err := connection.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusTooManyRequests {
				t.Error(answer.Status)
			}
		})
	}
}
