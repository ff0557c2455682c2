package stack

import (
	"encoding/binary"
	"net/netip"

	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// proxySignature, proxyCommand, proxyTCP4 and proxyUDP4 begin a header of the PROXY protocol, version 2, over IPv4
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyCommand   = 0x21 // version 2, PROXY: the connection was made on behalf of another host
	proxyTCP4      = 0x11
	proxyUDP4      = 0x12
	proxyAddresses = 12 // length of two addresses and two ports
)

// proxyHeader returns the header that tells a target the two ends of a connection or flow.
func proxyHeader(family byte, client, local netip.AddrPort) []byte {
	h := append(make([]byte, 0, len(proxySignature)+4+proxyAddresses), proxySignature...)
	h = append(h, proxyCommand, family)
	h = binary.BigEndian.AppendUint16(h, proxyAddresses)
	h = append(h, client.Addr().AsSlice()...)
	h = append(h, local.Addr().AsSlice()...)
	h = binary.BigEndian.AppendUint16(h, client.Port())
	return binary.BigEndian.AppendUint16(h, local.Port())
}

// peerOf returns the other end of a connection.
func peerOf(id netstack.TransportEndpointID) netip.AddrPort {
	address, _ := netip.AddrFromSlice(id.RemoteAddress.AsSlice())
	return netip.AddrPortFrom(address, id.RemotePort)
}
