package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/gateway/internal/config"
)

type answer struct {
	status int
	body   struct {
		Reason  string
		Reading struct {
			Device, Unit, EventTime string
			Value                   any
		}
		Conflict *struct {
			Index                     int
			Outcome                   string
			CountingValue, OtherValue float64
		}
	}
}

func create(url, token, body string, headers ...string) (answer, error) {
	var got answer
	request, err := http.NewRequest("POST", url+"/v1/readings", strings.NewReader(body))
	if err != nil {
		return got, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", token)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return got, err
	}
	defer response.Body.Close()
	got.status = response.StatusCode
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal(text, &got.body)
}

// crowd posts count readings at the same time, every tenth of them too cold (of every other of those the service does not
// tell in the batch why), and checks each answer.
func crowd(t *testing.T, url string, count int) {
	t.Helper()
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			value, want := float64(i), 200
			if i%10 == 7 {
				value, want = -300-float64(i%20), 400
			}
			got, err := create(url, fmt.Sprintf("Bearer %d", i%3), fmt.Sprintf(`{"building":"b","room":"r","sensorType":"temperature","device":"d%d","value":%g}`, i, value))
			if err != nil || got.status != want {
				t.Errorf("reading %d: %d %v", i, got.status, err)
				return
			}
			reading := got.body.Reading
			if want == 400 && got.body.Reason != "VALUE_OUT_OF_RANGE" {
				t.Errorf("reading %d: %+v", i, got.body)
			}
			if want == 200 && (reading.Device != fmt.Sprintf("d%d", i) || reading.Value != value || reading.Unit != "C" || reading.EventTime == "") {
				t.Errorf("reading %d got another's answer: %+v", i, reading)
			}
		})
	}
	group.Wait()
}

func TestConcurrentReadingsAreMergedAndAnsweredOneByOne(t *testing.T) {
	f, url, _ := setup(t)
	if got, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"temperature","value":1}`); err != nil || got.body.Reading.Unit != "C" {
		t.Fatalf("%+v %v", got, err) // teaches the canonical unit
	}
	f.alone.Store(0)
	f.rows.Store(0)
	crowd(t, url, 600)
	if f.rows.Load() != 600 || f.alone.Load() != 30 {
		t.Errorf("%d rows in batches, %d alone: only unexplained rejections are sent again", f.rows.Load(), f.alone.Load())
	}
	if f.batches.Load() >= 500 {
		t.Errorf("%d batches for 600 readings", f.batches.Load())
	}
	for i := range 3 {
		if _, ok := f.tokens.Load(fmt.Sprintf("Bearer %d", i)); !ok {
			t.Errorf("no stream of caller %d", i)
		}
	}
}

func TestAConflictFromABatchIsToldToItsOwnReading(t *testing.T) {
	f, url, _ := setup(t)
	if got, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"temperature","value":1}`); err != nil || got.body.Conflict != nil {
		t.Fatalf("%+v %v", got, err) // teaches the canonical unit
	}
	f.alone.Store(0)
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			value := float64(i)
			if i%3 == 0 {
				value += 1e6
			}
			got, err := create(url, "Bearer 0", fmt.Sprintf(`{"building":"b","room":"r","sensorType":"temperature","value":%g}`, value))
			if err != nil || got.status != 200 {
				t.Errorf("reading %d: %d %v", i, got.status, err)
				return
			}
			conflict := got.body.Conflict
			if (conflict != nil) != (i%3 == 0) {
				t.Errorf("reading %d: %+v", i, conflict)
			}
			if conflict != nil && (conflict.Index != 0 || conflict.Outcome != "IGNORED" || conflict.CountingValue != 1 || conflict.OtherValue != value) {
				t.Errorf("reading %d has another's conflict: %+v", i, conflict)
			}
		})
	}
	group.Wait()
	if f.alone.Load() != 0 {
		t.Errorf("%d were sent again", f.alone.Load())
	}
}

func TestAnImportTellsConflictsByLine(t *testing.T) {
	_, url, _ := setup(t)
	var lines strings.Builder
	for i := range 1500 {
		value := 5.0
		if i == 3 || i == 1200 {
			value = 1e6
		}
		fmt.Fprintf(&lines, "{\"building\":\"b\",\"room\":\"r\",\"sensorType\":\"temperature\",\"value\":%g}\n", value)
	}
	response, err := http.Post(url+"/v1/readings:import", "application/x-ndjson", strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got struct {
		Accepted, Ignored string
		Conflicts         []struct{ Index int }
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Accepted != "1498" || got.Ignored != "2" || len(got.Conflicts) != 2 || got.Conflicts[0].Index != 3 || got.Conflicts[1].Index != 1200 {
		t.Errorf("%+v", got)
	}
}

func TestWhatMustGoAloneDoes(t *testing.T) {
	f, url, _ := setup(t)
	if _, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"temperature","value":1}`); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{
		{`{"building":"b","room":"r","sensorType":"temperature","value":1}`, "Idempotency-Key", "k"},
		{`{"building":"b","room":"r","sensorType":"temperature","value":1}`, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{`{"building":"b","room":"r","sensorType":"temperature","value":1,"unit":"F"}`},
		{`{"building":"b","room":"r","sensorType":"temperature","value":1,"eventTime":"2026-01-01T00:00:00.123456789Z"}`},
		{`{"building":"b","room":"r","sensorType":"other","value":1}`},
	} {
		before := f.alone.Load()
		if _, err := create(url, "Bearer 0", c[0], c[1:]...); err != nil {
			t.Error(err)
		}
		if f.alone.Load() != before+1 || f.rows.Load() != 0 {
			t.Errorf("%v was merged", c)
		}
	}
}

func TestARefusalFromABatchIsThatOfASingleCall(t *testing.T) {
	f, url, _ := setup(t)
	if _, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"temperature","value":1}`); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`{"building":"b","room":"r","sensorType":"temperature","value":-300}`: "VALUE_OUT_OF_RANGE",
		`{"building":"b","room":"r","sensorType":"missing","value":1}`:        "SENSOR_TYPE_UNKNOWN",
		`{"building":"in.complete","room":"r","sensorType":"temperature"}`:    "STRING_RESOURCE_ID",
	} {
		response, alone := do(t, "POST", url+"/v1/readings", body, "Idempotency-Key", "k")
		_, _ = do(t, "POST", url+"/v1/readings", body) // teaches that a sensor type is missing
		before := f.alone.Load()
		merged, text := do(t, "POST", url+"/v1/readings", body)
		if f.alone.Load() != before {
			t.Errorf("%s was not merged", body)
		}
		if text != alone || !strings.Contains(text, want) || merged.StatusCode != response.StatusCode {
			t.Errorf("%d %s\nalone: %d %s", merged.StatusCode, text, response.StatusCode, alone)
		}
	}
}

func TestAReadingOfAnUnknownSensorTypeIsSentOnce(t *testing.T) {
	f, url, _ := setup(t)
	for number, want := range []struct{ alone, rows int64 }{{1, 0}, {1, 1}, {1, 2}} {
		body := `{"building":"b","room":"r","sensorType":"temperature","value":1}`
		if got, err := create(url, "Bearer 0", body); err != nil || got.body.Reading.Unit != "C" {
			t.Errorf("%+v %v", got, err)
		}
		if f.alone.Load() != want.alone || f.rows.Load() != want.rows {
			t.Errorf("%d: %d alone, %d in batches", number, f.alone.Load(), f.rows.Load())
		}
	}
}

func TestLongTextsAreNotMerged(t *testing.T) {
	f, url, _ := setup(t)
	if _, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"temperature","value":1}`); err != nil {
		t.Fatal(err)
	}
	long := fmt.Sprintf(`{"building":%q,"room":"r","sensorType":"temperature","value":1}`, strings.Repeat("b", 2000))
	if _, err := create(url, "Bearer 0", long); err != nil || f.alone.Load() != 2 || f.rows.Load() != 0 {
		t.Errorf("%d alone, %d in batches (%v)", f.alone.Load(), f.rows.Load(), err)
	}
}

func TestARefusalWaitsWhileOthersAreServed(t *testing.T) {
	f, url, _ := setup(t)
	ctx, leave := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		body := strings.NewReader(`{"building":"b","room":"r","sensorType":"temperature","device":"waits","value":1}`)
		request, err := http.NewRequestWithContext(ctx, "POST", url+"/v1/readings", body)
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", "k")
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
			t.Errorf("%d where it should have waited", response.StatusCode)
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); f.alone.Load() == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the other request did not arrive")
		}
	}
	began := time.Now()
	got, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"missing","value":1}`)
	if took := time.Since(began); err != nil || got.body.Reason != "SENSOR_TYPE_UNKNOWN" || took < 20*time.Millisecond {
		t.Errorf("%+v after %v (%v)", got, took, err)
	}
	leave()
	<-gone
	least := time.Second
	for range 20 {
		began = time.Now()
		if _, err = create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"missing","value":1}`); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(began))
	}
	if least >= 20*time.Millisecond {
		t.Errorf("alone, no refusal was faster than %v", least)
	}
}

func TestAStreamThatFailsCostsNoAnswer(t *testing.T) {
	f, url, _ := setup(t)
	if _, err := create(url, "Bearer 0", `{"building":"b","room":"r","sensorType":"temperature","value":1}`); err != nil {
		t.Fatal(err)
	}
	f.failStreams.Store(true)
	crowd(t, url, 200)
}

func TestMergingCanBeSwitchedOff(t *testing.T) {
	f, url, _ := setup(t, func(c *config.Config) { c.MergeReadings = false })
	crowd(t, url, 50)
	if f.rows.Load() != 0 {
		t.Error("readings were merged")
	}
}
