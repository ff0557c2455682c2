package podnet

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// quiet is the least time between two signals of Changes: a plugin makes several changes at once, and each reader reads everything again.
const quiet = 50 * time.Millisecond

// Changes signals that the link, its addresses, routes or permanent neighbours may have changed, in the network namespace of the calling thread: a
// signal for any number of changes. The channel closes when ctx ends, or when the netlink socket fails.
func Changes(ctx context.Context, l Link) (<-chan struct{}, error) {
	events, err := openRtnetlink(unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_NEIGH)
	if err != nil {
		return nil, err
	}
	signals := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, events.close)
	go func() {
		defer stop()
		defer close(signals)
		defer events.close()
		for {
			messages, _, err := events.handle.Socket.Receive()
			if err != nil && !isErrno(err, unix.ENOBUFS, unix.EINTR) {
				return
			}
			relevant := err != nil // ENOBUFS: notifications were lost
			for _, m := range messages {
				relevant = relevant || concerns(m.Header.Type, m.Data, l.Index)
			}
			if !relevant {
				continue
			}
			select {
			case signals <- struct{}{}:
			default: // not read yet
			}
			time.Sleep(quiet)
		}
	}()
	return signals, nil
}

// concerns reports whether a notification may be about a change of the link. Most are about the resolution of neighbours, which changes nothing. A
// route names its links in attributes: every one counts.
func concerns(kind uint16, data []byte, index int) bool {
	at := func(offset int) bool {
		return len(data) >= offset+4 && binary.NativeEndian.Uint32(data[offset:]) == uint32(index)
	}
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_DELNEIGH:
		return at(4) // struct ifinfomsg, ifaddrmsg and ndmsg
	case unix.RTM_NEWNEIGH:
		const settled = netlink.NUD_PERMANENT | netlink.NUD_NOARP
		return at(4) && len(data) >= 12 && (binary.NativeEndian.Uint16(data[8:])&settled != 0 || data[10]&netlink.NTF_PROXY != 0)
	}
	return true
}
