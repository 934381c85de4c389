package main

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// healthcheck asks the gateway of this container, which has no other program to ask with, whether it takes requests.
func healthcheck(listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	// Never by way of a proxy.
	client := http.Client{Transport: &http.Transport{}, Timeout: 3 * time.Second}
	response, err := client.Get("http://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz is answered with %s", response.Status)
	}
	return nil
}
