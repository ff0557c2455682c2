package stack

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

var (
	serverAddress = netip.MustParseAddr("169.254.75.10")
	guestMAC      = vswitch.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	nobody        = netip.MustParseAddrPort("0.0.0.0:68")
	everybody     = netip.MustParseAddrPort("255.255.255.255:67")
)

// serverConfig is the configuration of the endpoint towards the guest.
func serverConfig() Config {
	return Config{Address: serverAddress, MAC: routerMAC, MTU: 1450}
}

// openDHCP makes a server endpoint with this handler.
func openDHCP(t *testing.T, handle DHCPHandler) *tapped {
	t.Helper()
	server := open(t, serverConfig())
	if err := server.ServeDHCP(handle); err != nil {
		t.Fatal(err)
	}
	return server
}

func TestDHCPReplyToTheByte(t *testing.T) {
	tests := []struct {
		name string
		to   netip.AddrPort
		mac  vswitch.MAC
		want string
	}{
		{
			"broadcast", netip.MustParseAddrPort("255.255.255.255:68"), vswitch.Broadcast,
			"ffffffffffff" + "020000000001" + "0800" +
				"45000021" + "00004000" + "4011" + "45c4" + "a9fe4b0a" + "ffffffff" +
				"00430044" + "000d" + "c278" + "6f66666572",
		},
		{
			"unicast", addrPort(podAddress, 68), guestMAC,
			"525400123456" + "020000000001" + "0800" +
				"45000021" + "00004000" + "4011" + "39c9" + "a9fe4b0a" + "0af40107" +
				"00430044" + "000d" + "b67d" + "6f66666572",
		},
		{
			// The last bytes make the sum 0, which is sent as ffff.
			"checksum of zero", addrPort(podAddress, 67), guestMAC, "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			payload := []byte("offer")
			if test.want == "" {
				payload = zeroSumPayload(test.to)
			}
			server := openDHCP(t, func(message []byte) ([]byte, netip.AddrPort, vswitch.MAC) {
				if string(message) != "discover" {
					t.Errorf("message %q", message)
				}
				return payload, test.to, test.mac
			})
			server.put(udpFrame(t, nobody, everybody, []byte("discover")))
			frame := server.next()
			if got := hex.EncodeToString(frame.data); test.want != "" && got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			checkChecksums(t, frame.data)
			if frame.offload != (vnet.Header{}) {
				t.Errorf("offload %+v, want none: raw clients know none", frame.offload)
			}
			if test.want == "" && !bytes.Equal(frame.data[40:42], []byte{0xff, 0xff}) {
				t.Errorf("checksum %x, want ffff", frame.data[40:42])
			}
		})
	}
}

// zeroSumPayload returns a payload whose datagram to this address has a computed checksum of 0.
func zeroSumPayload(to netip.AddrPort) []byte {
	packet := datagram(netip.AddrPortFrom(serverAddress, dhcpPort), to, []byte{0, 0})
	return packet[26:28]
}

func TestDHCPRequests(t *testing.T) {
	got := make(chan string, 1)
	server := openDHCP(t, func(message []byte) ([]byte, netip.AddrPort, vswitch.MAC) {
		got <- string(message)
		return nil, netip.AddrPort{}, vswitch.MAC{}
	})
	large := strings.Repeat("x", 1400)
	tests := []struct {
		name, payload string
		from, to      netip.AddrPort
	}{
		{"broadcast without an address", "one", nobody, everybody},
		{"broadcast with an address", "two", addrPort(podAddress, 68), everybody},
		{"unicast renewal", "three", addrPort(podAddress, 68), addrPort(serverAddress, 67)},
		{"large", large, nobody, everybody},
		{"empty", "", nobody, everybody},
	}
	for _, test := range tests {
		server.put(udpFrame(t, test.from, test.to, []byte(test.payload)))
		if got := within(t, got); got != test.payload {
			t.Errorf("%s: got %q", test.name, got)
		}
	}
	server.expectNoFrame()
}

func TestDHCPRepliesThatCannotBeSent(t *testing.T) {
	type answer struct {
		reply []byte
		to    netip.AddrPort
		mac   vswitch.MAC
	}
	good := answer{[]byte("ack"), addrPort(podAddress, 68), guestMAC}
	answers := []answer{
		{[]byte("a"), netip.AddrPort{}, guestMAC},
		{[]byte("b"), netip.MustParseAddrPort("[fe80::1]:68"), guestMAC},
		{[]byte("c"), addrPort(podAddress, 0), guestMAC},
		{[]byte("d"), addrPort(podAddress, 68), vswitch.MAC{}},
		{make([]byte, 1450-27), addrPort(podAddress, 68), guestMAC},
		good,
	}
	next := 0
	server := openDHCP(t, func([]byte) ([]byte, netip.AddrPort, vswitch.MAC) {
		a := answers[next]
		next++
		return a.reply, a.to, a.mac
	})
	for range answers {
		server.put(udpFrame(t, nobody, everybody, []byte("request")))
	}
	if got := server.next().data[14+20+8:]; !bytes.Equal(got, good.reply) {
		t.Errorf("first reply %q, want %q", got, good.reply)
	}
}

func TestServeDHCPOnce(t *testing.T) {
	server := openDHCP(t, nil)
	if err := server.ServeDHCP(nil); err == nil {
		t.Error("a second server on port 67")
	}
}
