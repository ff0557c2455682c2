package dhcpsrv

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
)

// A second parser of DHCPv6 messages, which shares no code with the package.

type decodedOption6 struct {
	code  uint16
	value []byte
}

// decodeOptions6 splits a list of options.
func decodeOptions6(b []byte) (options []decodedOption6, err error) {
	for i := 0; i < len(b); {
		if i+4 > len(b) {
			return nil, fmt.Errorf("half an option at byte %d of %x", i, b)
		}
		n := int(b[i+2])<<8 + int(b[i+3])
		if i+4+n > len(b) {
			return nil, fmt.Errorf("an option runs over the end at byte %d of %x", i, b)
		}
		options = append(options, decodedOption6{uint16(b[i])<<8 + uint16(b[i+1]), b[i+4 : i+4+n]})
		i += 4 + n
	}
	return options, nil
}

// decode6 returns a message as text.
func decode6(b []byte) (string, error) {
	if len(b) < 4 {
		return "", fmt.Errorf("no DHCPv6 message: %x", b)
	}
	options, err := decodeOptions6(b[4:])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, transaction %x\n%s", dhcpv6.MessageType(b[0]), b[1:4], optionLines(options, "")), nil
}

func optionLines(options []decodedOption6, indent string) string {
	var b strings.Builder
	for _, o := range options {
		fmt.Fprintf(&b, "%soption %d %s\n", indent, o.code, o.text(indent))
	}
	return b.String()
}

// text returns the value of an option, and the options in it on lines of their own.
func (o decodedOption6) text(indent string) string {
	v, fixed := o.value, map[uint16]int{3: 12, 4: 4, 5: 24, 25: 12}[o.code]
	if len(v) < fixed {
		return fmt.Sprintf("malformed %x", v)
	}
	inner, err := decodeOptions6(v[fixed:])
	if err != nil {
		inner = nil
	}
	nested := strings.TrimSuffix("\n"+optionLines(inner, indent+"  "), "\n")
	second := func(at int) time.Duration { return time.Duration(binary.BigEndian.Uint32(v[at:])) * time.Second }
	switch {
	case o.code == 1 || o.code == 2:
		return fmt.Sprintf("%s: %x", map[uint16]string{1: "client", 2: "server"}[o.code], v)
	case o.code == 3 || o.code == 25:
		return fmt.Sprintf("IA_%s %08x: T1 %s, T2 %s%s", map[uint16]string{3: "NA", 25: "PD"}[o.code], v[:4], second(4), second(8), nested)
	case o.code == 4:
		return fmt.Sprintf("IA_TA %08x%s", v[:4], nested)
	case o.code == 5:
		return fmt.Sprintf("address %s: preferred %s, valid %s%s", netip.AddrFrom16([16]byte(v)), second(16), second(20), nested)
	case o.code == 6:
		var codes []string
		for ; len(v) >= 2; v = v[2:] {
			codes = append(codes, fmt.Sprint(binary.BigEndian.Uint16(v)))
		}
		return "wants: " + strings.Join(codes, " ")
	case o.code == 7 && len(v) == 1:
		return fmt.Sprintf("preference: %d", v[0])
	case o.code == 13 && len(v) >= 2:
		return fmt.Sprintf("status: %s %q", iana.StatusCode(binary.BigEndian.Uint16(v)), v[2:])
	case o.code == 14:
		return "rapid commit"
	case o.code == 23 || o.code == 31:
		return map[uint16]string{23: "name servers", 31: "SNTP servers"}[o.code] + ": " + addresses6(v)
	case o.code == 24:
		return "search: " + domains(v)
	case o.code == 56 && len(v) >= 4:
		return fmt.Sprintf("NTP server: suboption %x, %s", v[:4], addresses6(v[4:]))
	case o.code == 59:
		return fmt.Sprintf("boot file: %q", v)
	case (o.code == 82 || o.code == 83 || o.code == 32) && len(v) == 4:
		return fmt.Sprintf("%s: %s", map[uint16]string{32: "refresh time", 82: "SOL_MAX_RT", 83: "INF_MAX_RT"}[o.code], second(0))
	}
	return fmt.Sprintf("%x", v)
}

func addresses6(v []byte) string {
	var list []string
	for ; len(v) >= 16; v = v[16:] {
		list = append(list, netip.AddrFrom16([16]byte(v)).String())
	}
	return strings.Join(list, " ")
}
