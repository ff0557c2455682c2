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

// dnsMaxQueries bounds the questions over UDP that wait for an answer.
const dnsMaxQueries = 64

// udpRelay relays questions over UDP: one goroutine reads, and each question has its own until it is answered.
type udpRelay struct {
	*dnsRelay
	socket  *gonet.UDPConn
	waiting chan struct{} // a place for each question that waits
	buffers sync.Pool     // of *[maxDatagram]byte
}

// relayUDP relays what comes to socket until it is closed.
func (r *dnsRelay) relayUDP(socket *gonet.UDPConn) {
	u := &udpRelay{dnsRelay: r, socket: socket, waiting: make(chan struct{}, dnsMaxQueries)}
	u.buffers.New = func() any { return new([maxDatagram]byte) }
	u.read()
}

// read takes questions until the socket is closed.
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
			case u.waiting <- struct{}{}:
				u.start(guest, query)
			default:
				log.Warn("too many DNS questions at once: dropped one")
			}
		}
	}
}

// start answers one question on its own goroutine, which gives its place back.
func (u *udpRelay) start(guest net.Addr, query []byte) {
	err := u.endpoint.run(func() {
		defer func() { <-u.waiting }()
		u.answer(guest, query)
	})
	if err != nil {
		<-u.waiting
	}
}

// answer asks the servers and sends what the first one says.
func (u *udpRelay) answer(guest net.Addr, query []byte) {
	reply, err := u.firstAnswer(u.ask, query)
	if err == nil {
		_, err = u.socket.WriteTo(reply, guest)
	}
	if err != nil && u.endpoint.ctx.Err() == nil {
		u.endpoint.log.Warn("DNS question not answered", zap.Error(err))
	}
}

// ask is an asker over UDP. Replies that belong to another question are passed over.
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
