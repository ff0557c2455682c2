package packet

// Values of the field op of a DHCP message (RFC 2131, section 2).
const (
	BootRequest = 1
	BootReply   = 2
)

// Offsets in a UDP packet, the last two of them with a DHCP message.
const (
	UDPChecksumAt = 6
	DHCPOpAt      = UDPLen
	DHCPRelayAt   = UDPLen + 24 // giaddr
)
