package fuzz

import (
	"math/rand/v2"
	"testing"
)

// TestDelegateWalks feeds random steps with likely frames to forwarders with one family and with both, as FuzzDelegate does: the fuzzer takes
// long to find frames of IPv6 that are valid.
func TestDelegateWalks(t *testing.T) {
	desk, random := newDesk(), rand.New(rand.NewPCG(6, 4))
	for range 1500 {
		config := random.IntN(delegates)
		if random.IntN(4) > 0 {
			config = dual
		}
		runDelegate(t, desk, walk(random, config))
	}
}

// walk returns an input of FuzzDelegate.
func walk(random *rand.Rand, config int) []byte {
	input := []byte{byte(config + noGuestYet*random.IntN(2))}
	for range 14 {
		switch random.IntN(10) {
		case 0:
			input = append(input, opTick)
		case 1:
			input = append(input, opPause, byte(random.IntN(256)))
		case 2:
			input = append(input, opHand, byte(random.IntN(256)), byte(random.IntN(4)))
		default:
			frame := make([]byte, 60)
			for i := range frame {
				frame[i] = byte(random.IntN(64))
			}
			frame[2], frame[3] = 0, []byte{7, 9, 9, 9, 0}[random.IntN(5)] // no tags; IPv6, ICMPv6 or IPv4
			input = append(append(input, opMade, []byte{0, 0, 1, 1, 2, 3}[random.IntN(6)]), frame...)
		}
	}
	return input
}
