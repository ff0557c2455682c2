package packet

import (
	"github.com/podswitch/podswitch/internal/lookup"
	"github.com/podswitch/podswitch/vnet"
)

// Offsets of the addresses in a frame.
const (
	ipv4Source = EthernetLen + 12
	ipv4Target = EthernetLen + 16
)

// ReplaceSource replaces the source address of a TCP or UDP packet over IPv4, which is no fragment, and corrects its checksums. h is the
// offload header of the frame.
func (p *Packet) ReplaceSource(h *vnet.Header, frame []byte, to lookup.Key) {
	p.replaceAddress(h, frame, ipv4Source, to)
	p.Source = to
}

// ReplaceTarget is ReplaceSource for the destination address.
func (p *Packet) ReplaceTarget(h *vnet.Header, frame []byte, to lookup.Key) {
	p.replaceAddress(h, frame, ipv4Target, to)
	p.Target = to
}

func (p *Packet) replaceAddress(h *vnet.Header, frame []byte, at int, to lookup.Key) {
	t := vnet.Transport{Checksum: p.Transport + 16}
	if p.Protocol == ProtocolUDP {
		t = vnet.Transport{Checksum: p.Transport + 6, IsUDP: true}
	}
	var address [4]byte
	to.Put4(address[:])
	vnet.ReplaceIPv4(*h, frame, EthernetLen, at, address, t)
}
