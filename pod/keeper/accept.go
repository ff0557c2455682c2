package keeper

import (
	"errors"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/pod/grant"
)

// acceptPause is the time between two attempts to accept while the process has no descriptor or no memory left.
const acceptPause = time.Second

// accept accepts connections until the listener is closed.
func (l *loop) accept(listener *net.UnixListener) {
	refusals := make(chan struct{}, maxSessions) // closing a connection may block, because of descriptors in its queue
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
			refusals <- struct{}{}
			go func() {
				l.refuse(socket, err)
				<-refusals
			}()
			continue
		}
		if !l.do(func() { l.accepted(socket, int(peer.Pid), int(peer.Uid)) }) {
			socket.Close()
		}
	}
}

// accepted begins a session, unless too many are open.
func (l *loop) accepted(socket *net.UnixConn, pid, uid int) {
	if len(l.sessions) >= maxSessions {
		l.log.Warn("connection refused: too many are open", zap.Int("process", pid))
		go socket.Close() // it may block
		return
	}
	l.connect(grant.NewConn(socket), pid, uid)
}

// refuse sends the reason to a peer that may not connect, and closes the connection.
func (l *loop) refuse(socket *net.UnixConn, cause error) {
	conn := grant.NewConn(socket)
	_ = conn.Send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: l.cfg.ExitCode(cause)}})
	conn.Close()
}
