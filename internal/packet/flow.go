package packet

import "time"

// How long a flow of TCP or UDP lasts without a packet: UDP as long as a resolver waits for an answer, as in Linux (nf_conntrack_udp_timeout), TCP as
// RFC 5382, REQ-5, has it for an established connection, and for one that a host has closed.
const (
	udpFlowIdle  = 30 * time.Second
	tcpFlowIdle  = 2*time.Hour + 4*time.Minute
	tcpCloseIdle = 4 * time.Minute
)

// FlowIdle returns how long a flow of the protocol lasts without a packet.
func FlowIdle(protocol uint8, isClosed bool) time.Duration {
	switch {
	case protocol == ProtocolUDP:
		return udpFlowIdle
	case isClosed:
		return tcpCloseIdle
	}
	return tcpFlowIdle
}

// ClosesFlow reports whether the sender of the packet has closed its connection, with this packet or before: a FIN or a reset closes it, and
// a SYN opens the next one.
func (p *Packet) ClosesFlow(frame []byte, before bool) bool {
	if p.Protocol != ProtocolTCP || !p.FirstFragment {
		return false
	}
	flags := frame[p.Transport+13]
	return flags&(tcpFIN|tcpRST) != 0 || before && flags&tcpSYN == 0
}
