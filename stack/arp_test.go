package stack

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/podswitch/podswitch/vswitch"
)

func TestARPIsAnsweredForTheAddress(t *testing.T) {
	pod := open(t, podConfig())
	for _, sender := range []netip.Addr{otherAddress, netip.IPv4Unspecified(), podAddress} {
		pod.put(arpRequestFrame(t, otherMAC, sender, podAddress))
		frame := pod.next().data
		checkMACs(t, frame, wireMAC, otherMAC)
		reply := decode(t, frame).Layer(layers.LayerTypeARP).(*layers.ARP)
		if reply.Operation != layers.ARPReply ||
			!bytes.Equal(reply.SourceHwAddress, wireMAC[:]) || !sameIP(reply.SourceProtAddress, podAddress) ||
			!bytes.Equal(reply.DstHwAddress, otherMAC[:]) || !sameIP(reply.DstProtAddress, sender) {
			t.Errorf("to %s: wrong reply %x", sender, frame)
		}
	}
	if got := pod.Counters().TxFrames.Load(); got != 3 {
		t.Errorf("counted %d frames, want 3", got)
	}
}

func TestARPIsNotAnswered(t *testing.T) {
	reply := arpRequestFrame(t, otherMAC, otherAddress, podAddress)
	reply[offARPOperation+1] = 2
	group := arpRequestFrame(t, otherMAC, otherAddress, podAddress)
	copy(group[offARPSenderMAC:], vswitch.Broadcast[:])
	wrongHardware := arpRequestFrame(t, otherMAC, otherAddress, podAddress)
	wrongHardware[offNetwork+1] = 6
	tests := []struct {
		name  string
		frame []byte
	}{
		{"another address", arpRequestFrame(t, otherMAC, otherAddress, netip.MustParseAddr("10.244.1.8"))},
		{"the limited broadcast", arpRequestFrame(t, otherMAC, otherAddress, netip.MustParseAddr("255.255.255.255"))},
		{"the all-systems group", arpRequestFrame(t, otherMAC, otherAddress, netip.MustParseAddr("224.0.0.1"))},
		{"a reply", reply},
		{"a request from a group", group},
		{"another hardware type", wrongHardware},
		{"a truncated request", arpRequestFrame(t, otherMAC, otherAddress, podAddress)[:41]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod := open(t, podConfig())
			pod.put(test.frame)
			pod.expectNoFrame()
		})
	}
}

func TestARPOff(t *testing.T) {
	cfg := podConfig()
	cfg.ARP = false
	server := open(t, cfg)
	server.put(arpRequestFrame(t, otherMAC, otherAddress, podAddress))
	server.expectNoFrame()
	if got := server.drops(vswitch.Unwanted); got != 1 {
		t.Errorf("%d drops, want 1", got)
	}
}

func TestProbe(t *testing.T) {
	cfg := podConfig()
	cfg.ARP, cfg.PeerMAC = false, vswitch.MAC{}
	server := open(t, cfg)
	server.Probe(otherMAC, otherAddress)
	server.Probe(otherMAC, netip.MustParseAddr("fe80::1"))
	const want = "020000000099" + "0a580af40107" + "0806" + // Ethernet
		"0001" + "0800" + "0604" + "0001" + // Ethernet, IPv4, request
		"0a580af40107" + "0af40107" + "000000000000" + "0af40909"
	if got := hex.EncodeToString(server.next().data); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	server.expectNoFrame()
}
