package vswitch

import "github.com/podswitch/podswitch/internal/lookup"

// NewTickOut is newTickOut for the tests of package vswitch_test.
var NewTickOut = newTickOut

// ip4 returns the key of the IPv4 address with the given 32 bits.
func ip4(address uint32) lookup.Key { return lookup.Key{Hi: uint64(address) << 32} }
