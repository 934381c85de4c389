package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregation "tocsin/gen/tocsin/aggregation/v1"
	ingestion "tocsin/gen/tocsin/ingestion/v1"
	notification "tocsin/gen/tocsin/notification/v1"

	"tocsin/gateway/internal/config"
)

// fakes are the services. The test and any number of calls use them at the same time.
type fakes struct {
	ingestion.UnimplementedReadingServiceServer
	ingestion.UnimplementedAlertServiceServer
	ingestion.UnimplementedDebtFileServiceServer
	ingestion.UnimplementedDebtServiceServer
	ingestion.UnimplementedPayloadServiceServer
	ingestion.UnimplementedCatalogueServiceServer
	aggregation.UnimplementedAggregationServiceServer
	notification.UnimplementedNotificationServiceServer
	notification.UnimplementedInvoiceServiceServer
	notification.UnimplementedTrackingServiceServer

	lock     sync.Mutex
	err      error
	metadata metadata.MD
	deadline time.Duration

	once    sync.Once
	alone   atomic.Int64
	batches atomic.Int64
	rows    atomic.Int64
	tokens  sync.Map
	mask    atomic.Value
	// failStreams breaks streams of readings off at their second batch.
	failStreams atomic.Bool
	cancelled   chan struct{}
	release     chan struct{}
	started     chan struct{}
}

// answer makes err what every unary call answers, and what streams end with.
func (f *fakes) answer(err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.err = err
}

func (f *fakes) failure() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.err
}

func (f *fakes) remember(ctx context.Context) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.metadata, _ = metadata.FromIncomingContext(ctx)
	if until, ok := ctx.Deadline(); ok {
		f.deadline = time.Until(until)
	}
}

// seen is the metadata of the last remembered call, and how long that had.
func (f *fakes) seen() (metadata.MD, time.Duration) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.metadata, f.deadline
}

func (f *fakes) CreateReading(ctx context.Context, r *ingestion.CreateReadingRequest) (*ingestion.CreateReadingResponse, error) {
	f.remember(ctx)
	f.alone.Add(1)
	reading := r.GetReading()
	if reading.GetDevice() == "waits" {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if reading.GetSensorType() == "missing" {
		return nil, noType()
	}
	if reading.GetBuilding() == "in.complete" {
		return nil, incomplete()
	}
	if reading.GetSensorType() == "temperature" {
		if reading.GetValue() < -273.15 {
			return nil, tooCold()
		}
		reading.Unit = "C"
		if reading.GetEventTime() == nil {
			reading.EventTime = timestamppb.Now()
		}
	}
	return &ingestion.CreateReadingResponse{Reading: reading, Duplicate: r.GetIdempotencyKey() == "seen"}, f.failure()
}

func tooCold() error {
	return refusal(codes.InvalidArgument, "value: too cold", tooColdItem(0))
}

func noType() error {
	item := noTypeItem(0)
	return refusal(codes.NotFound, item.GetMessage(), item)
}

// refusal is of a call what the item tells of a batch.
func refusal(code codes.Code, message string, item *ingestion.ItemRejection) error {
	violation := &errdetails.BadRequest_FieldViolation{
		Field: item.GetField(), Reason: item.GetReason(), Description: item.GetMessage(),
	}
	return fail(code, message, info(item.GetReason(), item.GetMetadata()),
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{violation}})
}

func tooColdItem(index int) *ingestion.ItemRejection {
	return &ingestion.ItemRejection{
		Index: int32(index), Reason: "VALUE_OUT_OF_RANGE", Field: "value", Message: "too cold",
		Metadata: map[string]string{"min": "-273.15"}, Code: int32(codes.InvalidArgument),
	}
}

func incomplete() error {
	broken := &errdetails.BadRequest{}
	for _, one := range incompleteItem(0).GetViolations() {
		broken.FieldViolations = append(broken.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: "reading." + one.GetField(), Reason: one.GetRule(), Description: one.GetMessage(),
		})
	}
	return fail(codes.InvalidArgument, "reading.building: must be an id", info("INVALID_FIELD", nil), broken)
}

func incompleteItem(index int) *ingestion.ItemRejection {
	return &ingestion.ItemRejection{
		Index: int32(index), Reason: "INVALID_FIELD", Field: "building", Message: "must be an id", Code: int32(codes.InvalidArgument),
		Violations: []*ingestion.ItemRejection_Violation{
			{Field: "building", Rule: "STRING_RESOURCE_ID", Message: "must be an id"},
			{Field: "value", Rule: "REQUIRED", Message: "value is required"},
		},
	}
}

func noTypeItem(index int) *ingestion.ItemRejection {
	return &ingestion.ItemRejection{
		Index: int32(index), Reason: "SENSOR_TYPE_UNKNOWN", Field: "sensorType",
		Message: "the sensor type missing is not in the catalogue", Code: int32(codes.NotFound),
	}
}

func (f *fakes) BatchCreateReadings(_ context.Context, r *ingestion.BatchCreateReadingsRequest) (*ingestion.BatchCreateReadingsResponse, error) {
	return &ingestion.BatchCreateReadingsResponse{Accepted: 0, Duplicate: r.GetIdempotencyKey() == "seen"}, f.failure()
}

func (f *fakes) StreamReadings(stream ingestion.ReadingService_StreamReadingsServer) error {
	for batches := 0; ; batches++ {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f.batches.Add(1)
		f.rows.Add(int64(len(request.GetReadings().GetReadings())))
		if md, _ := metadata.FromIncomingContext(stream.Context()); len(md.Get("authorization")) > 0 {
			f.tokens.Store(md.Get("authorization")[0], true)
		}
		if f.failStreams.Load() && batches == 1 {
			return status.Error(codes.Unavailable, "the stream broke")
		}
		if err := f.failure(); err != nil && batches == 1 {
			return err
		}
		answer := &ingestion.StreamReadingsResponse{Sequence: request.GetSequence()}
		for i, reading := range request.GetReadings().GetReadings() {
			switch {
			case reading.GetBuilding() == "in.complete":
				answer.Rejections = append(answer.Rejections, incompleteItem(i))
			case reading.GetSensorType() == "missing":
				answer.Rejections = append(answer.Rejections, noTypeItem(i))
			case reading.GetValue() < -310 && reading.GetValue() > -320: // as a service says it that does not explain
				item := &ingestion.ItemRejection{Index: int32(i), Reason: "VALUE_OUT_OF_RANGE", Field: "value"}
				answer.Rejections = append(answer.Rejections, item)
			case reading.GetValue() < -273.15:
				answer.Rejections = append(answer.Rejections, tooColdItem(i))
			case reading.GetValue() >= 1e6: // the event time had another value
				answer.Ignored++
				answer.Conflicts = append(answer.Conflicts, &ingestion.ReadingConflict{
					Index: int32(i), Outcome: ingestion.ReadingConflict_IGNORED, CountingValue: 1, OtherValue: reading.GetValue(),
				})
			default:
				answer.Accepted++
			}
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (f *fakes) GetAlert(ctx context.Context, r *ingestion.GetAlertRequest) (*ingestion.Alert, error) {
	f.remember(ctx)
	if r.GetUid() == "slow" {
		close(f.started)
		select {
		case <-f.release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &ingestion.Alert{Uid: r.GetUid()}, f.failure()
}

func (f *fakes) UpdateBuilding(_ context.Context, r *ingestion.UpdateBuildingRequest) (*ingestion.Building, error) {
	f.mask.Store(strings.Join(r.GetUpdateMask().GetPaths(), ","))
	return r.GetBuilding(), f.failure()
}

func (f *fakes) SubmitPayload(_ context.Context, r *ingestion.SubmitPayloadRequest) (*ingestion.SubmitPayloadResponse, error) {
	return &ingestion.SubmitPayloadResponse{Readings: []*ingestion.Reading{{
		Building: r.GetFormat(), Room: r.GetPayload().GetContentType(), Unit: hex.EncodeToString(r.GetPayload().GetData()),
	}}}, f.failure()
}

func (f *fakes) UploadDebtFile(stream ingestion.DebtFileService_UploadDebtFileServer) error {
	file, sum := &ingestion.DebtFile{}, sha256.New()
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			file.Sha256 = hex.EncodeToString(sum.Sum(nil))
			return stream.SendAndClose(file)
		}
		if err != nil {
			f.once.Do(func() { close(f.cancelled) })
			return err
		}
		if m := request.GetMetadata(); m != nil {
			file.Filename, file.DryRun = m.GetFilename(), m.GetDryRun()
			continue
		}
		if err := f.failure(); err != nil {
			return err
		}
		if len(request.GetChunk()) > 256<<10 {
			return status.Error(codes.InvalidArgument, "chunk too large")
		}
		file.Bytes += int64(len(request.GetChunk()))
		sum.Write(request.GetChunk())
	}
}

func (f *fakes) WatchDebtFile(r *ingestion.WatchDebtFileRequest, stream ingestion.DebtFileService_WatchDebtFileServer) error {
	if err := stream.Send(&ingestion.DebtFile{Id: r.GetId(), Rows: 1}); err != nil {
		return err
	}
	if r.GetId() == "endless" {
		<-stream.Context().Done()
		f.once.Do(func() { close(f.cancelled) })
	}
	if err := f.failure(); err != nil {
		return err
	}
	return stream.Send(&ingestion.DebtFile{Id: r.GetId(), Rows: 2})
}

func (f *fakes) DownloadDebtFileRejects(r *ingestion.DownloadDebtFileRejectsRequest, stream ingestion.DebtFileService_DownloadDebtFileRejectsServer) error {
	if r.GetId() == "none" {
		return f.failure()
	}
	for _, part := range []string{"a,b\n", "1,2\n"} {
		if err := stream.Send(&httpbody.HttpBody{ContentType: "text/csv", Data: []byte(part)}); err != nil {
			return err
		}
	}
	return f.failure()
}

func (f *fakes) WatchWindows(_ *aggregation.WatchWindowsRequest, stream aggregation.AggregationService_WatchWindowsServer) error {
	if err := f.failure(); err != nil {
		return err
	}
	<-stream.Context().Done()
	f.once.Do(func() { close(f.cancelled) })
	return nil
}

func (f *fakes) DownloadInvoice(_ context.Context, r *notification.DownloadInvoiceRequest) (*httpbody.HttpBody, error) {
	return &httpbody.HttpBody{ContentType: "application/pdf", Data: []byte("%PDF " + r.GetDebt())}, f.failure()
}

// setup starts fakes and a gateway before them; url is the gateway's.
func setup(t *testing.T, change ...func(*config.Config)) (f *fakes, url string, server *Server) {
	t.Helper()
	f = &fakes{cancelled: make(chan struct{}), release: make(chan struct{}), started: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	backend := grpc.NewServer()
	ingestion.RegisterReadingServiceServer(backend, f)
	ingestion.RegisterAlertServiceServer(backend, f)
	ingestion.RegisterDebtFileServiceServer(backend, f)
	ingestion.RegisterDebtServiceServer(backend, f)
	ingestion.RegisterPayloadServiceServer(backend, f)
	ingestion.RegisterCatalogueServiceServer(backend, f)
	aggregation.RegisterAggregationServiceServer(backend, f)
	notification.RegisterNotificationServiceServer(backend, f)
	notification.RegisterInvoiceServiceServer(backend, f)
	notification.RegisterTrackingServiceServer(backend, f)
	go func() { _ = backend.Serve(listener) }()
	t.Cleanup(backend.Stop)
	c, err := config.Load(func(name string) string {
		if strings.HasPrefix(name, "TOCSIN_PEER_") {
			return listener.Addr().String()
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Heartbeat = 20 * time.Millisecond
	for _, apply := range change {
		apply(c)
	}
	server, err = New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.peers.Close)
	front := httptest.NewServer(server.http.Handler)
	t.Cleanup(front.Close)
	return f, front.URL, server
}
