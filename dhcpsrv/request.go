package dhcpsrv

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Reading a message. The library's parser checks the bounds of the fixed part and of every option; what it does not
// check is checked here, once: lengths before and after it, the meaning of the fixed part, and the size of every value
// that later code relies on. All of it comes from a guest, who may send anything.

const (
	headerSize     = 240  // the fixed part and the magic cookie, in bytes (RFC 2131, section 2)
	maxRequestSize = 2048 // no client sends more; it bounds the work that a message can cause
	maxClientID    = 255  // it is echoed, and one option instance must hold it
	maxHostName    = 253  // kept in the lease; a DNS name is never longer
	sizeFloor      = 576  // every client takes an IP datagram of this size (RFC 2131, section 2)
	broadcastFlag  = 0x8000
)

// A request is what matters of a client's message. Addresses are the zero Addr where their option is absent.
type request struct {
	kind      dhcpv4.MessageType
	xid       dhcpv4.TransactionID
	broadcast bool // the client cannot receive unicast before it is configured
	ciaddr    netip.Addr
	mac       MAC
	requested netip.Addr // option 50
	server    netip.Addr // option 54
	hostName  string     // option 12, cleaned
	clientID  []byte     // option 61, as it came
	wants     []byte     // option 55: codes in the client's order
	maxSize   int        // option 57: the largest IP datagram in bytes that the client says to take
}

// readRequest parses a message. If fault is not empty, it says why the message deserves no answer; the request then
// holds what was read so far.
func readRequest(message []byte) (r request, fault string) {
	switch {
	case len(message) < headerSize:
		return r, fmt.Sprintf("truncated: %d bytes, a DHCP message has at least %d", len(message), headerSize)
	case len(message) > maxRequestSize:
		return r, fmt.Sprintf("too long: %d bytes, at most %d are read", len(message), maxRequestSize)
	}
	m, err := dhcpv4.FromBytes(message)
	if err != nil {
		return r, fmt.Sprintf("malformed: %v", err)
	}
	if fault := r.readHeader(m); fault != "" {
		return r, fault
	}
	return r, r.readOptions(m.Options)
}

// readHeader takes the fixed part, and the message type for the log.
func (r *request) readHeader(m *dhcpv4.DHCPv4) (fault string) {
	if kind := m.Options[optMessageType]; len(kind) == 1 {
		r.kind = dhcpv4.MessageType(kind[0])
	}
	switch {
	case m.OpCode != dhcpv4.OpcodeBootRequest:
		return "a reply, not a request"
	case m.HWType != iana.HWTypeEthernet || len(m.ClientHWAddr) != len(MAC{}):
		return fmt.Sprintf("hardware type %d with %d bytes of address, only Ethernet (1 with 6) is served",
			uint16(m.HWType), len(m.ClientHWAddr))
	case !m.GatewayIPAddr.Equal(net.IPv4zero):
		return fmt.Sprintf("relayed by %s, only guests on the port are served", m.GatewayIPAddr)
	}
	r.xid = m.TransactionID
	r.broadcast = m.Flags&broadcastFlag != 0
	r.ciaddr, _ = netip.AddrFromSlice(m.ClientIPAddr)
	r.mac = MAC(m.ClientHWAddr)
	if r.mac == (MAC{}) || r.mac[0]&1 != 0 {
		return fmt.Sprintf("client address %s, which no client can have", r.mac)
	}
	return ""
}

// readOptions takes the options that matter. Options 50, 53, 54 and 61 decide who is meant, so a wrong size there is a
// fault; the others are ignored when they are malformed.
func (r *request) readOptions(options dhcpv4.Options) (fault string) {
	switch kind, present := options[optMessageType]; {
	case !present:
		return "BOOTP: no message type (option 53)"
	case len(kind) != 1:
		return fmt.Sprintf("malformed: option 53 has %d bytes, not 1", len(kind))
	case options.Has(dhcpv4.OptionOptionOverload):
		return "option overload (52) in a request is not read"
	}
	if r.requested, fault = readAddr(options, dhcpv4.OptionRequestedIPAddress); fault != "" {
		return fault
	}
	if r.server, fault = readAddr(options, dhcpv4.OptionServerIdentifier); fault != "" {
		return fault
	}
	r.clientID = options.Get(dhcpv4.OptionClientIdentifier)
	if len(r.clientID) > maxClientID {
		return fmt.Sprintf("malformed: option 61 has %d bytes, at most %d", len(r.clientID), maxClientID)
	}
	r.hostName = cleanHostName(options.Get(dhcpv4.OptionHostName))
	r.wants = options.Get(dhcpv4.OptionParameterRequestList)
	r.maxSize = sizeFloor
	if size := options.Get(dhcpv4.OptionMaximumDHCPMessageSize); len(size) == 2 {
		r.maxSize = int(size[0])<<8 | int(size[1])
	}
	return ""
}

// readAddr returns the IPv4 address in an option, or the zero Addr if there is no such option.
func readAddr(options dhcpv4.Options, code dhcpv4.OptionCode) (a netip.Addr, fault string) {
	value, present := options[code.Code()]
	if !present {
		return a, ""
	}
	if len(value) != 4 {
		return a, fmt.Sprintf("malformed: option %d has %d bytes, not 4", code.Code(), len(value))
	}
	return netip.AddrFrom4([4]byte(value)), ""
}

// cleanHostName makes a guest's name safe to print: the trailing NUL of some clients goes, what is not visible ASCII
// becomes a question mark.
func cleanHostName(value []byte) string {
	name := strings.TrimRight(string(value), "\x00")
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '?'
		}
		return c
	}, name[:min(len(name), maxHostName)])
}
