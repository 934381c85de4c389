package readings

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sort"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	ingestion "tocsin/gen/tocsin/ingestion/v1"

	"tocsin/gateway/internal/exchange"
	"tocsin/gateway/internal/jsonbody"
	"tocsin/gateway/internal/problem"
	"tocsin/gateway/internal/rest"
)

const (
	maxLine       = 64 << 10
	batchSize     = 1000
	inFlight      = 4
	maxRejections = 1000
)

// Importer answers POST /v1/readings:import: newline-delimited JSON, one reading a line. Lines go on in batches over
// the fast path; a line that is no reading becomes a rejection beside those of the service, and its neighbours are kept.
type Importer struct {
	client ingestion.ReadingServiceClient
	limit  int64
}

// NewImporter makes an importer of bodies of up to limit bytes.
func NewImporter(conn grpc.ClientConnInterface, limit int64) *Importer {
	return &Importer{ingestion.NewReadingServiceClient(conn), limit}
}

// Serve runs one import.
func (i *Importer) Serve(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	contentType := r.Header.Get("Content-Type")
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/x-ndjson", "application/jsonl", "application/x-jsonlines", "application/json", "text/plain", "application/octet-stream":
	default:
		rest.Fail(w, r, rest.Unsupported(contentType, "application/x-ndjson"), "")
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	run := &importRun{outcome: &ingestion.ImportReadingsResponse{}, batches: make(chan []int64, inFlight)}
	err := run.all(exchange.Outgoing(ctx, r), cancel, i.client, bufio.NewReaderSize(http.MaxBytesReader(w, r.Body, i.limit), maxLine))
	if err != nil {
		run.problem(r, err).Write(w, exchange.From(r.Context()).RequestID)
		return
	}
	rest.Answer(w, r, run.result())
}

// importRun is one import: a sender that reads lines and a receiver that counts outcomes.
type importRun struct {
	outcome *ingestion.ImportReadingsResponse
	// batches under way: the line number of each reading. Its capacity bounds what is in flight.
	batches chan []int64
	// own are the sender's rejections, kept apart until both are done.
	own      []*ingestion.ItemRejection
	ownCount int64
}

func (run *importRun) all(ctx context.Context, cancel context.CancelFunc, client ingestion.ReadingServiceClient, lines *bufio.Reader) error {
	stream, err := client.StreamReadings(ctx)
	if err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() {
		err := run.receive(stream)
		received <- err
		if err != nil {
			cancel() // the sender must not wait for room any longer
		}
	}()
	sent := run.send(ctx, stream, lines)
	close(run.batches)
	var refused *problem.Problem
	if errors.As(sent, &refused) {
		// Our own refusal: what was sent before is counted, then it is told.
		_ = stream.CloseSend()
		<-received
		return refused
	}
	if sent == nil {
		sent = stream.CloseSend()
	}
	if err := <-received; err != nil {
		return err
	}
	return sent
}

func (run *importRun) send(ctx context.Context, stream ingestion.ReadingService_StreamReadingsClient, lines *bufio.Reader) error {
	readings, numbers := make([]*ingestion.Reading, 0, batchSize), make([]int64, 0, batchSize)
	flush := func() error {
		if len(readings) == 0 {
			return nil
		}
		select {
		case run.batches <- numbers:
		case <-ctx.Done():
			return ctx.Err()
		}
		list := &ingestion.StreamReadingsRequest_ReadingList{Readings: readings}
		err := stream.Send(&ingestion.StreamReadingsRequest{
			Batch:   &ingestion.StreamReadingsRequest_Readings{Readings: list},
			Explain: true,
		})
		readings, numbers = make([]*ingestion.Reading, 0, batchSize), make([]int64, 0, batchSize)
		if errors.Is(err, io.EOF) {
			return nil // the receiver knows why
		}
		return err
	}
	for number := int64(0); ; number++ {
		line, err := readLine(lines)
		last := errors.Is(err, io.EOF)
		if err != nil && !last && !errors.Is(err, errLongLine) {
			return brokenOff(err)
		}
		switch reading, p := parse(line, err); {
		case p != nil:
			run.reject(number, p)
		case reading != nil:
			readings, numbers = append(readings, reading), append(numbers, number)
		}
		if len(readings) == batchSize || last {
			if err := flush(); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

var errLongLine = errors.New("long line")

// readLine gives the next line without its end; io.EOF comes with the last one, which may be empty.
func readLine(lines *bufio.Reader) ([]byte, error) {
	line, err := lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = lines.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errLongLine // where the body ends with it, the next call says so
}

func parse(line []byte, err error) (*ingestion.Reading, *problem.Problem) {
	if errors.Is(err, errLongLine) {
		detail := "the line is longer than " + strconv.Itoa(maxLine) + " bytes"
		return nil, problem.New(http.StatusBadRequest, problem.TooLarge, detail)
	}
	if blank(line) {
		return nil, nil
	}
	reading := &ingestion.Reading{}
	if p := jsonbody.Unmarshal(line, reading); p != nil {
		return nil, p
	}
	return reading, nil
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

func (run *importRun) reject(number int64, p *problem.Problem) {
	run.ownCount++
	if len(run.own) >= maxRejections {
		return
	}
	rejection := &ingestion.ItemRejection{Index: int32(number), Reason: p.Reason, Message: p.Detail, Metadata: p.Metadata, Code: int32(codes.InvalidArgument)}
	if len(p.Errors) > 0 {
		rejection.Field, rejection.Message = p.Errors[0].Field, p.Errors[0].Detail
	}
	run.own = append(run.own, rejection)
}

func (run *importRun) receive(stream ingestion.ReadingService_StreamReadingsClient) error {
	for numbers := range run.batches {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return problem.New(http.StatusBadGateway, problem.Internal, "The service ended the import too early.")
		}
		if err != nil {
			return err
		}
		run.outcome.Accepted += int64(response.GetAccepted())
		run.outcome.Rejected += int64(len(response.GetRejections()))
		run.outcome.Ignored += int64(response.GetIgnored())
		for _, conflict := range response.GetConflicts() {
			if at := int(conflict.GetIndex()); at >= 0 && at < len(numbers) && len(run.outcome.GetConflicts()) < maxRejections {
				conflict.Index = int32(numbers[at])
				run.outcome.Conflicts = append(run.outcome.Conflicts, conflict)
			}
		}
		for _, rejection := range response.GetRejections() {
			if at := int(rejection.GetIndex()); at >= 0 && at < len(numbers) && len(run.outcome.Rejections) < maxRejections {
				rejection.Index = int32(numbers[at])
				run.outcome.Rejections = append(run.outcome.Rejections, rejection)
			}
		}
	}
	return nil
}

// result joins the rejections of both sides in the order of the lines.
func (run *importRun) result() *ingestion.ImportReadingsResponse {
	all := append(run.outcome.Rejections, run.own...)
	sort.SliceStable(all, func(a, b int) bool { return all[a].GetIndex() < all[b].GetIndex() })
	run.outcome.Rejections = all[:min(len(all), maxRejections)]
	run.outcome.Rejected += run.ownCount
	return run.outcome
}

// problem of an import that broke off, with what is durable by then.
func (run *importRun) problem(r *http.Request, err error) *problem.Problem {
	p := rest.Explain(r, err, "")
	if p.Metadata == nil {
		p.Metadata = map[string]string{}
	}
	p.Metadata["accepted"] = strconv.FormatInt(run.outcome.GetAccepted(), 10)
	p.Metadata["rejected"] = strconv.FormatInt(run.outcome.GetRejected()+run.ownCount, 10)
	p.Detail = fmt.Sprintf("%s. %s readings were accepted before.", strings.TrimSuffix(p.Detail, "."), p.Metadata["accepted"])
	return p
}

func brokenOff(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return rest.TooLarge(tooLarge.Limit)
	}
	return problem.New(http.StatusBadRequest, problem.BodyInvalid, "The body broke off.")
}
