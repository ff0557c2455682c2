package stack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// What netstack lacks of TCP, with regard to clients that Linux serves:
//
//   - A SYN for a connection in TIME-WAIT opens a new one if its sequence number or its timestamp is higher (RFC 6191). Netstack passes
//     such a SYN to a listening socket, and there is none.
//   - A client may stop sending timestamps after its SYN, against RFC 7323. Netstack would drop the ACK of the handshake.
//   - A client that announces a tiny MSS gets frames of 64 KiB that no port of the switch may segment.

// minMSS is the least MSS that netstack is told, in bytes. A segment then has 64 bytes of data at least, besides 40 bytes of options, and a
// frame of 64 KiB has 1024 segments at most, which is the bound of vnet.Check. Linux has such a bound too (48: TCP_MIN_SND_MSS).
const minMSS = 64 + 40

// Flags, options and offsets of TCP (RFC 9293, section 3.1; RFC 7323, section 3).
const (
	offTCPOffset   = header.TCPDataOffset
	offTCPFlags    = header.TCPFlagsOffset
	offTCPChecksum = header.TCPChecksumOffset
	optionMSS      = header.TCPOptionMSS
	optionTS       = header.TCPOptionTS
	paddedTS       = 12 // a timestamps option with two NOPs
	maxTCPHeader   = 60
)

// screenTCP returns the packet that netstack gets in place of a TCP segment.
func (e *Endpoint) screenTCP(view *buffer.View, p *packet) *buffer.View {
	segment := header.TCP(p.payload)
	if offset := int(segment.DataOffset()); offset < header.TCPMinimumSize || offset > len(segment) {
		return view // netstack refuses it
	}
	const kinds = header.TCPFlagSyn | header.TCPFlagAck | header.TCPFlagRst
	switch segment.Flags() & kinds {
	case header.TCPFlagSyn:
		raiseMSS(segment)
		e.endTimeWait(connectionID(p, segment), segment)
	case header.TCPFlagAck:
		if e.handshaking.Load() > 0 && optionAt(segment, optionTS, header.TCPOptionTSLength) == 0 {
			return e.completeACK(view, p, segment)
		}
	}
	return view
}

// connectionID returns the addresses and ports of a received segment.
func connectionID(p *packet, segment header.TCP) netstack.TransportEndpointID {
	return netstack.TransportEndpointID{
		LocalAddress: p.destination, LocalPort: segment.DestinationPort(),
		RemoteAddress: p.source, RemotePort: segment.SourcePort(),
	}
}

// optionAt returns the offset in a segment of the first option of a kind and length, or 0.
func optionAt(segment header.TCP, kind, length byte) int {
	end := int(segment.DataOffset())
	for at := header.TCPMinimumSize; at < end; {
		switch segment[at] {
		case header.TCPOptionEOL:
			return 0
		case header.TCPOptionNOP:
			at++
			continue
		}
		if at+1 >= end || segment[at+1] < 2 || at+int(segment[at+1]) > end {
			return 0
		}
		if segment[at] == kind && segment[at+1] == length {
			return at
		}
		at += int(segment[at+1])
	}
	return 0
}

// raiseMSS raises a tiny MSS in a SYN. 0 means none to netstack.
func raiseMSS(segment header.TCP) {
	at := optionAt(segment, optionMSS, header.TCPOptionMSSLength)
	if at == 0 {
		return
	}
	if mss := binary.BigEndian.Uint16(segment[at+2:]); mss != 0 && mss < minMSS {
		replaceWord(segment, at+2, minMSS, offTCPChecksum)
	}
}

// endTimeWait ends a connection in TIME-WAIT if a SYN may open a new one, as Linux does (tcp_minisocks.c, tcp_timewait_state_process).
func (e *Endpoint) endTimeWait(id netstack.TransportEndpointID, syn header.TCP) {
	c := e.connection(id)
	if c == nil || c.EndpointState() != tcp.StateTimeWait {
		return
	}
	payload := syn.Payload()
	if !syn.IsChecksumValid(id.RemoteAddress, id.LocalAddress, checksum.Checksum(payload, 0), uint16(len(payload))) {
		return
	}
	s, ok := sequencesOf(c)
	if !ok {
		return
	}
	isNewer := int32(syn.SequenceNumber()-s.rcvNxt) > 0
	if at := optionAt(syn, optionTS, header.TCPOptionTSLength); at != 0 && s.hasTimestamps {
		difference := int32(binary.BigEndian.Uint32(syn[at+2:]) - s.recentTimestamp)
		isNewer = difference > 0 || isNewer && difference == 0
	}
	if isNewer {
		e.link.abortSilently(c, id)
	}
}

// completeACK returns a packet with a timestamps option in place of one without, if it belongs to a handshake with timestamps.
func (e *Endpoint) completeACK(view *buffer.View, p *packet, segment header.TCP) *buffer.View {
	c := e.connection(connectionID(p, segment))
	if c == nil || c.EndpointState() != tcp.StateSynRecv {
		return view
	}
	offset, total := int(segment.DataOffset()), p.start+len(segment)
	timestamp, ok := timestampOf(c)
	if !ok || offset+paddedTS > maxTCPHeader || total+paddedTS > 65535 {
		return view
	}
	option := [paddedTS]byte{header.TCPOptionNOP, header.TCPOptionNOP, optionTS, header.TCPOptionTSLength}
	binary.BigEndian.PutUint32(option[4:], timestamp)

	headers := offNetwork + p.start + offset
	frame := view.AsSlice()
	longer := append(append(append(make([]byte, 0, len(frame)+paddedTS), frame[:headers]...), option[:]...), frame[headers:offNetwork+total]...)
	view.Release()
	newIP := longer[offNetwork:]
	if p.family == familyIPv4 {
		replaceWord(newIP, 2, uint16(total+paddedTS), 10)
	} else {
		header.IPv6(newIP).SetPayloadLength(uint16(total + paddedTS - header.IPv6MinimumSize))
	}
	newSegment := header.TCP(newIP[p.start:])
	word := binary.BigEndian.Uint16(newSegment[offTCPOffset:])
	replaceWord(newSegment, offTCPOffset, word+paddedTS/4<<12, offTCPChecksum)
	addToSum(newSegment[offTCPChecksum:], paddedTS+sumOfWords(option[:])) // the length is in the pseudo-header
	return buffer.NewViewWithData(longer)
}

// sumOfWords returns the sum of the 16-bit words of b, which has an even length.
func sumOfWords(b []byte) (sum uint32) {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return sum
}

// abortSilently aborts a connection in TIME-WAIT without a reset to the peer, which has opened a new one.
func (l *link) abortSilently(c *tcp.Endpoint, id netstack.TransportEndpointID) {
	l.aborting.Lock()
	defer l.aborting.Unlock()
	l.muted.Store(&id)
	c.Abort()
	l.muted.Store(nil)
}

// isMuted reports whether a packet is the reset of a connection that abortSilently aborts.
func (l *link) isMuted(pkt *netstack.PacketBuffer) bool {
	id := l.muted.Load()
	if id == nil || pkt.TransportProtocolNumber != header.TCPProtocolNumber {
		return false
	}
	ip, segment := pkt.Network(), header.TCP(pkt.TransportHeader().Slice())
	return len(segment) >= header.TCPMinimumSize && segment.Flags().Contains(header.TCPFlagRst) &&
		*id == netstack.TransportEndpointID{
			LocalAddress: ip.SourceAddress(), LocalPort: segment.SourcePort(),
			RemoteAddress: ip.DestinationAddress(), RemotePort: segment.DestinationPort(),
		}
}
