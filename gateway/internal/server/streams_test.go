package server

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, url, accept string) (*bufio.Scanner, *http.Response, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return bufio.NewScanner(response.Body), response, cancel
}

// next gives the next lines of a stream that hold something.
func next(t *testing.T, lines *bufio.Scanner, count int) []string {
	t.Helper()
	var seen []string
	for len(seen) < count && lines.Scan() {
		if lines.Text() != "" {
			seen = append(seen, lines.Text())
		}
	}
	if len(seen) < count {
		t.Fatalf("the stream ended after %q: %v", seen, lines.Err())
	}
	return seen
}

const events = "text/html;q=0.5, text/event-stream"

func TestEvents(t *testing.T) {
	f, url, _ := setup(t)
	lines, response, cancel := open(t, url+"/v1/debtFiles/endless:watch", events)
	if response.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(response.Header)
	}
	seen := next(t, lines, 5)
	if seen[0] != "retry: 3000" || seen[1] != "id: 1" || seen[2] != "event: debtFile" || !strings.Contains(seen[3], `"endless"`) || seen[4] != ": alive" {
		t.Errorf("%q", seen)
	}
	cancel()
	wait(t, f.cancelled, "the call to be cancelled with its client")
}

func wait(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("waited in vain for " + what)
	}
}

func TestASilentStreamOpens(t *testing.T) {
	_, url, _ := setup(t)
	lines, _, _ := open(t, url+"/v1/windows:watch?building=b", events)
	if seen := next(t, lines, 2); seen[1] != ": alive" {
		t.Errorf("%q", seen)
	}
}

func TestAProperEndIsTold(t *testing.T) {
	_, url, _ := setup(t)
	_, text := do(t, "GET", url+"/v1/debtFiles/f:watch", "", "Accept", events)
	if !strings.HasSuffix(text, "id: 3\nevent: end\ndata: {}\n\n") {
		t.Errorf("%q", text)
	}
}

func TestErrorsOfStreams(t *testing.T) {
	f, url, _ := setup(t)
	f.answer(fail(14, "The database is away.", info("UNAVAILABLE", nil)))
	_, text := do(t, "GET", url+"/v1/debtFiles/f:watch", "", "Accept", events)
	if !strings.Contains(text, "event: error\ndata: {\"type\":\"urn:tocsin:problem:unavailable\"") {
		t.Errorf("%q", text)
	}
	_, text = do(t, "GET", url+"/v1/debtFiles/f:watch", "")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"result":{`) || !strings.HasPrefix(lines[1], `{"error":{"type":`) {
		t.Errorf("%q", lines)
	}
	response, _ := do(t, "GET", url+"/v1/windows:watch", "", "Accept", events)
	if response.StatusCode != 503 || response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("an error at once is the status: %d %v", response.StatusCode, response.Header)
	}
}

func TestStoppingEndsStreamsAndLetsRequestsFinish(t *testing.T) {
	f, url, server := setup(t)
	lines, _, _ := open(t, url+"/v1/windows:watch", events)
	next(t, lines, 1)
	answered := make(chan int, 1)
	go func() {
		response, err := http.Get(url + "/v1/alerts/slow")
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	wait(t, f.started, "the slow request")
	stopped := make(chan struct{})
	go func() {
		server.stop()
		close(stopped)
	}()
	wait(t, f.cancelled, "the stream to end")
	for lines.Scan() {
		continue
	}
	if response, _ := do(t, "GET", url+"/readyz", ""); response.StatusCode != 503 {
		t.Errorf("readyz while stopping: %d", response.StatusCode)
	}
	close(f.release)
	if status := <-answered; status != 200 {
		t.Errorf("the slow request got %d", status)
	}
	wait(t, stopped, "the stop")
}
