package podnet

// This file is the thin layer over an rtnetlink socket. Messages are decoded and encoded here, in address.go, route.go
// and neighbour.go, rather than by the netlink package's own types: those lose attributes without a word (an address's
// metric, a neighbour's protocol, a route's nexthop object), and what is lost cannot be given back.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dumpTries bounds how often a dump is repeated that the kernel marked as interrupted (NLM_F_DUMP_INTR).
const dumpTries = 20

// answerSeconds is how long the kernel may take for one answer.
const answerSeconds = 10

// rtnetlink is a socket in the network namespace of the thread that opened it; it may be used from any thread.
type rtnetlink struct {
	handle *nl.SocketHandle
}

// openRtnetlink opens a socket for requests, or, given multicast groups, one that receives their messages.
func openRtnetlink(groups ...uint) (*rtnetlink, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("open an rtnetlink socket: %w", err)
	}
	// The kernel's own words in errors are a comfort; kernels before 4.12 do without.
	_ = socket.SetExtAck(true)
	if len(groups) == 0 {
		timeout := unix.Timeval{Sec: answerSeconds}
		err = errors.Join(socket.SetSendTimeout(&timeout), socket.SetReceiveTimeout(&timeout))
		if err != nil {
			socket.Close()
			return nil, fmt.Errorf("set up an rtnetlink socket: %w", err)
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

// do sends one change and waits for its acknowledgement.
func (c *rtnetlink) do(kind, flags int, parts []nl.NetlinkRequestData) error {
	_, err := c.request(kind, flags|unix.NLM_F_ACK, parts).Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// dump lists objects, again when a change interrupted the kernel's walk, because the list may then lack entries.
func (c *rtnetlink) dump(kind int, answer uint16, header nl.NetlinkRequestData) ([][]byte, error) {
	return retryDump(func() ([][]byte, error) {
		return c.request(kind, unix.NLM_F_DUMP, []nl.NetlinkRequestData{header}).Execute(unix.NETLINK_ROUTE, answer)
	})
}

func retryDump[T any](list func() ([]T, error)) ([]T, error) {
	var err error
	for range dumpTries {
		var messages []T
		if messages, err = list(); !errors.Is(err, nl.ErrDumpInterrupted) {
			return messages, err
		}
	}
	return nil, fmt.Errorf("the kernel's tables kept changing during %d readings: %w", dumpTries, err)
}

// link looks an interface up by index, or by name when index is zero. ok is false when there is none.
func (c *rtnetlink) link(index int, name string) (l Link, carrier, ok bool, err error) {
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	parts := []nl.NetlinkRequestData{header}
	if index == 0 {
		parts = append(parts, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	}
	messages, err := c.request(unix.RTM_GETLINK, 0, parts).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	switch {
	case errors.Is(err, unix.ENODEV):
		return Link{}, false, false, nil
	case err != nil:
		return Link{}, false, false, err
	case len(messages) == 0:
		return Link{}, false, false, errors.New("the kernel answered a link request with nothing")
	}
	l, carrier, err = decodeLink(messages[0])
	return l, carrier, err == nil, err
}

// linkNames lists the interfaces of the namespace.
func (c *rtnetlink) linkNames() ([]string, error) {
	messages, err := c.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range messages {
		l, _, err := decodeLink(m)
		if err != nil {
			return nil, err
		}
		names = append(names, l.Name)
	}
	return names, nil
}

// setUp brings an interface up.
func (c *rtnetlink) setUp(index int) error {
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	header.Change, header.Flags = unix.IFF_UP, unix.IFF_UP
	return c.do(unix.RTM_NEWLINK, 0, []nl.NetlinkRequestData{header})
}

func decodeLink(message []byte) (l Link, carrier bool, err error) {
	decoded, err := netlink.LinkDeserialize(nil, message)
	if err != nil {
		return Link{}, false, fmt.Errorf("decode a link: %w", err)
	}
	a := decoded.Attrs()
	l = Link{
		Name: a.Name, Index: a.Index, MTU: a.MTU, Kind: decoded.Type(),
		Up:       a.RawFlags&unix.IFF_UP != 0,
		NoARP:    a.RawFlags&unix.IFF_NOARP != 0,
		Ethernet: a.EncapType == "ether",
	}
	if len(a.HardwareAddr) == len(l.MAC) {
		l.MAC = MAC(a.HardwareAddr)
	}
	return l, a.RawFlags&unix.IFF_LOWER_UP != 0, nil
}

// attributes walks the attributes after the first skip bytes of a message. visit gets the type without flag bits.
func attributes(message []byte, skip int, visit func(kind uint16, value []byte) error) error {
	if len(message) < skip {
		return fmt.Errorf("a message of %d bytes is shorter than its header of %d", len(message), skip)
	}
	list, err := nl.ParseRouteAttr(message[skip:])
	if err != nil {
		return err
	}
	for _, a := range list {
		if err := visit(a.Attr.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), a.Value); err != nil {
			return err
		}
	}
	return nil
}

// u32 reads a number in host byte order; what is too short is zero.
func u32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// u8 reads one byte; what is too short is zero.
func u8(value []byte) uint8 {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// ip reads an address of 4 or 16 bytes; anything else is the zero Addr.
func ip(value []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(value)
	return a
}

// is tells whether err carries one of the given error numbers.
func is(err error, numbers ...syscall.Errno) bool {
	for _, n := range numbers {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}
