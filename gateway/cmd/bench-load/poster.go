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
	"strings"
	"time"
)

const timeout = 30 * time.Second

// unique is what a number takes the place of that no other request has.
const unique = "{n}"

// poster sends requests over one connection, which it makes anew when it broke or the server closed it.
type poster struct {
	address string
	head    string // up to the value of Content-Length; may hold `unique`
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	answer  bytes.Buffer
}

func newPoster(method string, place *url.URL, token string) *poster {
	target := strings.ReplaceAll(place.RequestURI(), url.PathEscape(unique), unique)
	head := method + " " + target + " HTTP/1.1\r\nHost: " + place.Host +
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

// post sends one body, as the request of this number, and reads the whole answer, which stays in p.answer until the next.
func (p *poster) post(body, number string) (int, error) {
	if p.conn == nil {
		conn, err := net.DialTimeout("tcp", p.address, timeout)
		if err != nil {
			return 0, err
		}
		p.conn, p.reader = conn, bufio.NewReader(conn)
	}
	head := p.head
	if strings.Contains(head, unique) {
		head = strings.ReplaceAll(head, unique, number)
	}
	if strings.Contains(body, unique) {
		body = strings.ReplaceAll(body, unique, number)
	}
	status, err := p.exchange(head, body)
	if err != nil {
		p.close()
	}
	return status, err
}

func (p *poster) exchange(head, body string) (int, error) {
	p.request = append(p.request[:0], head...)
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
