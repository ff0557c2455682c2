package vswitch

// A Reason says why a frame was not delivered. A frame that is not delivered is counted under exactly one, unless it is ARP
// that was noted; one that was cut first, once for each piece that is not.
type Reason uint8

// The reasons, in the order in which the forwarders find them.
const (
	// Found by a port.
	ReceiveError  Reason = iota // the kernel could not hand the frame over (a packet socket's EINVAL)
	ReceiveFull                 // the kernel's queue was full before the frame was received
	Truncated                   // longer than the largest frame
	PortDown                    // the attachment is absent or down
	PortFull                    // no room at the egress
	TransmitError               // the kernel refused the frame
	EndpointFault               // the endpoint's network stack failed on the frame
	// Found by any forwarder.
	Short          // less than an Ethernet header
	BadOffload     // the virtio-net header does not fit the frame
	Reserved       // an 802.1 reserved destination (01:80:c2:00:00:0x)
	BadSource      // a multicast source MAC
	ForeignMAC     // a source MAC other than the one that the document pins
	Reflected      // our own frame, returned by a hairpin port
	Hairpin        // the destination is where it came from
	TooBig         // larger than the path and not to be segmented
	NoBuffer       // the switch's own buffers are full
	NoPort         // no other port to send to
	VLAN           // a VLAN tag, where only untagged frames may pass
	Ethertype      // neither IPv4 nor ARP
	BadARP         // a malformed ARP packet
	OwnARP         // the guest's probe, announcement or reply: answered by nobody
	ForeignARP     // ARP on the wire that is not about the pod address
	BadIPv4        // a truncated or lying IPv4, TCP or UDP header
	DHCP           // DHCP that would pass between guest and wire
	ForeignSource  // from the guest, a source IP other than the pod address; from the wire, the pod address or the server's
	ForeignTarget  // a destination IP that is not the pod address
	Martian        // an IP that must not be on a wire: 127.0.0.0/8, 0.0.0.0/8; as a source also a group's or a broadcast address
	NotHolder      // the pod address is not the guest's (yet, or any more)
	KeptPort       // from the guest, but for or about a TCP port of the pod address that stays with the pod
	Denied         // a rule says that the guest may not reach it
	NoRoute        // no captured route to the destination
	Unresolved     // the next hop does not answer ARP
	NeighbourQueue // too many frames wait for the next hop to answer
	Unwanted       // nobody in the pod asked for it
	numReasons
)

var reasonNames = [numReasons]string{
	ReceiveError: "receive-error", ReceiveFull: "receive-full", Truncated: "truncated", PortDown: "port-down", PortFull: "port-full",
	TransmitError: "transmit-error", EndpointFault: "endpoint-fault", Short: "short", BadOffload: "bad-offload", Reserved: "reserved-destination",
	BadSource: "bad-source-mac", ForeignMAC: "foreign-source-mac", Reflected: "reflected", Hairpin: "hairpin",
	TooBig: "too-big", NoBuffer: "no-buffer", NoPort: "no-port", VLAN: "vlan", Ethertype: "ethertype",
	BadARP: "bad-arp", OwnARP: "own-arp", ForeignARP: "foreign-arp", BadIPv4: "bad-ipv4", DHCP: "dhcp",
	ForeignSource: "foreign-source-ip", ForeignTarget: "foreign-destination-ip", Martian: "martian",
	NotHolder: "not-holder", KeptPort: "kept-port", Denied: "denied", NoRoute: "no-route", Unresolved: "neighbour-unresolved",
	NeighbourQueue: "neighbour-queue-full", Unwanted: "unwanted",
}

// String returns the reason's name in status and documentation.
func (r Reason) String() string { return reasonNames[r] }
