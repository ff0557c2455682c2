package main

import (
	"path/filepath"
	"slices"
)

// A part is one row of the table: files and functions that are measured together.
type part struct {
	name  string
	files []file
}

// A file is a whole file, or some functions of it.
type file struct {
	path      string   // from the top of the repository
	functions []string // empty: the whole file
}

// parts returns the forwarders and the parsers: the code that processes bytes from other parties. The other files of these packages open
// devices, sockets and files, and serve connections; fuzz targets do not cover those.
func parts() []part {
	return []part{
		{"`vswitch`: the forwarders", slices.Concat(whole("internal/lookup", "key", "table"),
			whole("internal/packet", "address", "arp", "ethernet", "icmp", "options", "packet", "tcp"),
			whole("vswitch", "atomictime", "bridge", "delegate", "delegate_guest", "delegate_holder", "delegate_wire", "icmp", "mac", "nd", "neighbour", "neighbour_held", "normalize", "out", "route", "rule"))},
		{"`vnet`", whole("vnet", "check", "checksum", "complete", "fragments", "header", "icmpv6", "ipv6", "layout", "merge", "segments")},
		{"`dhcpsrv`", whole("dhcpsrv", "answer", "boot", "names", "offer", "options", "query", "reply", "request", "routes")},
		{"`model`: documents", whole("model", "connect", "document", "interface", "method", "options", "parse", "print", "unknown", "value")},
		{"`pod/podnet`: the state file, resolv.conf", append(whole("pod/podnet", "statefile_check", "resolv"), file{"pod/podnet/statefile.go", []string{"parseRecord"}})},
		{"`pod/hypervisor`: attachments", []file{{"pod/hypervisor/attachment.go", []string{"ParseAttachment", "checkDevice", "checkPath", "checkPaths", "checkNumber"}}}},
		{"`pod/plan`: kept ports, denied destinations", []file{{"pod/plan/kept.go", []string{"ParseKeptPort"}}, {"pod/plan/config.go", []string{"ParseDenyRule"}}}},
		{"`replay`: captures", append(whole("replay", "capture", "comment"), file{"replay/setup.go", []string{"Check", "checkBridge", "checkDelegate", "parseSetup"}})},
		{"`unixport`: frames of a stream", whole("unixport", "decoder", "sender")},
		{"`tap`: control messages of the kernel", []file{{"tap/messages.go", []string{"frame", "vlan"}}}},
		{"`stack`: frames and messages", []file{{"stack/transmit.go", []string{"admit", "wantsIPv4", "wantsIPv6", "wantsARP", "inbound", "packetType"}},
			{"stack/receive.go", []string{"flatten", "bufferSize"}}, {"stack/packet.go", []string{"parse", "parseFragmentHeader", "newPacket", "datagram"}},
			{"stack/dns.go", []string{"isQuery", "answers", "readMessage", "writeMessage"}}}},
		{"states of a takeover (`vswitch`, `unixport`)", append(whole("vswitch", "bridge_state", "delegate_state", "neighbour_resume"),
			file{"unixport/state.go", []string{"checkState", "checkDatagramState"}})},
		{"`pod/grant`: messages of keeper and switch", whole("pod/grant", "parse")},
	}
}

func whole(pkg string, names ...string) (files []file) {
	for _, name := range names {
		files = append(files, file{path: filepath.Join(pkg, name+".go")})
	}
	return files
}
