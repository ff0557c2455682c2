package handover

import (
	"fmt"
	"net"
)

// A MAC is an Ethernet address in network byte order. Its text form is 02:00:00:00:00:01, and the empty string for the zero MAC.
type MAC [6]byte

// String returns the text form.
func (m MAC) String() string {
	if m == (MAC{}) {
		return ""
	}
	return net.HardwareAddr(m[:]).String()
}

// MarshalText returns the text form. The error is always nil.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText accepts every form that net.ParseMAC accepts for an address of 6 bytes, and the empty text.
func (m *MAC) UnmarshalText(text []byte) error {
	*m = MAC{}
	if len(text) == 0 {
		return nil
	}
	address, err := net.ParseMAC(string(text))
	if err != nil {
		return err
	}
	if len(address) != len(m) {
		return fmt.Errorf("MAC %q: want 6 bytes", text)
	}
	copy(m[:], address)
	return nil
}
