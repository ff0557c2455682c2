package stack

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"go.uber.org/zap"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// dnsMaxQueries bounds the questions over UDP without an answer: a forwarder in the guest may have 150 at once (dnsmasq, --dns-forward-max).
// Hostile ones take 30 MiB for five seconds (doc.go).
const dnsMaxQueries = 160

// A udpRelay relays questions over UDP to one address of the endpoint: one goroutine reads, and each question has one until it is answered.
type udpRelay struct {
	*dnsRelay
	socket  *gonet.UDPConn
	buffers sync.Pool // of *[maxDatagram]byte
}

// relayUDP relays questions until the socket is closed.
func (d *dnsRelay) relayUDP(socket *gonet.UDPConn) {
	u := &udpRelay{dnsRelay: d, socket: socket}
	u.buffers.New = func() any { return new([maxDatagram]byte) }
	u.read()
}

// read reads questions until the socket is closed.
func (u *udpRelay) read() {
	log := u.endpoint.log
	message := make([]byte, maxDatagram)
	for {
		n, guest, err := u.socket.ReadFrom(message)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			log.Warn("DNS question not read", zap.Error(err))
		case isQuery(message[:n]):
			query := append([]byte(nil), message[:n]...)
			select {
			case u.slots <- struct{}{}:
				u.start(guest, query)
			default:
				log.Warn("DNS question dropped: too many")
			}
		}
	}
}

// start answers one question in a new goroutine, which releases the slot.
func (u *udpRelay) start(guest net.Addr, query []byte) {
	err := u.endpoint.startTask(func() {
		defer func() { <-u.slots }()
		u.answer(guest, query)
	})
	if err != nil {
		<-u.slots
	}
}

// answer asks the servers and sends the first answer.
func (u *udpRelay) answer(guest net.Addr, query []byte) {
	reply, err := u.firstAnswer(u.ask, query)
	if err == nil {
		_, err = u.socket.WriteTo(reply, guest)
	}
	if err != nil && u.endpoint.ctx.Err() == nil {
		u.endpoint.log.Warn("DNS question not answered", zap.Error(err))
	}
}

// ask is an asker over UDP. It ignores replies to other questions.
func (u *udpRelay) ask(ctx context.Context, server int, query []byte) ([]byte, error) {
	conn, release, err := u.dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buffer := u.buffers.Get().(*[maxDatagram]byte)
	defer u.buffers.Put(buffer)
	for {
		n, err := conn.Read(buffer[:])
		if err != nil {
			return nil, err
		}
		if answers(buffer[:n], query) {
			return append([]byte(nil), buffer[:n]...), nil
		}
	}
}
