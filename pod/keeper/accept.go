package keeper

import (
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// acceptPause is the time between two attempts to accept while the process has no descriptor or no memory left.
const acceptPause = time.Second

// accept accepts connections until the listener is closed.
func (l *loop) accept(listener *net.UnixListener) {
	refusals := make(chan struct{}, maxSessions) // bounds the goroutines that close a connection, which takes some time if its queue has descriptors
	refuse := func(socket *net.UnixConn, cause error) {
		refusals <- struct{}{}
		go func() {
			l.refuse(socket, cause)
			<-refusals
		}()
	}
	for {
		socket, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.log.Warn("connection not accepted", zap.Error(err))
			time.Sleep(acceptPause)
			continue
		}
		peer, err := l.cfg.Peers.Check(socket)
		if err != nil {
			l.log.Warn("connection refused", zap.Error(err))
			refuse(socket, err)
			continue
		}
		accepted := make(chan error, 1)
		if !l.do(func() { accepted <- l.accepted(socket, int(peer.Pid), int(peer.Uid)) }) {
			socket.Close()
			return
		}
		if err := <-accepted; err != nil {
			refuse(socket, err)
		}
	}
}

// errTooManySessions refuses a connection.
var errTooManySessions = fmt.Errorf("too many switches are connected: at most %d", maxSessions)

// accepted begins a session, unless too many are open.
func (l *loop) accepted(socket *net.UnixConn, pid, uid int) error {
	if len(l.sessions) >= maxSessions {
		l.log.Warn("connection refused: too many are open", processField("process", pid, uid))
		return errTooManySessions
	}
	l.connect(grant.NewConn(socket), pid, uid)
	return nil
}

// refuse sends the reason to a peer that may not connect, and closes the connection.
func (l *loop) refuse(socket *net.UnixConn, cause error) {
	conn := grant.NewConn(socket)
	_ = conn.Send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: l.cfg.ExitCode(cause)}})
	conn.Close()
}
