package grant

import (
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/host/unixsocket"
)

// Peers are the processes that may be at the other end of a session. The zero value allows root and this process's own user, in a
// process namespace that this process can see.
type Peers struct {
	UIDs    []int // users, as numbers in this process's user namespace; empty: root, and this process's own
	Foreign bool  // allow a process namespace that this process cannot see, as of another container
}

// Check returns the credentials of the process at the other end (unixsocket.Peer). The error is a *missing.Error if that process
// is not allowed; the credentials are returned with it.
func (p Peers) Check(socket *net.UnixConn) (*unix.Ucred, error) {
	peer, err := unixsocket.Peer(socket)
	if err != nil {
		return nil, err
	}
	allowed := p.UIDs
	if len(allowed) == 0 {
		allowed = []int{0, os.Geteuid()}
	}
	if !slices.Contains(allowed, int(peer.Uid)) {
		return peer, &missing.Error{What: fmt.Sprintf("connect with user %d", peer.Uid), Need: fmt.Sprintf("one of the users %d", allowed),
			Give: "allow the user with --peer-uid"}
	}
	if peer.Pid == 0 && !p.Foreign { // outside this process namespace (pid_namespaces(7))
		return peer, &missing.Error{What: "connect with a process of a foreign process namespace", Need: "a process that this process can see",
			Give: "share the process namespace, or allow others with --peer-pid-namespace any"}
	}
	return peer, nil
}
