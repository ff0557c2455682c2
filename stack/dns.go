package stack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Relaying DNS. A name server on the pod's loopback is out of a guest's reach, so the guest asks the endpoint's address,
// and the server is asked on its behalf. Messages pass as they are; the relay reads no more than the identifier and the QR bit
// of a header (RFC 1035, section 4.1.1).
//
// Every question goes out over a connection of its own, which whoever relays dials: for a connected UDP socket the kernel picks
// a random port, and takes replies only from the server that it is connected to.

// dnsPort is the port of DNS, over UDP and TCP.
const dnsPort = 53

// dnsTimeout is how long all servers together may take to answer one question, and how long a guest may leave a TCP
// connection idle.
const dnsTimeout = 5 * time.Second

// dnsHeaderSize is the length of a DNS header in bytes.
const dnsHeaderSize = 12

// A DNSDialer connects to the name server with this index, over "udp" or "tcp". It is called for each question, from up to 80
// goroutines at once, and returns soon after ctx ends. What it returns belongs to the endpoint. Over UDP it has to keep
// datagrams apart and to take only the server's, as a connected socket does.
type DNSDialer func(ctx context.Context, network string, server int) (net.Conn, error)

// RelayDNS answers port 53, over UDP and TCP, with what servers say, until Close; dial reaches them. Each question goes to the
// first server, and to the next one when that one does not answer. At most 64 questions over UDP and 16 connections over TCP are
// served at once: further ones are dropped and refused. It returns an error when there is no server or no dial, or the port
// is taken, and net.ErrClosed after Close.
func (e *Endpoint) RelayDNS(servers []netip.AddrPort, dial DNSDialer) error {
	if len(servers) == 0 || dial == nil {
		return errors.New("relay DNS: want at least one server, and a function that dials")
	}
	for _, server := range servers {
		if !server.IsValid() || server.Port() == 0 || server.Addr().Unmap() == e.cfg.Address {
			return fmt.Errorf("relay DNS: server %s: want an address, other than %s, and a port", server, e.cfg.Address)
		}
	}
	r := &dnsRelay{endpoint: e, servers: append([]netip.AddrPort(nil), servers...), dialer: dial}
	if err := e.serveUDP(e.full(dnsPort), r.relayUDP); err != nil {
		return fmt.Errorf("relay DNS over UDP: %w", err)
	}
	if err := e.serveTCP(dnsPort, limits{conns: dnsMaxConns}, r.serveConn); err != nil {
		return fmt.Errorf("relay DNS over TCP: %w", err)
	}
	return nil
}

// dnsRelay asks servers on a guest's behalf.
type dnsRelay struct {
	endpoint *Endpoint
	servers  []netip.AddrPort // not changed
	dialer   DNSDialer
}

// asker sends query to the server with this index and returns its reply.
type asker func(ctx context.Context, server int, query []byte) ([]byte, error)

// firstAnswer asks the servers in order. Each gets an equal share of the time that is left.
func (r *dnsRelay) firstAnswer(ask asker, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(r.endpoint.ctx, dnsTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var failures []error
	for i, server := range r.servers {
		share := time.Until(deadline) / time.Duration(len(r.servers)-i)
		turn, cancel := context.WithTimeout(ctx, share)
		reply, err := ask(turn, i, query)
		cancel()
		if err == nil {
			return reply, nil
		}
		failures = append(failures, fmt.Errorf("server %s: %w", server, err))
	}
	return nil, errors.Join(failures...)
}

// dial connects to a server. The end of ctx fails reads and writes; the caller calls release.
func (r *dnsRelay) dial(ctx context.Context, network string, server int) (conn net.Conn, release func(), err error) {
	conn, err = r.dialer(ctx, network, server)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() {
		stop()
		_ = conn.Close()
	}, nil
}

// isQuery tells whether a message from the guest is one to ask about.
func isQuery(message []byte) bool {
	return len(message) >= dnsHeaderSize && message[2]&0x80 == 0
}

// answers tells whether reply is one to query.
func answers(reply, query []byte) bool {
	return len(reply) >= dnsHeaderSize && reply[2]&0x80 != 0 && reply[0] == query[0] && reply[1] == query[1]
}

// readMessage reads a message behind its length, as TCP carries it (RFC 1035, section 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// writeMessage writes what readMessage reads, at once.
func writeMessage(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}
