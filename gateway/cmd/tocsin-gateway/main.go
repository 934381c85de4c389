// Command tocsin-gateway is the REST face of Tocsin; see gateway/README.md.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"google.golang.org/grpc/grpclog"

	"tocsin/gateway/internal/config"
	"tocsin/gateway/internal/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tocsin-gateway:", err)
		os.Exit(1)
	}
}

func run() error {
	settings, err := config.Load(os.Getenv)
	if err != nil {
		return err
	}
	if len(os.Args) > 1 {
		if os.Args[1] != "healthcheck" || len(os.Args) > 2 {
			return fmt.Errorf("the only argument there is is healthcheck, not %q", os.Args[1:])
		}
		return healthcheck(settings.Listen)
	}
	slog.SetDefault(slog.New(logs(settings, os.Stderr)))
	if os.Getenv("GOGC") == "" {
		// What lives is a few MiB, what requests leave behind a hundred MiB a second: it need not be collected so often.
		debug.SetGCPercent(400)
	}
	// The libraries' own words speak of connections that come and go; what matters of it reaches us as errors.
	grpclog.SetLoggerV2(quiet{})
	gateway, err := server.New(settings)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return gateway.Run(ctx, func(address string) {
		slog.Info("ready", "address", address, "version", settings.Version)
	})
}
