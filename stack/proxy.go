package stack

import (
	"encoding/binary"
	"net/netip"

	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// These begin a header of the PROXY protocol, version 2. The last byte has a family and a transport
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyCommand   = 0x21 // version 2, PROXY: the connection was made on behalf of another host
	proxyIPv4      = 0x10
	proxyIPv6      = 0x20
	proxyTCP       = 0x01
	proxyUDP       = 0x02
)

// proxyHeader returns the header that tells a target the two ends of a connection or flow.
func proxyHeader(transport byte, client, local netip.AddrPort) []byte {
	family, length := byte(proxyIPv4), 2*(4+2)
	if local.Addr().Is6() {
		family, length = proxyIPv6, 2*(16+2)
	}
	h := append(make([]byte, 0, len(proxySignature)+4+length), proxySignature...)
	h = append(h, proxyCommand, family|transport)
	h = binary.BigEndian.AppendUint16(h, uint16(length))
	h = append(h, client.Addr().AsSlice()...)
	h = append(h, local.Addr().AsSlice()...)
	h = binary.BigEndian.AppendUint16(h, client.Port())
	return binary.BigEndian.AppendUint16(h, local.Port())
}

// peerOf returns the other end of a connection.
func peerOf(id netstack.TransportEndpointID) netip.AddrPort {
	return addrPortOf(id.RemoteAddress, id.RemotePort)
}
