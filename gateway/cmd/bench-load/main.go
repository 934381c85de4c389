// Command bench-load sends one request over and over through a fixed number of HTTP/1.1 connections, for a time or so
// many times, and prints requests, errors and latency percentiles as JSON. It is the load generator of the benchmarks:
// the same one for Tocsin and for each reference. It shares the machine with what it measures, so it is frugal: each
// connection has one goroutine that writes a prepared request and reads the answer, with no client library in between.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type result struct {
	Sent        int64          `json:"sent"` // in the warm-up, too
	Requests    int            `json:"requests"`
	Errors      int            `json:"errors"`
	Seconds     float64        `json:"seconds"`
	PerSecond   float64        `json:"per_second"`
	P50         float64        `json:"p50_ms"`
	P99         float64        `json:"p99_ms"`
	Max         float64        `json:"max_ms"`
	Statuses    map[string]int `json:"statuses"`
	FirstFailed string         `json:"first_failed,omitempty"`
}

type worker struct {
	latencies   []time.Duration
	statuses    map[int]int
	errors      int
	firstFailed string
}

func main() {
	target := flag.String("url", "", "URL to ask; {connection} becomes the number of the connection, {n} one that no other request has")
	body := flag.String("body", "", "JSON body; {n} as in the URL")
	method := flag.String("method", "", "method; by default POST with a body, GET without")
	token := flag.String("token", "", "bearer token")
	connections := flag.Int("connections", 32, "concurrent connections")
	duration := flag.Duration("duration", 5*time.Second, "how long to measure")
	warmup := flag.Duration("warmup", time.Second, "how long to warm up, not measured")
	most := flag.Int64("requests", math.MaxInt64, "end after so many requests, the warm-up included")
	first := flag.Int64("first", time.Now().UnixMicro(), "the first {n}, which counts up from there; in 12 digits at least")
	spread := flag.Int("spread", math.MaxInt, "{connection} counts up to this, then from 0 again")
	flag.Parse()
	debug.SetGCPercent(800)

	if *method == "" && *body == "" {
		*method = "GET"
	} else if *method == "" {
		*method = "POST"
	}
	posts := make([]*poster, *connections)
	for index := range posts {
		place, err := url.Parse(strings.ReplaceAll(*target, "{connection}", fmt.Sprint(index%*spread)))
		if err != nil || place.Scheme != "http" || place.Host == "" {
			fmt.Fprintln(os.Stderr, "-url must be an http URL")
			os.Exit(2)
		}
		posts[index] = newPoster(*method, place, *token)
	}
	var sent atomic.Int64
	run := func(length time.Duration) ([]worker, time.Duration) {
		workers := make([]worker, *connections)
		start := time.Now()
		var group sync.WaitGroup
		for index := range workers {
			group.Go(func() {
				w := &workers[index]
				w.statuses = map[int]int{}
				for time.Since(start) < length {
					number := sent.Add(1) - 1
					if number >= *most {
						return
					}
					w.post(posts[index], *body, fmt.Sprintf("%012d", *first+number))
				}
			})
		}
		group.Wait()
		return workers, time.Since(start)
	}
	run(*warmup)
	workers, elapsed := run(*duration)
	out := summarise(workers, elapsed)
	out.Sent = min(sent.Load(), *most)
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (w *worker) post(p *poster, body, number string) {
	start := time.Now()
	status, err := p.post(body, number)
	if err != nil {
		w.fail(err.Error())
		return
	}
	w.latencies = append(w.latencies, time.Since(start))
	w.statuses[status]++
	if status >= 300 {
		w.fail(fmt.Sprintf("%d %s", status, p.answer.Bytes()))
	}
}

func (w *worker) fail(text string) {
	w.errors++
	if w.firstFailed == "" {
		w.firstFailed = text
	}
}
func summarise(workers []worker, elapsed time.Duration) result {
	all := []time.Duration{}
	out := result{Seconds: elapsed.Seconds(), Statuses: map[string]int{}}
	for _, w := range workers {
		all = append(all, w.latencies...)
		out.Errors += w.errors
		for status, count := range w.statuses {
			out.Statuses[fmt.Sprint(status)] += count
		}
		if out.FirstFailed == "" {
			out.FirstFailed = w.firstFailed
		}
	}
	out.Requests = len(all)
	out.PerSecond = float64(len(all)-out.Errors) / elapsed.Seconds()
	if len(all) == 0 {
		return out
	}
	slices.Sort(all)
	at := func(q float64) float64 {
		return float64(all[min(len(all)-1, int(q*float64(len(all))))].Microseconds()) / 1000
	}
	out.P50, out.P99, out.Max = at(0.50), at(0.99), at(1)
	return out
}
