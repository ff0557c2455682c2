package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// refuserAddress is the address of the receiver.
func refuserAddress() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.2:5204") }

// refused has counters of a namespace: packets that reached IPv4, and datagrams that a socket has refused.
type refused struct{ packets, datagrams, wrong int }

// TestRefusedDatagramsCountOneByOne checks that each segment of a GSO datagram counts, although the datagram crosses a veth as one packet.
func TestRefusedDatagramsCountOneByOne(t *testing.T) {
	receiver := network(t)
	sender := network(t)
	addresses(t, sender, receiver)
	enter(t, receiver)
	fd, err := refuser(netip.AddrPortFrom(netip.IPv4Unspecified(), refuserAddress().Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	enter(t, sender)
	const segment = 18
	want := refusals(t, receiver)
	for _, test := range []struct {
		name string
		send func(*testing.T)
		grow refused
	}{
		{"single datagrams", func(t *testing.T) {
			for range 5 {
				datagram(t, segment, 0)
			}
		}, refused{packets: 5, datagrams: 5}},
		{"a GSO datagram", func(t *testing.T) { datagram(t, 64*segment, segment) }, refused{packets: 1, datagrams: 64}},
		{"one whose last segment is shorter", func(t *testing.T) { datagram(t, 10*segment+5, segment) }, refused{packets: 1, datagrams: 11}},
		{"a wrong checksum", wrongDatagram, refused{packets: 1, datagrams: 1, wrong: 1}},
	} {
		want.packets += test.grow.packets
		want.datagrams += test.grow.datagrams
		want.wrong += test.grow.wrong
		enter(t, sender)
		test.send(t)
		awaitRefusals(t, test.name, receiver, want)
	}
}

// network moves the thread into a new network namespace, which ends with the thread, and returns a descriptor of it.
func network(t *testing.T) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	runtime.LockOSThread() // never unlocked, so that the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return int(file.Fd())
}

// addresses connects two namespaces: 192.0.2.1 sends, 192.0.2.2 receives.
func addresses(t *testing.T, sender, receiver int) {
	t.Helper()
	enter(t, sender)
	ip(t, fmt.Sprintf("link add near type veth peer name far netns /proc/%d/fd/%d", os.Getpid(), receiver))
	for i, end := range []struct {
		network int
		device  string
	}{{sender, "near"}, {receiver, "far"}} {
		enter(t, end.network)
		ip(t, fmt.Sprintf("addr add 192.0.2.%d/24 dev %s", i+1, end.device))
		ip(t, "link set "+end.device+" up")
	}
	running(t, "far")
	enter(t, sender)
	running(t, "near")
}

func ip(t *testing.T, line string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

func enter(t *testing.T, network int) {
	t.Helper()
	if err := unix.Setns(network, unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// datagram sends octets, which the kernel segments if the segment size is not 0.
func datagram(t *testing.T, length, segment int) {
	t.Helper()
	fd, err := dial(unix.SOCK_DGRAM, refuserAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, segment); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, make([]byte, length)); err != nil {
		t.Fatal(err)
	}
}

// wrongDatagram sends a datagram with a wrong checksum.
func wrongDatagram(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := refuserAddress()
	port := binary.BigEndian.AppendUint16(nil, to.Port())
	udp := slices.Concat(port, port, []byte{0, 8, 0, 1}) // length and checksum; 0x5332 would be right
	if err := unix.Sendto(fd, udp, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
}

// awaitRefusals waits until the counters have the wanted values, and fails the test if they do not reach or if they exceed them.
func awaitRefusals(t *testing.T, what string, network int, want refused) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	var got refused
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-again.C {
		if got = refusals(t, network); got == want {
			return
		}
	}
	t.Fatalf("%s: %+v, want %+v", what, got, want)
}

// refusals reads the counters of a namespace.
func refusals(t *testing.T, network int) refused {
	t.Helper()
	enter(t, network)
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	return refused{
		packets:   snmp(t, text, "Ip:", "InReceives"),
		datagrams: snmp(t, text, "Udp:", "InErrors"),
		wrong:     snmp(t, text, "Udp:", "InCsumErrors"),
	}
}

// snmp returns the value with a name in the two lines of a protocol.
func snmp(t *testing.T, text []byte, protocol, name string) int {
	t.Helper()
	var names [][]byte
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 0 || string(fields[0]) != protocol {
			continue
		}
		for i := range names {
			if string(names[i]) != name {
				continue
			}
			n, err := strconv.Atoi(string(fields[i]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		names = fields
	}
	t.Fatalf("/proc/net/snmp: no %s %s in it:\n%s", protocol, name, text)
	return 0
}
