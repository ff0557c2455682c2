package podnet

import "net"

// A MAC is an Ethernet address in network byte order. The zero MAC means "none". It converts to vswitch.MAC.
type MAC [6]byte

// String returns m in the form 02:00:00:00:00:01.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText returns the form of String.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText accepts the forms of net.ParseMAC. An address that is not 6 bytes long is an error.
func (m *MAC) UnmarshalText(text []byte) error {
	hw, err := net.ParseMAC(string(text))
	if err != nil {
		return err
	}
	if len(hw) != len(m) {
		return &net.AddrError{Err: "MAC address must have 6 bytes", Addr: string(text)}
	}
	*m = MAC(hw)
	return nil
}
