package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const timeout = 30 * time.Second

// poster sends requests over one connection, which it makes anew when it broke or the server closed it.
type poster struct {
	address string
	head    string // up to the value of Content-Length
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	answer  bytes.Buffer
}

func newPoster(method string, place *url.URL, token string) *poster {
	head := method + " " + place.RequestURI() + " HTTP/1.1\r\nHost: " + place.Host +
		"\r\nUser-Agent: bench-load\r\nContent-Type: application/json\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	address := place.Host
	if place.Port() == "" {
		address += ":80"
	}
	return &poster{address: address, head: head + "Content-Length: "}
}

// post sends one body and reads the whole answer, which stays in p.answer until the next.
func (p *poster) post(body string) (int, error) {
	if p.conn == nil {
		conn, err := net.DialTimeout("tcp", p.address, timeout)
		if err != nil {
			return 0, err
		}
		p.conn, p.reader = conn, bufio.NewReader(conn)
	}
	status, err := p.exchange(body)
	if err != nil {
		p.close()
	}
	return status, err
}

func (p *poster) exchange(body string) (int, error) {
	p.request = append(p.request[:0], p.head...)
	p.request = strconv.AppendInt(p.request, int64(len(body)), 10)
	p.request = append(p.request, "\r\n\r\n"...)
	p.request = append(p.request, body...)
	if err := p.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	if _, err := p.conn.Write(p.request); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(p.reader, nil)
	if err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	p.answer.Reset()
	if _, err := io.Copy(&p.answer, response.Body); err != nil {
		return 0, fmt.Errorf("reading the answer: %w", err)
	}
	if response.Close {
		p.close()
	}
	return response.StatusCode, nil
}

func (p *poster) close() {
	_ = p.conn.Close()
	p.conn = nil
}
