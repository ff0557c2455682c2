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
	UIDs    []int  // users, as numbers in this process's user namespace; empty: root, and this process's own
	Foreign bool   // allow a process namespace that this process cannot see, as of another container
	Command string // that has the flags for both, such as "podswitch keeper", for messages; empty: none has
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
		allowed = slices.Compact([]int{0, os.Geteuid()})
	}
	if !slices.Contains(allowed, int(peer.Uid)) {
		return peer, &missing.Error{What: fmt.Sprintf("connect with user %d", peer.Uid), Need: fmt.Sprintf("one of the users %d", allowed),
			Give: p.remedy("run both as the same user", fmt.Sprintf("--peer-uid %d, or runAsUser of the other container", peer.Uid))}
	}
	if peer.Pid == 0 && !p.Foreign { // outside this process namespace (pid_namespaces(7))
		return peer, &missing.Error{What: "connect with " + unixsocket.Describe(0, int(peer.Uid)), Need: "a process of this process (PID) namespace",
			Give: p.remedy("start it in the same container", "--peer-pid-namespace any, or shareProcessNamespace: true of the pod")}
	}
	return peer, nil
}

// remedy returns the remedy with the flags of Command, or the one without flags.
func (p Peers) remedy(without, with string) string {
	if p.Command == "" {
		return without
	}
	return p.Command + " " + with
}
