// Package oracle is a second switch, written to be obviously right rather than fast: plain maps and lists, every frame a copy,
// one frame at a time, addresses as values. Tests and fuzz targets compare the real forwarders of package vswitch with it,
// frame by frame and reason by reason.
//
// It takes the words of package vswitch (Frame, MAC, Reason, Route, Rule, Holder and the configurations) as data and none of its
// code: it has its own reading of Ethernet, ARP, IPv4, IPv6, TCP, UDP and ICMP, from the documents that the real one cites, and
// its own tables, checksums and fragments. The order of the steps is that of the comments at vswitch.Bridge and
// vswitch.Delegate.
package oracle
