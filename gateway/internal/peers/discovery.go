package peers

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"time"
)

const (
	// lookUpEvery is how often the addresses of a name are asked for: processes come and go.
	lookUpEvery = 5 * time.Second
	// lookUpSoon is the same while none is known.
	lookUpSoon = 500 * time.Millisecond
	// lookUpWithin is how long an answer may take.
	lookUpWithin = 3 * time.Second
	// retireAfter is how long calls may go on with a process whose address is gone: longer than one takes to stop.
	retireAfter = 2 * time.Minute
)

// discovery keeps a pool connected to every address that a name has, as a service that runs several times has several (a
// headless Service of Kubernetes). Of those that are gone no more calls are asked; the ones under way end by themselves.
// As long as nobody knows the name, the addresses of before count.
type discovery struct {
	pool   *Pool
	lookUp func(ctx context.Context, host string) ([]string, error)
	dial   func(address string) []*carrier
	known  map[string]*member
}

// member is one address; gone is when it was no longer there.
type member struct {
	conns []*carrier
	gone  time.Time
}

// run follows the host until ctx ends, and closes all connections then. An address that is no name has itself alone.
func (d *discovery) run(ctx context.Context, host string) {
	defer d.close()
	if net.ParseIP(host) != nil {
		<-ctx.Done()
		return
	}
	for {
		d.look(ctx, host)
		pause := lookUpEvery
		if len(d.pool.all()) == 0 {
			pause = lookUpSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (d *discovery) look(ctx context.Context, host string) {
	within, cancel := context.WithTimeout(ctx, lookUpWithin)
	defer cancel()
	addresses, err := d.lookUp(within, host)
	if err != nil {
		slog.Debug("a name is not known", "peer", d.pool.name, "host", host, "error", err)
		addresses = d.addresses()
	}
	d.settle(preferred(addresses), time.Now())
}

// preferred are the addresses of version 4 where there are any: who has both may listen on one of them only.
func preferred(addresses []string) []string {
	older := slices.DeleteFunc(slices.Clone(addresses), func(address string) bool {
		ip := net.ParseIP(address)
		return ip == nil || ip.To4() == nil
	})
	if len(older) > 0 {
		return older
	}
	return addresses
}

// addresses that are there, as far as is known.
func (d *discovery) addresses() []string {
	var there []string
	for address, one := range d.known {
		if one.gone.IsZero() {
			there = append(there, address)
		}
	}
	return there
}

// settle connects to what is new, and lets go of what is gone for long.
func (d *discovery) settle(addresses []string, now time.Time) {
	if d.known == nil {
		d.known = map[string]*member{}
	}
	for _, address := range addresses {
		one := d.known[address]
		if one == nil {
			one = &member{conns: d.dial(address)}
			d.known[address] = one
		}
		one.gone = time.Time{}
	}
	for address, one := range d.known {
		switch {
		case slices.Contains(addresses, address):
		case one.gone.IsZero():
			one.gone = now
		case now.Sub(one.gone) > retireAfter:
			one.close(d.pool.name)
			delete(d.known, address)
		}
	}
	there := d.addresses()
	slices.Sort(there)
	conns := make([]*carrier, 0, len(there))
	for _, address := range there {
		conns = append(conns, d.known[address].conns...)
	}
	if !slices.Equal(conns, d.pool.all()) {
		d.pool.conns.Store(&conns)
	}
}

func (d *discovery) close() {
	for _, one := range d.known {
		one.close(d.pool.name)
	}
}

func (m *member) close(peer string) {
	for _, conn := range m.conns {
		if err := conn.Close(); err != nil {
			slog.Warn("closing a connection failed", "peer", peer, "error", err)
		}
	}
}
