package tus

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingestion "tocsin/gen/tocsin/ingestion/v1"
)

// service keeps one upload.
type service struct {
	ingestion.DebtUploadServiceClient
	created *ingestion.CreateDebtUploadRequest
	head    *ingestion.AppendDebtUploadRequest_Head
	kept    bytes.Buffer
	refuses error
	deleted string
}

func (s *service) upload() *ingestion.DebtUpload {
	return &ingestion.DebtUpload{
		Id: "u1", State: ingestion.DebtUpload_OPEN, Size: 10, Received: int64(s.kept.Len()),
		ExpireTime: &timestamppb.Timestamp{Seconds: 1_800_000_000}, TusMetadata: s.created.GetTusMetadata(),
	}
}

func (s *service) CreateDebtUpload(_ context.Context, request *ingestion.CreateDebtUploadRequest, _ ...grpc.CallOption) (*ingestion.DebtUpload, error) {
	s.created = request
	return s.upload(), s.refuses
}

func (s *service) GetDebtUpload(context.Context, *ingestion.GetDebtUploadRequest, ...grpc.CallOption) (*ingestion.DebtUpload, error) {
	return s.upload(), s.refuses
}

func (s *service) DeleteDebtUpload(_ context.Context, request *ingestion.DeleteDebtUploadRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	s.deleted = request.GetId()
	return &emptypb.Empty{}, s.refuses
}

func (s *service) AppendDebtUpload(context.Context, ...grpc.CallOption) (stream, error) {
	return &call{of: s, whole: make(chan struct{})}, nil
}

type call struct {
	stream
	of    *service
	whole chan struct{}
}

func (c *call) CloseSend() error {
	close(c.whole)
	return nil
}

func (c *call) RecvMsg(message any) error {
	<-c.whole
	proto.Merge(message.(proto.Message), c.of.upload()) //nolint:forcetypeassert // of this call
	return c.of.refuses
}

func (c *call) Send(message *ingestion.AppendDebtUploadRequest) error {
	if head := message.GetHead(); head != nil {
		c.of.head = head
	}
	c.of.kept.Write(message.GetChunk())
	return nil
}

func refusal(code codes.Code, reason string, metadata map[string]string) error {
	refused, err := status.New(code, "no").WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "tocsin", Metadata: metadata})
	if err != nil {
		panic(err)
	}
	return refused.Err()
}

type parameters map[string]string

func ask(t *testing.T, s *service, verb string, body io.Reader, headers parameters) *http.Response {
	t.Helper()
	h := &Handler{s, 100}
	serve := map[string]func(http.ResponseWriter, *http.Request, map[string]string){
		http.MethodOptions: h.Options, http.MethodHead: h.Head, http.MethodPatch: h.Patch, http.MethodDelete: h.Delete,
		http.MethodPost: h.Create, "OVERRIDE": h.Post,
	}[verb]
	request := httptest.NewRequest(strings.ReplaceAll(verb, "OVERRIDE", http.MethodPost), "/v1/debtUploads/u1", body)
	request.Header.Set("Tus-Resumable", "1.0.0")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	serve(answer, request, map[string]string{"id": "u1"})
	return answer.Result()
}

func expect(t *testing.T, answer *http.Response, status int, headers parameters) {
	t.Helper()
	if answer.StatusCode != status {
		body, _ := io.ReadAll(answer.Body)
		t.Fatalf("status %d, not %d: %s", answer.StatusCode, status, body)
	}
	for name, value := range headers {
		if answer.Header.Get(name) != value {
			t.Errorf("%s: %q, not %q", name, answer.Header.Get(name), value)
		}
	}
}

func metadataOf(pairs ...string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(parts, ",")
}

const until = "Fri, 15 Jan 2027 08:00:00 GMT"

func TestWhatThereIsIsTold(t *testing.T) {
	expect(t, ask(t, &service{}, http.MethodOptions, nil, nil), 204, parameters{
		"Tus-Version": "1.0.0", "Tus-Extension": "creation,creation-with-upload,expiration,checksum,termination",
		"Tus-Max-Size": "100", "Tus-Checksum-Algorithm": "sha1,sha256,md5",
	})
}

func TestAFileIsAnnounced(t *testing.T) {
	s := &service{}
	said := metadataOf("filename", "dívidas.csv", "filetype", "text/csv", "profile", "brazil", "dryRun", "true", "rejectLimit", "7", "rejectPercent", "2.5", "expireSeconds", "60")
	answer := ask(t, s, http.MethodPost, nil, parameters{"Upload-Length": "10", "Upload-Metadata": said})
	expect(t, answer, 201, parameters{"Location": "/v1/debtUploads/u1", "Upload-Offset": "0", "Upload-Expires": until, "Tus-Resumable": "1.0.0"})
	got := s.created
	if got.GetFilename() != "dívidas.csv" || got.GetSize() != 10 || got.GetProfile() != "brazil" || !got.GetDryRun() || got.GetRejectLimit() != 7 ||
		got.GetRejectPercent() != 2.5 || got.GetExpireSeconds() != 60 || got.GetTusMetadata() != said || got.GetWay() != ingestion.DebtUpload_RESUMABLE {
		t.Errorf("%v", got)
	}
	expect(t, ask(t, s, http.MethodHead, nil, nil), 200, parameters{"Upload-Metadata": said, "Upload-Length": "10", "Upload-Offset": "0"})
}

func TestTheFirstBytesMayComeAtOnce(t *testing.T) {
	s := &service{}
	answer := ask(t, s, http.MethodPost, strings.NewReader("0123"), parameters{"Upload-Length": "10", "Content-Type": octets})
	expect(t, answer, 201, parameters{"Upload-Offset": "4"})
	if s.kept.String() != "0123" || s.head.GetId() != "u1" || s.head.GetSize() != 4 {
		t.Errorf("%q %v", s.kept.String(), s.head)
	}
}

func TestAnnouncementsThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		headers parameters
	}{
		"no length":        {400, nil},
		"length deferred":  {400, parameters{"Upload-Defer-Length": "1"}},
		"too large":        {413, parameters{"Upload-Length": "101"}},
		"unknown key":      {400, parameters{"Upload-Length": "10", "Upload-Metadata": metadataOf("dryrun", "true")}},
		"no truth":         {400, parameters{"Upload-Length": "10", "Upload-Metadata": metadataOf("dryRun", "maybe")}},
		"no base64":        {400, parameters{"Upload-Length": "10", "Upload-Metadata": "filename a.csv"}},
		"no UTF-8":         {400, parameters{"Upload-Length": "10", "Upload-Metadata": "filename " + base64.StdEncoding.EncodeToString([]byte{0xff})}},
		"part of a file":   {400, parameters{"Upload-Length": "10", "Upload-Concat": "partial"}},
		"key twice":        {400, parameters{"Upload-Length": "10", "Upload-Metadata": metadataOf("profile", "a", "profile", "b")}},
		"another protocol": {412, parameters{"Upload-Length": "10", "Tus-Resumable": "0.2.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{}
			expect(t, ask(t, s, http.MethodPost, nil, c.headers), c.status, parameters{"Content-Type": "application/problem+json"})
			if s.created != nil {
				t.Error("it was announced")
			}
		})
	}
}

func TestBytesGoOnWhereTheyEnded(t *testing.T) {
	s := &service{}
	s.kept.WriteString("0123")
	answer := ask(t, s, http.MethodPatch, strings.NewReader("456"), parameters{"Upload-Offset": "4", "Content-Type": octets})
	expect(t, answer, 204, parameters{"Upload-Offset": "7", "Upload-Expires": until})
	if s.kept.String() != "0123456" || s.head.GetOffset() != 4 {
		t.Errorf("%q %v", s.kept.String(), s.head)
	}
	again := ask(t, s, "OVERRIDE", strings.NewReader("7"), parameters{"Upload-Offset": "7", "Content-Type": octets, "X-HTTP-Method-Override": "PATCH"})
	expect(t, again, 204, parameters{"Upload-Offset": "8"})
	expect(t, ask(t, s, "OVERRIDE", nil, parameters{"X-HTTP-Method-Override": "HEAD"}), 200, parameters{"Upload-Offset": "8", "Upload-Length": "10"})
	expect(t, ask(t, s, "OVERRIDE", nil, nil), 405, nil)
}

func TestAChecksumGoesOn(t *testing.T) {
	s := &service{}
	expect(t, ask(t, s, http.MethodPatch, strings.NewReader("0"), parameters{"Upload-Offset": "0", "Content-Type": octets, "Upload-Checksum": "sha1 YWJj"}), 204, nil)
	if s.head.GetChecksumAlgorithm() != ingestion.AppendDebtUploadRequest_SHA1 || string(s.head.GetChecksum()) != "abc" {
		t.Errorf("%v", s.head)
	}
	for _, bad := range []string{"crc32 YWJj", "sha1", "sha1 !", "YWJj"} {
		answer := ask(t, &service{}, http.MethodPatch, strings.NewReader("0"), parameters{"Upload-Offset": "0", "Content-Type": octets, "Upload-Checksum": bad})
		expect(t, answer, 400, nil)
	}
}

func TestRefusalsOfTheServiceAreThoseOfTheProtocol(t *testing.T) {
	for _, c := range []struct {
		code   codes.Code
		reason string
		status int
	}{
		{codes.Aborted, "UPLOAD_OFFSET", 409},
		{codes.InvalidArgument, "CHECKSUM_MISMATCH", 460},
		{codes.FailedPrecondition, "UPLOAD_EXPIRED", 410},
		{codes.FailedPrecondition, "UPLOAD_ENDED", 410},
		{codes.NotFound, "NOT_FOUND", 404},
		{codes.ResourceExhausted, "TOO_MANY_UPLOADS", 429},
	} {
		s := &service{refuses: refusal(c.code, c.reason, map[string]string{"offset": "4"})}
		answer := ask(t, s, http.MethodPatch, strings.NewReader("0"), parameters{"Upload-Offset": "0", "Content-Type": octets})
		expect(t, answer, c.status, parameters{"Upload-Offset": "4", "Tus-Resumable": "1.0.0"})
	}
}

// brokenBody ends in the middle.
type brokenBody struct{ io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestWhatCameOfABodyThatBreaksOffIsKept(t *testing.T) {
	s := &service{}
	answer := ask(t, s, http.MethodPatch, brokenBody{strings.NewReader("012")}, parameters{"Upload-Offset": "0", "Content-Type": octets})
	expect(t, answer, 400, nil)
	if s.kept.String() != "012" {
		t.Errorf("%q", s.kept.String())
	}
}

func TestAnUploadIsGivenUp(t *testing.T) {
	s := &service{}
	expect(t, ask(t, s, http.MethodDelete, nil, nil), 204, nil)
	if s.deleted != "u1" {
		t.Error("nothing was given up")
	}
	expect(t, ask(t, &service{}, http.MethodPatch, nil, parameters{"Upload-Offset": "0"}), 415, nil)
	expect(t, ask(t, &service{}, http.MethodPatch, nil, parameters{"Content-Type": octets, "Upload-Offset": "-1"}), 400, nil)
}
