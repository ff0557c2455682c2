package vswitch

import (
	"net"

	"github.com/podswitch/podswitch/internal/lookup"
)

// A MAC is an Ethernet address in network byte order. The zero MAC means "none". MACs are comparable and may be map keys.
type MAC [6]byte

// Broadcast is the Ethernet broadcast address, ff:ff:ff:ff:ff:ff.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseMAC parses every form that net.ParseMAC accepts for an address of 6 bytes. Errors are of type *net.AddrError.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil {
		return MAC{}, err
	}
	if len(hw) != 6 {
		return MAC{}, &net.AddrError{Err: "MAC address must have 6 bytes", Addr: s}
	}
	return MAC(hw), nil
}

// String returns m as 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText returns the text of String, and the empty text for the zero MAC. The error is always nil.
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText parses the text as ParseMAC does. The empty text is the zero MAC.
func (m *MAC) UnmarshalText(text []byte) (err error) {
	*m = MAC{}
	if len(text) > 0 {
		*m, err = ParseMAC(string(text))
	}
	return err
}

// IsMulticast reports whether m is a group address. Broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsZero reports whether m is 00:00:00:00:00:00.
func (m MAC) IsZero() bool { return m == MAC{} }

// isStation reports whether m can be the address of one station: neither zero nor a group.
func (m MAC) isStation() bool { return !m.IsMulticast() && !m.IsZero() }

// key packs m into the low 48 bits.
func (m MAC) key() uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// tableKey returns the key of m in a table.
func (m MAC) tableKey() lookup.Key { return lookup.Key{Hi: m.key()} }

// macFromKey is the inverse of key; it ignores higher bits.
func macFromKey(key uint64) MAC {
	return MAC{byte(key >> 40), byte(key >> 32), byte(key >> 24), byte(key >> 16), byte(key >> 8), byte(key)}
}

func destination(frame []byte) MAC { return MAC(frame[0:6]) }
func sender(frame []byte) MAC      { return MAC(frame[6:12]) }
