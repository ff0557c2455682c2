package keeper

import (
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
)

// acceptPause is the time between two attempts to accept while the process has no descriptor or no memory left.
const acceptPause = time.Second

// maxAsking is how many more sessions there may be for connections at the keeper's own socket: switches that use up maxSessions must not make
// the keeper look as if it hangs.
const maxAsking = 2

// accept accepts connections until the listener is closed, and refuses them while there are most sessions.
func (l *loop) accept(listener *net.UnixListener, most int) {
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
		peer, notSwitch := l.cfg.Peers.Check(socket)
		if notSwitch != nil && !l.isOwn(peer) {
			l.log.Warn("connection refused", zap.Error(notSwitch))
			refuse(socket, notSwitch)
			continue
		}
		accepted := make(chan error, 1)
		if !l.do(func() { accepted <- l.accepted(socket, peer, notSwitch, most) }) {
			socket.Close()
			return
		}
		if err := <-accepted; err != nil {
			refuse(socket, err)
		}
	}
}

// isOwn reports whether a peer runs as this process's user. It may ask whether the keeper works, even if it may not be a switch.
func (l *loop) isOwn(peer *unix.Ucred) bool { return peer != nil && int(peer.Uid) == l.uid }

// errTooManySessions refuses a connection.
var errTooManySessions = &laterError{fmt.Errorf("too many switches are connected: at most %d", maxSessions)}

// accepted begins a session, unless too many are open. The error notSwitch is why the peer may not be a switch; nil: it may.
func (l *loop) accepted(socket *net.UnixConn, peer *unix.Ucred, notSwitch error, most int) error {
	if len(l.sessions) >= most {
		l.log.Warn("connection refused: too many are open", processField("process", int(peer.Pid), int(peer.Uid)))
		return errTooManySessions
	}
	l.connect(grant.NewConn(socket), int(peer.Pid), int(peer.Uid)).notSwitch = notSwitch
	return nil
}

// refuse sends the reason to a peer that may not connect, and closes the connection.
func (l *loop) refuse(socket *net.UnixConn, cause error) {
	conn := grant.NewConn(socket)
	_ = conn.Send(grant.Message{Fault: &grant.Fault{Text: cause.Error(), Code: l.codeOf(cause)}})
	conn.Close()
}
