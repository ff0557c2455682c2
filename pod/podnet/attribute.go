package podnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// visitAttributes calls visit for each attribute after the first skip bytes of a message, with the type without its flag bits. An error
// of visit does not end the walk, so that the caller has decoded everything else; visitAttributes returns the first one. A message
// that is not a list of attributes is an error before the first call.
func visitAttributes(message []byte, skip int, visit func(kind uint16, value []byte) error) error {
	if len(message) < skip {
		return fmt.Errorf("a message of %d bytes is shorter than its header of %d", len(message), skip)
	}
	list, err := nl.ParseRouteAttr(message[skip:])
	if err != nil {
		return err
	}
	var first error
	for _, a := range list {
		err := visit(a.Attr.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), a.Value)
		if first == nil {
			first = err
		}
	}
	return first
}

// u32 decodes a number in host byte order. A value that is too short is zero.
func u32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// u8 decodes one byte. An empty value is zero.
func u8(value []byte) uint8 {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// addr decodes an IP address of 4 or 16 bytes. A value of another length is the zero Addr.
func addr(value []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(value)
	return a
}

// isErrno reports whether err wraps one of the error numbers.
func isErrno(err error, numbers ...syscall.Errno) bool {
	for _, n := range numbers {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}
