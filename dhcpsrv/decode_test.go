package dhcpsrv

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A second parser of DHCP messages. It preserves the order of the options, which the library does not, and shares no code with the
// package.

// A decoded is a message with its options in wire order.
type decoded struct {
	header  [240]byte
	options []decodedOption
	padding int // bytes after the end mark
}

type decodedOption struct {
	code      uint8
	value     []byte // of all adjacent instances
	instances int
}

func decode(b []byte) (d decoded, err error) {
	if len(b) < len(d.header) || string(b[236:240]) != "\x63\x82\x53\x63" {
		return d, fmt.Errorf("no DHCP message: %x", b)
	}
	copy(d.header[:], b)
	for i := 240; i < len(b); {
		if b[i] == 255 {
			d.padding = len(b) - i - 1
			return d, nil
		}
		if b[i] == 0 {
			i++
			continue
		}
		if i+2 > len(b) || i+2+int(b[i+1]) > len(b) {
			return d, fmt.Errorf("option %d at byte %d runs over the end", b[i], i)
		}
		value := b[i+2 : i+2+int(b[i+1])]
		if n := len(d.options); n > 0 && d.options[n-1].code == b[i] {
			d.options[n-1].value = append(d.options[n-1].value, value...)
			d.options[n-1].instances++
		} else {
			d.options = append(d.options, decodedOption{b[i], append([]byte(nil), value...), 1})
		}
		i += 2 + len(value)
	}
	return d, fmt.Errorf("no end mark")
}

// addr returns the address at an offset of the fixed part: 12 ciaddr, 16 yiaddr, 20 siaddr, 24 giaddr.
func (d *decoded) addr(offset int) netip.Addr { return netip.AddrFrom4([4]byte(d.header[offset:])) }

func (d *decoded) codes() (codes []uint8) {
	for _, o := range d.options {
		codes = append(codes, o.code)
	}
	return codes
}

func (d *decoded) value(code uint8) []byte {
	for _, o := range d.options {
		if o.code == code {
			return o.value
		}
	}
	return nil
}

// file returns the field "file" up to its NUL.
func (d *decoded) file() string {
	file, _, _ := strings.Cut(string(d.header[108:236]), "\x00")
	return file
}

// lines returns the message as text.
func (d *decoded) lines() string {
	var b strings.Builder
	h := d.header[:]
	fmt.Fprintf(&b, "op %d, htype %d, hlen %d, hops %d, xid %x, secs %d, flags %x\n",
		h[0], h[1], h[2], h[3], h[4:8], binary.BigEndian.Uint16(h[8:]), h[10:12])
	fmt.Fprintf(&b, "ciaddr %s, yiaddr %s, siaddr %s, giaddr %s\n", d.addr(12), d.addr(16), d.addr(20), d.addr(24))
	fmt.Fprintf(&b, "chaddr %s\n", MAC(h[28:34]))
	if file := d.file(); file != "" {
		fmt.Fprintf(&b, "file %q\n", file)
	}
	for _, o := range d.options {
		fmt.Fprintf(&b, "option %d %s\n", o.code, o.text())
	}
	fmt.Fprintf(&b, "end, and %d bytes of padding\n", d.padding)
	return b.String()
}

func (o decodedOption) text() string {
	v, n := o.value, len(o.value)
	switch o.code {
	case 1, 3, 6, 28, 42, 50, 54:
		return addressName[o.code] + ": " + addresses(v)
	case 12, 15, 56, 60, 66, 67:
		return fmt.Sprintf("%s: %q", textName[o.code], v)
	case 26, 57:
		if n == 2 {
			return fmt.Sprintf("%s: %d", map[uint8]string{26: "MTU", 57: "maximum size"}[o.code], binary.BigEndian.Uint16(v))
		}
	case 51, 58, 59:
		if n == 4 {
			name := map[uint8]string{51: "lease", 58: "T1", 59: "T2"}[o.code]
			return fmt.Sprintf("%s: %s", name, time.Duration(binary.BigEndian.Uint32(v))*time.Second)
		}
	case 53:
		if n == 1 {
			return "message type: " + dhcpv4.MessageType(v[0]).String()
		}
	case 55:
		return fmt.Sprintf("wants: %d", v)
	case 119:
		return "search: " + domains(v)
	case 121, 249:
		return "routes: " + routeList(v)
	}
	return hex.EncodeToString(v)
}

var addressName = map[uint8]string{1: "mask", 3: "router", 6: "name servers", 28: "broadcast", 42: "NTP servers",
	50: "asks for", 54: "server"}

var textName = map[uint8]string{12: "host name", 15: "domain", 56: "message", 60: "vendor class",
	66: "TFTP server", 67: "boot file"}

func addresses(v []byte) string {
	var list []string
	for ; len(v) >= 4; v = v[4:] {
		list = append(list, netip.AddrFrom4([4]byte(v)).String())
	}
	return strings.Join(list, " ")
}

func domains(v []byte) string {
	var text string
	for len(v) > 0 && int(v[0]) < len(v) {
		n := int(v[0])
		text += string(v[1 : 1+n])
		if v = v[1+n:]; n == 0 {
			text += " "
		} else if len(v) > 0 && v[0] != 0 {
			text += "."
		}
	}
	return strings.TrimSpace(text)
}

func routeList(v []byte) string {
	var list []string
	for len(v) > 0 {
		octets := (int(v[0]) + 7) / 8
		if v[0] > 32 || len(v) < 1+octets+4 {
			return strings.Join(append(list, fmt.Sprintf("malformed %x", v)), "; ")
		}
		var destination [4]byte
		copy(destination[:], v[1:1+octets])
		prefix := netip.PrefixFrom(netip.AddrFrom4(destination), int(v[0]))
		list = append(list, fmt.Sprintf("%s via %s", prefix, netip.AddrFrom4([4]byte(v[1+octets:]))))
		v = v[1+octets+4:]
	}
	return strings.Join(list, "; ")
}
