package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
)

func TestLeases(t *testing.T) {
	fault := errors.New("answered by NAK")
	for name, test := range map[string]struct {
		took []time.Duration // 0: lost
		err  error
		want leaseReport
		bad  error
	}{
		"all":     {took: []time.Duration{9000, 1000, 3000, 2000}, want: leaseReport{Rounds: 4, First: 9, Median: 2, Min: 1, Max: 9}},
		"one":     {took: []time.Duration{5000}, want: leaseReport{Rounds: 1, First: 5, Median: 5, Min: 5, Max: 5}},
		"lost":    {took: []time.Duration{0, 4000, 0}, want: leaseReport{Rounds: 1, Lost: 2, First: 4, Median: 4, Min: 4, Max: 4}},
		"nothing": {took: []time.Duration{0, 0}, bad: errLost},
		"refused": {took: []time.Duration{1000}, err: fault, bad: fault},
	} {
		rest := slices.Clone(test.took)
		got, err := leases(func() (time.Duration, error) {
			took := rest[0]
			rest = rest[1:]
			if took == 0 {
				return 0, errLost
			}
			return took, test.err
		}, len(test.took))
		if got != test.want || !errors.Is(err, test.bad) {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, test.want, test.bad)
		}
	}
}

func TestPacket(t *testing.T) {
	discover, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	b := packet(discover.ToBytes())
	udp := b[ipv4Length:]
	pseudo := vnet.PseudoSum(b[12:16], b[16:20], unix.IPPROTO_UDP, len(udp))
	if vnet.Checksum(b[:ipv4Length], 0) != 0 || vnet.Checksum(udp, pseudo) != 0 {
		t.Errorf("the checksums of % x are wrong", b[:ipv4Length+udpLength])
	}
	if _, found := reply(b); found {
		t.Error("a client's own message was taken for a reply")
	}
}

func TestReplyRefuses(t *testing.T) {
	good := answerTo(t, dhcpv4.MessageTypeOffer)
	if _, found := reply(good); !found {
		t.Fatal("a good reply was not found")
	}
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"empty":                  nil,
		"IPv6":                   change(0, 0x65),
		"TCP":                    change(9, unix.IPPROTO_TCP),
		"header too short":       change(0, 0x44),
		"header beyond the end":  append(change(0, 0x4f)[:ipv4Length], 0, 0),
		"another port":           change(ipv4Length+3, 67),
		"length below a header":  slices.Concat(good[:ipv4Length+4], []byte{0, 7}, good[ipv4Length+6:]),
		"length beyond the end":  change(ipv4Length+4, 0xff),
		"no cookie":              change(ipv4Length+udpLength+236, 0),
		"cut off in the message": good[:ipv4Length+udpLength+100],
	} {
		if _, found := reply(b); found {
			t.Errorf("%s: a reply was found", name)
		}
	}
}

// answerTo returns a packet with an answer of type kind to a message.
func answerTo(t *testing.T, kind dhcpv4.MessageType) []byte {
	t.Helper()
	discover, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	return serverPacket(t, discover, kind)
}

func serverPacket(t *testing.T, to *dhcpv4.DHCPv4, kind dhcpv4.MessageType) []byte {
	t.Helper()
	message, err := dhcpv4.NewReplyFromRequest(to, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.IPv4(10, 0, 0, 7)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(10, 0, 0, 1))))
	if err != nil {
		t.Error(err)
		return nil
	}
	b := packet(message.ToBytes())
	b[ipv4Length+1], b[ipv4Length+3] = dhcpv4.ServerPort, dhcpv4.ClientPort
	return b
}

// TestClient gets leases from a server at the other end of a veth, which also sends packets that are not for the client.
func TestClient(t *testing.T) {
	devices(t, "guest", "server")
	c, err := newClient("guest")
	if err != nil {
		t.Fatal(err)
	}
	server, err := newClient("server")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c.fd)
	defer unix.Close(server.fd)
	for _, test := range []struct {
		answers map[dhcpv4.MessageType]dhcpv4.MessageType
		want    string // of the error
	}{
		{map[dhcpv4.MessageType]dhcpv4.MessageType{dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest: dhcpv4.MessageTypeAck}, ""},
		{map[dhcpv4.MessageType]dhcpv4.MessageType{dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest: dhcpv4.MessageTypeNak}, "NAK"},
		{map[dhcpv4.MessageType]dhcpv4.MessageType{dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer}, errLost.Error()},
	} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			server.answer(t, test.answers)
		}()
		took, err := c.lease()
		if test.want == "" && (err != nil || took <= 0) {
			t.Errorf("%s, %v", took, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v, want %q", err, test.want)
		}
		<-ended
	}
}

// answer is a server for one exchange: it returns after the answer to a REQUEST, or when no further message will come.
func (c *client) answer(t *testing.T, answers map[dhcpv4.MessageType]dhcpv4.MessageType) {
	everybody := unix.SockaddrLinklayer{Protocol: protocolIPv4, Ifindex: c.link, Halen: 6, Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	stranger, err := dhcpv4.NewDiscovery(c.mac)
	if err != nil {
		t.Error(err)
		return
	}
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buffer[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Errorf("the server: %v", err)
			return
		}
		message, err := dhcpv4.FromBytes(c.buffer[ipv4Length+udpLength : n])
		if err != nil {
			t.Errorf("the server does not understand the client: %v", err)
			return
		}
		if kind, found := answers[message.MessageType()]; found {
			for _, b := range [][]byte{{0x45}, serverPacket(t, stranger, kind), serverPacket(t, message, kind)} {
				if err := unix.Sendto(c.fd, b, 0, &everybody); err != nil {
					t.Errorf("the server: %v", err)
				}
			}
		}
		if message.MessageType() == dhcpv4.MessageTypeRequest {
			return
		}
	}
}

// devices moves the test's thread into a new network namespace, which ends with the thread, and makes a veth there.
func devices(t *testing.T, one, other string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	runtime.LockOSThread() // never unlocked, so that the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"link add " + one + " type veth peer name " + other, "link set " + one + " up", "link set " + other + " up"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	running(t, one)
	running(t, other)
}

// running waits for the carrier: before, the kernel drops frames.
func running(t *testing.T, device string) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-again.C {
		if link, err := net.InterfaceByName(device); err == nil && link.Flags&net.FlagRunning != 0 {
			return
		}
	}
	t.Fatalf("%s has no carrier after 10 s", device)
}

func TestNewClientRefuses(t *testing.T) {
	for device, want := range map[string]string{"nonexistent": "nonexistent", "lo": "MAC"} {
		if _, err := newClient(device); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", device, err, want)
		}
	}
}
