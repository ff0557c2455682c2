package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// dialTimeout is how long a target may take to accept.
const dialTimeout = 5 * time.Second

// errBusy is why a connection is not made while too many others are.
var errBusy = errors.New("too many connections are being made at once")

// target is what a switch wants a connection to: it can name what is in the plan, and nothing else.
func target(p *plan.Plan, d *grant.Dial) (network, address string, err error) {
	length := func() int {
		switch {
		case p == nil:
			return 0
		case d.Service == grant.Kept:
			return len(p.KeptPorts)
		case d.Service == grant.DNSUDP || d.Service == grant.DNSTCP:
			return len(p.RelayDNS)
		}
		return 0
	}()
	switch {
	case d.Index < 0 || d.Index >= length:
		return "", "", fmt.Errorf("the plan has no target %q number %d", d.Service, d.Index)
	case d.Service == grant.Kept:
		return "tcp", p.KeptPorts[d.Index].Target, nil
	case d.Service == grant.DNSUDP:
		return "udp", p.RelayDNS[d.Index].String(), nil
	}
	return "tcp", p.RelayDNS[d.Index].String(), nil
}

// dial connects and returns the connection's descriptor.
func dial(ctx context.Context, network, address string) (fd int, err error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return -1, err
	}
	defer c.Close()
	filer, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return -1, fmt.Errorf("a connection over %s has no descriptor", network)
	}
	f, err := filer.File()
	if err != nil {
		return -1, err
	}
	defer f.Close()
	// A copy of its own: the one in f has a finalizer.
	fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}
