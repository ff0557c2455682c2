// Package oracle is a second switch that is simple instead of fast: plain maps and lists, a copy of every frame, one frame at a time,
// addresses as values. Tests and fuzz targets compare the forwarders of package vswitch with it, frame by frame and reason by
// reason.
//
// The oracle shares types with package vswitch (Frame, MAC, Reason, Route, Rule, Holder and the configurations) but no code. It has its
// own parsers for Ethernet, ARP, IPv4, IPv6, TCP, UDP and ICMP, and its own tables, checksums and fragmentation. The order of its steps
// is that of the comments on vswitch.Bridge and vswitch.Delegate.
package oracle
