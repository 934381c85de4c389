package main

import (
	"fmt"
	"log/slog"
	"os"
)

// quiet hears the gRPC library: its errors become debug lines, all else is dropped.
type quiet struct{}

func (quiet) Info(...any)             {}
func (quiet) Infoln(...any)           {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningln(...any)        {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Error(args ...any)       { slog.Debug("grpc: " + fmt.Sprint(args...)) }
func (quiet) Errorln(args ...any)     { slog.Debug("grpc: " + fmt.Sprint(args...)) }
func (quiet) Errorf(format string, args ...any) {
	slog.Debug("grpc: " + fmt.Sprintf(format, args...))
}

func (quiet) Fatal(args ...any) {
	slog.Error("grpc: " + fmt.Sprint(args...))
	os.Exit(1)
}
func (q quiet) Fatalln(args ...any)               { q.Fatal(args...) }
func (q quiet) Fatalf(format string, args ...any) { q.Fatal(fmt.Sprintf(format, args...)) }
func (quiet) V(int) bool                          { return false }
