package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// describe returns a frame in the notation of scripts, so that the output of a failure can be copied into a script. A frame that the notation
// cannot express exactly is returned as raw bytes, with a similar frame as a comment.
func describe(f vswitch.Frame, names map[string]vswitch.MAC) string {
	text := strings.Join(describeWords(f, names), " ")
	w := newWords(text, names)
	if again := w.frame(); w.end() == nil && again.Offload == f.Offload && bytes.Equal(again.Data, f.Data) {
		return text
	}
	return fmt.Sprintf("raw %x (%d bytes with CRC %08x; like %s; offload %+v)",
		f.Data[:min(len(f.Data), 256)], len(f.Data), crc32.ChecksumIEEE(f.Data), text, f.Offload)
}

func describeWords(f vswitch.Frame, names map[string]vswitch.MAC) []string {
	b := f.Data
	if len(b) < 14 {
		return []string{"raw", fmt.Sprintf("%x", b)}
	}
	line := []string{macWord(b[6:12], names), ">", macWord(b[0:6], names)}
	at := 12
	for len(b) >= at+6 && (b[at] == 0x81 && b[at+1] == 0 || b[at] == 0x88 && b[at+1] == 0xa8) {
		tag := map[byte]string{0x81: "vlan", 0x88: "qinq"}[b[at]]
		line = append(line, tag, fmt.Sprint(binary.BigEndian.Uint16(b[at+2:])))
		at += 4
	}
	body := b[at+2:]
	used := 0
	switch ethertype := binary.BigEndian.Uint16(b[at:]); {
	case ethertype == 0x0800 && len(body) >= 20:
		words, n := ipWords(body, f.Offload)
		line, used = append(append(line, "ip"), words...), n
	case ethertype == 0x86dd && len(body) >= 40:
		words, n := ip6Words(body, names)
		line, used = append(append(line, "ip6"), words...), n
	case ethertype == 0x0806 && len(body) >= 28:
		line, used = append(line, arpWords(body, b, names)...), 28
	default:
		line = append(line, "type", fmt.Sprintf("0x%04x", ethertype))
		if len(bytes.Trim(body, "\x00")) > 0 {
			line, used = append(line, "payload", fmt.Sprintf("%x", body)), len(body)
		}
	}
	if used < len(body) {
		line = append(line, "len", fmt.Sprint(len(b)))
	}
	return append(line, offloadWords(f.Offload)...)
}

func offloadWords(h vnet.Header) (line []string) {
	kinds := map[uint8]string{vnet.GSOTCPv4: "tcp4", vnet.GSOTCPv6: "tcp6", vnet.GSOUDPL4: "udp", vnet.GSOUDP: "fragments"}
	if kind := h.GSOType &^ vnet.GSOECN; kind != 0 {
		line = append(line, "gso", kinds[kind], fmt.Sprint(h.GSOSize))
	} else if h.Flags&vnet.FlagNeedsChecksum != 0 {
		line = append(line, "csum")
	}
	if h.GSOType&vnet.GSOECN != 0 {
		line = append(line, "ecn")
	}
	if h.Flags&vnet.FlagDataValid != 0 {
		line = append(line, "valid")
	}
	return line
}

func macWord(b []byte, names map[string]vswitch.MAC) string {
	var found []string
	for name, m := range names {
		if m == vswitch.MAC(b) {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		return slices.Min(found)
	}
	return vswitch.MAC(b).String()
}

func ipWord(b []byte) string { return netip.AddrFrom4([4]byte(b)).String() }

func arpWords(a, frame []byte, names map[string]vswitch.MAC) (line []string) {
	sender, target := ipWord(a[14:18]), ipWord(a[24:28])
	if a[7] == 2 {
		line = []string{"arp", "reply", sender, "is-at", macWord(a[8:14], names), "tell", target}
		if !bytes.Equal(a[18:24], frame[0:6]) {
			line = append(line, "tha", macWord(a[18:24], names))
		}
		return line
	}
	line = []string{"arp", "who-has", target, "tell", sender}
	if !bytes.Equal(a[8:14], frame[6:12]) {
		line = append(line, "sha", macWord(a[8:14], names))
	}
	if len(bytes.Trim(a[18:24], "\x00")) > 0 {
		line = append(line, "tha", macWord(a[18:24], names))
	}
	return line
}

// ipWords describes a packet and returns its length in bytes.
func ipWords(b []byte, h vnet.Header) (line []string, length int) {
	line = []string{ipWord(b[12:16]), ">", ipWord(b[16:20])}
	add := func(word string, value, usual int) {
		if value != usual {
			line = append(line, word, fmt.Sprint(value))
		}
	}
	headerLen := int(b[0]&15) * 4
	length = int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < 20 || length < headerLen || length > len(b) {
		return append(line, "..."), 0
	}
	flags := int(binary.BigEndian.Uint16(b[6:]))
	add("tos", int(b[1]), 0)
	add("id", int(binary.BigEndian.Uint16(b[4:])), 0)
	add("ttl", int(b[8]), 64)
	if flags&0x4000 != 0 {
		line = append(line, "df")
	}
	if flags&0x2000 != 0 {
		line = append(line, "more")
	}
	add("offset", flags&0x1fff*8, 0)
	if headerLen > 20 {
		line = append(line, "options", fmt.Sprintf("%x", b[20:headerLen]))
	}
	segment, proto := b[headerLen:length], b[9]
	if flags&0x1fff != 0 {
		proto = 0xff
	}
	return append(line, transportWords(segment, proto, int(b[9]), flags&0x2000 != 0)...), length
}

func transportWords(b []byte, proto byte, number int, more bool) (line []string) {
	ports := func() []string {
		return []string{fmt.Sprint(binary.BigEndian.Uint16(b)), ">", fmt.Sprint(binary.BigEndian.Uint16(b[2:]))}
	}
	var payload []byte
	var sum []byte
	switch {
	case proto == 6 && len(b) >= 20 && int(b[12]>>4)*4 <= len(b) && b[12]>>4 >= 5:
		line = append(append(append(line, "tcp"), ports()...), tcpWords(b[:int(b[12]>>4)*4])...)
		payload, sum = b[int(b[12]>>4)*4:], b[16:18]
	case proto == 17 && len(b) >= 8:
		line = append(append(line, "udp"), ports()...)
		payload, sum = b[8:], b[6:8]
		if n := int(binary.BigEndian.Uint16(b[4:])); n != len(b) {
			line = append(line, "ulen", fmt.Sprint(n))
		}
	case proto == 1 && len(b) >= 8:
		return append(line, icmpWords(b)...)
	default:
		line, payload = append(line, "proto", fmt.Sprint(number)), b
	}
	line = append(line, dataWords(payload)...)
	if more && sum != nil {
		line = append(line, "sum", fmt.Sprint(binary.BigEndian.Uint16(sum)))
	}
	return line
}

func tcpWords(b []byte) (line []string) {
	for i, flag := range []string{"fin", "syn", "rst", "psh", "ack", "", "", "cwr"} {
		if b[13]>>i&1 != 0 {
			line = append(line, flag)
		}
	}
	if seq := binary.BigEndian.Uint32(b[4:]); seq != 0 {
		line = append(line, "seq", fmt.Sprint(seq))
	}
	switch options := b[20:]; {
	case len(options) == 4 && options[0] == 2 && options[1] == 4:
		line = append(line, "mss", fmt.Sprint(binary.BigEndian.Uint16(options[2:])))
	case len(options) > 0:
		line = append(line, "tcpopt", fmt.Sprintf("%x", options))
	}
	return line
}

func icmpWords(b []byte) []string {
	names := map[[2]byte]string{{8, 0}: "echo", {0, 0}: "echo-reply", {3, 0}: "net-unreachable", {3, 1}: "host-unreachable",
		{3, 3}: "port-unreachable", {3, 4}: "frag-needed", {5, 0}: "redirect", {11, 0}: "time-exceeded", {12, 0}: "parameter"}
	name, ok := names[[2]byte(b)]
	line := []string{"icmp", name}
	if !ok {
		line = []string{"icmp", "type", fmt.Sprint(b[0]), "code", fmt.Sprint(b[1])}
	}
	if mtu := binary.BigEndian.Uint16(b[6:]); mtu != 0 {
		line = append(line, "mtu", fmt.Sprint(mtu))
	}
	return append(line, dataWords(b[8:])...)
}

// dataWords returns "data" for a payload with its pattern.
func dataWords(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	for i := range b {
		if b[i] != b[0]+byte(i) {
			return []string{"payload", fmt.Sprintf("%x", b)}
		}
	}
	if b[0] == 0 {
		return []string{"data", fmt.Sprint(len(b))}
	}
	return []string{"data", fmt.Sprint(len(b)), "from", fmt.Sprint(b[0])}
}
