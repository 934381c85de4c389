package health

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
)

const maxParts = 1 << 20

// parts asks the runtime for the parts of the mesh that do not work. Only it knows of those that speak no gRPC: the
// database, the message broker, Envoy.
type parts struct {
	url    string
	client http.Client
}

func newParts(url string) *parts {
	// Never by way of a proxy: the runtime is on this machine.
	return &parts{url: url, client: http.Client{Transport: &http.Transport{MaxIdleConns: 1}, Timeout: within}}
}

// problems are none, too, when the runtime does not answer: nobody needs it to be served.
func (p *parts) problems(ctx context.Context) []Problem {
	if p.url == "" {
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		slog.Warn("the runtime cannot be asked", "url", p.url, "error", err)
		return nil
	}
	response, err := p.client.Do(request)
	if err != nil {
		slog.Debug("the runtime does not answer", "error", err)
		return nil
	}
	defer response.Body.Close()
	var found struct {
		Problems []Problem `json:"problems"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxParts)).Decode(&found); err != nil {
		slog.Debug("the runtime answers nonsense", "error", err)
		return nil
	}
	return found.Problems
}
