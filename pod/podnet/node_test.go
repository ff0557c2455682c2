package podnet

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A node is the network namespace with the other end of eth0, which is called node0.
type node struct {
	t   *testing.T
	pid string // of a process in the namespace
}

// newNode moves node0 into a namespace of its own, which ends with the test, and gives it an address.
func (p *pod) newNode(prefix string) *node {
	p.t.Helper()
	cmd := exec.Command("unshare", "-n", "sh", "-c", "echo ready; exec cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		stdin.Close() // cat ends
		_ = cmd.Wait()
	})
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		p.t.Fatal(err)
	}
	n := &node{t: p.t, pid: strconv.Itoa(cmd.Process.Pid)}
	p.ip("link set node0 netns " + n.pid)
	n.run("ip", "link", "set", "node0", "up")
	n.run("ip", "addr", "add", prefix, "dev", "node0")
	return n
}

func (n *node) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", n.pid, "-n"}, args...)...)
}

// run returns the standard output of a command in the namespace.
func (n *node) run(args ...string) string {
	n.t.Helper()
	return output(n.t, n.command(args...))
}

// mac returns the MAC of node0.
func (n *node) mac() string {
	n.t.Helper()
	return strings.Fields(n.run("ip", "-br", "link", "show", "dev", "node0"))[2]
}

// pings reports whether an address answers one ping of the node within a second. True is certain. False may also mean that the node still
// waits for the answer to an ARP request.
func (n *node) pings(address string) bool {
	return n.command("ping", "-c1", "-W1", address).Run() == nil
}

// awaitPing waits until an address answers.
func (n *node) awaitPing(address string) {
	n.t.Helper()
	await(n.t, address+" answers", func() bool { return n.pings(address) })
}

// sendUDP sends a datagram to an address.
func (n *node) sendUDP(address string, from, to int) {
	n.t.Helper()
	n.do(func() error { return sendUDPHere(address, from, to) })
}

// sendFrame sends a frame through node0.
func (n *node) sendFrame(frame []byte) {
	n.t.Helper()
	n.do(func() error {
		link, err := net.InterfaceByName("node0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
	})
}

// do calls f in the namespace.
func (n *node) do(f func() error) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is in another namespace
		err := n.enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// enter moves the calling thread into the namespace.
func (n *node) enter() error {
	namespace, err := os.Open("/proc/" + n.pid + "/ns/net")
	if err != nil {
		return err
	}
	defer namespace.Close()
	return unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET)
}

func sendUDPHere(address string, from, to int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: from}), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)); err != nil {
		return err
	}
	return unix.Sendto(fd, []byte("text"), 0, &unix.SockaddrInet4{Port: to, Addr: netip.MustParseAddr(address).As4()})
}

// listenUDP opens a socket of the namespace that does not block.
func listenUDP(t *testing.T, address string, port int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(address).As4()}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func receivesUDP(fd int) bool {
	n, _, err := unix.Recvfrom(fd, make([]byte, 16), 0)
	return err == nil && n > 0
}

// newPacketSocket opens a socket that receives all frames of the namespace, as the switch does.
func newPacketSocket(t *testing.T) int {
	t.Helper()
	return newPacketSocketFor(t, unix.ETH_P_ALL)
}

// newPacketSocketFor opens a socket that receives the frames of an ethertype.
func newPacketSocketFor(t *testing.T, ethertype uint16) int {
	t.Helper()
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, ethertype))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// receivedFrames counts the ARP and IPv4 frames that wait in a packet socket and were received, not sent.
func receivedFrames(t *testing.T, fd int) int {
	t.Helper()
	received, _ := countFrames(t, fd)
	return received
}

// isAboutNeighbour reports whether an IPv6 frame is a neighbour solicitation or advertisement.
func isAboutNeighbour(frame []byte) bool {
	return len(frame) > 54 && frame[20] == unix.IPPROTO_ICMPV6 && (frame[54] == neighbourSolicitation || frame[54] == neighbourAdvertisement)
}

// countFrames counts the ARP and IPv4 frames and the neighbour messages of IPv6 that wait in a packet socket, by direction.
func countFrames(t *testing.T, fd int) (received, sent int) {
	t.Helper()
	frame := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(fd, frame, 0)
		if err != nil {
			return received, sent
		}
		sender, ok := from.(*unix.SockaddrLinklayer)
		if !ok || n < 14 {
			continue
		}
		kind := binary.BigEndian.Uint16(frame[12:])
		switch isOurs := kind == unix.ETH_P_ARP || kind == unix.ETH_P_IP || kind == unix.ETH_P_IPV6 && isAboutNeighbour(frame[:n]); {
		case isOurs && sender.Pkttype == unix.PACKET_OUTGOING:
			sent++
		case isOurs:
			received++
		}
	}
}
