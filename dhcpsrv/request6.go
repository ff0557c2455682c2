package dhcpsrv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// Parsing a DHCPv6 message. The guest controls every byte. This file walks the options itself: the library refuses a whole message for a
// malformed option that no answer depends on, and reads a relayed message as another type.

// The sizes of fixed parts, in bytes (RFC 8415, sections 8 and 21).
const (
	headerSize6     = 4  // type and transaction
	optionHeader    = 4  // code and length
	iaHeader        = 12 // IAID, T1, T2
	iaTAHeader      = 4  // IAID
	iaAddressHeader = 24 // address, lifetimes
)

// maxLabel is the length in bytes of the longest label of a name (RFC 1035, section 3.1).
const maxLabel = 63

// A request6 has the fields of a message that its answer depends on.
type request6 struct {
	kind     dhcpv6.MessageType
	xid      [3]byte
	duid     DUID // option 1; nil: absent
	server   DUID // option 2; nil: absent
	ias      []ia // at most maxIAs: the others get no answer
	rapid    bool // option 14
	wants    []dhcpv6.OptionCode
	hostName string // option 39, cleaned

	userClasses   []string // option 15
	vendorClasses []string // option 16
	architectures []uint16 // option 61
}

// An ia is an identity association of a message.
type ia struct {
	kind      dhcpv6.OptionCode // OptionIANA, OptionIATA or OptionIAPD
	id        uint32
	addresses []netip.Addr
}

// readRequest6 parses a message. A fault is why it gets no answer; the request then has the fields that were read before.
func readRequest6(message []byte) (req request6, fault string) {
	switch {
	case len(message) < headerSize6:
		return req, fmt.Sprintf("truncated: %d bytes, want at least %d", len(message), headerSize6)
	case len(message) > maxRequestSize:
		return req, fmt.Sprintf("too long: %d bytes, want at most %d", len(message), maxRequestSize)
	}
	req.kind = dhcpv6.MessageType(message[0])
	switch req.kind {
	case dhcpv6.MessageTypeRelayForward, dhcpv6.MessageTypeRelayReply:
		return req, "relayed: only directly connected clients are served"
	}
	if nameOf6(req.kind) == "" || needs[req.kind] == neverAnswered {
		return req, fmt.Sprintf("message type %d: clients do not send it", message[0])
	}
	req.xid = [3]byte(message[1:])
	return req, walkOptions(message[headerSize6:], req.readOption)
}

// walkOptions calls visit for each option of a list, until one is at fault.
func walkOptions(list []byte, visit func(code dhcpv6.OptionCode, value []byte) (fault string)) (fault string) {
	for len(list) > 0 {
		if len(list) < optionHeader {
			return fmt.Sprintf("malformed: %d bytes behind the last option", len(list))
		}
		code, end := dhcpv6.OptionCode(binary.BigEndian.Uint16(list)), optionHeader+int(binary.BigEndian.Uint16(list[2:]))
		if end > len(list) {
			return fmt.Sprintf("malformed: option %d has %d bytes, and %d are left", uint16(code), end-optionHeader, len(list)-optionHeader)
		}
		if fault := visit(code, list[optionHeader:end]); fault != "" {
			return fault
		}
		list = list[end:]
	}
	return ""
}

// readOption reads an option of the message. Client, server and IAs determine the answer, so a wrong size is a fault; other malformed
// options are ignored. Of an option that may occur once, the first instance counts (RFC 8415, section 21.1).
func (req *request6) readOption(code dhcpv6.OptionCode, value []byte) (fault string) {
	switch code {
	case dhcpv6.OptionClientID:
		return readDUID(&req.duid, code, value)
	case dhcpv6.OptionServerID:
		return readDUID(&req.server, code, value)
	case dhcpv6.OptionIANA, dhcpv6.OptionIATA, dhcpv6.OptionIAPD:
		return req.readIA(code, value)
	case dhcpv6.OptionRapidCommit:
		req.rapid = true
	case dhcpv6.OptionORO:
		for ; len(value) >= 2; value = value[2:] {
			req.wants = append(req.wants, dhcpv6.OptionCode(binary.BigEndian.Uint16(value)))
		}
	case dhcpv6.OptionFQDN:
		req.hostName = readFQDN(value)
	case dhcpv6.OptionUserClass:
		req.userClasses = readClasses(value)
	case dhcpv6.OptionVendorClass:
		if len(value) >= 4 { // an enterprise number precedes the classes
			req.vendorClasses = readClasses(value[4:])
		}
	case dhcpv6.OptionClientArchType:
		for ; len(value) >= 2; value = value[2:] {
			req.architectures = append(req.architectures, binary.BigEndian.Uint16(value))
		}
	}
	return ""
}

// readDUID stores an identifier.
func readDUID(duid *DUID, code dhcpv6.OptionCode, value []byte) (fault string) {
	switch {
	case *duid != nil:
		return fmt.Sprintf("malformed: option %d twice", uint16(code))
	case len(value) < minDUID || len(value) > maxDUID:
		return fmt.Sprintf("malformed: option %d has %d bytes, want %d to %d", uint16(code), len(value), minDUID, maxDUID)
	}
	*duid = slices.Clone(value)
	return ""
}

// readIA reads an identity association and its addresses. One with the kind and the IAID of an earlier one is ignored.
func (req *request6) readIA(code dhcpv6.OptionCode, value []byte) (fault string) {
	header := iaHeader
	if code == dhcpv6.OptionIATA {
		header = iaTAHeader
	}
	if len(value) < header {
		return fmt.Sprintf("malformed: option %d has %d bytes, want at least %d", uint16(code), len(value), header)
	}
	association := ia{kind: code, id: binary.BigEndian.Uint32(value)}
	fault = walkOptions(value[header:], func(inner dhcpv6.OptionCode, value []byte) (fault string) {
		switch {
		case inner != dhcpv6.OptionIAAddr:
		case len(value) < iaAddressHeader:
			return fmt.Sprintf("malformed: option 5 has %d bytes, want at least %d", len(value), iaAddressHeader)
		default:
			association.addresses = append(association.addresses, netip.AddrFrom16([16]byte(value)))
		}
		return ""
	})
	known := slices.ContainsFunc(req.ias, func(other ia) bool { return other.kind == code && other.id == association.id })
	if !known && len(req.ias) < maxIAs {
		req.ias = append(req.ias, association)
	}
	return fault
}

// readFQDN returns the name of option 39: flags, and labels, which may end without the root (RFC 4704, section 4). It ends at a malformed label.
func readFQDN(value []byte) string {
	var labels []string
	for rest := value[min(1, len(value)):]; len(rest) > 0 && rest[0] > 0 && rest[0] <= maxLabel && int(rest[0]) < len(rest); {
		end := 1 + int(rest[0])
		labels, rest = append(labels, string(rest[1:end])), rest[end:]
	}
	return cleanHostName([]byte(strings.Join(labels, ".")))
}

// readClasses returns the elements of a list with a length of 16 bits before each, up to a malformed one (RFC 8415, section 21.15).
func readClasses(list []byte) (classes []string) {
	for len(list) >= 2 && len(list)-2 >= int(binary.BigEndian.Uint16(list)) {
		end := 2 + int(binary.BigEndian.Uint16(list))
		classes, list = append(classes, string(list[2:end])), list[end:]
	}
	return classes
}

// hasUserClass reports whether the client is of the class.
func (req *request6) hasUserClass(class string) bool { return slices.Contains(req.userClasses, class) }

// isVendor reports whether a vendor class of the client begins with the name.
func (req *request6) isVendor(name string) bool {
	return slices.ContainsFunc(req.vendorClasses, func(c string) bool { return strings.HasPrefix(c, name) })
}

// identities returns the IAIDs of the IA_NAs.
func (req *request6) identities() (iaids []uint32) {
	for _, a := range req.ias {
		if a.kind == dhcpv6.OptionIANA {
			iaids = append(iaids, a.id)
		}
	}
	return iaids
}
