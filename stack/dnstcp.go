package stack

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// dnsMaxConns bounds the guest's TCP connections to the relay.
const dnsMaxConns = 16

// serveConn relays the questions of one connection, one after the other (RFC 7766, section 6.2.1), until the guest ends
// it, leaves it idle, or asks what no server answers.
func (r *dnsRelay) serveConn(accept func() (*conn, error)) {
	guest, err := accept()
	if err != nil {
		return
	}
	defer guest.Close()
	stop := context.AfterFunc(r.endpoint.ctx, guest.reset)
	defer stop()
	for {
		_ = guest.SetDeadline(time.Now().Add(dnsTimeout))
		query, err := readMessage(guest)
		if err != nil || !isQuery(query) {
			return
		}
		reply, err := r.firstAnswer(r.askTCP, query)
		if err != nil {
			if r.endpoint.ctx.Err() == nil {
				r.endpoint.log.Warn("DNS question not answered", zap.Error(err))
			}
			return
		}
		_ = guest.SetDeadline(time.Now().Add(dnsTimeout))
		if err := writeMessage(guest, reply); err != nil {
			return
		}
	}
}

// askTCP is an asker over TCP, with a connection for each question: the guest's resolver comes here only for what does not
// fit a datagram.
func (r *dnsRelay) askTCP(ctx context.Context, server int, query []byte) ([]byte, error) {
	conn, release, err := r.dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := writeMessage(conn, query); err != nil {
		return nil, err
	}
	reply, err := readMessage(conn)
	if err != nil {
		return nil, err
	}
	if !answers(reply, query) {
		return nil, errors.New("the reply belongs to another question")
	}
	return reply, nil
}
