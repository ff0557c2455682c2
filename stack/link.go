package stack

import (
	"sync"
	"sync/atomic"

	"github.com/podswitch/podswitch/vswitch"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	netstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The interface of netstack: an Ethernet link that needs no address resolution and accepts TCP segments of 64 KiB.
//
// It does not declare CapabilityResolutionRequired, so netstack has no neighbours and sends no ARP requests. It does not declare
// CapabilityTXChecksumOffload: with host GSO, netstack leaves the checksums of established TCP connections to the link anyway, and
// completes all others (resets, UDP, ICMP).

// gsoMaxSize is the length in bytes of the largest TCP segment, with its headers, that netstack sends.
const gsoMaxSize = 65535

// A link implements netstack.LinkEndpoint.
type link struct {
	cfg      *Config
	counters *vswitch.Counters
	queue    *queue

	mu         sync.RWMutex
	dispatcher netstack.NetworkDispatcher // nil when detached

	aborting sync.Mutex // held by abortSilently
	muted    atomic.Pointer[netstack.TransportEndpointID]
}

var (
	_ netstack.LinkEndpoint = (*link)(nil)
	_ netstack.GSOEndpoint  = (*link)(nil)
)

func newLink(cfg *Config, counters *vswitch.Counters) *link {
	return &link{cfg: cfg, counters: counters, queue: newQueue()}
}

// WritePackets implements netstack.LinkWriter. The queue holds references to the packets until Receive has copied them. It never blocks,
// because netstack calls it with locks held.
func (l *link) WritePackets(list netstack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range list.AsSlice() {
		if l.isMuted(pkt) { // one load, in general
			continue
		}
		switch l.queue.push(pkt) {
		case pushFull:
			l.counters.Drop(vswitch.NoBuffer, list.Len()-i)
			return i, &tcpip.ErrNoBufferSpace{}
		case pushClosed:
			return i, &tcpip.ErrClosedForSend{}
		}
	}
	return list.Len(), nil
}

// AddHeader implements netstack.NetworkLinkEndpoint. Only ARP replies and packets of WritePacketToRemote have a remote link address.
func (l *link) AddHeader(pkt *netstack.PacketBuffer) {
	ethernet := pkt.LinkHeader().Push(header.EthernetMinimumSize)
	if remote := pkt.EgressRoute.RemoteLinkAddress; remote != "" {
		copy(ethernet[0:6], remote)
	} else {
		copy(ethernet[0:6], l.cfg.PeerMAC[:])
	}
	copy(ethernet[6:12], l.cfg.MAC[:])
	ethernet[12] = byte(pkt.NetworkProtocolNumber >> 8)
	ethernet[13] = byte(pkt.NetworkProtocolNumber)
}

// ParseHeader implements netstack.NetworkLinkEndpoint.
func (l *link) ParseHeader(pkt *netstack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// Attach implements netstack.NetworkLinkEndpoint.
func (l *link) Attach(dispatcher netstack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dispatcher = dispatcher
}

// networkDispatcher returns the receiver of packets, or nil if the link is detached.
func (l *link) networkDispatcher() netstack.NetworkDispatcher {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher
}

// IsAttached implements netstack.NetworkLinkEndpoint.
func (l *link) IsAttached() bool { return l.networkDispatcher() != nil }

// MTU implements netstack.NetworkLinkEndpoint.
func (l *link) MTU() uint32 { return uint32(l.cfg.MTU) }

// SetMTU implements netstack.NetworkLinkEndpoint. The MTU is fixed.
func (*link) SetMTU(uint32) {}

// MaxHeaderLength implements netstack.NetworkLinkEndpoint.
func (*link) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress implements netstack.NetworkLinkEndpoint.
func (l *link) LinkAddress() tcpip.LinkAddress { return tcpip.LinkAddress(l.cfg.MAC[:]) }

// SetLinkAddress implements netstack.NetworkLinkEndpoint. The address is fixed.
func (*link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements netstack.NetworkLinkEndpoint.
func (*link) Capabilities() netstack.LinkEndpointCapabilities { return netstack.CapabilityNone }

// GSOMaxSize implements netstack.GSOEndpoint.
func (*link) GSOMaxSize() uint32 { return gsoMaxSize }

// SupportedGSO implements netstack.GSOEndpoint.
func (*link) SupportedGSO() netstack.SupportedGSO { return netstack.HostGSOSupported }

// ARPHardwareType implements netstack.NetworkLinkEndpoint.
func (*link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// Wait implements netstack.NetworkLinkEndpoint. The link has no goroutines.
func (*link) Wait() {}

// Close implements netstack.NetworkLinkEndpoint. Endpoint.Close closes the queue.
func (*link) Close() {}

// SetOnCloseAction implements netstack.NetworkLinkEndpoint.
func (*link) SetOnCloseAction(func()) {}
