package fuzz

import (
	"bytes"
	"slices"
	"testing"

	"github.com/podswitch/podswitch/fuzz/oracle"
	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// FuzzBridge checks a Bridge with any frames in any order, with time between them and ports that are forgotten. The oracle agrees and has the
// same table. No frame changes or returns to its port. Every frame is sent or counted as one drop.
func FuzzBridge(f *testing.F) {
	for _, s := range bridgeSeeds(f) {
		f.Add(s.input)
	}
	desk := newDesk()
	f.Fuzz(func(t *testing.T, b []byte) { runBridge(t, desk, b) })
}

func runBridge(t testing.TB, desk *desk, b []byte) {
	in := newReader(b)
	cfg := bridge(in.byte())
	real := vswitch.NewBridge(cfg)
	r := &bridgeRig{newRig(t, desk, real, replay.Setup{Bridge: &cfg}), cfg, real, oracle.NewBridge(cfg)}
	for _, s := range decode(in, bridgeWorld(cfg)) {
		r.do(s)
	}
}

// A bridgeRig is a Bridge with its oracle.
type bridgeRig struct {
	*rig
	cfg    vswitch.BridgeConfig
	real   *vswitch.Bridge
	oracle *oracle.Bridge
}

func (r *bridgeRig) do(s step) {
	r.steps = append(r.steps, s)
	switch s.op {
	case opRaw, opMade, opScan:
		sent := r.forward(s)
		r.agree(sent, r.oracle.Forward(s.port, s.frames, r.now))
		r.unchanged(s, sent)
	case opWait, opPause:
		r.now += s.wait
	case opTick:
		sent := r.tick()
		r.agree(sent, r.oracle.Tick(r.now))
	case opStatic:
		if got, want := r.real.SetStatic(s.mac, s.port, r.now), r.oracle.SetStatic(s.mac, s.port, r.now); got != want {
			r.fail("SetStatic returns %v, the oracle has %v", got, want)
		}
	case opForget:
		r.real.Forget(s.port)
		r.oracle.Forget(s.port)
	}
	got, want := r.real.Stations(r.now), r.oracle.Stations(r.now)
	if !slices.Equal(got, want) {
		r.fail("the stations are\n%v\nthe oracle has\n%v", got, want)
	}
	if len(got) > r.cfg.Limit {
		r.fail("%d stations, and the limit is %d", len(got), r.cfg.Limit)
	}
	r.conserved(0)
}

// unchanged checks that a frame leaves unchanged, except for the CRC of SCTP, and not at its own port.
func (r *bridgeRig) unchanged(s step, sent [][]vswitch.Frame) {
	for port, frames := range sent {
		for _, f := range frames {
			same := func(entered vswitch.Frame) bool { return bytes.Equal(f.Data, withCRC(entered, f.Data)) }
			if port == s.port || !slices.ContainsFunc(s.frames, same) {
				r.fail("a frame from port %d leaves at port %d as%s", s.port, port, describe([]vswitch.Frame{f}))
			}
		}
	}
}

// withCRC returns the data of a frame that has entered. If its header asks for a checksum at the offset of SCTP's CRC, the result has the CRC of
// the frame that leaves; the comparison with the oracle has checked it.
func withCRC(entered vswitch.Frame, left []byte) []byte {
	crc := int(entered.Offload.CsumStart) + 8
	if entered.Offload.Flags&vnet.FlagNeedsChecksum == 0 || entered.Offload.CsumOffset != 8 || len(entered.Data) != len(left) || crc > len(left) {
		return entered.Data
	}
	behind := min(crc+4, len(left)) // SCTP shorter than its header has a sum of two bytes
	return slices.Concat(entered.Data[:crc], left[crc:behind], entered.Data[behind:])
}
