package podnet

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

// A foundLink is a Link with what changes too often to be part of an Identity.
type foundLink struct {
	Link
	carrier bool // IFF_LOWER_UP
}

// linkByName looks an interface up; ok is false if there is none.
func (c *rtnetlink) linkByName(name string) (l foundLink, ok bool, err error) {
	return c.lookUpLink(nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
}

// linkByIndex looks an interface up; ok is false if there is none.
func (c *rtnetlink) linkByIndex(index int) (l foundLink, ok bool, err error) {
	header := nl.NewIfInfomsg(unix.AF_UNSPEC)
	header.Index = int32(index)
	return c.lookUpLink(header)
}

func (c *rtnetlink) lookUpLink(parts ...nl.NetlinkRequestData) (l foundLink, ok bool, err error) {
	messages, err := c.request(unix.RTM_GETLINK, 0, parts).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	switch {
	case errors.Is(err, unix.ENODEV):
		return foundLink{}, false, nil
	case err != nil:
		return foundLink{}, false, err
	case len(messages) == 0:
		return foundLink{}, false, errors.New("the kernel's answer to a link request is empty")
	}
	l, err = decodeLink(messages[0])
	return l, err == nil, err
}

// existingLink looks an interface up by name. If there is none, the error is a *missing.Error that lists the interfaces.
func (c *rtnetlink) existingLink(name string) (Link, error) {
	if err := checkLinkName(name); err != nil {
		return Link{}, err
	}
	l, ok, err := c.linkByName(name)
	switch {
	case err != nil:
		return Link{}, explain("read interface "+name, err)
	case !ok:
		return Link{}, c.noSuchLink(name)
	}
	return l.Link, nil
}

func (c *rtnetlink) noSuchLink(name string) error {
	give := "name another interface"
	if names, err := c.linkNames(); err == nil {
		give = "existing interfaces: " + strings.Join(names, ", ")
	}
	return &missing.Error{
		What: "read interface " + name,
		Need: "an interface of that name in this network namespace",
		Give: give,
	}
}

// linkNames lists the interfaces of the namespace.
func (c *rtnetlink) linkNames() ([]string, error) {
	messages, err := c.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range messages {
		l, err := decodeLink(m)
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

// legacyGSO is the largest packet in bytes that every receiver of frames to segment takes (GSO_LEGACY_MAX_SIZE, linux/netdevice.h).
const legacyGSO = 65536

func decodeLink(message []byte) (foundLink, error) {
	decoded, err := netlink.LinkDeserialize(nil, message)
	if err != nil {
		return foundLink{}, fmt.Errorf("decode a link: %w", err)
	}
	a := decoded.Attrs()
	l := foundLink{carrier: a.RawFlags&unix.IFF_LOWER_UP != 0, Link: Link{
		Name: a.Name, Index: a.Index, MTU: a.MTU, Kind: decoded.Type(),
		Up:       a.RawFlags&unix.IFF_UP != 0,
		NoARP:    a.RawFlags&unix.IFF_NOARP != 0,
		Ethernet: a.EncapType == "ether",
		BigTCP:   max(a.GSOMaxSize, a.GROMaxSize, a.GSOIPv4MaxSize, a.GROIPv4MaxSize) > legacyGSO,
	}}
	if len(a.HardwareAddr) == len(l.MAC) {
		l.MAC = MAC(a.HardwareAddr)
	}
	return l, nil
}

// checkLinkName refuses what the kernel does not accept as a name (dev_valid_name in net/core/dev.c). A name that passes is also safe
// as a path element.
func checkLinkName(name string) error {
	invalid := strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	if name == "" || name == "." || name == ".." || len(name) >= unix.IFNAMSIZ || invalid {
		return fmt.Errorf("interface name %q: want 1 to %d printable characters without blanks, '/' and ':'",
			name, unix.IFNAMSIZ-1)
	}
	return nil
}
