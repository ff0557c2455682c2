package dhcpsrv

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Parsing a message. The guest controls every byte. The library checks the bounds of the fixed part and of every option. This file
// checks the rest, once: the length of the message, the fixed part, and the size of every value that later code relies on.

const (
	headerSize     = 240  // the fixed part and the magic cookie, in bytes (RFC 2131, section 2)
	maxRequestSize = 2048 // no client sends more; bounds the work for one message
	maxClientID    = 255  // echoed in one option instance
	maxHostName    = 253  // of a DNS name (RFC 1035, section 2.3.4); stored in the lease
	sizeFloor      = 576  // bytes of IP datagram that every client receives (RFC 2131, section 2)
	broadcastFlag  = 0x8000

	snameOffset, fileOffset, cookieOffset = 44, 108, 236 // of fields (RFC 2131, section 2)

	overloadFile, overloadSname byte = 1, 2 // bits of option 52
)

// A request has the fields of a message that its answer depends on. The address of an absent option is the zero Addr.
type request struct {
	kind      dhcpv4.MessageType
	xid       dhcpv4.TransactionID
	broadcast bool // the client cannot receive unicast before it is configured
	ciaddr    netip.Addr
	mac       MAC
	requested netip.Addr // option 50
	server    netip.Addr // option 54
	hostName  string     // option 12, cleaned
	clientID  []byte     // option 61, verbatim
	wants     []byte     // option 55: codes in the client's order
	maxSize   int        // option 57: the largest IP datagram in bytes that the client receives

	vendorClass   []byte   // option 60
	userClass     []byte   // option 77
	architectures []uint16 // option 93
}

// readRequest parses a message. A fault is why it gets no answer; the request then has the fields that were read before.
func readRequest(message []byte) (req request, fault string) {
	switch {
	case len(message) < headerSize:
		return req, fmt.Sprintf("truncated: %d bytes, want at least %d", len(message), headerSize)
	case len(message) > maxRequestSize:
		return req, fmt.Sprintf("too long: %d bytes, want at most %d", len(message), maxRequestSize)
	}
	m, err := dhcpv4.FromBytes(message)
	if err != nil {
		return req, fmt.Sprintf("malformed: %v", err)
	}
	if fault := req.readHeader(m); fault != "" {
		return req, fault
	}
	if fault := readOverload(message, m.Options); fault != "" {
		return req, fault
	}
	return req, req.readOptions(m.Options)
}

// readOverload adds the options of the fields "file" and "sname", if option 52 says that they have any (RFC 2132, section 9.3). An
// option may have instances in all three places, which are joined in the order of RFC 3396, section 5: options, file, sname. Option 52
// in a field has no effect. A field that ends without the end option is accepted.
func readOverload(message []byte, options dhcpv4.Options) (fault string) {
	value, present := options[optOverload]
	if !present {
		return ""
	}
	if len(value) != 1 || value[0] == 0 || value[0] > overloadFile|overloadSname {
		return fmt.Sprintf("malformed: option 52 is %x, want 01, 02 or 03", value)
	}
	for _, field := range []struct {
		flag       byte
		name       string
		start, end int
	}{{overloadFile, "file", fileOffset, cookieOffset}, {overloadSname, "sname", snameOffset, fileOffset}} {
		if value[0]&field.flag == 0 {
			continue
		}
		if err := options.FromBytes(message[field.start:field.end]); err != nil {
			return fmt.Sprintf("malformed: options in the field %s: %v", field.name, err)
		}
	}
	return ""
}

// readHeader reads the fixed part, and the message type, which the log has even of a malformed message.
func (req *request) readHeader(m *dhcpv4.DHCPv4) (fault string) {
	if kind := m.Options[optMessageType]; len(kind) == 1 {
		req.kind = dhcpv4.MessageType(kind[0])
	}
	switch {
	case m.OpCode != dhcpv4.OpcodeBootRequest:
		return "a reply, not a request"
	case m.HWType != iana.HWTypeEthernet || len(m.ClientHWAddr) != len(MAC{}):
		return fmt.Sprintf("hardware type %d with %d bytes of address: only Ethernet (1 with 6) is served",
			uint16(m.HWType), len(m.ClientHWAddr))
	case !m.GatewayIPAddr.Equal(net.IPv4zero):
		return fmt.Sprintf("relayed by %s: only directly connected clients are served", m.GatewayIPAddr)
	}
	req.xid = m.TransactionID
	req.broadcast = m.Flags&broadcastFlag != 0
	req.ciaddr, _ = netip.AddrFromSlice(m.ClientIPAddr)
	req.mac = MAC(m.ClientHWAddr)
	if req.mac == (MAC{}) || req.mac[0]&1 != 0 {
		return fmt.Sprintf("client MAC %s: want a unicast address", req.mac)
	}
	return ""
}

// readOptions reads the options. Options 50, 53, 54 and 61 determine which server and address the client means, so a wrong size is a
// fault; other malformed options are ignored.
func (req *request) readOptions(options dhcpv4.Options) (fault string) {
	switch kind, present := options[optMessageType]; {
	case !present:
		return "BOOTP: no message type (option 53)"
	case len(kind) != 1:
		return fmt.Sprintf("malformed: option 53 has %d bytes, want 1", len(kind))
	}
	if req.requested, fault = readAddr(options, dhcpv4.OptionRequestedIPAddress); fault != "" {
		return fault
	}
	if req.server, fault = readAddr(options, dhcpv4.OptionServerIdentifier); fault != "" {
		return fault
	}
	req.clientID = options.Get(dhcpv4.OptionClientIdentifier)
	if len(req.clientID) > maxClientID {
		return fmt.Sprintf("malformed: option 61 has %d bytes, want at most %d", len(req.clientID), maxClientID)
	}
	req.hostName = cleanHostName(options.Get(dhcpv4.OptionHostName))
	req.wants = options.Get(dhcpv4.OptionParameterRequestList)
	req.vendorClass = options.Get(dhcpv4.OptionClassIdentifier)
	req.userClass = options.Get(dhcpv4.OptionUserClassInformation)
	for value := options.Get(dhcpv4.OptionClientSystemArchitectureType); len(value) >= 2; value = value[2:] {
		req.architectures = append(req.architectures, uint16(value[0])<<8|uint16(value[1]))
	}
	req.maxSize = sizeFloor
	if size := options.Get(dhcpv4.OptionMaximumDHCPMessageSize); len(size) == 2 {
		req.maxSize = int(size[0])<<8 | int(size[1])
	}
	return ""
}

// readAddr returns the IPv4 address in an option, or the zero Addr if the option is absent.
func readAddr(options dhcpv4.Options, code dhcpv4.OptionCode) (a netip.Addr, fault string) {
	value, present := options[code.Code()]
	if !present {
		return a, ""
	}
	if len(value) != 4 {
		return a, fmt.Sprintf("malformed: option %d has %d bytes, want 4", code.Code(), len(value))
	}
	return netip.AddrFrom4([4]byte(value)), ""
}

// cleanHostName makes a client's name safe to print: it removes trailing NULs, which some clients send, and replaces everything but
// visible ASCII by question marks.
func cleanHostName(value []byte) string {
	name := strings.TrimRight(string(value), "\x00")
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '?'
		}
		return c
	}, name[:min(len(name), maxHostName)])
}
