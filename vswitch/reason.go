package vswitch

// A Reason is the cause of a drop. Every frame that is not delivered is counted under exactly one reason; ARP packets that only update
// the neighbour table are the exception and are not counted. A frame that was cut into fragments is counted once for each
// fragment that is not delivered.
type Reason uint8

// The reasons. Ports count the first group, one or both forwarders the second, and Delegate the third. Delegate's comment and Bridge's
// have the order of the checks.
const (
	// ReceiveError: the kernel reported an error instead of the frame (EINVAL from a packet socket).
	ReceiveError Reason = iota
	// ReceiveFull: the kernel's receive queue was full before the port read the frame, or the parts of larger frames filled the batch.
	ReceiveFull
	// Truncated: the frame is longer than MaxFrame.
	Truncated
	// PortDown: the attachment of the egress port is absent, down or closed.
	PortDown
	// PortFull: the transmit queue of the egress port is full.
	PortFull
	// TransmitError: the kernel rejected the frame.
	TransmitError
	// EndpointFault: the network stack behind the egress port failed on the frame.
	EndpointFault

	// Short: the frame is shorter than an Ethernet header.
	Short
	// Looped: a probe of the loop guard that has returned, or a frame that enters, or could leave only, at a port that the guard has blocked.
	Looped
	// BadOffload: the offload header does not fit the frame (vnet.Check).
	BadOffload
	// Reserved: the destination is an 802.1 reserved address, 01:80:c2:00:00:00 to 0f.
	Reserved
	// BadSource: the source MAC is zero or a group.
	BadSource
	// ForeignMAC: the source MAC is not the one that is pinned to the port.
	ForeignMAC
	// Reflected: the frame was sent by this switch, and a hairpin port has returned it.
	Reflected
	// Hairpin: the destination is at the port where the frame entered, or is the pod address in a packet to the wire.
	Hairpin
	// TooBig: the frame exceeds the MTU of its path or the largest frame of a port, and may be neither segmented nor fragmented.
	TooBig
	// NoBuffer: the buffer for frames that the forwarder makes itself is exhausted.
	NoBuffer
	// NoPort: the switch has no other port.
	NoPort

	// VLAN: the frame has a VLAN tag other than a priority tag, whose VLAN is 0.
	VLAN
	// Ethertype: the frame is neither ARP nor of an IP family in which the pod has an address.
	Ethertype
	// PodIPv6: from the wire, IPv6 of the pod's own kernel, which receives the frame as well: to a link-local address, or of a pod without an
	// IPv6 address. The guest loses nothing.
	PodIPv6
	// BadARP: the ARP packet is malformed, or not for IPv4 over Ethernet.
	BadARP
	// OwnARP: an ARP probe, announcement or reply of the guest, or a request for its own address, which gets no answer.
	OwnARP
	// ForeignARP: an ARP packet from the wire that is about neither the pod address nor a known neighbour.
	ForeignARP
	// BadIPv4: the IPv4, TCP, UDP or ICMP header is truncated or has inconsistent lengths, or the checksum of the IPv4 header is wrong.
	BadIPv4
	// BadIPv6: an IPv6, TCP, UDP or ICMPv6 header is truncated or has inconsistent lengths, or there are more than eight extension headers.
	BadIPv6
	// BadND: a message of IPv6 neighbour discovery that RFC 4861 tells hosts to ignore.
	BadND
	// OwnND: a message of neighbour discovery of the guest that gets no answer: for its own address, or of a router.
	OwnND
	// ForeignND: a message of neighbour discovery from the wire that is about neither the pod address nor a known neighbour.
	ForeignND
	// MLD: multicast listener or router discovery of IPv6, which the switch does not pass on.
	MLD
	// LinkLocal: an IPv6 packet of the guest from or to a link-local address, except to its router.
	LinkLocal
	// DHCP: a UDP packet between the guest and the wire with port 67 or 68 (IPv6: 546 or 547) at either end, except between a DHCP relay and a
	// server in the guest.
	DHCP
	// ForeignSource: from the guest or the pod endpoint, the source IP is not the pod address; from the wire, it is the pod address or
	// the server's.
	ForeignSource
	// ForeignTarget: from the wire, the destination IP is not the pod address.
	ForeignTarget
	// GroupFrame: from the wire, a packet to the pod address in a frame to a group or broadcast MAC (RFC 1122, section 3.3.6).
	GroupFrame
	// Martian: the source or destination IP must not occur on a wire: 0.0.0.0/8, 127.0.0.0/8, ::/64, groups within a host; as a source, also
	// groups and broadcasts.
	Martian
	// NotHolder: the frame is for or from a party that is not the holder of the pod address.
	NotHolder
	// KeptPort: a packet of the guest from a port that stays with the pod, or an ICMP error about one.
	KeptPort
	// Denied: a Rule denies the destination to the guest.
	Denied
	// NoRoute: no route of the pod matches the destination.
	NoRoute
	// Unresolved: the next hop did not answer, or the guest's MAC is not known yet.
	Unresolved
	// NeighbourQueue: too many frames wait for the next hop's answer, or too many next hops are being resolved.
	NeighbourQueue
	// Unwanted: the endpoint behind the egress port does not accept such a packet.
	Unwanted

	numReasons
)

// reasonNames are part of the interface of status, the documentation and the scripts in testdata.
var reasonNames = [numReasons]string{
	ReceiveError: "receive-error", ReceiveFull: "receive-full", Truncated: "truncated", PortDown: "port-down", PortFull: "port-full",
	TransmitError: "transmit-error", EndpointFault: "endpoint-fault", Short: "short", Looped: "loop", BadOffload: "bad-offload", Reserved: "reserved-destination",
	BadSource: "bad-source-mac", ForeignMAC: "foreign-source-mac", Reflected: "reflected", Hairpin: "hairpin",
	TooBig: "too-big", NoBuffer: "no-buffer", NoPort: "no-port", VLAN: "vlan", Ethertype: "ethertype", PodIPv6: "pod-ipv6",
	BadARP: "bad-arp", OwnARP: "own-arp", ForeignARP: "foreign-arp", BadIPv4: "bad-ipv4",
	BadIPv6: "bad-ipv6", BadND: "bad-nd", OwnND: "own-nd", ForeignND: "foreign-nd", MLD: "mld", LinkLocal: "link-local", DHCP: "dhcp",
	ForeignSource: "foreign-source-ip", ForeignTarget: "foreign-destination-ip", GroupFrame: "unicast-in-group-frame", Martian: "martian",
	NotHolder: "not-holder", KeptPort: "kept-port", Denied: "denied", NoRoute: "no-route", Unresolved: "neighbour-unresolved",
	NeighbourQueue: "neighbour-queue-full", Unwanted: "unwanted",
}

// Reasons returns all reasons in the order of their constants. The caller owns the slice.
func Reasons() []Reason {
	all := make([]Reason, numReasons)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// String returns the reason's name as status and the documentation show it, for example "no-route".
func (r Reason) String() string { return reasonNames[r] }
