package podnet

// This file is a thin layer over an rtnetlink socket (rtnetlink(7)). Addresses, routes and neighbours are encoded and decoded in
// address_codec.go, route_codec.go and neighbour.go instead of by the netlink package. That package's types drop attributes silently
// (an address's metric, a neighbour's protocol, a route's nexthop object), and a dropped attribute could not be restored.

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dumpTries bounds how often a dump is repeated that the kernel marked as interrupted (NLM_F_DUMP_INTR).
const dumpTries = 20

// answerSeconds bounds the time to send a request and the time to receive its answer, each.
const answerSeconds = 10

// An rtnetlink is a socket in the network namespace of the thread that opened it. Any thread may use it, one at a time.
type rtnetlink struct {
	handle *nl.SocketHandle
}

// openRtnetlink opens a socket for requests. With multicast groups, the socket receives their notifications instead, without a timeout.
func openRtnetlink(groups ...uint) (*rtnetlink, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("open an rtnetlink socket: %w", err)
	}
	// Only the texts of errors depend on it; kernels before 4.12 lack it.
	_ = socket.SetExtAck(true)
	if len(groups) == 0 {
		timeout := unix.Timeval{Sec: answerSeconds}
		err = errors.Join(socket.SetSendTimeout(&timeout), socket.SetReceiveTimeout(&timeout))
		if err != nil {
			socket.Close()
			return nil, fmt.Errorf("set the timeouts of an rtnetlink socket: %w", err)
		}
	}
	return &rtnetlink{&nl.SocketHandle{Socket: socket}}, nil
}

// close frees the socket and ends a pending receive.
func (c *rtnetlink) close() { c.handle.Close() }

func (c *rtnetlink) request(kind, flags int, parts []nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: c.handle}
	for _, p := range parts {
		req.AddData(p)
	}
	return req
}

// do requests one change and waits for the acknowledgement.
func (c *rtnetlink) do(kind, flags int, parts []nl.NetlinkRequestData) error {
	_, err := c.request(kind, flags|unix.NLM_F_ACK, parts).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// dump lists all objects of one kind.
func (c *rtnetlink) dump(kind int, answer uint16, header nl.NetlinkRequestData) ([][]byte, error) {
	return retryDump(func() ([][]byte, error) {
		return c.request(kind, unix.NLM_F_DUMP, []nl.NetlinkRequestData{header}).Execute(unix.NETLINK_ROUTE, answer)
	})
}

// retryDump repeats a dump that a concurrent change interrupted: the list may lack entries
// (Documentation/userspace-api/netlink/intro.rst, "Dump consistency").
func retryDump[T any](list func() ([]T, error)) ([]T, error) {
	var err error
	for range dumpTries {
		var messages []T
		if messages, err = list(); !errors.Is(err, nl.ErrDumpInterrupted) {
			return messages, err
		}
	}
	return nil, fmt.Errorf("the kernel's tables changed during each of %d dumps: %w", dumpTries, err)
}
