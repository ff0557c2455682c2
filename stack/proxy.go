package stack

import (
	"encoding/binary"

	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// proxySignature, proxyCommand and proxyTCP4 begin a header of the PROXY protocol, version 2, for TCP over IPv4
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyCommand   = 0x21 // version 2, PROXY: the connection was made on behalf of another host
	proxyTCP4      = 0x11
	proxyAddresses = 12 // length of two addresses and two ports
)

// proxyHeader returns the header that tells a target the two ends of a connection.
func proxyHeader(id netstack.TransportEndpointID) []byte {
	h := append(make([]byte, 0, len(proxySignature)+4+proxyAddresses), proxySignature...)
	h = append(h, proxyCommand, proxyTCP4)
	h = binary.BigEndian.AppendUint16(h, proxyAddresses)
	h = append(h, id.RemoteAddress.AsSlice()...)
	h = append(h, id.LocalAddress.AsSlice()...)
	h = binary.BigEndian.AppendUint16(h, id.RemotePort)
	return binary.BigEndian.AppendUint16(h, id.LocalPort)
}
