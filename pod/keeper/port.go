package keeper

import (
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
)

// errUplinkGone ends a run: the guest has no network without the pod interface.
var errUplinkGone = errors.New("the pod interface has disappeared")

// A portSpec describes a port. It does not change.
type portSpec struct {
	name    string // as status shows it
	spec    hypervisor.Attachment
	offload bool           // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
	mtu     int            // for a tap: MTU that its kernel side gets; 0: it keeps its own
	owner   int            // user id that a socket is given to; -1: this process's own
	guest   bool           // the device may appear later, and the pod's kernel is kept out of it
	uplink  *podnet.Link   // the pod interface; nil: the port is another one
	egress  *podnet.Egress // the way out of the pod's own processes, which is configured each time that the tap is open; nil: the port is another one
	types   []uint16       // ethertypes that a packet socket receives; nil: all
	own     bool           // a packet socket receives only frames that the pod's kernel would take
}

// explain names the flag that the port comes from.
func (s *portSpec) explain(err error) error {
	switch {
	case s.guest:
		return fmt.Errorf("--guest %s: %w", s.spec, err)
	case s.uplink == nil && s.egress == nil:
		return fmt.Errorf("--port %s: %w", s.spec, err)
	}
	return err // the error names the pod interface
}

// A port is what the loop has of a port.
type port struct {
	portSpec
	handle *handle // nil: the device is not there
	opener *opener // nil: lent to a goroutine that opens the port again
	whole  *opener // the same one, also while it is lent
	log    *zap.Logger
}

func newPort(s portSpec, log *zap.Logger) *port {
	o := &opener{portSpec: s, log: log, limit: rate.NewLimiter(rate.Every(reopenRefill), reopenBurst)}
	return &port{portSpec: s, log: log, opener: o, whole: o}
}

// lend returns the opener for a goroutine, which gives it back with its result; nil: another goroutine has it. It begins to revoke the device of
// the port, which that goroutine awaits, and drops then.
func (p *port) lend() (o *opener) {
	if p.opener != nil && p.handle != nil {
		p.startRevoking()
	}
	o, p.opener = p.opener, nil
	return o
}

// drop closes a device, because a tap cannot be opened twice (EBUSY), and a socket that is shut down.
func (p *port) drop(h *handle) {
	switch {
	case h == nil || p.handle != h:
	case h.socket == nil:
		_ = h.close()
		p.handle = nil
	case h.isShutDown():
		h.closeShutDown()
		p.handle = nil
	}
}

// isRevocable reports whether the device is one that startRevoking takes from the switches.
func (p *port) isRevocable() bool {
	return p.handle != nil && p.handle.device != nil && (p.spec.Kind == hypervisor.KindPacket || p.egress != nil)
}

// isOpen reports whether the port has a device or socket that a switch may use: none that is being revoked.
func (p *port) isOpen() bool { return p.handle != nil && p.handle.revocation == nil }

// startRevoking begins to take a packet socket that the keeper has opened, and the way out of the pod's processes, from the switches that have a
// copy of its descriptor (tap.Device.Revoke). A switch that keeps its copy would keep megabytes of the kernel's memory with it, and could answer
// for the pod, or keep its routes. An inherited socket may be in use elsewhere: the revocation stays nil.
func (p *port) startRevoking() {
	h := p.handle
	if h == nil || h.revocation != nil || !p.isRevocable() {
		return
	}
	device := *h.device
	if p.egress == nil {
		h.revocation = startRevocation(device.Revoke)
		return
	}
	h.revocation = startRevocation(func() error {
		if err := podnet.RemoveTap(device.FD); err != nil {
			p.log.Warn("the way out of the pod's own processes is not removed", zap.Error(err))
		}
		return nil
	})
}

// revoke revokes the device, and waits for that. The error wraps errNotRevoked.
func (p *port) revoke(limit time.Duration) error {
	p.startRevoking()
	if p.handle == nil {
		return nil
	}
	if err := p.handle.revocation.wait(limit); err != nil {
		return &revocationError{fmt.Errorf("%v: %w", p.spec, err), p.handle.revocation}
	}
	return nil
}

// renew revokes a packet socket that the keeper has opened, or the way out of the pod's own processes, and opens another one in its place, after a switch
// has ended unasked: that may have been broken into, keep its copy, or have set the options of the socket for all. What is in the queue is lost, and
// its senders repeat it. Without another device the next switch asks for one. The error wraps errNotRevoked, and there is another device
// nevertheless. A socket stays, with the peers that wait at it, unless the switch has shut it down for all.
func (p *port) renew() error {
	switch {
	case p.handle != nil && p.handle.isShutDown():
		p.bindAgain()
		return nil
	case p.opener == nil || !p.isRevocable():
		return nil
	case p.egress == nil:
		return p.exchange(p.openAnother())
	}
	err := p.exchange(nil) // two taps cannot have one name
	p.handle = p.openAnother()
	return err
}

// renewIfPossible is renew for a switch that has a copy of the descriptor already: a packet socket stays if there is no other one, because a revoked one
// reports no error, and the switch would not ask for another.
func (p *port) renewIfPossible() error {
	if p.opener == nil || !p.isRevocable() || p.egress != nil {
		return p.renew()
	}
	if h := p.openAnother(); h != nil {
		return p.exchange(h)
	}
	return nil
}

// exchange revokes and drops the device, and puts another one, which may be nil, in its place. The error is that of revoke.
func (p *port) exchange(h *handle) error {
	err := p.revoke(revokePatience)
	p.drop(p.handle)
	p.handle = h
	return err
}

// openAnother opens the port beside the device that it has, or returns nil.
func (p *port) openAnother() *handle {
	if p.uplink != nil && !p.opener.findUplink() {
		return nil
	}
	h, err := p.opener.openOnce()
	if err != nil {
		p.log.Warn("device not opened again", zap.Stringer("port", p.spec), zap.Error(err))
		return nil
	}
	return h
}

// bindAgain replaces a socket with a file that a switch has shut down. Peers that wait at it connect again.
func (p *port) bindAgain() {
	p.handle.closeShutDown()
	p.handle = nil
	if p.opener == nil { // its goroutine opens the port
		return
	}
	h, err := p.opener.openOnce()
	if err != nil {
		p.log.Warn("socket not opened again", zap.Stringer("port", p.spec), zap.Error(err))
		return
	}
	p.log.Warn("a switch has shut its socket down, which is replaced", zap.Stringer("port", p.spec))
	p.handle = h
}

// closeShutDown closes a socket that is shut down, with the peers that wait at it.
func (h *handle) closeShutDown() {
	_ = h.file.Close()
	// Other processes may hold up the end of what waits.
	go func() { _ = grant.CloseFiles(append(waitingPeers(h.socket.FD), h.socket.FD)) }()
}

// waitingPeers accepts the connections in the backlog of a socket that is shut down, which does not block then.
func waitingPeers(fd int) (files []int) {
	for {
		peer, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return files
		}
		files = append(files, peer)
	}
}

// replace puts a new handle in the place of the old one, if there is one.
func (p *port) replace(h *handle) {
	if p.handle != nil {
		_ = p.handle.close()
	}
	p.handle = h
}

// close closes everything, also a lent opener. Its goroutine abandons what it opens after that.
func (p *port) close() (err error) {
	if p.handle != nil {
		err = p.revoke(revokeLimit)
		err, p.handle = errors.Join(err, p.handle.close()), nil
	}
	p.whole.close()
	return err
}

// A handle is the keeper's descriptor of an open device or socket. It stays open as long as there is a switch, because another
// switch may take over.
type handle struct {
	device     *tap.Device      // nil: a socket
	socket     *unixport.Socket // nil: a device
	file       io.Closer        // removes the file of a socket; nil: it has none
	fence      io.Closer        // of the way out of the pod's own processes; nil: it has none
	revocation *revocation      // nil: it has not begun; a second one would fail
}

func (h *handle) fd() int {
	if h.device != nil {
		return h.device.FD
	}
	return h.socket.FD
}

// isShutDown reports whether a socket with a file receives nothing any more, or a datagram socket sends nothing: any process that has a copy of its
// descriptor can do that (shutdown(2)), and nothing reverses it.
func (h *handle) isShutDown() bool {
	if h.socket == nil || h.file == nil {
		return false
	}
	polls := []unix.PollFd{{Fd: int32(h.socket.FD), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(polls, 0)
	if err == nil && n > 0 && polls[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) != 0 {
		return true
	}
	// poll(2) does not report the other direction, which a listening socket does not use. Nothing has the address.
	return !h.socket.Listening && unix.Sendto(h.socket.FD, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: "/dev/null/none"}) == unix.EPIPE
}

// close removes the file before it closes the descriptor, so that no peer connects to a socket that does not accept.
func (h *handle) close() (err error) {
	if h.file != nil {
		err = h.file.Close()
	}
	err = errors.Join(err, h.revocation.then(func() error { return grant.CloseFiles([]int{h.fd()}) }))
	if h.fence != nil {
		err = errors.Join(err, h.fence.Close())
	}
	return err
}
