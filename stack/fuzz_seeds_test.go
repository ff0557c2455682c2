package stack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/podswitch/podswitch/vnet"
)

// A pathSeed is a named regression of FuzzNetstack.
type pathSeed struct {
	name  string // what it exercises
	input []byte
}

// then appends a step to an input.
func then(input []byte, what byte, frame []byte) []byte {
	return append(binary.BigEndian.AppendUint16(append(input, what), uint16(len(frame))), frame...)
}

// ofGuest returns a frame with the MACs of the guest's frames.
func ofGuest(frame []byte) []byte {
	frame = bytes.Clone(frame)
	if len(frame) >= 12 {
		copy(frame, append(routerMAC[:], guestMAC[:]...))
	}
	return frame
}

// pathSeeds are frames that broke other stacks, from both sides, and ordinary traffic of guests and peers.
func pathSeeds(t testing.TB) (seeds []pathSeed) {
	ends := []int{0, 1, 13, 14, 33, 34, 41} // of short frames: within and behind each header
	for _, h := range hostileFrames(t) {
		if h.offload != (vnet.Header{}) || strings.HasPrefix(h.name, "short") && !slices.Contains(ends, len(h.data)) {
			continue // FuzzTransmit has them all
		}
		fromGuest := ofGuest(h.data)
		if len(fromGuest) >= endOfIPv4 && fromGuest[offEthertype] == 8 && fromGuest[offEthertype+1] == 0 {
			copy(fromGuest[offSource:], podAddress.AsSlice())
			copy(fromGuest[offDestination:], serverAddress.AsSlice())
		}
		seeds = append(seeds, pathSeed{h.name + ", from the wire", then(nil, fromWire, h.data)},
			pathSeed{h.name + ", from the guest", then(then(nil, repair|toGuest, fromGuest), toGuest, fromGuest)})
	}
	return append(append(seeds, wireSeeds(t)...), guestSeeds(t)...)
}

// wireSeeds are frames of peers to the pod endpoint.
func wireSeeds(t testing.TB) []pathSeed {
	const second = 3 << pauseBits
	syn := synFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 8080))
	closedPort := synFrame(t, addrPort(otherAddress, 4000), addrPort(podAddress, 81))
	reset, ack, data := bytes.Clone(syn), bytes.Clone(syn), append(bytes.Clone(syn), "GET /"...)
	reset[47], ack[47], data[47] = 0x04, 0x10, 0x18
	binary.BigEndian.PutUint16(data[16:], uint16(len(data)-14))
	first, last := cutInTwo(echoRequest(t, otherAddress, podAddress, 1, make([]byte, 64)), 16)
	arp := arpRequestFrame(t, otherMAC, otherAddress, podAddress)
	timestamp := serialise(t, etherHeader(layers.EthernetTypeIPv4), ipHeader(otherAddress, podAddress, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(13, 0), Id: 1, Seq: 1}, gopacket.Payload(make([]byte, 12)))
	unreachable := serialise(t, etherHeader(layers.EthernetTypeIPv4), ipHeader(otherAddress, podAddress, layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: 68}, gopacket.Payload(synFrame(t, addrPort(podAddress, 8080), addrPort(otherAddress, 4000))[14:]))
	foreign := patch(syn, offDestination, 10, 244, 1, 8)
	options := append(bytes.Clone(syn[:34]), append([]byte{0x07, 7, 4, 0, 0, 0, 0, 0}, syn[34:]...)...)
	options = patch(options, 14, 0x47, 0, 0, 48)
	return []pathSeed{
		{"ARP for the pod address", then(nil, fromWire, arp)},
		{"ARP for another address", then(nil, fromWire, arpRequestFrame(t, otherMAC, otherAddress, otherAddress))},
		{"a SYN to a kept port, repeated, reset", then(then(then(nil, fromWire|repair, syn), fromWire|repair|second, syn), fromWire|repair, reset)},
		{"a SYN to a kept port, whose handshake is never finished", then(then(nil, fromWire, syn), fromWire|5<<pauseBits, arp)},
		{"an ACK and data of no connection", then(then(nil, fromWire|repair, ack), fromWire|repair, data)},
		{"a SYN to a port that is not kept", then(nil, fromWire, closedPort)},
		{"a SYN whose checksum is left undone", then(nil, fromWire|undone, syn)},
		{"IPv4 options, whose record route netstack fills in", then(nil, fromWire|repair, options)},
		{"a packet for another pod", then(nil, fromWire|repair, foreign)},
		{"an echo in two fragments", then(then(nil, fromWire, first), fromWire, last)},
		{"half a packet, and nothing more for half a minute", then(then(nil, fromWire, first), fromWire|4<<pauseBits, arp)},
		{"the same fragment, and one that overlaps it", then(then(then(nil, fromWire, first), fromWire, first), fromWire, patch(last, 21, 1))},
		{"an ICMP timestamp request", then(nil, fromWire|repair, timestamp)},
		{"an ICMP error about a kept port", then(then(nil, fromWire, syn), fromWire|repair, unreachable)},
		{"an echo while the guest is the holder", then(nil, fromWire|toGuest, echoRequest(t, otherAddress, podAddress, 1, nil))},
	}
}

// guestSeeds are frames of the guest to the server endpoint.
func guestSeeds(t testing.TB) []pathSeed {
	ask := func(kind dhcpv4.MessageType, modifiers ...dhcpv4.Modifier) []byte {
		xid := dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4})
		m, err := dhcpv4.New(append(modifiers, xid, dhcpv4.WithHwAddr(guestMAC[:]), dhcpv4.WithMessageType(kind))...)
		if err != nil {
			t.Fatal(err)
		}
		return ofGuest(udpFrame(t, nobody, everybody, m.ToBytes()))
	}
	request := ask(dhcpv4.MessageTypeRequest, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(podAddress.AsSlice())))
	wrong := ask(dhcpv4.MessageTypeRequest, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(otherAddress.AsSlice())))
	pod, server := addrPort(podAddress, 4000), netip.AddrPortFrom(serverAddress, dnsPort)
	return []pathSeed{
		{"a DISCOVER and a REQUEST", then(then(nil, 0, ask(dhcpv4.MessageTypeDiscover)), 0, request)},
		{"a REQUEST of another address", then(nil, 0, wrong)},
		{"DHCP with a UDP length of 0", then(nil, 0, patch(request, 38, 0, 0))},
		{"a question to DNS over UDP, its answer is none", then(nil, toGuest, ofGuest(udpFrame(t, pod, server, question(1, "kubernetes.default"))))},
		{"DNS over TCP", then(nil, toGuest, ofGuest(synFrame(t, pod, server)))},
		{"a datagram to a port that nobody serves: the error quotes it", then(nil, toGuest, ofGuest(udpFrame(t, pod, addrPort(serverAddress, 9), []byte("?"))))},
		{"a ping of the server", then(nil, toGuest, ofGuest(echoRequest(t, podAddress, serverAddress, 7, make([]byte, 1400))))},
		{"a ping that is larger than the link", then(nil, toGuest, ofGuest(echoRequest(t, podAddress, serverAddress, 7, make([]byte, 3000))))},
	}
}

// mend corrects the checksums of an IPv4 frame, or leaves that of TCP and UDP unfinished with an offload header. It does not change a
// frame with wrong lengths.
func mend(frame []byte, leave bool) (h vnet.Header) {
	if len(frame) < endOfIPv4 || frame[offEthertype] != 8 || frame[offEthertype+1] != 0 {
		return h
	}
	transport, end := offNetwork+int(frame[offNetwork]&15)*4, offNetwork+int(binary.BigEndian.Uint16(frame[offNetwork+2:]))
	if transport < endOfIPv4 || transport > end || end > len(frame) {
		return h
	}
	ip := frame[offNetwork:transport]
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^uint16(slowSum(0, ip)))
	field, known := map[byte]int{1: 2, 6: 16, 17: 6}[ip[9]]
	segment := frame[transport:end]
	if !known || len(segment) < field+2 || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return h
	}
	pseudo := slowSum(uint32(ip[9])+uint32(len(segment)), ip[12:20])
	segment[field], segment[field+1] = 0, 0
	if leave && ip[9] != 1 {
		binary.BigEndian.PutUint16(segment[field:], uint16(pseudo))
		return vnet.Header{Flags: vnet.FlagNeedsChecksum, CsumStart: uint16(transport), CsumOffset: uint16(field)}
	}
	if ip[9] == 1 {
		pseudo = 0
	}
	binary.BigEndian.PutUint16(segment[field:], ^uint16(slowSum(pseudo, segment)))
	return h
}
