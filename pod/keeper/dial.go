package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// dialTimeout is how long a target may take to accept a connection.
const dialTimeout = 5 * time.Second

// maxDials bounds the connections that are being made at once.
const maxDials = 512

var errTooManyDials = fmt.Errorf("too many connections are being made at once: at most %d", maxDials)

// receiveDial connects to a target of the plan, in a goroutine, and sends the switch the descriptor of the connection.
func (l *loop) receiveDial(s *session, d *grant.Dial) {
	resources := l.resources
	to, err := targetOf(resources.plan, d)
	if err != nil {
		_ = s.enqueue(dialFailed(d, err))
		return
	}
	select {
	case resources.dialSlots <- struct{}{}:
	default:
		_ = s.enqueue(dialFailed(d, errTooManyDials))
		return
	}
	go func() {
		answer := dialled(resources.ctx, d, to)
		answer.done = func() { <-resources.dialSlots }
		if !l.do(func() { _ = s.enqueue(answer) }) {
			answer.close(&s.disposal)
		}
	}()
}

// A target is where the plan lets a switch connect to.
type target struct {
	network, address string
	source           netip.Addr // of the connection; the zero Addr: the kernel's choice
}

// targetOf returns a target. A switch can name the targets of its plan, by their index, and no others.
func targetOf(p *plan.Plan, d *grant.Dial) (target, error) {
	length := 0
	switch {
	case p == nil:
	case d.Service == grant.Kept:
		length = len(p.KeptPorts)
	case d.Service == grant.DNSUDP || d.Service == grant.DNSTCP:
		length = len(p.RelayDNS)
	}
	switch {
	case d.Index < 0 || d.Index >= length || d.Service == grant.Kept && p.KeptPorts[d.Index].Direct:
		return target{}, fmt.Errorf("the plan has no target %q number %d", d.Service, d.Index)
	case d.Service == grant.Kept:
		k := p.KeptPorts[d.Index]
		return target{k.Network, k.Target, k.Source}, nil
	case d.Service == grant.DNSUDP:
		return target{network: "udp", address: p.RelayDNS[d.Index].String()}, nil
	}
	return target{network: "tcp", address: p.RelayDNS[d.Index].String()}, nil
}

// local returns the local end of a connection to the target; nil: the kernel's choice.
func (t *target) local() net.Addr {
	switch {
	case !t.source.IsValid():
		return nil
	case t.network == "udp":
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.source, 0))
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.source, 0))
}

// dialled connects, and returns the answer.
func dialled(ctx context.Context, d *grant.Dial, to target) outgoing {
	fd, err := dial(ctx, to)
	if err != nil {
		return dialFailed(d, err)
	}
	return outgoing{Message: grant.Message{Dialled: &grant.Dialled{ID: d.ID}}, files: []int{fd}}
}

func dialFailed(d *grant.Dial, err error) outgoing {
	return outgoing{Message: grant.Message{Dialled: &grant.Dialled{ID: d.ID, Err: err.Error()}}}
}

// dial returns the descriptor of a new connection, which the caller owns.
func dial(ctx context.Context, to target) (fd int, err error) {
	dialer := net.Dialer{Timeout: dialTimeout, LocalAddr: to.local()}
	c, err := dialer.DialContext(ctx, to.network, to.address)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	filer, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return -1, errors.New("dial " + to.network + ": the connection has no descriptor")
	}
	f, err := filer.File()
	if err != nil {
		return -1, err
	}
	defer f.Close()
	// A copy, because a finalizer closes the descriptor of f.
	fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}
