// Package packet reads and changes the headers of frames for the forwarders of vswitch: Ethernet, ARP, DHCP, and a validated view of an IP packet.
// It only knows the bytes of a frame, which starts at the destination MAC. Except where a function says otherwise, frames have no VLAN
// tags. Offsets and lengths are bytes.
package packet
