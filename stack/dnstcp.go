package stack

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// dnsMaxConns bounds the TCP connections to the relay.
const dnsMaxConns = 16

// serveConn relays the questions of one connection in order (RFC 7766, section 6.2.1). It closes the connection when it is idle for
// dnsTimeout, and when no server answers a question.
func (d *dnsRelay) serveConn(t *attempt) {
	guest, err := t.accept()
	if err != nil {
		return
	}
	defer guest.Close()
	stop := context.AfterFunc(d.endpoint.ctx, guest.reset)
	defer stop()
	for {
		_ = guest.SetDeadline(time.Now().Add(dnsTimeout))
		query, err := readMessage(guest)
		if err != nil || !isQuery(query) {
			return
		}
		reply, err := d.firstAnswer(d.askTCP, query)
		if err != nil {
			if d.endpoint.ctx.Err() == nil {
				d.endpoint.log.Warn("DNS question not answered", zap.Error(err))
			}
			return
		}
		_ = guest.SetDeadline(time.Now().Add(dnsTimeout))
		if err := writeMessage(guest, reply); err != nil {
			return
		}
	}
}

// askTCP is an asker over TCP. It makes a connection for each question: resolvers use TCP only for answers that do not fit a datagram.
func (d *dnsRelay) askTCP(ctx context.Context, server int, query []byte) ([]byte, error) {
	conn, release, err := d.dial(ctx, "tcp", server)
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
		return nil, errors.New("the reply is not to this question")
	}
	return reply, nil
}
