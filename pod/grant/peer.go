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

// Peers say who may be at the other end of a conversation.
type Peers struct {
	UIDs    []int // as this process's user namespace has them; none: root, and this process's own
	Foreign bool  // the other side may be in a process namespace that this one cannot see, as in another container
}

// Check returns who is at the other end (unixsocket.Peer). The error is a *missing.Error for one who must not be there.
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
		return peer, &missing.Error{What: fmt.Sprintf("speak with user %d", peer.Uid), Need: fmt.Sprintf("one of the users %d", allowed),
			Give: "allow the user with --peer-uid"}
	}
	if peer.Pid == 0 && !p.Foreign {
		return peer, &missing.Error{What: "speak with a process of a foreign process namespace", Need: "one that this process can see",
			Give: "share the process namespace, or allow others with --peer-pid-namespace any"}
	}
	return peer, nil
}
