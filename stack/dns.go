package stack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"
)

// The DNS relay. A guest cannot reach a name server on the pod's loopback, so it asks the endpoint's address, and the relay asks the
// server. Messages pass unchanged; the relay reads only the identifier and the QR bit of the header (RFC 1035, section 4.1.1).
//
// Each question has its own connection: the kernel chooses a random port for a connected UDP socket, and delivers only datagrams
// of the server that it is connected to.

// dnsPort is the port of DNS, over UDP and TCP.
const dnsPort = 53

// dnsTimeout bounds the time for an answer, over all servers, and the time that a TCP connection of the guest may be idle.
const dnsTimeout = 5 * time.Second

// dnsHeaderSize is the length of a DNS header in bytes.
const dnsHeaderSize = 12

// A DNSDialer connects to the name server with this index in the argument of RelayDNS. The network is "udp" or "tcp". It is called for
// each question, by up to 80 goroutines at a time, and must return soon after ctx is done. The connection belongs to the endpoint. Over
// UDP it must preserve message boundaries and deliver only the server's datagrams, as a connected socket does.
type DNSDialer func(ctx context.Context, network string, server int) (net.Conn, error)

// RelayDNS relays questions at port 53, over UDP and TCP, to the servers until Close. A question goes to the first server, and to the
// next one if there is no answer; all servers together have five seconds. At most 160 questions over UDP and 16 connections over TCP
// are served at a time: further questions are dropped, and connections refused. RelayDNS returns at once: an error if servers is empty
// or has an invalid address, if dial is nil or the port is in use, and net.ErrClosed after Close.
func (e *Endpoint) RelayDNS(servers []netip.AddrPort, dial DNSDialer) error {
	if len(servers) == 0 || dial == nil {
		return errors.New("relay DNS: want at least one server and a DNSDialer")
	}
	for _, server := range servers {
		if !server.IsValid() || server.Port() == 0 || slices.Contains(e.cfg.addresses(), server.Addr().Unmap()) {
			return fmt.Errorf("relay DNS: server %s: want an address, other than %v, and a port", server, e.cfg.addresses())
		}
	}
	d := &dnsRelay{endpoint: e, servers: append([]netip.AddrPort(nil), servers...), dialer: dial, slots: make(chan struct{}, dnsMaxQueries)}
	for _, a := range e.cfg.addresses() {
		if err := e.serveUDP(full(netip.AddrPortFrom(a, dnsPort)), d.relayUDP); err != nil {
			return fmt.Errorf("relay DNS over UDP: %w", err)
		}
	}
	if err := e.serveTCP(dnsPort, limits{conns: dnsMaxConns}, d.serveConn); err != nil {
		return fmt.Errorf("relay DNS over TCP: %w", err)
	}
	return nil
}

// A dnsRelay relays questions to servers.
type dnsRelay struct {
	endpoint *Endpoint
	servers  []netip.AddrPort // read-only
	dialer   DNSDialer
	slots    chan struct{} // one value for each question over UDP without an answer, whichever address it was sent to
}

// An asker sends query to the server with this index and returns its reply.
type asker func(ctx context.Context, server int, query []byte) ([]byte, error)

// firstAnswer asks the servers in order. Each gets an equal share of the remaining time.
func (d *dnsRelay) firstAnswer(ask asker, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.endpoint.ctx, dnsTimeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var failures []error
	for i, server := range d.servers {
		share := time.Until(deadline) / time.Duration(len(d.servers)-i)
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

// dial connects to a server. Reads and writes fail when ctx is done. The caller calls release when it is done.
func (d *dnsRelay) dial(ctx context.Context, network string, server int) (conn net.Conn, release func(), err error) {
	conn, err = d.dialer(ctx, network, server)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() {
		stop()
		_ = conn.Close()
	}, nil
}

// isQuery reports whether a message has a header with QR = 0.
func isQuery(message []byte) bool {
	return len(message) >= dnsHeaderSize && message[2]&0x80 == 0
}

// answers reports whether reply has QR = 1 and the identifier of query.
func answers(reply, query []byte) bool {
	return len(reply) >= dnsHeaderSize && reply[2]&0x80 != 0 && reply[0] == query[0] && reply[1] == query[1]
}

// readMessage reads a message with its length prefix (RFC 1035, section 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// writeMessage writes a message with its length prefix, in one Write.
func writeMessage(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}
