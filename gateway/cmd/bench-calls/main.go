// Command bench-calls makes one unary gRPC call over and over as the gateway would (the same connections, metadata and
// deadline), from a fixed number of callers, and prints how long it took as JSON. It measures a service without an edge
// in front of it.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"tocsin/gateway/internal/peers"
)

func main() {
	address := flag.String("address", "", "host:port of the service")
	method := flag.String("method", "", "path of the method, as /package.Service/Method")
	request := flag.String("request", "", "the request message, in hex")
	token := flag.String("token", "", "bearer token")
	callers := flag.Int("callers", 32, "concurrent callers")
	connections := flag.Int("connections", 1, "connections to the service")
	alone := flag.Bool("alone", false, "each call by itself, in place of many to a message")
	calls := flag.Int64("calls", 10_000, "calls in all")
	flag.Parse()
	conn, stop, err := connect(*address, *connections, *alone)
	if err == nil {
		defer stop()
		err = run(conn, *method, *request, *token, *callers, *calls)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// connect gives the way to the service and what closes it.
func connect(address string, connections int, alone bool) (grpc.ClientConnInterface, func(), error) {
	if alone {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		return conn, func() { _ = conn.Close() }, err
	}
	all, err := peers.Connect(map[string]string{"service": address}, connections, nil)
	if err != nil {
		return nil, nil, err
	}
	return all.Conn("service"), all.Close, nil
}

func run(conn grpc.ClientConnInterface, method, text, token string, callers int, calls int64) error {
	data, err := hex.DecodeString(text)
	if err != nil {
		return fmt.Errorf("-request: %w", err)
	}
	// Fields that a message does not know stay in it, so that this one can be any.
	request := &emptypb.Empty{}
	if err := proto.Unmarshal(data, request); err != nil {
		return fmt.Errorf("-request: %w", err)
	}
	left := atomic.Int64{}
	left.Store(calls)
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	began := time.Now()
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(conn, method, request, token); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	took := time.Since(began).Seconds()
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{"seconds": took, "per_second": float64(calls) / took})
}

func call(conn grpc.ClientConnInterface, method string, request proto.Message, token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx,
		"authorization", "Bearer "+token,
		"x-request-id", "8f14e45fceea167a5a36dedd4bea2543",
		"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		"x-forwarded-for", "127.0.0.1",
		"x-forwarded-host", "127.0.0.1:8080",
	)
	return conn.Invoke(ctx, method, request, &emptypb.Empty{})
}
